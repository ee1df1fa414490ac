"""N5 datasets: one file per block of big-endian voxels (https://github.com/saalfeldlab/n5#file-system-specification).

N5 lists axes from the fastest one: x, y, z, channel. Its attributes use the same order.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import BZ2, LZMA, Blosc, GZip, Zstd

from lchunk.volumes.formats.axes import arrange, usual_names
from lchunk.volumes.formats.blosc import blosc_length
from lchunk.volumes.formats.opened import OpenedVolume, opened
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import Placement, from_attributes, overruled, size_of, start_of, unit_of
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError, readable
from lchunk.volumes.formats.suffixes import N5
from lchunk.volumes.formats.zarr_metadata import document
from lchunk.volumes.parallel import parallel
from lchunk.volumes.place import Place

_TYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64")
_FEW = 256


def _blosc(body: bytes) -> bytes:
    if blosc_length(body[:16]) != len(body):
        raise ValueError(f"{len(body)} of {blosc_length(body[:16])} bytes")
    unpacked: bytes = Blosc().decode(body)
    return unpacked


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda body: body,
    "gzip": GZip().decode,
    "bzip2": BZ2().decode,
    "xz": LZMA().decode,
    "blosc": _blosc,
    "zstd": Zstd().decode,
}


@dataclass(frozen=True)
class Dataset:
    """A dataset as `attributes.json` describes it, with axes from the slowest one."""

    folder: Place
    shape: tuple[int, ...]
    block: tuple[int, ...]
    dtype: np.dtype[Any]
    decode: Callable[[bytes], bytes]

    def key(self, place: tuple[int, ...]) -> str:
        """The file of a block, relative to the dataset's folder."""
        return "/".join(map(str, reversed(place)))

    def cut(self, part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        """Read a box from the blocks that it touches."""
        voxels = np.zeros([s.stop - s.start for s in part], self.dtype)
        places = [range(s.start // side, -(-s.stop // side)) for s, side in zip(part, self.block, strict=True)]

        def copy(place: tuple[int, ...]) -> None:
            block = self._block(place, fill_missing)
            if block is None:
                return
            into, out = [], []
            for p, side, s, length in zip(place, self.block, part, block.shape, strict=True):
                low, high = max(p * side, s.start), min((p + 1) * side, s.stop)
                if high - p * side > length:
                    raise RefusedVolumeError(
                        f"{self.folder / self.key(place)} must be a block of {self.block} voxels, got {block.shape}; "
                        "copy it again"
                    )
                into.append(slice(low - s.start, high - s.start))
                out.append(slice(low - p * side, high - p * side))
            voxels[tuple(into)] = block[tuple(out)]

        for _ in parallel(copy, itertools.product(*places), self.folder.store.connections):
            pass
        return voxels

    def _block(self, place: tuple[int, ...], fill_missing: bool) -> npt.NDArray[Any] | None:
        file = self.folder / self.key(place)
        body = file.body()
        if body is None:
            if fill_missing:
                return None
            raise AbsentVoxelsError(
                f"{self.folder} must have every block, got none at {self.key(place)}; "
                "set fill_missing if missing blocks mean black voxels"
            )
        with readable(file, "a whole N5 block", "copy it again"):
            mode, count = struct.unpack_from(">HH", body)
            if mode != 0 or count != len(self.shape):
                raise RefusedVolumeError(
                    f"{file} must be an N5 block of {len(self.shape)} axes in mode 0, got {count} in mode {mode}; "
                    "copy it again"
                )
            shape = struct.unpack_from(f">{count}I", body, 4)[::-1]
            numbers = np.frombuffer(self.decode(body[4 + 4 * count :]), self.dtype.newbyteorder(">"))
            return numbers.reshape(shape).astype(self.dtype)

    def files(self) -> list[Place]:
        """The metadata, and the blocks if there are only a few."""
        counts = [-(-length // side) for length, side in zip(self.shape, self.block, strict=True)]
        few = itertools.product(*map(range, counts)) if math.prod(counts) <= _FEW else ()
        blocks = (self.folder / self.key(place) for place in few)
        return [self.folder / N5, *(file for file in blocks if file.exists())]


def open_n5(url: str, folder: Place, options: Options) -> OpenedVolume:
    """Open a dataset. Its axes are the last of (channel, z, y, x), unless its attributes or the URL name them.

    Raises:
        RefusedVolumeError: the folder is a group, or the compression is unknown.
    """
    attributes = document(folder / N5) or {}
    if "dimensions" not in attributes:
        found = [name for name in folder.folders() if (folder / name / N5).exists()]
        raise RefusedVolumeError(
            f"{url} must be an N5 dataset, got a group of {', '.join(found) or 'no datasets'}; "
            f"write the image as {folder}/{found[0] if found else 'dataset'}"
        )
    dataset = _dataset(folder, attributes, url)
    names = _names(attributes, len(dataset.shape))
    placement = _placement(attributes, options.axes or names, options, url)
    arrangement = arrange(names, dataset.shape, options, url)
    return opened(
        url,
        options,
        arrangement,
        placement,
        dtype=dataset.dtype,
        cut=dataset.cut,
        files=dataset.files,
        header=folder / N5,
    )


def _dataset(folder: Place, attributes: Mapping[str, Any], url: str) -> Dataset:
    compression = attributes.get("compression", attributes.get("compressionType"))
    described = compression if isinstance(compression, Mapping) else {"type": compression}
    kind = str(described.get("type"))
    if kind not in _DECODERS:
        raise RefusedVolumeError(
            f"the compression of {url} must be one of {', '.join(_DECODERS)}, got {kind}; write it again with gzip"
        )
    if attributes.get("dataType") not in _TYPES:
        raise RefusedVolumeError(
            f"the type of {url} must be one of {', '.join(_TYPES)}, got {attributes.get('dataType')}; convert it"
        )
    with readable(folder / N5, "the attributes of an N5 dataset", "correct them"):
        shape = tuple(int(length) for length in attributes["dimensions"])[::-1]
        block = tuple(int(side) for side in attributes["blockSize"])[::-1]
        if len(shape) != len(block) or min((*block, *(length + 1 for length in shape))) < 1:
            raise RefusedVolumeError(
                f"the blocks of {url} must have the axes of its voxels, got {block} for {shape}; correct its metadata"
            )
    decode = zlib.decompress if kind == "gzip" and described.get("useZlib") else _DECODERS[kind]
    return Dataset(folder, shape, block, np.dtype(attributes["dataType"]), decode)


def _names(attributes: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Names of the axes from the slowest one."""
    axes = attributes.get("axes")
    if isinstance(axes, list) and len(axes) == count and all(isinstance(a, str) and len(a) == 1 for a in axes):
        return tuple(reversed(axes))
    return usual_names(count)


def _placement(attributes: Mapping[str, Any], names: Any, options: Options, url: str) -> Placement:
    """OpenOrganelle's `transform`, N5's `pixelResolution`, or `resolution` and `offset` in the order of the axes."""
    transform = attributes.get("transform")
    if isinstance(transform, Mapping) and {"axes", "scale", "translate", "units"} <= set(transform):
        with readable(url, "an N5 dataset with a transform of scale and translation", "correct its attributes"):
            at = [list(transform["axes"]).index(name) for name in "zyx"]
            size = size_of([transform["scale"][a] for a in at], [unit_of(transform["units"][a], url) for a in at], url)
            moved = [transform["translate"][a] / transform["scale"][a] for a in at]
            if options.offset is not None:
                return overruled(Placement(size), options)
            return overruled(Placement(size, start_of(moved, url), placed=True), options)
    reversed_numbers = {
        name: list(reversed(value)) for name, value in attributes.items() if isinstance(value, list) and name != "axes"
    }
    pixel = attributes.get("pixelResolution")
    if isinstance(pixel, Mapping) and isinstance(pixel.get("dimensions"), list):
        found = {"resolution": list(reversed(pixel["dimensions"])), "units": pixel.get("unit", "")}
        found["lchunk"] = attributes.get("lchunk")
        return from_attributes(reversed_numbers | found, names, options, url)
    return from_attributes(dict(attributes) | reversed_numbers, names, options, url)
