"""`lchunk export` as a user types it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from lchunk import cli
from lchunk.cli import codes, exporting, progress
from lchunk.exports.formats import FORMATS
from lchunk.exports.source import Source
from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats import open_volume
from tests.cli.commands import lchunk
from tests.exports.datasets import ODD, Made, make_dataset
from tests.exports.readers import READERS

Run = Callable[..., str]


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Made]:
    return make_dataset(tmp_path / "data")


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command on the dataset in the test's folder, and return what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["lchunk", "export", *words, "--root", "data"])
        cli.main()
        return capsys.readouterr().out

    return run


def test_a_layer_by_the_cfg_alone(made: dict[str, Made], tmp_path: Path) -> None:
    (tmp_path / "luigi.cfg").write_text("[Dataset]\nroot = data\n")
    said = lchunk(tmp_path, "export", "image", "out/a.h5", "--box", str(ODD))
    assert said.code == 0, said.err
    assert said.out == f"wrote out/a.h5:/volumes/raw: image mip 0, {ODD}, uint8, 40,8,4 nm (z, y, x)\n"
    with h5py.File(tmp_path / "out/a.h5") as file:
        assert np.array_equal(file["volumes/raw"][:], made["image"].part(ODD))
    assert said.err == ""


def test_what_a_format_does_not_keep_is_said(made: dict[str, Made], export: Run) -> None:
    out = export("image", "sections", "--format", "png", "--mip", "1")
    line = "png stores neither voxel size nor offset; to read the file at its position in lchunk, use "
    url = out.splitlines()[1].removeprefix(line)
    assert url == "sections#voxel_size=40,16,8#offset=-10,100,150"
    volume = open_volume(url)
    assert np.array_equal(volume.read(volume.bounds), made["image/1"].voxels)
    line = "tiff stores no offset; to read the file at its position in lchunk, use a.tif#offset=-10,200,300"
    assert export("image", "a.tif").splitlines()[1] == line
    assert len(export("image", "a.nrrd").splitlines()) == 1


def test_options_reach_the_voxels(made: dict[str, Made], export: Run) -> None:
    export("affinities", "a.npy", "--channel", "2", "--box", "-7-6_203-222_311-330")
    assert np.array_equal(np.load("a.npy"), made["affinities"].part(ODD)[2])
    export("segmentation", "b.npy", "--dtype", "uint32")
    assert np.load("b.npy").dtype == "uint32"
    export("segmentation", "c", "--format", "png", "--relabel")
    assert np.array_equal(READERS["png"][1](Path("c")).voxels, made["segmentation"].voxels // 1000)
    export("segmentation", "c", "--format", "png", "--relabel", "--overwrite")
    for dtype in ("uint64", "uint8"):
        export("segmentation", "d.npy", "--relabel", "--dtype", dtype, "--overwrite")
        assert np.load("d.npy").dtype == dtype


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nothing a.h5", "layer nothing in data must exist, and does not"),
        ("image a.h5 --mip 2", "mip 2 of layer image in data must exist"),
        ("image a.h5 --box 0-5_0-5_0-5", "--box must hold voxels of image at mip 0"),
        ("image a.h5 --box 0-5", "a bbox must be written z0-z1_y0-y1_x0-x1"),
        ("image a.h5 --channel 0", "--channel must be left out for a layer without channels, got 0 for image"),
        ("affinities a.h5 --channel 3", "--channel must be in 0 to 2, got 3 for affinities"),
        ("segmentation a.tif", "voxels of tiff must be one of .*, got uint64; give a --dtype"),
        ("segmentation a.tif --dtype uint8", "must fit uint8, got .*; give a wider --dtype, or --relabel"),
        ("image a.csv", "a table of segments must be of labels, got image"),
        ("segments a.csv --dtype uint8", "a table of segments must be exported without --dtype, got it"),
        ("image a --format tiff-sections --relabel", "--relabel must be given with labels only"),
        ("image there.npy", "there.npy, which already exists"),
        ("segments there.csv", "there.csv, which already exists"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(made: dict[str, Made], export: Run, words: str, message: str) -> None:
    for name in ("there.npy", "there.csv"):
        Path(name).write_text("old")
    with pytest.raises(SystemExit, match=f"^lchunk: Error: .*{message}"):
        export(*words.split())
    assert sorted(path.name for path in Path().iterdir()) == ["data", "there.csv", "there.npy"]
    assert Path("there.npy").read_text() == "old"


@pytest.mark.parametrize(
    ("layer", "mip", "command"),
    [("image", "0", "lchunk run Ingest --root data"), ("image", "1", "lchunk run Downsample --of image --root data")],
)
def test_missing_chunks_name_the_command_that_makes_them(
    made: dict[str, Made], export: Run, layer: str, mip: str, command: str
) -> None:
    Path(f"data/{layer}/{mip}/c/0/0/1").unlink()
    with pytest.raises(
        SystemExit, match=f"but 1 of 18 are missing.*`{command}` makes them, and --fill-missing takes 0 there"
    ):
        export(layer, "a.npy", "--mip", mip)
    assert not Path("a.npy").exists()
    export(layer, "a.npy", "--mip", mip, "--fill-missing")
    assert (np.load("a.npy") == 0).sum() > (made["image" if mip == "0" else "image/1"].voxels == 0).sum()


def test_a_table_of_segments(made: dict[str, Made], export: Run) -> None:
    assert export("segments", "a.csv") == (
        f"wrote a.csv: 8 segments of segmentation mip 0, {made['segmentation'].layer.bounds}\n"
    )
    assert Path("a.csv").read_text().startswith("label,voxels,z0,y0,x0,z1,y1,x1,centre_z,")
    export("segmentation", "b.csv", "--box", str(ODD))
    assert len(Path("b.csv").read_text().splitlines()) == 9
    assert Path("a.csv").read_text() != Path("b.csv").read_text()


def test_ctrl_c_leaves_nothing_and_says_so(
    made: dict[str, Made], export: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(source: Source, box: Bbox) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Source, "read", interrupted)
    with pytest.raises(SystemExit) as ended:
        export("image", "a.tif")
    assert ended.value.code == codes.INTERRUPTED
    assert "nothing was written, and the same command starts again" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["data"]


def test_a_terminal_shows_how_far_it_is(
    made: dict[str, Made], export: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    totals: list[int] = []
    bar = progress.voxel_progress
    monkeypatch.setattr(progress, "voxel_progress", lambda title, voxels: totals.append(voxels) or bar(title, voxels))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    export("segmentation", "a.tif", "--relabel", "--box", str(ODD))
    export("segments", "a.csv")
    assert totals == [2 * ODD.size, made["segmentation"].layer.bounds.size]


def test_the_help_names_every_format() -> None:
    assert "docs/export.md" in exporting.EXAMPLES
    text = (Path(__file__).parent.parent.parent / "docs/export.md").read_text()
    assert all(f"`{name}`" in text for name in FORMATS)
