"""Chunk files: they are read with few requests, and damage is never read as voxels."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.layer import Layer
from lchunk.volumes.store import FileStore

SIDE = (16, 64, 64)


class CountingStore(FileStore):
    """Records each request for bytes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.requests: list[tuple[str, int]] = []

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        body = super().get(key, start, stop)
        self.requests.append((key, len(body)))
        return body


def layer_of(folder: Path, dtype: str, channels: int = 0) -> tuple[Layer, np.ndarray, CountingStore]:
    store = CountingStore(folder)
    layer = Layer(
        store, "a", Bbox.of((-3, 5, 7), (16, 128, 100)), (40.0, 4.0, 4.0), np.dtype(dtype), SIDE, (4, 16, 16), channels
    )
    layer.create({"stage": "Test"})
    shape = (channels, *layer.bounds.shape) if channels else layer.bounds.shape
    random = np.random.default_rng(0).random(shape)
    voxels = (random if dtype == "float32" else random * 250).astype(dtype)
    for index in layer.grid:
        chunk = layer.grid.chunk(index)
        layer.write(chunk, voxels[(..., *chunk.slices(layer.bounds.start))])
    store.requests.clear()
    return layer, voxels, store


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 0), ("uint64", 0), ("float32", 3)])
def test_every_box_is_what_zarr_reads(tmp_path: Path, dtype: str, channels: int) -> None:
    layer, voxels, _ = layer_of(tmp_path, dtype, channels)
    assert np.array_equal(zarr.open_array(tmp_path / "a/0", mode="r")[:], voxels)
    random = np.random.default_rng(1)
    for _ in range(40):
        low = [int(random.integers(a, b)) for a, b in zip(layer.bounds.start, layer.bounds.stop, strict=True)]
        high = [int(random.integers(a + 1, b + 1)) for a, b in zip(low, layer.bounds.stop, strict=True)]
        box = Bbox(tuple(low), tuple(high))
        assert np.array_equal(layer.read(box), voxels[(..., *box.slices(layer.bounds.start))])


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 0), ("uint64", 3), ("float32", 3)])
def test_tensorstore_reads_what_is_written(tmp_path: Path, dtype: str, channels: int) -> None:
    layer, voxels, _ = layer_of(tmp_path, dtype, channels)
    array = tensorstore.open({"driver": "zarr3", "kvstore": f"file://{tmp_path}/{layer.path}/"}).result()
    assert np.array_equal(array.read().result(), voxels)


def test_beside_the_voxels_of_a_volume_are_zeros(tmp_path: Path) -> None:
    layer, voxels, store = layer_of(tmp_path, "uint8")
    voxels = np.maximum(voxels, 1)
    last = layer.grid.chunk((0, 1, 1))
    (key,) = layer.keys((0, 1, 1))
    layer.write(last, voxels[last.slices(layer.bounds.start)])
    array = json.loads(store.get(f"{layer.path}/zarr.json"))
    array["shape"] = [16, 128, 128]  # of whole chunks
    store.put("whole/zarr.json", json.dumps(array).encode())
    store.put(f"whole/{key.removeprefix(layer.path + '/')}", store.get(key))
    read = zarr.open_array(tmp_path / "whole", mode="r")[:, 64:, 64:]
    assert read[:, :, :36].all()
    assert not read[:, :, 36:].any()
    assert len(store.get(key)) < 16 * 64 * 48 + 4096  # no inner chunk lies beyond the third


def test_a_halo_takes_two_requests_of_each_chunk(tmp_path: Path) -> None:
    layer, _, store = layer_of(tmp_path, "uint8")
    layer.read(layer.grid.chunk((0, 0, 0)).grown((0, 2, 2)))
    asked = [key for key, _ in store.requests]
    own = layer.keys((0, 0, 0))[0]
    assert asked.count(own) == 1  # nearly all of it: the file as it is
    assert all(asked.count(key) <= 2 for key in asked)


def test_a_small_box_does_not_read_the_whole_file(tmp_path: Path) -> None:
    layer, _, store = layer_of(tmp_path, "float32", 3)
    layer.read(Bbox((-3, 5, 7), (-2, 6, 8)))
    size = store.size(layer.keys((0, 0, 0))[0])
    assert len(store.requests) == 2
    assert sum(count for _, count in store.requests) < size / 8


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 0), ("uint64", 0), ("float32", 3)])
def test_one_flipped_bit_is_an_error_wherever_it_is(tmp_path: Path, dtype: str, channels: int) -> None:
    layer, voxels, _ = layer_of(tmp_path, dtype, channels)
    chunk = layer.grid.chunk((0, 1, 1))
    path = tmp_path / layer.keys((0, 1, 1))[0]
    body = path.read_bytes()
    # inner chunks that lie outside the volume are in no file: every byte of this one counts
    random = np.random.default_rng(2)
    for _ in range(150):
        damaged = bytearray(body)
        damaged[int(random.integers(len(body)))] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a/0/c/.*/1/1 must be a whole chunk file.*remove it"):
            layer.read(chunk)
    path.write_bytes(body)
    assert np.array_equal(layer.read(chunk), voxels[(..., *chunk.slices(layer.bounds.start))])


@pytest.mark.parametrize("share", [0.0001, 0.1, 0.5, 0.9, 0.9999])
def test_a_cut_file_is_an_error(tmp_path: Path, share: float) -> None:
    layer, _, _ = layer_of(tmp_path, "float32", 3)
    path = tmp_path / layer.keys((0, 0, 0))[0]
    body = path.read_bytes()
    path.write_bytes(body[: max(1, int(len(body) * share))])
    with pytest.raises(ValueError, match="must be a whole chunk file, but"):
        layer.read(layer.grid.chunk((0, 0, 0)))


def test_a_chunk_that_vanishes_while_it_is_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, _, store = layer_of(tmp_path, "uint8")
    get = store.get

    def vanishing(key: str, start: int = 0, stop: int | None = None) -> bytes:
        body = get(key, start, stop)
        (tmp_path / key).unlink()  # after the index was read, before the voxels are
        return body

    monkeypatch.setattr(store, "get", vanishing)
    with pytest.raises(FileNotFoundError, match="must have every chunk"):
        layer.read(Bbox((-3, 5, 7), (-2, 6, 8)))
    assert not layer.read(Bbox((-3, 5, 7), (-2, 6, 8)), fill_missing=True).any()
