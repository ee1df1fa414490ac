"""The encodings of precomputed chunks.

The decoders of labels follow offsets in damaged bytes to any address, and may crash the process. Therefore the bytes
are checked first, as far as possible: none of these encodings has a checksum over all bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image

from lchunk.volumes.checksum import checksum
from lchunk.volumes.formats.packed_labels import check_compressed_labels
from lchunk.volumes.formats.precomputed_scale import Scale
from lchunk.volumes.optional_packages import precomputed_extra

Voxels = npt.NDArray[Any]
_COMPRESSO_HEADER = 36


def decode(body: bytes, shape: tuple[int, ...], scale: Scale) -> Voxels:
    """Decode the voxels of a chunk, (channel, z, y, x).

    Args:
        body: bytes of the chunk.
        shape: (channel, z, y, x).
        scale: the scale, with its encoding.

    Raises:
        ValueError: the chunk is damaged, has another shape, or has a type whose values do not fit the scale's type.
        Exception: any exception that the encoding's library raises for damaged bytes.
    """
    found = _DECODERS[scale.encoding](body, shape, scale)
    if found.shape != shape or not np.can_cast(found.dtype, scale.dtype):
        raise ValueError(f"it holds {found.dtype} of shape {found.shape} (channel, z, y, x)")
    return found.astype(scale.dtype, copy=False)


def require_codec(encoding: str) -> None:
    """Raise an error if the package of an encoding is missing.

    Raises:
        ImportError: the package is not installed.
    """
    with precomputed_extra(f"read {encoding}"):
        if encoding == "compressed_segmentation":
            import compressed_segmentation  # noqa: F401, PLC0415 - optional
        elif encoding == "compresso":
            import compresso  # noqa: F401, PLC0415 - optional
        elif encoding == "crackle":
            import crackle  # noqa: F401, PLC0415 - optional


def _raw(body: bytes, shape: tuple[int, ...], scale: Scale) -> Voxels:
    return np.frombuffer(body, scale.dtype.newbyteorder("<")).reshape(shape)


def _png(body: bytes, shape: tuple[int, ...], scale: Scale) -> Voxels:
    return _planes(np.asarray(imagecodecs.png_decode(body)), shape)


def _jpeg(body: bytes, shape: tuple[int, ...], scale: Scale) -> Voxels:
    with Image.open(io.BytesIO(body), formats=("JPEG",)) as picture:
        return _planes(np.asarray(picture), shape)


def _planes(picture: Voxels, shape: tuple[int, ...]) -> Voxels:
    """Voxels of a picture of any height and width. Its pixels have the order of the voxels."""
    channels = picture.shape[2] if picture.ndim == 3 else 1
    return np.moveaxis(picture.reshape(*shape[1:], channels), -1, 0)


def _compressed_segmentation(body: bytes, shape: tuple[int, ...], scale: Scale) -> Voxels:
    import compressed_segmentation  # noqa: PLC0415 - optional

    check_compressed_labels(body, shape, scale.block, scale.dtype.itemsize)
    return _of_labels(
        compressed_segmentation.decompress(body, shape[::-1], scale.dtype, block_size=scale.block[::-1], order="F")
    )


def _compresso(body: bytes, shape: tuple[int, ...], scale: Scale) -> Voxels:
    import compresso  # noqa: PLC0415 - optional

    head = compresso.header(body)
    sides, steps = [head["sx"], head["sy"], head["sz"]], [head["xstep"], head["ystep"], head["zstep"]]
    if sides != list(shape[:0:-1]) or head["data_width"] != scale.dtype.itemsize or min(steps) < 1:
        raise ValueError(f"its header says {sides} voxels (x, y, z) of {head['data_width']} bytes in steps of {steps}")
    # windows fill the rest of the body: the lengths of their runs must add up to the number of windows
    dtype = np.dtype(compresso.window_dtype(head))
    width = head["data_width"]
    start = _COMPRESSO_HEADER + width * (head["id_size"] + head["location_size"]) + dtype.itemsize * head["value_size"]
    index = compresso.zindex_byte_width(*sides[:2]) * 2 * sides[2] if head["format_version"] else 0
    if start + index > len(body):
        raise ValueError(f"it ends after {len(body)} bytes")
    runs = np.frombuffer(body[start : len(body) - index], dtype)
    found = int(np.where(runs & 1, runs >> 1, 1).sum())
    if found != math.prod(-(-side // step) for side, step in zip(sides, steps, strict=True)):
        raise ValueError(f"it has {found} windows")
    return _of_labels(compresso.decompress(body))


def _crackle(body: bytes, shape: tuple[int, ...], scale: Scale) -> Voxels:
    import crackle  # noqa: PLC0415 - optional

    head = crackle.codec.header(body)
    sides = [head.sx, head.sy, head.sz]
    if sides != list(shape[:0:-1]):
        raise ValueError(f"its header says {sides} voxels (x, y, z)")
    if head.format_version:
        crackle.codec.grid_index(body)  # raises an error if its checksum does not match
        # the position of the checksum is counted from the end, so it does not match if the file was cut off
        if crackle.codec.labels_crc(body) != checksum(bytes(crackle.codec.raw_labels(body))):
            raise ValueError("the checksum of its labels does not match")
    return _of_labels(crackle.decompress(body, parallel=1))


def _of_labels(xyz: Voxels) -> Voxels:
    """Convert (x, y, z) or (x, y, z, channel) labels to (channel, z, y, x)."""
    return xyz.reshape(*xyz.shape[:3], -1).transpose(3, 2, 1, 0)


_DECODERS: dict[str, Callable[[bytes, tuple[int, ...], Scale], Voxels]] = {
    "raw": _raw,
    "png": _png,
    "jpeg": _jpeg,
    "compressed_segmentation": _compressed_segmentation,
    "compresso": _compresso,
    "crackle": _crackle,
}
ENCODINGS = tuple(_DECODERS)
