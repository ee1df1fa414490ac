"""Volumes of chunk files are read through their store alone: it need not be a disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats import AbsentVoxelsError, open_volume
from lchunk.volumes.formats.opening import open_chunked
from lchunk.volumes.formats.options import Options
from lchunk.volumes.layer import Layer
from lchunk.volumes.place import Place
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.store import open_store
from tests.volumes.formats.arrays import PARTS, VOXELS


class Memory:
    """The files of a folder, kept; the folder itself is moved away."""

    url = "memory://files"
    connections = 4

    def __init__(self, folder: Path) -> None:
        files = [path for path in folder.rglob("*") if path.is_file()]
        self.files = {str(path.relative_to(folder)): path.read_bytes() for path in files}
        folder.rename(f"{folder}-moved")

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        if key not in self.files:
            raise FileNotFoundError(key)
        return self.files[key][start:stop]

    def stamp(self, key: str) -> Stamp:
        return Stamp(len(self.get(key)), 1, "version")

    def exists(self, key: str) -> bool:
        return key in self.files

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        cut = f"{prefix}/" if prefix else ""
        below = {key.removeprefix(cut) for key in self.files if key.startswith(cut)}
        return tuple(sorted({name.partition("/")[0] for name in below if "/" in name}))

    def path(self, key: str) -> None:
        return None


def write_zarr(path: Path, zarr_format: int) -> None:
    attributes = {"resolution": [40, 8, 4], "offset": [80, -16, 0]}
    zarr.create_array(path, data=VOXELS, chunks=(4, 16, 16), zarr_format=zarr_format, attributes=attributes)


def write_sharded(path: Path) -> None:
    zarr.create_array(path, data=VOXELS, chunks=(2, 8, 8), shards=(4, 16, 16), attributes={"resolution": [40, 8, 4]})


def write_image(path: Path) -> None:
    group = zarr.create_group(path, zarr_format=2)
    group.create_array("s0", data=VOXELS, chunks=(4, 16, 16))
    scale = {"type": "scale", "scale": [40, 8, 4]}
    axes = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "s0", "coordinateTransformations": [scale]}]}]


def write_n5(path: Path) -> None:
    metadata = {"dimensions": VOXELS.shape[::-1], "blockSize": [16, 16, 4], "dataType": "uint8"}
    metadata |= {"compression": {"type": "gzip"}, "resolution": [4, 8, 40]}
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(path)}, "metadata": metadata}
    tensorstore.open(spec, create=True).result()[...] = VOXELS.transpose()


WRITERS: dict[str, Callable[[Path], None]] = {
    "zarr v2": lambda path: write_zarr(path, 2),
    "zarr v3": lambda path: write_zarr(path, 3),
    "shards": write_sharded,
    "OME-Zarr": write_image,
    "N5": write_n5,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_volume_is_the_same_in_any_store(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "files"
    WRITERS[kind](folder / "deep/a")
    on_disk = open_volume(f"{folder}/deep/a")
    voxels = on_disk.read(on_disk.bounds)
    small = on_disk.fingerprint()
    memory = Memory(folder)
    volume = open_chunked("memory://files/deep/a", Place(memory, "deep/a"), Options())
    assert volume is not None
    assert (volume.bounds, volume.voxel_size, volume.dtype) == (on_disk.bounds, on_disk.voxel_size, on_disk.dtype)
    assert np.array_equal(voxels, VOXELS)
    for part in PARTS:
        moved = Bbox(*(tuple(map(sum, zip(at, volume.bounds.start, strict=True))) for at in (part.start, part.stop)))
        assert np.array_equal(volume.read(moved), VOXELS[part.slices()])
    assert volume.fingerprint() == small  # of the content, wherever it lies


@pytest.mark.parametrize("kind", WRITERS)
def test_a_chunk_that_is_absent_is_named(tmp_path: Path, kind: str) -> None:
    WRITERS[kind](tmp_path / "files/a")
    memory = Memory(tmp_path / "files")
    chunk = next(key for key in sorted(memory.files) if not key.endswith(("json", "attrs", "array", "group")))
    del memory.files[chunk]
    volume = open_chunked("memory://files/a", Place(memory, "a"), Options())
    assert volume is not None
    with pytest.raises(AbsentVoxelsError, match=rf"memory://files/a.* got none at {chunk.removeprefix('a/s0/')[2:]}"):
        volume.read(volume.bounds)


def test_a_group_names_what_is_in_it(tmp_path: Path) -> None:
    for number in ("", 1, 2):
        zarr.create_group(tmp_path / f"files/a/{number}")
    for number in (1, 2):
        zarr.create_array(tmp_path / f"files/a/{number}/raw", data=VOXELS)
    memory = Memory(tmp_path / "files")
    with pytest.raises(ValueError, match="got a group of 1/raw, 2/raw; write the image as memory://files/a/1/raw"):
        open_chunked("memory://files/a", Place(memory, "a"), Options())


def test_a_folder_of_something_else_is_no_volume_of_chunks(tmp_path: Path) -> None:
    (tmp_path / "files/a").mkdir(parents=True)
    (tmp_path / "files/a/info").write_text("{}")
    assert open_chunked("memory://files/a", Place(Memory(tmp_path / "files"), "a"), Options()) is None


def test_relative_paths_are_those_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(Path("a.zarr"))
    layer = Layer(
        open_store("."), "seg", Bbox.of((0, 0, 0), VOXELS.shape), (40, 8, 4), np.dtype("u1"), (8, 64, 64), (8, 64, 64)
    )
    layer.create({})
    layer.write(layer.bounds, VOXELS)
    for url in ("a.zarr", "a.zarr/s0", "seg", "seg/0"):
        volume = open_volume(url)
        assert volume.voxel_size == (40, 8, 4)
        assert np.array_equal(volume.read(volume.bounds), VOXELS)
