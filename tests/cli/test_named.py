"""Volumes that a command line names: what they are called, which are labels, and how large their voxels are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from lchunk.cli.looking import _is_root
from lchunk.cli.named import Named, open_named, with_sizes
from lchunk.volumes.store import FileStore
from tests.conftest import write_hdf5
from tests.viewer.test_viewer import write_layers

SHAPE = (2, 3, 4)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved(name: str, dtype: str = "uint8", shape: tuple[int, ...] = SHAPE) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    np.save(name, np.ones(shape, dtype))
    return name


def kinds(words: Sequence[str] = (), labels: Sequence[str] = (), images: Sequence[str] = ()) -> dict[str, bool]:
    return {each.name: each.labels for each in open_named(words, labels, images)}


def test_wide_whole_numbers_are_labels_unless_the_user_says_otherwise() -> None:
    names = [saved(f"{dtype}.npy", dtype) for dtype in ("bool", "uint8", "int16", "float32", "float64")]
    assert set(kinds(names).values()) == {False}
    wide = [saved(f"{dtype}.npy", dtype) for dtype in ("int32", "uint32", "int64", "uint64")]
    assert set(kinds(wide).values()) == {True}
    assert kinds([saved("channels.npy", "uint32", (3, *SHAPE))]) == {"channels": False}
    assert kinds(["uint8.npy"], ["bool.npy", "int16.npy"], ["uint64.npy"]) == {
        "uint8": False, "uint64": False, "bool": True, "int16": True
    }  # fmt: skip


def test_labels_with_channels_are_refused() -> None:
    saved("c.npy", "uint32", (3, *SHAPE))
    with pytest.raises(ValueError, match=r"labels must be \(z, y, x\), got 3 channels in c.npy; pick one, as c.npy#ch"):
        open_named([], ["c.npy"], [])
    assert kinds([], ["c.npy#channel=0"]) == {"c": True}


def test_names_are_those_given_or_else_those_of_the_files() -> None:
    with h5py.File("a.h5", "w") as file:
        file["volumes/labels/ids"] = np.ones(SHAPE, np.uint64)
    words = ["my seg=a.h5:/volumes/labels/ids", "a.h5:/volumes/labels/ids", saved("x/one.npy") + "#offset=0,0,1"]
    assert list(kinds(words)) == ["my seg", "ids", "one"]
    assert list(kinds([saved("x=y.npy"), saved("b/x.npy"), f"b={saved('c/x.npy')}"])) == ["x=y", "x", "b"]


def test_equal_names_become_the_urls() -> None:
    assert list(kinds([saved("a/x.npy"), saved("b/x.npy"), saved("c/y.npy")])) == ["a/x.npy", "b/x.npy", "y"]


def test_a_file_without_a_dataset_stands_for_all_of_its_volumes() -> None:
    with h5py.File("vol.h5", "w") as file:
        file["volumes/raw"] = np.ones(SHAPE, np.uint8)
        file["volumes/labels/ids"] = np.ones(SHAPE, np.uint64)
        file["annotations/ids"] = np.ones(7)
        file["names"] = np.full(SHAPE, b"a")
    found = open_named(["vol.h5#offset=0,0,5"], [], [])
    assert [(each.name, each.labels, each.volume.bounds.start) for each in found] == [
        ("ids", True, (0, 0, 5)), ("raw", False, (0, 0, 5))
    ]  # fmt: skip
    assert list(kinds(["my=vol.h5"])) == ["my ids", "my raw"]
    with h5py.File("empty.h5", "w") as file:
        file["names"] = np.ones(3)
    with pytest.raises(FileNotFoundError, match=r"the dataset of empty.h5 must be one of /names, got ''"):
        open_named(["empty.h5"], [], [])


def sizes(named: Sequence[Named], given: tuple[float, float, float] | None = None) -> list[tuple[float, ...]]:
    return [view.voxel_size for _, view in with_sizes(named, given)]


def test_a_missing_voxel_size_is_the_given_one_or_that_of_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    write_hdf5(Path("a.h5"), "raw", np.ones(SHAPE, np.uint8), (40, 4, 4), (0, 0, 0))
    both = open_named([saved("plain.npy"), "a.h5:/raw"], [], [])
    assert sizes(both, (30, 3, 3)) == [(30, 3, 3), (40, 4, 4)]
    assert capsys.readouterr().err == ""
    assert sizes(both) == [(40, 4, 4), (40, 4, 4)]
    told = capsys.readouterr().err
    assert told == (
        "note: plain.npy says no voxel size; 40,4,4 nm (z, y, x) is that of the first volume with one, give another "
        "with --voxel-size Z,Y,X\n"
    )
    assert sizes(both[:1]) == [(1, 1, 1)]
    assert "1,1,1 nm (z, y, x) is assumed, give" in capsys.readouterr().err


def test_a_dataset_is_a_folder_with_layers_of_lchunk(tmp_path: Path) -> None:
    write_layers(tmp_path / "root")
    assert _is_root("root")
    assert _is_root((tmp_path / "root").as_uri())
    # a layer, a file, other folders, and images of other programs in a folder
    for name in ("root/image", "root/image/0", saved("a.npy"), ".", "absent", "a=root", "root#offset=0,0,0"):
        assert not _is_root(name), name
    FileStore(tmp_path / "plate").put("0/0/zarr.json", b'{"zarr_format": 3, "node_type": "array", "shape": [1, 1, 1]}')
    assert not _is_root("plate")
    (tmp_path / "luigi.cfg").write_text("[Dataset]\nroot = later\n")
    assert _is_root("later")
    assert _is_root("./later/")
