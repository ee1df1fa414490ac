"""NPY, NRRD and N5, compared with numpy, pynrrd and tensorstore."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
import tensorstore
import tifffile

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats import gzip_points, open_volume
from tests.volumes.formats.arrays import VOXELS, same

TYPES = ["uint8", "int16", "uint32", "uint64", "float32", "float64"]


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "<i8", ">f4", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path: Path, dtype: str, order: Any) -> None:
    voxels = np.asarray(VOXELS.astype(dtype), order=order)
    np.save(tmp_path / "a.npy", voxels)
    same(f"{tmp_path}/a.npy", voxels, voxel_size=None, placed=False)
    volume = same(f"{tmp_path}/a.npy#voxel_size=40,4,4#offset=-2,100,7", voxels, voxel_size=(40, 4, 4), placed=True)
    assert volume.bounds.start == (-2, 100, 7)


def test_npy_of_other_axes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.stack([VOXELS, 255 - VOXELS], -1))
    same(f"{tmp_path}/a.npy#axes=zyxc", np.stack([VOXELS, 255 - VOXELS]))
    same(f"{tmp_path}/a.npy#axes=zyxc#channel=1", 255 - VOXELS)
    np.save(tmp_path / "b.npy", VOXELS[None, None, None])
    same(f"{tmp_path}/b.npy", VOXELS)
    np.save(tmp_path / "c.npy", np.zeros((2, 2, 4, 5, 6), np.uint8))
    with pytest.raises(ValueError, match="2 points in time"):
        open_volume(f"{tmp_path}/c.npy")
    np.save(tmp_path / "d.npy", VOXELS[0])
    same(f"{tmp_path}/d.npy", VOXELS[:1])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 4, 4), np.uint8), "must hold at least one voxel"),
        (np.zeros((2, 3, 4), np.complex64), "must be numbers, got the type complex64"),
        (np.array([["a", "b"]]), "must be numbers"),
        (np.zeros(5), "must have the axes z, y and x"),
        (np.array([[{}]]), "must be a whole .npy file"),
    ],
)
def test_npy_that_is_no_volume(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        open_volume(f"{tmp_path}/a.npy")


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("detached", [False, True])
def test_nrrd_as_pynrrd_writes_and_reads_it(tmp_path: Path, encoding: str, dtype: str, detached: bool) -> None:
    header = {"encoding": encoding, "spacings": [4.0, 4.0, 40.0], "units": ["nm"] * 3}
    path = tmp_path / ("a.nhdr" if detached else "a.nrrd")
    nrrd.write(str(path), VOXELS.astype(dtype), header, index_order="C")
    wanted, _ = nrrd.read(str(path), index_order="C")
    same(str(path), wanted, voxel_size=(40, 4, 4), placed=False)


def test_nrrd_with_space_and_channels(tmp_path: Path) -> None:
    header = {
        "space dimension": 3,
        "space units": ["um"] * 3,
        "kinds": ["vector", "domain", "domain", "domain"],
        "space directions": np.array([[np.nan] * 3, [0.004, 0, 0], [0, 0.008, 0], [0, 0, 0.04]]),
        "space origin": np.array([0.4, -0.008, 0.04]),
    }
    nrrd.write(str(tmp_path / "a.nrrd"), np.stack([VOXELS, 255 - VOXELS], -1), header, index_order="C")
    volume = same(f"{tmp_path}/a.nrrd", np.stack([VOXELS, 255 - VOXELS]), voxel_size=(40, 8, 4), placed=True)
    assert volume.bounds.start == (1, -1, 100)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"encoding": "bzip2"}, "encoding .* must be raw or gzip, got bz"),
        ({"encoding": "ascii"}, "encoding .* must be raw or gzip"),
        ({"spacings": [4.0, 4.0, 0.0], "units": ["nm"] * 3}, "must be above 0 on every axis"),
        ({"spacings": [4.0, 4.0, 40.0], "units": ["furlong"] * 3}, "must be a unit of length"),
        (
            {"space dimension": 3, "space directions": np.array([[0.0, 4, 0], [4, 0, 0], [0, 0, 4]])},
            "directions .* must lie along x, y, z",
        ),
        ({"space dimension": 3, "space directions": np.diag([-4.0, 4, 40])}, "each upwards"),
    ],
)
def test_nrrd_that_is_refused(tmp_path: Path, header: dict, message: str) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), VOXELS, header, index_order="C")
    with pytest.raises(ValueError, match=message):
        open_volume(f"{tmp_path}/a.nrrd")


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_that_is_cut_off(tmp_path: Path, encoding: str) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), VOXELS, {"encoding": encoding}, index_order="C")
    body = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "a.nrrd").write_bytes(body[:-500])
    with pytest.raises(ValueError, match=r"a\.nrrd must hold 8880 bytes of voxels"):
        open_volume(f"{tmp_path}/a.nrrd")


def test_an_absent_data_file_of_nrrd_is_named(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "a.nhdr"), VOXELS, {"encoding": "raw"}, index_order="C")
    (tmp_path / "a.raw").unlink()
    with pytest.raises(FileNotFoundError, match=r"data file of .* must exist, got none at .*a\.raw"):
        open_volume(f"{tmp_path}/a.nhdr")


def test_gzip_is_entered_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip_points, "SPACING", 1 << 16)
    large = np.random.default_rng(1).integers(0, 9, (40, 100, 101)).astype(np.uint8)
    nrrd.write(str(tmp_path / "a.nrrd"), large, {"encoding": "gzip"}, index_order="C")
    volume = open_volume(f"{tmp_path}/a.nrrd")
    for z, y in ((0, 0), (39, 99), (3, 50), (38, 0), (20, 10)):
        box = Bbox((z, y, 3), (z + 1, 100, 90))
        assert np.array_equal(volume.read(box), large[box.slices()])
    starts: list[int] = []
    blocks = gzip_points.GzipPoints._blocks
    monkeypatch.setattr(
        gzip_points.GzipPoints, "_blocks", lambda self, point: starts.append(point.content) or blocks(self, point)
    )
    volume.read(Bbox((38, 0, 0), (39, 1, 1)))
    assert starts[0] > 250_000


def write_n5(folder: Path, voxels: np.ndarray, compression: dict, block: list[int], **attributes: Any) -> None:
    spec = {
        "driver": "n5",
        "kvstore": {"driver": "file", "path": str(folder)},
        "metadata": {
            "compression": compression,
            "dataType": str(voxels.dtype),
            "dimensions": list(voxels.shape[::-1]),
            "blockSize": block,
        }
        | attributes,
    }
    store = tensorstore.open(spec, create=True).result()
    store.write(voxels.T).result()


@pytest.mark.parametrize(
    "compression",
    [
        {"type": "raw"},
        {"type": "gzip"},
        {"type": "gzip", "useZlib": True},
        {"type": "bzip2"},
        {"type": "xz"},
        {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", TYPES)
def test_n5_as_tensorstore_writes_it(tmp_path: Path, compression: dict, dtype: str) -> None:
    write_n5(tmp_path / "a", VOXELS.astype(dtype), compression, [16, 9, 4])
    same(f"{tmp_path}/a", VOXELS.astype(dtype))


def test_n5_places_and_channels(tmp_path: Path) -> None:
    pixel = {"pixelResolution": {"unit": "µm", "dimensions": [0.004, 0.008, 0.04]}}
    write_n5(tmp_path / "a", VOXELS, {"type": "gzip"}, [16, 9, 4], **pixel)
    same(f"{tmp_path}/a", VOXELS, voxel_size=(40, 8, 4))
    # tensorstore wants a number for each axis
    attributes = {"resolution": [4, 8, 40, 1], "units": ["nm", "nm", "nm", ""], "offset": [400, -16, 80]}
    write_n5(tmp_path / "b", np.stack([VOXELS, 255 - VOXELS]), {"type": "gzip"}, [16, 9, 4, 2], **attributes)
    volume = same(f"{tmp_path}/b", np.stack([VOXELS, 255 - VOXELS]), voxel_size=(40, 8, 4), placed=True)
    assert volume.bounds.start == (2, -2, 100)


def test_n5_blocks_that_are_absent_torn_or_unknown(tmp_path: Path) -> None:
    write_n5(tmp_path / "a", VOXELS, {"type": "gzip"}, [16, 16, 4])
    block = tmp_path / "a/1/2/0"
    body = block.read_bytes()
    block.unlink()
    volume = open_volume(f"{tmp_path}/a")
    with pytest.raises(FileNotFoundError, match=r"must have every block, got none at 1/2/0"):
        volume.read(volume.bounds)
    filled = volume.read(volume.bounds, fill_missing=True)
    assert not filled[:4, 32:, 16:32].any()
    assert np.array_equal(filled[4:], VOXELS[4:])
    assert np.array_equal(open_volume(f"{tmp_path}/a#fill_missing=yes").read(volume.bounds), filled)
    block.write_bytes(body[:-20])
    with pytest.raises(ValueError, match=r"1/2/0 must be a whole N5 block"):
        volume.read(volume.bounds)
    (tmp_path / "attributes.json").write_text('{"n5": "2.0.0"}')
    with pytest.raises(ValueError, match="must be an N5 dataset, got a group of a"):
        open_volume(str(tmp_path))


def test_many_threads_read_the_same_volume(tmp_path: Path) -> None:
    urls = [f"{tmp_path}/a.npy", f"{tmp_path}/a.nrrd", f"{tmp_path}/a.tif", f"{tmp_path}/a"]
    np.save(urls[0], VOXELS)
    nrrd.write(urls[1], VOXELS, {"encoding": "gzip"}, index_order="C")
    tifffile.imwrite(urls[2], VOXELS, compression="zlib", rowsperstrip=5, photometric="minisblack")
    write_n5(tmp_path / "a", VOXELS, {"type": "gzip"}, [16, 9, 4])
    volumes = [open_volume(url) for url in urls]

    def right(number: int) -> bool:
        draw = np.random.default_rng(number)
        start = draw.integers(0, (5, 30, 30))
        box = Bbox.of(start.tolist(), draw.integers(1, (6, 40, 37) - start + 1).tolist())
        return all(np.array_equal(volume.read(box), VOXELS[box.slices()]) for volume in volumes)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(right, range(200)))
