"""Volumes of other programs."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats import open_volume
from tests.conftest import write_hdf5

VOXELS = np.random.default_rng(0).integers(1, 255, (6, 10, 12)).astype(np.uint8)
PART = Bbox((1, 2, 3), (5, 9, 12))


def check(url: str, start: tuple[int, int, int], voxel_size: tuple[float, float, float] | None) -> None:
    volume = open_volume(url)
    assert volume.bounds == Bbox.of(start, VOXELS.shape)
    assert volume.voxel_size == voxel_size
    assert volume.dtype == np.uint8
    assert volume.channels == 0
    moved = Bbox(
        tuple(map(sum, zip(PART.start, start, strict=True))), tuple(map(sum, zip(PART.stop, start, strict=True)))
    )
    assert np.array_equal(volume.read(moved), VOXELS[PART.slices()])
    around = volume.read(volume.bounds.grown((1, 1, 1)))
    assert np.array_equal(around[1:-1, 1:-1, 1:-1], VOXELS)
    assert around.sum() == VOXELS.sum()


def test_hdf5_with_cremi_attributes(tmp_path: Path) -> None:
    check(write_hdf5(tmp_path / "a.h5", "volumes/raw", VOXELS, (40, 4, 4), (-2, 100, 50)), (-2, 100, 50), (40, 4, 4))


def test_hdf5_without_attributes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf", "w") as file:
        file["raw"] = VOXELS
    check(f"{tmp_path}/a.hdf:/raw", (0, 0, 0), None)


@pytest.mark.parametrize("dataset", [":/volumes/rwa", "", ":", ":/volumes"])
def test_a_dataset_that_is_not_in_the_file_is_answered_with_those_that_are(tmp_path: Path, dataset: str) -> None:
    write_hdf5(tmp_path / "a.h5", "volumes/raw", VOXELS, (40, 4, 4), (0, 0, 0))
    with pytest.raises(FileNotFoundError, match="must be one of /volumes/raw"):
        open_volume(f"{tmp_path}/a.h5{dataset}")


def test_a_broken_hdf5_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"not hdf5")
    with pytest.raises(ValueError, match=r"a\.h5 must be a whole HDF5 file"):
        open_volume(f"{tmp_path}/a.h5:/raw")


def test_an_offset_of_half_voxels_is_refused(tmp_path: Path) -> None:
    url = write_hdf5(tmp_path / "a.h5", "raw", VOXELS, (40, 4, 4), (0, 0.5, 0))
    with pytest.raises(ValueError, match="whole number of voxels"):
        open_volume(url)


@pytest.mark.parametrize("name", ["nothing.h5:/raw", "nothing.tif", "nothing"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing.*does not; correct its path"):
        open_volume(f"{tmp_path}/{name}")


def test_a_format_that_is_not_known_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mrc").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"must be zarr.*a\.mrc"):
        open_volume(f"{tmp_path}/a.mrc")


def test_tiff_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, photometric="minisblack")
    check(f"{tmp_path}/a.tif", (0, 0, 0), None)


def write_sections(folder: Path, numbers: list[int]) -> None:
    folder.mkdir()
    for number, section in zip(numbers, VOXELS, strict=False):
        tifffile.imwrite(folder / f"z{number:03d}.tif", section)


def test_folder_of_tiff_sections(tmp_path: Path) -> None:
    write_sections(tmp_path / "stack", [7, 8, 9, 10, 11, 12])
    check(f"{tmp_path}/stack", (0, 0, 0), None)


def test_a_section_that_is_missing_is_named(tmp_path: Path) -> None:
    write_sections(tmp_path / "stack", [7, 8, 10, 11])
    with pytest.raises(FileNotFoundError, match="none with number 9"):
        open_volume(f"{tmp_path}/stack")


def test_a_section_of_another_shape_is_named(tmp_path: Path) -> None:
    write_sections(tmp_path / "stack", [1, 2, 3])
    tifffile.imwrite(tmp_path / "stack/z002.tif", VOXELS[0, :5])
    with pytest.raises(ValueError, match="z002"):
        open_volume(f"{tmp_path}/stack").read(Bbox((0, 0, 0), (3, 10, 12)))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_array_with_attributes(tmp_path: Path, zarr_format: int) -> None:
    attributes = {"resolution": [40, 4, 4], "offset": [80, -40, 0]}
    zarr.create_array(
        tmp_path / "a.zarr", data=VOXELS, chunks=(4, 4, 4), zarr_format=zarr_format, attributes=attributes
    )
    check(f"{tmp_path}/a.zarr", (2, -10, 0), (40, 4, 4))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_missing_chunk_of_a_zarr_array_is_an_error_unless_it_may_be_missing(tmp_path: Path, zarr_format: int) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", data=VOXELS, chunks=(4, 4, 4), zarr_format=zarr_format)
    (tmp_path / "a.zarr" / array.metadata.encode_chunk_key((1, 0, 2))).unlink()
    volume = open_volume(f"{tmp_path}/a.zarr")
    assert np.array_equal(volume.read(Bbox((0, 0, 0), (4, 10, 12))), VOXELS[:4])
    with pytest.raises(FileNotFoundError, match="must have every chunk"):
        volume.read(volume.bounds)
    assert not volume.read(volume.bounds, fill_missing=True)[4:, :4, 8:].any()


def multiscales(translation: list[float] | None, unit: str) -> list[dict]:
    transformations = [{"type": "scale", "scale": [0.04, 0.004, 0.004]}]
    if translation:
        transformations.append({"type": "translation", "translation": translation})
    axes = [{"name": axis, "type": "space", "unit": unit} for axis in "zyx"]
    return [{"axes": axes, "datasets": [{"path": "s0", "coordinateTransformations": transformations}]}]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("translation", "start"), [(None, (0, 0, 0)), ([0.4, 0.04, 0], (10, 10, 0)), ([0.42, -0.038, 0.002], (10, -10, 0))]
)
def test_ome_zarr_with_and_without_the_half_voxel(
    tmp_path: Path, version: str, translation: list[float] | None, start: tuple[int, int, int]
) -> None:
    images = multiscales(translation, "micrometer")
    attributes = {"multiscales": images} if version == "0.4" else {"ome": {"version": "0.5", "multiscales": images}}
    zarr_format = 2 if version == "0.4" else 3
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=zarr_format, attributes=attributes)
    group.create_array("s0", data=VOXELS, chunks=(4, 4, 4))
    check(f"{tmp_path}/a.zarr", start, (40, 4, 4))


def test_a_group_that_is_no_image_is_answered_with_its_arrays(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "a.zarr").create_array("raw", data=VOXELS)
    with pytest.raises(ValueError, match=r"a group of raw"):
        open_volume(f"{tmp_path}/a.zarr")
