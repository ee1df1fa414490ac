"""`lchunk card`: of a layer or of a volume of another program, for people, for programs, and as a picture."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lchunk.cli.line import main
from lchunk.exports import source
from lchunk.geometry.bbox import Bbox
from lchunk.tasks import compared
from lchunk.volumes.layer import Layer
from tests.cli.commands import lchunk
from tests.conftest import write_hdf5
from tests.exports.datasets import SHAPE, SIZE, START, Made, blank_layer, make_dataset, write_layer
from tests.operators.test_segment_card import by_numpy, random_labels


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.chdir(tmp_path)
    return make_dataset(tmp_path / "data")["segmentation"]


def carded(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    main(["card", *words, "--json"])
    found: dict = json.loads(capsys.readouterr().out)
    return found


def check(found: dict, labels: np.ndarray, start: tuple[int, int, int]) -> None:
    wanted = by_numpy(labels, start)
    sizes, rows = wanted.pop("sizes"), wanted.pop("largest")[:20]
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
    assert [{name: row[name] for name in rows[0]} for row in found["largest"]] == rows
    assert sum(row["segments"] for row in found["sizes"]) == len(sizes)
    assert found["start"] == list(start)
    assert found["stop"] == [a + b for a, b in zip(start, labels.shape, strict=True)]


@pytest.mark.parametrize("room", [1, 1 << 27])
@pytest.mark.parametrize("chunk", [(8, 16, 16), (5, 7, 9)])
def test_a_layer_of_any_grid_has_the_numbers_of_the_whole_volume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, room: int,
    chunk: tuple[int, int, int],
) -> None:  # fmt: skip
    monkeypatch.setattr(source, "MOST_BYTES", room)
    labels = random_labels()
    blank = blank_layer(tmp_path, "components", "uint64", labels=True)
    bounds = Bbox.of(START, labels.shape)
    write_layer(replace(blank, bounds=bounds, chunk_shape=chunk, inner_chunk=chunk), labels, "Test")
    found = carded(capsys, "components", "--root", str(tmp_path))
    check(found, labels, START)
    assert found["volume"] == "components"
    assert found["voxel_size"] == list(SIZE)
    assert found["volume_um3"] == pytest.approx(labels.size * 40 * 8 * 4e-9)


@pytest.mark.parametrize("box", [(64, 512, 512), (2, 8, 5)])
def test_a_volume_of_another_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, box: tuple[int, int, int]
) -> None:
    monkeypatch.setattr(compared, "BOX", box)
    labels = random_labels()
    url = write_hdf5(tmp_path / "seg.h5", "labels", labels, (40, 4, 4), (-2, 100, 7))
    check(carded(capsys, url), labels, (-2, 100, 7))
    small = (labels % 251).astype(np.int16)
    np.save(tmp_path / "seg.npy", small)
    found = carded(capsys, f"{tmp_path}/seg.npy", "--largest", "1")
    assert found["largest"] == [{**by_numpy(small, (0, 0, 0))["largest"][0], "volume_um3": None}]
    assert found["voxel_size"] is found["volume_um3"] is None


def test_what_is_printed_for_people(made: Made, tmp_path: Path) -> None:
    (tmp_path / "luigi.cfg").write_text("[Dataset]\nroot = data\n")
    said = lchunk(tmp_path, "card", "--largest", "3")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    wanted = by_numpy(made.voxels, START)
    none, share = wanted["background_voxels"], wanted["background_share"]
    assert lines[:5] == [
        f"segmentation: {made.layer.bounds}, 15,840 voxels of 40,8,4 nm (z, y, x)",
        "volume:      0.02028 µm³",
        f"segments:    8, {15840 - none:,} voxels, {1 - share:.1%}",
        f"background:  {none:,} voxels, {share:.1%}",
        "orphans:     0, 0 voxels, 0.0%",
    ]
    assert [line.split()[:2] for line in lines[7:-5]] == [["1,000", "2,000"], ["2,000", "5,000"]]
    first = wanted["largest"][0]
    voxels = first["voxels"]
    assert lines[-3].split() == [
        str(first["label"]), f"{voxels:,}", f"{first['share']:.1%}", f"{voxels * 1.28e-6:#.4g}", str(made.layer.bounds),
    ]  # fmt: skip
    np.save(tmp_path / "seg.npy", made.voxels)
    lines = lchunk(tmp_path, "card", "seg.npy").out.splitlines()
    assert lines[0].endswith("voxels of unknown size; write it after the URL, as #voxel_size=40,4,4")
    assert not any("µm³" in line for line in lines)


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_picture_is_written_in_the_format_of_its_suffix(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, begins: bytes
) -> None:
    main(["card", "--root", "data", "--plot", f"card.{suffix}"])
    assert (tmp_path / f"card.{suffix}").read_bytes().startswith(begins)
    assert "largest segments" in capsys.readouterr().out
    np.save(tmp_path / "empty.npy", np.zeros((3, 4, 5), np.uint8))
    main(["card", "empty.npy", "--plot", f"empty.{suffix}"])
    assert (tmp_path / f"empty.{suffix}").exists()
    assert capsys.readouterr().out.splitlines()[1:] == [
        "segments:    0, 0 voxels, 0.0%", "background:  60 voxels, 100.0%", "orphans:     0, 0 voxels, 0.0%",
    ]  # fmt: skip


def test_missing_chunks_are_refused_or_background(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data/segmentation/0/c/1/0/1").unlink()
    with pytest.raises(SystemExit, match=r"1 of 18 are missing.*`lchunk run Segmentation --root data` makes them, and"):
        main(["card", "--root", "data"])
    labels = made.voxels.copy()
    labels[8:16, :16, 16:32] = 0
    check(carded(capsys, "--root", "data", "--fill-missing"), labels, START)


def test_what_has_no_card_is_refused_by_name(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "grey.npy", np.full(SHAPE, 0.5, np.float32))
    np.save(tmp_path / "channels.npy", np.zeros((3, *SHAPE), np.uint8))
    root = ["--root", "data"]
    for words, said in (
        (["image", *root], "LAYER must be a layer of labels, got image; name one, as segmentation"),
        (["fragments", *root], "layer fragments in data must exist, and does not"),
        (["./absent.h5"], "absent.h5"),
        (["grey.npy"], "labels must be whole numbers .*, got 0.5 in LAYER grey.npy"),
        (["channels.npy"], "LAYER must be .* whole numbers, got .*3 channels.*; pick one with #channel=0"),
        ([*root, "--largest", "-1"], "--largest must be at least 0, got -1; 0 lists none"),
        ([*root, "--plot", "card.doc"], "--plot must be a file of .png, .svg, .pdf, got 'card.doc'"),
    ):
        with pytest.raises(SystemExit, match=f"^lchunk: Error: .*{said}"):
            main(["card", *words])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(Layer, "read", None)  # is refused before voxels are read
    with pytest.raises(SystemExit, match="to draw, matplotlib must be installed: pip install"):
        main(["card", *root, "--plot", "card.png"])
