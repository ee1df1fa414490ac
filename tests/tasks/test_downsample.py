"""Mips are those of the whole volume, for every grid and over all passes; those that cannot be made are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr

from lchunk.geometry.bbox import Bbox
from lchunk.operators.downsample import mean_levels, mode_levels
from lchunk.tasks import Downsample, Mesh, Thumbnail
from lchunk.verify import verify
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import FileStore
from tests.conftest import build, files_of, smooth_affinities, write_hdf5


@pytest.fixture
def configured(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., None]:
    url = write_hdf5(tmp_path / "a.h5", "raw", np.ones((8, 16, 16), np.uint8), (4, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape="8,16,16", inner_chunk="8,8,8")
    return configure


@pytest.mark.parametrize(
    ("factor", "mips", "rule"),
    [
        ("1,1,1", 1, r"factor must be at least 2 along one axis, got \(1, 1, 1\) \(zyx\)"),
        ("1,1,1", 40, r"factor must be at least 2 along one axis"),
        ("1,2,2", 10**9, "mips must be at most 40, got 1000000000"),
        ("0,2,2", 1, "must be divisible by factor 0 1 times along z, got 8"),
        ("1,2,2", 6, "mips must be at most 4, of which the last has one voxel, got 6"),
        ("1,1,4", 3, "must be divisible by factor 4 3 times along x, got 16.*Downsample-pass-mips"),
        ("2,2,3", 1, "must be divisible by factor 3 1 times along x, got 16"),
    ],
)
def test_a_factor_that_the_chunk_shape_does_not_allow_is_refused(
    configured: Callable[..., None], factor: str, mips: int, rule: str
) -> None:
    configured("Downsample", factor=factor, mips=mips)
    for ask in (lambda: Downsample(of="image").check(), lambda: Downsample(of="image").complete()):
        with pytest.raises(ValueError, match=rule):
            ask()


@pytest.mark.parametrize(("factor", "mips", "pass_mips"), [("1,2,2", 4, 4), ("1,1,4", 2, 2), ("8,1,1", 1, 3)])
def test_the_most_mips_that_a_chunk_shape_allows_are_made_in_one_pass(
    configured: Callable[..., None], factor: str, mips: int, pass_mips: int
) -> None:
    configured("Downsample", factor=factor, mips=mips, pass_mips=pass_mips)
    assert len(Downsample(of="image").files().mips) == mips


def test_a_mip_that_is_not_made_is_refused_by_the_stage_that_meshes_it(configured: Callable[..., None]) -> None:
    configured("Inference", framework="identity", input_patch="8,8,8", output_patch="8,8,8", overlap="0,0,0")
    configured("Downsample", mips=2)
    for ask in (lambda: Mesh(mip=3).check(), lambda: Mesh(mip=3).complete()):
        with pytest.raises(ValueError, match="mip must be at most Downsample-mips, 2, got 3"):
            ask()
    assert Mesh(mip=2).bounds.shape == (8, 4, 4)


SHAPE, START = (9, 37, 41), (-3, 5, 7)
FACTOR, PASS_MIPS, MIPS = (1, 2, 2), 2, 5


@pytest.fixture
def odd(tmp_path: Path, configure: Callable[..., None]) -> Callable[[str], npt.NDArray[np.uint8]]:
    """Sets the cfg of a dataset with odd sides and an offset; gives its voxels."""

    def dataset(chunk_shape: str) -> npt.NDArray[np.uint8]:
        image = np.rint(smooth_affinities(SHAPE, 0)[0] * 255).astype(np.uint8)
        image[:, :11, :21] = 0
        url = write_hdf5(tmp_path / "a.h5", "raw", image, (40, 4, 4), START)
        configure("Dataset", root=tmp_path / "out", image=url, chunk_shape=chunk_shape, inner_chunk="4,4,4")
        configure("Inference", framework="identity", input_patch="8,8,8", output_patch="8,8,8", overlap="0,0,0")
        configure("Downsample", factor="1,2,2", mips=MIPS, pass_mips=PASS_MIPS)
        return image

    return dataset


def levels_of(voxels: npt.NDArray[Any], make: Callable[..., Any], **more: Any) -> list[npt.NDArray[Any]]:
    """All mips of a whole volume, pass by pass."""
    levels = [voxels]
    while len(levels) <= MIPS:
        levels += make(levels[-1], FACTOR, PASS_MIPS, **more)
    return levels[: MIPS + 1]


def mips_in(root: Path, layer: str) -> list[npt.NDArray[Any]]:
    """All mips of a layer as other programs read them."""
    return [zarr.open_array(root / layer / str(mip), mode="r")[:] for mip in range(MIPS + 1)]


@pytest.mark.parametrize("chunk_shape", ["4,8,8", "8,12,20", "16,64,64"])
def test_mips_over_passes_are_those_of_the_whole_volume(
    odd: Callable[[str], npt.NDArray[np.uint8]], tmp_path: Path, chunk_shape: str
) -> None:
    image = odd(chunk_shape)
    assert build(Downsample(of="image"), Downsample(of="segmentation"))
    means, modes = mips_in(tmp_path / "out", "image"), mips_in(tmp_path / "out", "segmentation")
    assert np.array_equal(means[0], image)
    for level, wanted in zip(means, levels_of(image, mean_levels), strict=True):
        assert np.array_equal(level, wanted)
    for level, wanted in zip(modes, levels_of(modes[0], mode_levels), strict=True):
        assert np.array_equal(level, wanted)
    assert list(verify(FileStore(tmp_path / "out"))) == []
    for number, level in enumerate(means):
        mip = open_layer(FileStore(tmp_path / "out"), "image", number)
        assert np.array_equal(mip.read(mip.bounds), level)
        assert mip.corner == (-3 * 40, 5 * 4, 7 * 4)


def test_zeros_do_not_count_where_mips_are_sparse(
    odd: Callable[[str], npt.NDArray[np.uint8]], configure: Callable[..., None], tmp_path: Path
) -> None:
    image = odd("4,8,8")
    configure("Downsample", sparse=True)
    assert build(Downsample(of="image"))
    means = mips_in(tmp_path / "out", "image")
    for level, wanted in zip(means, levels_of(image, mean_levels, sparse=True), strict=True):
        assert np.array_equal(level, wanted)
    assert not np.array_equal(means[1], levels_of(image, mean_levels)[1])


def test_the_number_of_files_falls_from_pass_to_pass(
    odd: Callable[[str], npt.NDArray[np.uint8]], tmp_path: Path
) -> None:
    odd("4,8,8")
    assert build(Downsample(of="image"))
    files = [len(list((tmp_path / "out/image" / str(mip) / "c").rglob("*/*/*"))) for mip in range(MIPS + 1)]
    assert files == [3 * 5 * 6] * 3 + [3 * 2 * 2] * 2 + [3]


def test_more_mips_are_added_to_those_that_exist(odd: Callable[[str], npt.NDArray[np.uint8]], tmp_path: Path) -> None:
    odd("4,8,8")
    for mips in (1, 3, 5):
        assert build(Downsample(of="image", mips=mips))
        assert Downsample(of="image", mips=mips).complete()
    fewer = files_of(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    assert build(Downsample(of="image"))
    assert files_of(tmp_path / "out") == fewer


def test_a_chunk_of_a_pass_waits_for_its_own_chunks_only(odd: Callable[[str], npt.NDArray[np.uint8]]) -> None:
    odd("4,8,8")
    last = Downsample(of="image", mips=3)
    (first, *_) = list(last.grid)
    chunk = last.at(last.grid.chunk(first))
    assert chunk.bbox == Bbox.of((-3, 1, 1), (4, 8, 8))  # voxels of mip 2
    required = chunk.requires()
    assert {type(task) for task in required} == {Downsample}
    assert [task.region for task in required] == [
        Bbox.of((-3, 5 + y, 7 + x), (4, 8, 8)) for y in range(0, 32, 8) for x in range(0, 32, 8)
    ]
    assert {task.mips for task in required} == {2}


def test_a_mesh_of_a_coarse_mip_waits_for_the_pass_that_makes_it(odd: Callable[[str], npt.NDArray[np.uint8]]) -> None:
    odd("4,8,8")
    mesh = Mesh(mip=3)
    chunk = mesh.at(mesh.grid.chunk((0, 0, 0)))
    (required,) = {task.mips for task in chunk.requires()}
    assert required == 4
    assert build(mesh)


@pytest.mark.parametrize("precision", ["uint8", "float32"])
def test_a_thumbnail_is_the_last_channel_of_a_mip(
    odd: Callable[[str], npt.NDArray[np.uint8]], configure: Callable[..., None], tmp_path: Path, precision: str
) -> None:
    odd("4,8,8")
    configure("Downsample", mips=1)
    configure("Inference", precision=precision)
    assert build(Thumbnail(of="affinities", mip=3))
    mip = zarr.open_array(tmp_path / "out/affinities/3", mode="r")[-1]
    wanted = mip if precision == "uint8" else np.rint(mip * np.float32(255)).astype(np.uint8)
    found = open_layer(FileStore(tmp_path / "out"), "affinities_thumbnail")
    assert np.array_equal(found.read(found.bounds), wanted)
    assert (found.voxel_size, found.corner) == ((40, 32, 32), (-3 * 40, 5 * 4, 7 * 4))
    assert list(verify(FileStore(tmp_path / "out"))) == []
    chunk = Thumbnail(of="affinities", mip=3)
    assert len(chunk.at(chunk.grid.chunk((0, 0, 0))).requires()) < len(Downsample(of="affinities", mips=4).grid)
