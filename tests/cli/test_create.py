"""`lchunk create`: the files that it writes read back as what was asked for, or are absent."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from lchunk.cli.line import main
from lchunk.geometry.bbox import Bbox
from lchunk.synthetic import LABEL_TYPES, Synthetic
from lchunk.volumes.formats import open_volume
from tests.cli.commands import lchunk

BOUNDS = Bbox.of((-3, 20, 7), (9, 21, 26))
SIZE = (40.0, 4.0, 5.0)
WORDS = ("--shape", "9,21,26", "--offset", "-3,20,7", "--voxel-size", "40,4,5")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(kind: str, dtype: str = "uint8", seed: int = 0, *, labels: bool = False) -> Synthetic:
    return Synthetic(kind, BOUNDS, SIZE, np.dtype(dtype), seed, labels)


def created(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """Create a volume, and return the words of the command that shows it."""
    main(["create", *words, *WORDS])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("next: lchunk view ")
    return shlex.split(last)[3:]


def refused(*words: str) -> str:
    with pytest.raises(SystemExit) as error:
        main(["create", *words])
    return str(error.value)


def test_every_format_reads_back_at_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    for out in ("a.h5", "b.h5:/x/y", "a.tif", "a.nrrd", "a.npy", "a.n5", "a.zarr", "b.zarr/raw", "a.ome.zarr"):
        (url,) = created(capsys, "random", out, "--dtype", "uint16", "--seed", "3")
        volume, expected = open_volume(url), made("random", "uint16", 3)
        assert (volume.bounds, volume.voxel_size, volume.dtype) == (BOUNDS, SIZE, np.uint16), out
        assert np.array_equal(volume.read(BOUNDS.grown((1, 1, 1))), expected.read(BOUNDS.grown((1, 1, 1)))), out


@pytest.mark.parametrize("dtype", ["uint8", "float32", "uint32", "uint64"])
def test_bands_are_made_without_a_kind(capsys: pytest.CaptureFixture[str], dtype: str) -> None:
    (url,) = created(capsys, "bands.h5", "--dtype", dtype)
    assert url.endswith(":/volumes/labels/neuron_ids" if dtype in LABEL_TYPES else ":/volumes/raw")
    expected = made("sin", dtype, labels=dtype in LABEL_TYPES).read(BOUNDS)
    assert np.array_equal(open_volume(url).read(BOUNDS), expected)


def read(file: Any, name: str) -> npt.NDArray[Any]:
    node = file[name]
    assert node.attrs["resolution"].tolist() == [40, 4, 5]
    assert node.attrs["offset"].tolist() == [-120, 80, 35]
    found: npt.NDArray[Any] = node[...]
    return found


def test_cells_and_their_labels_are_in_one_file_as_in_those_of_cremi(capsys: pytest.CaptureFixture[str]) -> None:
    urls = created(capsys, "cells", "vol.h5", "--seed", "9")
    assert urls == ["vol.h5:/volumes/raw", "vol.h5:/volumes/labels/neuron_ids"]
    with h5py.File("vol.h5") as file:
        image, labels = read(file, "volumes/raw"), read(file, "volumes/labels/neuron_ids")
    assert (image.dtype, labels.dtype) == (np.uint8, np.uint64)
    assert np.array_equal(image, made("cells", seed=9).read(BOUNDS))
    assert np.array_equal(labels, made("cells", "uint64", 9, labels=True).read(BOUNDS))


def test_labels_of_cells_are_in_a_file_beside_the_image(capsys: pytest.CaptureFixture[str]) -> None:
    expected = made("cells", "uint64", labels=True).read(BOUNDS)
    for words, name, dtype in (
        (["a.tif"], "a_labels.tif", "uint32"), (["a.ome.zarr"], "a_labels.ome.zarr", "uint64"),
        (["sections", "--format", "png"], "sections_labels", "uint16"),
    ):  # fmt: skip
        image, *flag, labels = created(capsys, "cells", *words)
        assert image.partition("#")[0] == words[0]
        assert labels.partition("#")[0] == name
        assert flag == (["--labels"] if dtype == "uint16" else [])
        volume = open_volume(labels)
        assert volume.dtype == dtype
        assert np.array_equal(volume.read(BOUNDS), expected)


def test_labels_that_the_widest_type_of_a_format_cannot_hold_are_refused_before_work() -> None:
    said = refused("cells", "sections", "--format", "png", "--shape", "2000,2000,2000")
    assert re.search(r"labels must fit uint16, the widest of png, got up to \d+; give a smaller --shape, or", said)
    assert not list(Path().iterdir())


def test_nothing_is_overwritten_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    created(capsys, "cells", "vol.h5")
    before = Path("vol.h5").read_bytes()
    for words in (["cells", "vol.h5"], ["zeros", "vol.h5"]):
        assert refused(*words).endswith("vol.h5:/volumes/raw, which already exists; remove it, or add --overwrite")
    assert Path("vol.h5").read_bytes() == before
    created(capsys, "random", "vol.h5:/more")
    created(capsys, "zeros", "vol.h5", "--overwrite")
    with h5py.File("vol.h5") as file:
        assert not file["volumes/raw"][...].any()
        assert np.array_equal(file["more"][...], made("random").read(BOUNDS))
        assert file["volumes/labels/neuron_ids"][...].all()


@pytest.mark.parametrize("out", ["vol.h5", "vol.tif"])
def test_the_image_has_no_name_before_the_labels_are_complete(monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    real = Synthetic.read

    def full(self: Synthetic, bbox: Bbox, **options: Any) -> npt.NDArray[Any]:
        if self.labels:
            raise OSError(28, "No space left on device")
        return real(self, bbox, **options)

    monkeypatch.setattr(Synthetic, "read", full)
    assert refused("cells", out) == "lchunk: Error: No space left on device"
    assert not list(Path().iterdir())


@pytest.mark.parametrize("out", ["wide.h5", "wide.tif", "wide.zarr"])
def test_memory_holds_a_part_only(monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    read, sizes = Synthetic.read, []

    def noted(self: Synthetic, bbox: Bbox, **options: Any) -> npt.NDArray[Any]:
        sizes.append(bbox.size)
        return read(self, bbox, **options)

    monkeypatch.setattr(Synthetic, "read", noted)
    main(["create", "zeros", out, "--shape", "70,1000,300"])
    assert sum(sizes) == 70 * 1000 * 300
    assert max(sizes) <= 64 * 256 * 256


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "lchunk create must have a file to write, or --view, got neither; for example: lchunk create"),
        (["cell"], "KIND must be one of sin, random, zeros, cells, got 'cell'; did you mean cells?"),
        (["waves", "a.h5"], "KIND must be one of sin, random, zeros, cells, got 'waves'; a file to write has a suffix"),
        (["cells", "a.jpg"], r"the output must end with one of .*\.h5.*, got a\.jpg"),
        (["cells", "s3://bucket/a.zarr"], "the output must be a path on a disk, got s3://bucket/a.zarr"),
        (["cells", "a.h5:/raw"], "OUT must name no dataset for cells, which have two, got a.h5:/raw; write a.h5"),
        (["cells", "a.csv"], "OUT must be a file of voxels, got the table a.csv; write one of: hdf5, tiff"),
        (["cells", "a.h5", "--dtype", "uint64"], "--dtype of cells must be that of their image, uint8, .*, got uint64"),
        (["a.tif", "--dtype", "uint64"], "--dtype must be one of uint8, .*, uint32 for tiff, got uint64; give another"),
        (["a.h5", "--shape", "5,0,5"], "--shape must be three whole numbers z,y,x above 0, got '5,0,5'; such as"),
        (["a.h5", "--offset", "-5,2"], "--offset must be three whole numbers z,y,x, got '-5,2'; such as -10,0,200"),
        (["a.h5", "--voxel-size", "4,4"], "voxel-size must be three positive numbers z,y,x in nanometres, got '4,4'"),
        (["a.h5", "--seed", "-1"], "--seed must be from 0 to 18446744073709551615, got -1; take"),
        (["a.h5", "--seed", str(2**64)], "--seed must be from 0 to 18446744073709551615, got 18446744073709551616"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_with_a_way_out(words: list[str], message: str) -> None:
    assert re.match(f"lchunk: Error: {message}", refused(*words))
    assert not list(Path().iterdir())


def test_a_dataset_is_made_of_cells_from_beginning_to_end(tmp_path: Path) -> None:
    for words in (
        ["create", "cells", "vol.h5", "--shape", "32,64,64"], ["new", "vol.h5:/volumes/raw"], ["run", "Segmentation"],
    ):  # fmt: skip
        said = lchunk(tmp_path, *words)
        assert said.code == 0, said.err
    said = lchunk(tmp_path, "evaluate", "out/segmentation", "vol.h5:/volumes/labels/neuron_ids", "--json")
    scores = json.loads(said.out)
    assert scores["voxels"] == 32 * 64 * 64
    # the image in place of affinities splits small pieces off the cells, but hardly joins any
    assert scores["rand_split"] > 0.6
    assert scores["rand_merge"] > 0.8
