"""Layers of voxels on disk."""

from pathlib import Path

import numpy as np
import ome_zarr_models
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.chunk_files import missing
from lchunk.volumes.layer import Layer, open_layer
from lchunk.volumes.store import FileStore

START = (-10, 200, 300)


def make_layer(folder: Path, channels: int = 0, dtype: str = "uint8", name: str = "image") -> Layer:
    layer = Layer(
        FileStore(folder),
        name,
        Bbox.of(START, (20, 24, 33)),
        (40.0, 4.0, 4.0),
        np.dtype(dtype),
        (8, 16, 16),
        (4, 8, 8),
        channels,
    )
    layer.create({"stage": "Test"})
    return layer


def filled(layer: Layer) -> np.ndarray:
    shape = (layer.channels, *layer.bounds.shape) if layer.channels else layer.bounds.shape
    voxels = np.random.default_rng(0).integers(1, 200, shape).astype(layer.dtype)
    for index in layer.grid:
        chunk = layer.grid.chunk(index)
        layer.write(chunk, voxels[(..., *chunk.slices(layer.bounds.start))])
    return voxels


@pytest.mark.parametrize(("channels", "dtype"), [(0, "uint8"), (0, "uint64"), (3, "uint8"), (3, "float32")])
def test_chunks_come_back_in_global_coordinates(tmp_path: Path, channels: int, dtype: str) -> None:
    layer = make_layer(tmp_path, channels, dtype)
    voxels = filled(layer)
    part = Bbox((-5, 210, 310), (4, 224, 333))
    assert np.array_equal(layer.read(part), voxels[(..., *part.slices(START))])
    assert open_layer(layer.store, "image") == Layer(**{**vars_of(layer), "origin": START})


def vars_of(layer: Layer) -> dict:
    return {name: getattr(layer, name) for name in Layer.__dataclass_fields__}


def test_outside_the_bounds_is_zero(tmp_path: Path) -> None:
    layer = make_layer(tmp_path)
    voxels = filled(layer)
    around = layer.read(layer.bounds.grown((2, 3, 4)))
    assert np.array_equal(around[2:-2, 3:-3, 4:-4], voxels)
    assert around.sum() == voxels.sum()
    assert not layer.read(Bbox((500, 0, 0), (501, 2, 2))).any()


def test_a_missing_chunk_inside_is_an_error_not_zeros(tmp_path: Path) -> None:
    layer = make_layer(tmp_path)
    voxels = filled(layer)
    (tmp_path / "image/0/c/1/0/2").unlink()
    with pytest.raises(FileNotFoundError, match="-2-6_200-216_332-333"):
        layer.read(layer.bounds)
    assert layer.read(Bbox((-10, 200, 300), (-2, 216, 332))).any()
    filled_up = layer.read(layer.bounds, fill_missing=True)
    assert not filled_up[8:16, :16, 32:].any()
    assert filled_up.sum() == voxels.sum() - voxels[8:16, :16, 32:].sum()


def test_a_chunk_of_zeros_leaves_a_file(tmp_path: Path) -> None:
    layer = make_layer(tmp_path)
    assert len(list(missing(layer, layer.bounds))) == len(layer.grid) == 18
    layer.write(layer.grid.chunk((0, 0, 0)), np.zeros((8, 16, 16), np.uint8))
    assert (tmp_path / "image/0/c/0/0/0").stat().st_size > 0
    assert (0, 0, 0) not in missing(layer, layer.bounds)


@pytest.mark.parametrize("channels", [0, 3])
def test_a_grid_is_listed_row_by_row(tmp_path: Path, channels: int) -> None:
    layer = make_layer(tmp_path, channels)
    filled(layer)
    gone = [(0, 0, 1), (1, 1, 1), (2, 0, 2)]
    for index in gone:
        (tmp_path / layer.keys(index)[0]).unlink()
    assert list(missing(layer, layer.bounds)) == gone
    assert list(missing(layer, layer.grid.chunk((1, 0, 0)).grown((0, 16, 64)).clipped(layer.bounds))) == gone[1:2]


