"""HDF5 datasets as other programs store them."""

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats import open_volume
from tests.volumes.formats.arrays import VOXELS, same


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (2, 16, 16)},
        {"chunks": (3, 7, 5), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (3, 7, 5), "compression": "lzf"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["uint8", ">u4", "<i8", "float16", ">f8", "bool"])
def test_layouts_and_types(tmp_path: Path, options: dict, dtype: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("volumes/raw", data=VOXELS.astype(dtype), **options)
    same(f"{tmp_path}/a.h5:/volumes/raw", VOXELS.astype(dtype), voxel_size=None, placed=False)


def test_leading_axes_of_length_one_are_dropped(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"] = VOXELS[None], VOXELS[None, None]
        file["affinities"] = np.stack([VOXELS, VOXELS // 2, VOXELS // 3])
        file["six"] = VOXELS[None, None, None]
        file["many"] = np.zeros((2, 1, 1, 3, 4, 5), np.uint8)
        file["nothing"] = h5py.Empty("u1")
    for name in ("one", "two", "six"):
        same(f"{tmp_path}/a.h5:/{name}", VOXELS)
    same(f"{tmp_path}/a.h5:/affinities", np.stack([VOXELS, VOXELS // 2, VOXELS // 3]))
    with pytest.raises(ValueError, match=r"and at most channel and time, got \?: 2, t: 1, c: 1, z: 3, y: 4, x: 5"):
        open_volume(f"{tmp_path}/a.h5:/many")
    with pytest.raises(ValueError, match="must hold voxels, got an empty dataset"):
        open_volume(f"{tmp_path}/a.h5:/nothing")


def test_axes_and_sizes_that_programs_write(tmp_path: Path) -> None:
    tags = json.dumps({"axes": [{"key": axis} for axis in "xyzc"]})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["ilastik"] = VOXELS.T[..., None]
        file["ilastik"].attrs["axistags"] = tags
        file["labelled"] = VOXELS.T
        for axis, name in zip(file["labelled"].dims, "xyz", strict=True):
            axis.label = name
        file["plantseg"] = VOXELS
        file["plantseg"].attrs["element_size_um"] = [0.04, 0.008, 0.004]
        file["funlib"] = VOXELS
        file["funlib"].attrs.update({"voxel_size": (40, 8, 4), "offset": (80, -16, 0), "units": ["nm", "nm", "nm"]})
    same(f"{tmp_path}/a.h5:/ilastik", VOXELS)
    same(f"{tmp_path}/a.h5:/labelled", VOXELS)
    same(f"{tmp_path}/a.h5:/plantseg", VOXELS, voxel_size=(40, 8, 4))
    assert same(f"{tmp_path}/a.h5:/funlib", VOXELS, voxel_size=(40, 8, 4), placed=True).bounds.start == (2, -2, 0)


@pytest.mark.parametrize("fill", [0, 7])
def test_chunks_that_were_never_written_are_absent_not_black(tmp_path: Path, fill: int) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("raw", VOXELS.shape, "u1", chunks=(2, 20, 20), compression="gzip", fillvalue=fill)
        made[:4] = np.where(VOXELS[:4] < 128, 0, VOXELS[:4])  # black voxels are written ones
        file.create_dataset("contiguous", VOXELS.shape, "u1")
    url = f"{tmp_path}/a.h5:/raw"
    volume = open_volume(url)
    written = Bbox((0, 0, 0), (4, 40, 37))
    assert np.array_equal(volume.read(written), np.where(VOXELS[:4] < 128, 0, VOXELS[:4]))
    with pytest.raises(FileNotFoundError, match=r"got none at 4-6_0-20_0-20: the chunk was never written"):
        volume.read(volume.bounds)
    assert not volume.read(volume.bounds, fill_missing=True)[4:].any()
    with pytest.raises(FileNotFoundError, match="the dataset was never written"):
        open_volume(f"{tmp_path}/a.h5:/contiguous").read(volume.bounds)


def write_virtual(folder: Path, voxels: np.ndarray) -> str:
    layout = h5py.VirtualLayout(voxels.shape, np.uint8, maxshape=None)
    for number in range(3):
        with h5py.File(folder / f"part{number}.h5", "w") as file:
            part = file.create_dataset("d", (4, 40, 37), "u1", chunks=(1, 40, 37))
            part[1:3] = voxels[2 * number : 2 * number + 2]
        source = h5py.VirtualSource(f"part{number}.h5", "d", (4, 40, 37))
        layout[2 * number : 2 * number + 2] = source[1:3]
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_virtual_dataset("raw", layout, fillvalue=9)
    return f"{folder}/a.h5:/raw"


def test_virtual_datasets_and_absent_sources(tmp_path: Path) -> None:
    url = write_virtual(tmp_path, VOXELS)
    same(url, VOXELS)
    before = open_volume(url).fingerprint()
    (tmp_path / "part1.h5").unlink()
    volume = open_volume(url)
    assert volume.fingerprint() != before
    with pytest.raises(FileNotFoundError, match=r"got none at 2-4_0-40_0-37: there is no file .*part1\.h5"):
        volume.read(volume.bounds)
    assert np.array_equal(volume.read(Bbox((4, 0, 0), (6, 9, 9))), VOXELS[4:, :9, :9])
    filled = volume.read(volume.bounds, fill_missing=True)
    assert not filled[2:4].any()
    assert np.array_equal(filled[4:], VOXELS[4:])


def test_chunks_that_a_source_never_wrote_and_places_without_a_source(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "part.h5", "w") as file:
        part = file.create_dataset("d", (4, 40, 37), "u1", chunks=(1, 40, 37))
        part[:3] = VOXELS[:3]
    layout = h5py.VirtualLayout(VOXELS.shape, np.uint8)
    layout[:4] = h5py.VirtualSource("part.h5", "d", (4, 40, 37))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("raw", layout, fillvalue=9)
    volume = open_volume(f"{tmp_path}/a.h5:/raw")
    with pytest.raises(FileNotFoundError, match=r"3-4_0-40_0-37: in part\.h5, the chunk was never written"):
        volume.read(Bbox((3, 0, 0), (4, 40, 37)))
    with pytest.raises(FileNotFoundError, match="no source is mapped there"):
        volume.read(Bbox((4, 0, 0), (6, 40, 37)))
    filled = volume.read(volume.bounds, fill_missing=True)
    assert np.array_equal(filled[:3], VOXELS[:3])
    assert not filled[3:].any()


def test_external_files(tmp_path: Path) -> None:
    raw = tmp_path / "a.raw"
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", VOXELS.shape, "u1", external=[(str(raw), 0, h5py.h5f.UNLIMITED)])[:] = VOXELS
    url = f"{tmp_path}/a.h5:/raw"
    volume = same(url, VOXELS)
    body = raw.read_bytes()
    raw.write_bytes(body[:-1])
    with pytest.raises(FileNotFoundError, match="holds 8879 bytes of 8880"):
        volume.read(volume.bounds)
    raw.unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*a\.raw"):
        volume.read(volume.bounds)
    assert not volume.read(volume.bounds, fill_missing=True).any()


def test_links(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["d"] = VOXELS
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["soft"] = h5py.SoftLink("/nowhere")
        file["gone"] = h5py.ExternalLink("c.h5", "/d")
        file["good"] = h5py.ExternalLink("b.h5", "/d")
    same(f"{tmp_path}/a.h5:/good", VOXELS)
    with pytest.raises(FileNotFoundError, match=r"links to must exist, got none: c\.h5:/d"):
        open_volume(f"{tmp_path}/a.h5:/gone")
    with pytest.raises(FileNotFoundError, match=r"must link to a dataset, got /nowhere"):
        open_volume(f"{tmp_path}/a.h5:/soft")


def test_a_filter_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((6, 40, 37))
        created.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, (2, 2))
        space = h5py.h5s.create_simple(VOXELS.shape)
        h5py.h5d.create(file.id, b"raw", h5py.h5t.NATIVE_UINT8, space, dcpl=created)
    with pytest.raises(ValueError, match=r"filters .* must be installed, got .*number 32099.*hdf5plugin"):
        open_volume(f"{tmp_path}/a.h5:/raw")


def test_a_file_that_is_open_for_writing_elsewhere_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = VOXELS
    read, write = os.pipe()
    ends, end = os.pipe()
    child = os.fork()
    if child == 0:
        with h5py.File(tmp_path / "a.h5", "r+"):
            os.write(write, b"x")
            os.read(ends, 1)
        os._exit(0)
    os.read(read, 1)
    try:
        with pytest.raises(ValueError, match="must not be open for writing in another program"):
            open_volume(f"{tmp_path}/a.h5:/raw")
    finally:
        os.write(end, b"x")
        os.waitpid(child, 0)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", data=VOXELS, chunks=(1, 40, 37), compression="gzip")
    body = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(body[: int(len(body) * share)])
    with pytest.raises(ValueError, match=r"a\.h5 must be a whole HDF5 file, got an error: .*; copy it again"):
        open_volume(f"{tmp_path}/a.h5:/raw")
