"""Volumes from outside are valid, or refused before work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.tasks import Apply
from lchunk.tasks.external_values import Kind
from lchunk.tasks.externals import CheckedVolume, Expected, checked_external
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import FileStore
from tests.conftest import build, write_hdf5

SHAPE = (12, 80, 90)
BOUNDS = Bbox((0, 0, 0), SHAPE)
SHARES = np.random.default_rng(0).uniform(0, 1, (3, *SHAPE)).astype(np.float32)
LABELS = np.random.default_rng(0).integers(0, 9, SHAPE)


def opened(tmp_path: Path, voxels: np.ndarray, kind: Kind, channels: int = 0, **expected: Any) -> CheckedVolume:
    attributes = {"resolution": expected.pop("resolution", (40, 4, 4)), "offset": expected.pop("offset", None)}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = voxels
        file["d"].attrs.update({name: value for name, value in attributes.items() if value is not None})
    image = expected.pop("image", BOUNDS)
    wanted = Expected("the-external", kind, expected.pop("bounds", image), image, (40, 4, 4), channels, **expected)
    return checked_external(wanted, f"{tmp_path}/a.h5:/d")


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
def test_affinities_of_any_float_are_float32(tmp_path: Path, dtype: str) -> None:
    volume = opened(tmp_path, SHARES.astype(dtype), Kind.SHARES, 3)
    volume.sample()
    assert volume.dtype == np.float32
    assert np.array_equal(volume.read(BOUNDS), SHARES.astype(dtype).astype(np.float32))


def test_affinities_of_8_bits_stay(tmp_path: Path) -> None:
    voxels = (SHARES * 255).astype(np.uint8)
    volume = opened(tmp_path, voxels, Kind.SHARES, 3)
    assert volume.dtype == np.uint8
    assert np.array_equal(volume.read(BOUNDS), voxels)


def with_one(value: float) -> np.ndarray:
    voxels = SHARES.copy()
    voxels[1, 5, 40, 45] = value
    return voxels


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (with_one(np.nan), "must be numbers, got NaN in 1 of"),
        (with_one(np.inf), r"must be in \[0, 1\], got .* to inf"),
        (with_one(-0.1), r"must be in \[0, 1\], got -0.1 to"),
        (SHARES * 255, r"must be in \[0, 1\], got .* to 25[45].*; divide by"),
        (np.log(SHARES.clip(0.01, 0.99) / (1 - SHARES.clip(0.01, 0.99))), r"sigmoid of logits"),
        ((SHARES * 255).astype(np.int16), "must be .3 channels, z, y, x. uint8 .* got .* int16"),
        ((SHARES * 255).astype(np.uint16), "got .3 channels, z, y, x. uint16"),
        (SHARES[:2], "got .2 channels"),
        (np.concatenate([SHARES] * 4), "got .12 channels"),
        (np.moveaxis(SHARES, 0, -1).copy(), "#axes=zyxc"),
        (SHARES[0], r"got \(z, y, x\) float32"),
    ],
)
def test_affinities_that_are_none_are_refused_by_header_or_sample(
    tmp_path: Path, voxels: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, voxels, Kind.SHARES, 3).sample()


def test_a_bad_voxel_beside_the_sample_is_found_when_it_is_read(tmp_path: Path) -> None:
    voxels = SHARES.copy()
    voxels[0, 0, 70, 40] = np.nan
    voxels[0, :, 64:72, 35:55] = np.nan
    volume = opened(
        tmp_path,
        np.pad(voxels, ((0, 0), (0, 0), (0, 100), (0, 100))),
        Kind.SHARES,
        3,
        image=Bbox.of((0, 0, 0), (12, 180, 190)),
    )
    with pytest.raises(ValueError, match=r"got NaN in .* of the-external .* at 0-12_64-80_0-90"):
        volume.read(Bbox((0, 64, 0), (12, 80, 90)))


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u4", "<u8", ">u8", "<i4", ">i8", "<f4", "<f8"])
def test_labels_of_any_type_are_uint64(tmp_path: Path, dtype: str) -> None:
    volume = opened(tmp_path, LABELS.astype(dtype), Kind.LABELS)
    volume.sample()
    found = volume.read(BOUNDS)
    assert found.dtype == volume.dtype == np.uint64
    assert np.array_equal(found, LABELS)


@pytest.mark.parametrize("dtype", ["<u8", ">u8", "<i8"])
def test_labels_beyond_2_to_53_are_exact(tmp_path: Path, dtype: str) -> None:
    large = 720575940600000000
    found = opened(tmp_path, (LABELS + large).astype(dtype), Kind.LABELS).read(BOUNDS)
    assert [int(label) for label in np.unique(found)] == [large + n for n in range(9)]


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (LABELS - 1, "labels must be at least 0, got -1"),
        (LABELS + 0.5, "labels must be whole numbers .* got"),
        (LABELS + 2.0**53, "below 2.53"),
        (np.where(LABELS == 3, np.nan, LABELS), "got nan"),
        (np.where(LABELS == 3, np.inf, LABELS), "got inf"),
        (-LABELS.astype(float), "at least 0, got -8"),
        (np.stack([LABELS] * 2), "pick one with #channel=0"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path: Path, voxels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, voxels, Kind.LABELS).sample()


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"offset": (40000, 0, 0)}, "must cover the dataset's bounds"),
        ({"resolution": (40, 8, 4)}, r"must have the voxel size of the dataset.*#voxel_size=40,4,4"),
        ({"image": Bbox.of((0, 0, 0), (13, 80, 90))}, r"must say where it begins.*#offset=0,0,0"),
        ({"image": Bbox.of((5, 0, 0), SHAPE)}, r"must say where it begins.*#offset=5,0,0"),
        ({"image": Bbox.of((5, 0, 0), SHAPE), "offset": (0, 0, 0)}, "must cover the dataset's bounds, 5-17"),
        ({"partial": True, "image": Bbox.of((5, 0, 0), SHAPE)}, "must say where it begins"),
        ({"partial": True, "image": Bbox.of((50, 0, 0), SHAPE), "offset": (0, 0, 0)}, "must overlap the dataset's"),
    ],
)
def test_places_that_do_not_fit_are_refused(tmp_path: Path, expected: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, LABELS, Kind.LABELS, **expected)


def test_places_that_fit(tmp_path: Path) -> None:
    opened(tmp_path, LABELS, Kind.LABELS, resolution=None)
    opened(tmp_path, LABELS, Kind.LABELS, bounds=Bbox((3, 0, 0), (9, 70, 80)))
    partly = opened(tmp_path, LABELS, Kind.LABELS, partial=True, image=Bbox.of((5, 0, 0), SHAPE), offset=(0, 0, 0))
    partly.sample()
    found = partly.read(Bbox.of((5, 0, 0), SHAPE))
    assert np.array_equal(found[:7], LABELS[5:])
    assert not found[7:].any()


def test_outside_the_bounds_of_the_dataset_an_external_is_0(tmp_path: Path) -> None:
    bounds = Bbox((2, 10, 20), (7, 40, 60))
    volume = opened(tmp_path, SHARES, Kind.SHARES, 3, bounds=bounds, image=bounds, offset=(0, 0, 0))
    expected = np.zeros_like(SHARES)
    expected[(..., *bounds.slices((0, 0, 0)))] = SHARES[(..., *bounds.slices((0, 0, 0)))]
    assert np.array_equal(volume.read(BOUNDS), expected)
    assert not volume.read(Bbox((8, 10, 20), (9, 40, 60))).any()


@pytest.mark.parametrize("offset", [(0, 0, 0), (-3, 5, 7)])
def test_a_part_of_an_image_in_place_gives_what_a_copy_of_it_gives(
    tmp_path: Path, configure: Callable[..., None], offset: tuple[int, int, int]
) -> None:
    url = write_hdf5(tmp_path / "i.h5", "raw", (SHARES[0] * 255).astype(np.uint8), (40, 4, 4), offset)
    part = Bbox.of(tuple(np.add(offset, (2, 9, 11)).tolist()), (8, 40, 50))  # type: ignore[arg-type]
    configure("Apply", function="scipy.ndimage:uniform_filter", knobs='{"size": 5}', halo="2,2,2", pad=True)
    found = []
    for name, external in (("copied", ""), ("in-place", url)):
        configure("Dataset", root=tmp_path / name, image=url, bounds=part, chunk_shape="4,16,16", inner_chunk="4,8,8")
        configure("Ingest", external=external)
        assert build(Apply())
        layer = open_layer(FileStore(tmp_path / name), "applied", 0)
        found.append(layer.read(layer.bounds))
    assert found[0].any()
    assert np.array_equal(*found)


def test_absent_parts_of_externals_are_errors_or_asked_for(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        made = file.create_dataset("d", SHAPE, "u8", chunks=(6, 80, 90))
        made[:6] = LABELS[:6]
    wanted = Expected("the-external", Kind.LABELS, BOUNDS, BOUNDS, (40, 4, 4))
    with pytest.raises(FileNotFoundError, match="the chunk was never written"):
        checked_external(wanted, f"{tmp_path}/b.h5:/d").sample()
    volume = checked_external(wanted, f"{tmp_path}/b.h5:/d#fill_missing=yes")
    volume.sample()
    assert not volume.read(BOUNDS)[6:].any()


def test_a_mask_in_another_format(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.ones((12, 20, 23), bool))
    wanted = Expected("a mask", Kind.MASK, BOUNDS, BOUNDS, (40, 4, 4), partial=True, factor=(1, 4, 4))
    volume = checked_external(wanted, f"{tmp_path}/mask.npy#voxel_size=40,16,16")
    volume.sample()
    assert volume.read(Bbox((0, 0, 0), (12, 20, 23))).all()
    np.save(tmp_path / "mask.npy", np.ones((12, 20, 22), bool))
    with pytest.raises(ValueError, match="must say where it begins"):
        checked_external(wanted, f"{tmp_path}/mask.npy#voxel_size=40,16,16")
