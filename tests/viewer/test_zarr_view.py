"""A view of a volume is a zarr image: zarr itself reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import zarr
from zarr.storage import MemoryStore

from lchunk.geometry.bbox import Bbox
from lchunk.viewer import zarr_view
from lchunk.viewer.zarr_view import ZarrView
from lchunk.volumes.formats import open_volume
from tests.conftest import write_hdf5


def view_of(folder: Path, voxels: npt.NDArray[Any], *, labels: bool = False) -> ZarrView:
    url = write_hdf5(folder / "a.h5", "raw", voxels, (40, 4, 4), (-3, 5, 7))
    return ZarrView(open_volume(url), (40.0, 4.0, 4.0), labels)


def read_by_zarr(view: ZarrView) -> zarr.Array[Any]:
    """Every file that zarr may ask for, in memory."""
    channel = ["0"] if view.volume.channels else []
    keys = ["zarr.json", "0/zarr.json", *("/".join(["0", "c", *channel, *map(str, index)]) for index in view.grid)]
    files = {key: zarr.core.buffer.cpu.Buffer.from_bytes(view.get(key)) for key in keys}
    group = zarr.open_group(MemoryStore(files), mode="r", zarr_format=3)
    return group["0"]  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("dtype", "labels", "shown"),
    [
        ("uint8", False, "uint8"),
        (">u2", False, "uint16"),
        ("<i2", False, "int16"),
        (">f4", False, "float32"),
        ("float16", False, "float32"),
        ("float64", False, "float32"),
        ("int64", False, "float32"),
        ("bool", False, "uint8"),
        ("int64", True, "uint64"),
        (">u8", True, "uint64"),
        ("float64", True, "uint64"),
        ("uint16", True, "uint16"),
        (">i4", True, "int32"),
    ],
)
def test_every_type_is_shown_as_one_that_the_browser_reads(
    tmp_path: Path, dtype: str, labels: bool, shown: str
) -> None:
    voxels = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (18, 130, 129)).astype(dtype)
    array = read_by_zarr(view_of(tmp_path, voxels, labels=labels))
    assert array.dtype == np.dtype(shown)
    assert np.array_equal(array[...], voxels.astype(shown))


def test_large_ids_are_exact(tmp_path: Path) -> None:
    voxels = np.array([[[2**63 + 1, 2**53 + 1]]], np.uint64)
    assert np.array_equal(read_by_zarr(view_of(tmp_path, voxels, labels=True))[...], voxels)


def test_channels_are_whole_in_every_chunk_and_its_size_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_view, "MOST_BYTES", 1000)
    voxels = np.random.default_rng(0).random((3, 5, 20, 9)).astype(np.float32)
    view = view_of(tmp_path, voxels)
    assert len(view.get("0/c/0/0/0/0")) <= 1000
    assert np.array_equal(read_by_zarr(view)[...], voxels)


def test_the_position_is_that_of_the_first_voxels_centre(tmp_path: Path) -> None:
    view = view_of(tmp_path, np.zeros((2, 2, 2), np.uint8))
    array = read_by_zarr(view)
    group = zarr.open_group(array.store, mode="r", zarr_format=3)
    (dataset,) = group.attrs["ome"]["multiscales"][0]["datasets"]  # type: ignore[index, call-overload]
    scale, translation = dataset["coordinateTransformations"]  # type: ignore[misc]
    assert scale["scale"] == [40, 4, 4]
    assert translation["translation"] == [-100, 22, 30]


def test_keys_that_are_no_chunk_are_refused(tmp_path: Path) -> None:
    view = view_of(tmp_path, np.zeros((2, 2, 2), np.uint8))
    for key in ("", "0", "0/c", "0/c/0/0", "0/c/0/0/0/0", "0/c/0/0/1", "0/c/-1/0/0", "0/c/0/0/x", "1/c/0/0/0", "a"):
        with pytest.raises(FileNotFoundError):
            view.get(key)


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "text.h5", "w") as file:
        file["raw"] = np.full((2, 2, 2), b"x", "S1")
    with pytest.raises(ValueError, match="must be numbers, got the type"):
        ZarrView(open_volume(f"{tmp_path}/text.h5:/raw"), (1, 1, 1), labels=False).get("0/zarr.json")


def test_the_range_leaves_out_what_is_not_finite(tmp_path: Path) -> None:
    voxels = np.full((4, 4, 4), np.nan, np.float32)
    assert view_of(tmp_path, voxels).range() is None
    (tmp_path / "a.h5").unlink()
    voxels[0] = np.arange(16).reshape(4, 4)
    voxels[1, 0, 0] = np.inf
    low, high = view_of(tmp_path, voxels).range() or (0, 0)
    assert 0 <= low < 1
    assert 14 < high <= 15


def test_a_chunk_at_the_end_is_padded_with_zeros(tmp_path: Path) -> None:
    view = view_of(tmp_path, np.ones((17, 2, 2), np.uint8))
    last = np.frombuffer(view.get("0/c/1/0/0"), np.uint8).reshape(16, 2, 2)
    assert last[0].all()
    assert not last[1:].any()
    assert view.grid.bounds == Bbox.of((-3, 5, 7), (17, 2, 2))


@pytest.mark.parametrize("dtype", ["bool", "uint8"])
def test_a_mask_is_black_and_white(tmp_path: Path, dtype: str) -> None:
    voxels = np.zeros((4, 6, 8), dtype)
    voxels[1:3] = 1
    assert view_of(tmp_path, voxels).range() == (0, 1)
