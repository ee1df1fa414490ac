"""Volumes that others wrote, opened by their URL, read in place and never written.

folder/image.zarr              zarr v2 or v3 array, or an OME-Zarr image (its finest level)
file.h5:/volumes/raw           a dataset of an HDF5 file, CREMI's attributes
stack.tif                      a TIFF stack
folder/                        a folder of TIFF sections, in the order of their names
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import tifffile
import zarr

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import open_store
from lchunk.volumes.volume import Volume, VoxelSize, padded
from lchunk.volumes.zarr_store import ZarrStore

_HDF5 = re.compile(r"(?P<file>.+\.(?:h5|hdf|hdf5))(?::(?P<dataset>/?.*))?", re.IGNORECASE)
_NANOMETERS = {"nanometer": 1.0, "nm": 1.0, "micrometer": 1e3, "µm": 1e3, "millimeter": 1e6, "angstrom": 0.1}


@dataclass(frozen=True)
class ForeignVolume:
    """Voxels of another program; `cut` takes a box inside the bounds, in voxels from their start."""

    url: str
    bounds: Bbox
    voxel_size: VoxelSize | None
    dtype: np.dtype[Any]
    channels: int
    cut: Callable[[tuple[slice, slice, slice], bool], npt.NDArray[Any]]

    def fingerprint(self) -> str:
        return ""

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> npt.NDArray[Any]:
        inside = bbox.clipped(self.bounds)
        if not inside.size:
            shape = (self.channels, *inside.shape) if self.channels else inside.shape
            return padded(np.zeros(shape, self.dtype), inside, bbox)
        return padded(self.cut(inside.slices(self.bounds.start), fill_missing), inside, bbox)


def open_volume(url: str) -> Volume:
    """A volume to read, whatever its format.

    Raises:
        FileNotFoundError: there is no such file, or no such dataset in it.
        ValueError: the format is not known, or the file cannot be read.
    """
    if hdf5 := _HDF5.fullmatch(url):
        return _open_hdf5(url, Path(hdf5["file"]), hdf5["dataset"])
    path = Path(url.removeprefix("file://"))
    if not path.exists():
        raise FileNotFoundError(f"image must be there, got {url}, which is not; look for a typing error in the path")
    if any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
        return _open_zarr(url, path)
    if path.is_dir() or path.suffix.lower() in (".tif", ".tiff"):
        return _open_tiff(url, path)
    raise ValueError(
        f"image must be zarr, OME-Zarr, HDF5 (file.h5:/dataset), a TIFF stack or a folder of TIFF sections, got {url}"
    )


def _offset(offset_nm: Any, voxel_size: VoxelSize | None, url: str) -> Triple:
    """Offset in voxels of an offset in nanometres, zyx."""
    if offset_nm is None:
        return (0, 0, 0)
    if voxel_size is None:
        raise ValueError(f"{url} must tell its voxel size beside its offset, got offset {list(offset_nm)} nm alone")
    voxels = [float(nm) / size for nm, size in zip(offset_nm, voxel_size, strict=True)]
    whole = [round(number) for number in voxels]
    if max(abs(a - b) for a, b in zip(voxels, whole, strict=True)) > 0.01:
        raise ValueError(f"the offset of {url} must be a whole number of voxels, got {voxels} voxels zyx")
    return triple(whole)


def _size(numbers: Any) -> VoxelSize | None:
    if numbers is None:
        return None
    z, y, x = (float(number) for number in numbers)
    return z, y, x


def _channels(shape: tuple[int, ...], url: str) -> int:
    if len(shape) not in (3, 4):
        raise ValueError(f"a volume must be (z, y, x) or (channel, z, y, x), got shape {shape} in {url}")
    return shape[0] if len(shape) == 4 else 0


def _open_hdf5(url: str, path: Path, dataset: str | None) -> Volume:
    if not path.exists():
        raise FileNotFoundError(f"image must be there, got {path}, which is not; look for a typing error in the path")
    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path} must be a readable HDF5 file, got: {error}") from error
    with file:
        node = file.get(dataset) if dataset else None
        if not isinstance(node, h5py.Dataset):
            found: list[str] = []
            file.visititems(lambda name, node: found.append(f"/{name}") if isinstance(node, h5py.Dataset) else None)
            raise FileNotFoundError(
                f"the dataset of {path} must be one of {', '.join(found) or 'none: the file is empty'}, "
                f"got {dataset!r}; write the image as {path}:{found[0] if found else '/dataset'}"
            )
        voxel_size = _size(node.attrs.get("resolution"))
        start = _offset(node.attrs.get("offset"), voxel_size, url)
        shape, dtype = node.shape, node.dtype
    name = str(dataset)

    def cut(part: tuple[slice, slice, slice], fill_missing: bool) -> npt.NDArray[Any]:
        with h5py.File(path) as file:
            return np.asarray(file[name][(..., *part)])

    return ForeignVolume(url, Bbox.of(start, shape[-3:]), voxel_size, dtype, _channels(shape, url), cut)


def _open_tiff(url: str, path: Path) -> Volume:
    sections = sorted(p for p in path.iterdir() if p.suffix.lower() in (".tif", ".tiff")) if path.is_dir() else []
    if path.is_dir() and not sections:
        raise FileNotFoundError(f"the folder {url} must hold TIFF sections or a zarr volume, got neither")
    _without_gaps(sections)
    try:
        with tifffile.TiffFile(sections[0] if sections else path) as file:
            page = file.pages[0]
            plane, dtype = page.shape, np.dtype(page.dtype)
            depth = len(sections) or len(file.pages)
    except tifffile.TiffFileError as error:
        raise ValueError(f"{url} must be a readable TIFF, got: {error}") from error
    if len(plane) != 2:
        raise ValueError(f"a TIFF section must be (y, x), got shape {plane} in {url}")

    def cut(part: tuple[slice, slice, slice], fill_missing: bool) -> npt.NDArray[Any]:
        z, y, x = part
        voxels = np.empty((z.stop - z.start, y.stop - y.start, x.stop - x.start), dtype)
        for place, section in enumerate(range(z.start, z.stop)):
            image = tifffile.imread(sections[section]) if sections else tifffile.imread(path, key=section)
            if image.shape != plane:
                where = sections[section] if sections else f"section {section} of {url}"
                raise ValueError(
                    f"every section must have the shape of the first, {plane}, got {image.shape} in {where}"
                )
            voxels[place] = image[y, x]
        return voxels

    return ForeignVolume(url, Bbox.of((0, 0, 0), (depth, *plane)), None, dtype, 0, cut)


def _without_gaps(sections: list[Path]) -> None:
    """Raise where the numbers at the end of the sections' names jump."""
    found = [re.findall(r"\d+", section.stem) for section in sections]
    numbers = [int(digits[-1]) for digits in found if digits]
    if len(numbers) != len(sections) or not numbers:
        return
    absent = sorted(set(range(min(numbers), max(numbers) + 1)) - set(numbers))
    if absent:
        raise FileNotFoundError(
            f"sections must follow each other without a gap, got none with number {', '.join(map(str, absent[:10]))} "
            f"in {sections[0].parent}; add the sections, black ones if they are lost"
        )