def test_an_empty_file_counts_as_missing(tmp_path: Path) -> None:
    layer = make_layer(tmp_path)
    filled(layer)
    (tmp_path / "image/0/c/0/1/1").write_bytes(b"")
    assert list(missing(layer, layer.bounds)) == [(0, 1, 1)]
    with pytest.raises(FileNotFoundError):
        layer.read(layer.bounds)


def test_a_torn_chunk_is_noticed_and_can_be_written_again(tmp_path: Path) -> None:
    layer = make_layer(tmp_path)
    voxels = filled(layer)
    path = tmp_path / "image/0/c/0/0/0"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"image/0/c/0/0/0 must be a whole chunk file.*remove it"):
        layer.read(layer.bounds)
    layer.write(layer.grid.chunk((0, 0, 0)), voxels[:8, :16, :16])
    assert path.read_bytes() == whole


def test_only_whole_chunks_of_the_right_kind_are_written(tmp_path: Path) -> None:
    layer = make_layer(tmp_path)
    with pytest.raises(ValueError, match="must be a chunk of the grid"):
        layer.write(Bbox.of(START, (4, 16, 16)), np.zeros((4, 16, 16), np.uint8))
    with pytest.raises(ValueError, match="must be uint8 of shape"):
        layer.write(layer.grid.chunk((0, 0, 0)), np.zeros((8, 16, 16), np.uint16))


def test_a_plain_zarr_reader_sees_the_voxels_and_one_shard_a_chunk(tmp_path: Path) -> None:
    layer = make_layer(tmp_path)
    voxels = filled(layer)
    array = zarr.open_array(tmp_path / "image/0", mode="r")
    assert np.array_equal(array[:], voxels)
    assert array.shards == (8, 16, 16)
    assert array.chunks == (4, 8, 8)
    assert sum(path.is_file() for path in (tmp_path / "image/0/c").rglob("*")) == len(layer.grid)


@pytest.mark.parametrize("channels", [0, 3])
def test_metadata_is_ome_zarr_with_the_offset_at_voxel_centres(tmp_path: Path, channels: int) -> None:
    layer = make_layer(tmp_path, channels)
    layer.coarser((1, 2, 2)).create({"stage": "Downsample"})
    image = ome_zarr_models.open_ome_zarr(zarr.open_group(tmp_path / "image", mode="r"))
    (multiscale,) = image.attributes.ome.multiscales
    moved = [dataset.coordinateTransformations[1].translation[-3:] for dataset in multiscale.datasets]
    # centre of the first voxel: (offset + half a voxel of the level) in nanometres
    assert moved == [[-380, 802, 1202], [-380, 804, 1204]]
    assert [dataset.coordinateTransformations[0].scale[-3:] for dataset in multiscale.datasets] == [
        [40, 4, 4],
        [40, 8, 8],
    ]


@given(st.tuples(*[st.integers(-50, 50)] * 3), st.integers(1, 3))
def test_every_mip_covers_the_volume_from_its_corner(start: tuple[int, int, int], mips: int) -> None:
    layer = Layer(
        FileStore(Path("x")), "a", Bbox.of(start, (9, 17, 30)), (40.0, 4.0, 4.0), np.dtype("u1"), (8, 16, 16), (8, 8, 8)
    )
    coarse = layer
    for _ in range(mips):
        coarse = coarse.coarser((1, 2, 2))
    assert coarse.corner == layer.corner
    assert len(coarse.grid) == len(layer.grid)
    reach = [f * side for f, side in zip(coarse.factor, coarse.bounds.shape, strict=True)]
    assert all(side <= r < side + f for side, r, f in zip(layer.bounds.shape, reach, coarse.factor, strict=True))
    assert coarse.bounds.start == tuple(s // f for s, f in zip(start, coarse.factor, strict=True))


def test_a_layer_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="layer image in"):
        open_layer(FileStore(tmp_path), "image")
    make_layer(tmp_path)
    with pytest.raises(FileNotFoundError, match="mip 3 of layer image"):
        open_layer(FileStore(tmp_path), "image", 3)
