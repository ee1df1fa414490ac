"""Ingest, and the geometry of the dataset that follows from it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from lchunk.geometry.bbox import Bbox
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Contingency, Ingest, SectionLevels
from lchunk.tasks.parameters import size_parameter
from tests.conftest import build, write_hdf5

SHAPE = (6, 20, 22)
IMAGE = np.random.default_rng(0).integers(1, 255, SHAPE).astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path, configure: Callable[..., None]) -> Path:
    configure("Dataset", root=tmp_path / "out", chunk_shape="4,16,16", inner_chunk="4,16,16", voxel_size="40,4,4")
    return tmp_path / "out"


def layer(root: Path, name: str = "image") -> np.ndarray:
    found: np.ndarray = zarr.open_array(root / name / "0", mode="r")[:]
    return found


def test_an_image_of_16_bits_is_mapped_by_one_range(root: Path, configure: Callable[..., None]) -> None:
    deep = IMAGE.astype(np.uint16) * 100
    deep[:4] += 3000
    np.save(root.parent / "a.npy", deep)
    configure("Dataset", image=root.parent / "a.npy")
    with pytest.raises(
        ValueError, match=r"image must be uint8, or have an intensity range, got uint16 .*intensity-range"
    ):
        Ingest().check()
    configure("Ingest", intensity_range="500,20500")
    assert build(Ingest())
    wanted = np.rint((deep.astype(float) - 500).clip(0, 20000) * 255 / 20000)
    assert np.array_equal(layer(root), wanted)
    configure("Ingest", intensity_range="500,20501")
    with pytest.raises(RecipeMismatchError, match="intensity-range"):
        Ingest().check()


@pytest.mark.parametrize("numbers", ["5", "5,5", "1,2,3", "0,inf"])
def test_a_range_of_intensities_is_two_numbers(root: Path, configure: Callable[..., None], numbers: str) -> None:
    np.save(root.parent / "a.npy", IMAGE.astype(np.uint16))
    configure("Dataset", image=root.parent / "a.npy")
    configure("Ingest", intensity_range=numbers)
    with pytest.raises(ValueError, match="intensity-range must be two different numbers low,high, got"):
        Ingest().check()


def test_a_section_that_differs_is_refused_before_work(root: Path, configure: Callable[..., None]) -> None:
    (root.parent / "stack").mkdir()
    for number, section in enumerate(IMAGE):
        tifffile.imwrite(root.parent / f"stack/s{number}.tif", section.astype(np.uint16 if number == 4 else np.uint8))
    configure("Dataset", image=root.parent / "stack")
    with pytest.raises(ValueError, match=r"got \(20, 22\) uint16 in s4\.tif"):
        Ingest().check()
    assert not (root / "image").exists()


def test_absent_sections_are_black_where_that_is_asked_for(root: Path, configure: Callable[..., None]) -> None:
    array = zarr.create_array(root.parent / "a.zarr", data=IMAGE, chunks=(3, 20, 22), fill_value=9)
    (root.parent / "a.zarr" / array.metadata.encode_chunk_key((1, 0, 0))).unlink()
    configure("Dataset", image=root.parent / "a.zarr")
    assert not build(Ingest())
    configure("Ingest", fill_missing="true", layer_name="filled")
    assert build(Ingest())
    assert np.array_equal(layer(root, "filled")[:3], IMAGE[:3])
    assert not layer(root, "filled")[3:].any()


def test_an_input_that_was_rewritten_is_refused(root: Path, configure: Callable[..., None]) -> None:
    np.save(root.parent / "a.npy", IMAGE)
    configure("Dataset", image=root.parent / "a.npy")
    assert build(Ingest())
    np.save(root.parent / "a.npy", 255 - IMAGE)
    configure("Dataset")
    with pytest.raises(RecipeMismatchError, match=r"the content of image was a\.npy: .* and is now a\.npy: .*"):
        Ingest().check()


def test_an_input_that_was_moved_away_is_not_needed(root: Path, configure: Callable[..., None]) -> None:
    np.save(root.parent / "a.npy", IMAGE)
    configure("Dataset", image=root.parent / "a.npy")
    assert build(Ingest())
    (root.parent / "a.npy").unlink()
    configure("Dataset")
    assert build(SectionLevels())


def test_geometry_is_that_of_the_image_that_is_read(root: Path, configure: Callable[..., None]) -> None:
    one = write_hdf5(root.parent / "a.h5", "raw", IMAGE[:3], (80, 4, 4), (0, 0, 0))
    other = write_hdf5(root.parent / "b.h5", "raw", IMAGE, (40, 4, 4), (7, 0, 0))
    configure("Dataset", image=one, voxel_size="")
    assert build(Ingest())
    configure("Dataset", image=other)
    with pytest.raises(RecipeMismatchError, match="--Ingest-layer-name"):
        Ingest().check()
    configure("Ingest", layer_name="image_b")
    assert build(SectionLevels())
    assert Ingest().geometry.bounds == SectionLevels().geometry.bounds == Bbox.of((7, 0, 0), SHAPE)
    assert SectionLevels().geometry.voxel_size == (40, 4, 4)
    assert np.array_equal(layer(root, "image_b"), IMAGE)
    assert np.array_equal(layer(root), IMAGE[:3])


def test_geometry_of_an_image_that_is_read_in_place(root: Path, configure: Callable[..., None]) -> None:
    one = write_hdf5(root.parent / "a.h5", "raw", IMAGE[:3], (80, 4, 4), (0, 0, 0))
    other = write_hdf5(root.parent / "b.h5", "raw", IMAGE, (40, 4, 4), (7, 0, 0))
    configure("Dataset", image=one, voxel_size="")
    configure("Ingest", external=other)
    assert SectionLevels().geometry.bounds == Bbox.of((7, 0, 0), SHAPE)
    assert SectionLevels().geometry.voxel_size == (40, 4, 4)
    configure("Dataset", bounds="7-10_0-8_0-8")
    assert SectionLevels().geometry.bounds == Bbox((7, 0, 0), (10, 8, 8))
    assert SectionLevels().geometry.image == Bbox.of((7, 0, 0), SHAPE)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"bounds": "0-6_0-20_0-23"}, "bounds must lie inside the image"),
        ({"bounds": "0-0_0-20_0-22"}, "bounds must hold at least one voxel"),
        ({"voxel_size": ""}, r"voxel_size must be given if the image has none.*a\.npy"),
    ],
)
def test_a_geometry_that_cannot_be_is_refused(
    root: Path, configure: Callable[..., None], knobs: dict, message: str
) -> None:
    np.save(root.parent / "a.npy", IMAGE)
    configure("Dataset", image=root.parent / "a.npy", **knobs)
    with pytest.raises(ValueError, match=message):
        Ingest().check()


@pytest.mark.parametrize("size", ["40,nan,4", "40,inf,4", "40,0,4", "40,-4,4", "40,4"])
def test_a_voxel_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="must be three positive numbers"):
        size_parameter().parse(size)


@pytest.mark.parametrize("external", [True, False])
def test_channels_are_refused_with_the_way_out(root: Path, configure: Callable[..., None], external: bool) -> None:
    np.save(root.parent / "a.npy", np.stack([IMAGE, 255 - IMAGE]))
    url = f"{root.parent}/a.npy"
    configure("Ingest" if external else "Dataset", **{"external" if external else "image": url})
    with pytest.raises(ValueError, match=r"must be \(z, y, x\).* got .*2 channels.*#channel=0"):
        Ingest().check()


def test_truth_without_an_offset_beside_an_image_that_has_one_is_refused(
    root: Path, configure: Callable[..., None]
) -> None:
    image = write_hdf5(root.parent / "a.h5", "raw", IMAGE, (40, 4, 4), (5, 0, 0))
    np.save(root.parent / "truth.npy", np.ones(SHAPE, np.int32))
    configure("Dataset", image=image, ground_truth=root.parent / "truth.npy")
    with pytest.raises(ValueError, match=r"ground_truth must say where it begins.*#offset=5,0,0"):
        Contingency().validate()
    configure("Dataset", ground_truth=f"{root.parent}/truth.npy#offset=5,0,0")
    Contingency().validate()
    assert Contingency().ingredients()["ground_truth_fingerprint"].startswith("truth.npy: ")