def _open_zarr(url: str, path: Path) -> Volume:
    image: dict[str, Any] = {}
    array_path = path
    if not ((path / ".zarray").exists() or _node_type(path) == "array"):
        if "lchunk" in _attributes(path):
            return open_layer(open_store(str(path.parent)), path.name)
        image, array_path = _finest_level(url, path)
    array: zarr.Array[Any] = zarr.open_array(ZarrStore(open_store(str(array_path)), ""), mode="r")
    attributes: dict[str, Any] = dict(array.attrs)
    offset_nm: Any
    if image:
        voxel_size, offset_nm = _ome_geometry(image)
    else:
        voxel_size, offset_nm = _size(attributes.get("resolution")), attributes.get("offset")
    start = _offset(offset_nm, voxel_size, url)
    files = array.shards or array.chunks

    def cut(part: tuple[slice, slice, slice], fill_missing: bool) -> npt.NDArray[Any]:
        if not fill_missing:
            _require_chunks(array, files, part, array_path)
        return np.asarray(array[(..., *part)])

    channels = _channels(array.shape, url)
    return ForeignVolume(url, Bbox.of(start, array.shape[-3:]), voxel_size, np.dtype(array.dtype), channels, cut)


def _require_chunks(
    array: zarr.Array[Any], files: tuple[int, ...], part: tuple[slice, slice, slice], path: Path
) -> None:
    """Raise where a chunk file of a foreign zarr array is not there: zarr itself would read zeros."""
    whole = tuple(slice(0, size) for size in array.shape[:-3])
    ranges = [range(s.start // f, -(-s.stop // f)) for s, f in zip((*whole, *part), files, strict=True)]
    for place in np.ndindex(*map(len, ranges)):
        key = array.metadata.encode_chunk_key(tuple(r[i] for r, i in zip(ranges, place, strict=True)))
        if not (path / key).exists():
            raise FileNotFoundError(
                f"{path} must have every chunk, got none at {key}; "
                "set fill_missing where absent chunks mean black voxels"
            )


def _node_type(path: Path) -> str:
    meta = path / "zarr.json"
    return str(json.loads(meta.read_text())["node_type"]) if meta.exists() else "group"


def _attributes(path: Path) -> dict[str, Any]:
    for name in ("zarr.json", ".zattrs"):
        if (path / name).exists():
            document: dict[str, Any] = json.loads((path / name).read_text())
            return dict(document.get("attributes", {})) if name == "zarr.json" else document
    return {}


def _finest_level(url: str, path: Path) -> tuple[dict[str, Any], Path]:
    attributes = _attributes(path)
    images = attributes.get("ome", attributes).get("multiscales")
    if not images:
        arrays = sorted(p.name for p in path.iterdir() if (p / ".zarray").exists() or (p / "zarr.json").exists())
        raise ValueError(
            f"{url} must be a zarr array or an OME-Zarr image, got a group of {', '.join(arrays) or 'nothing'}; "
            f"write the image as {path}/{arrays[0] if arrays else 'array'}"
        )
    return images[0], path / images[0]["datasets"][0]["path"]


def _ome_geometry(image: dict[str, Any]) -> tuple[VoxelSize | None, list[float]]:
    """Voxel size and offset of the low corner, nanometres zyx; the translation is that of the voxel's centre."""
    units = [_NANOMETERS.get(axis.get("unit", "nanometer"), 1.0) for axis in image["axes"][-3:]]
    scale: list[float] = [1.0] * 3
    translation: list[float] | None = None
    for transformation in image["datasets"][0]["coordinateTransformations"]:
        if transformation["type"] == "scale":
            scale = transformation["scale"][-3:]
        elif transformation["type"] == "translation":
            translation = transformation["translation"][-3:]
    voxel_size = _size(size * unit for size, unit in zip(scale, units, strict=True))
    if translation is None:
        return voxel_size, [0.0, 0.0, 0.0]
    # most writers leave the half voxel out: whole voxels below the centre are the same for both
    corners = [np.floor(t / s + 1e-6) * s * unit for t, s, unit in zip(translation, scale, units, strict=True)]
    return voxel_size, corners
