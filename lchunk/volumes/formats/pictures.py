"""PNG and JPEG sections, read by Pillow."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lchunk.volumes.formats.pieces import PIECES
from lchunk.volumes.formats.refusals import RefusedVolumeError, readable
from lchunk.volumes.formats.section import Section

# sections of electron microscopy are larger than Pillow's limit against decompression bombs
Image.MAX_IMAGE_PIXELS = None

_DTYPES = {"1": "bool", "L": "uint8", "P": "uint8", "I;16": "uint16", "I;16B": "uint16", "I": "int32", "F": "float32"}
_RULE, _INSTEAD = "a whole PNG or JPEG file", "copy or export it again"


def open_picture(path: Path, palette: str) -> Section:
    """Open a grey picture.

    Args:
        path: the file.
        palette: `indices` reads the numbers of a palette's colours; else the palette must be grey.

    Raises:
        RefusedVolumeError: it is damaged, or has colours.
    """
    with readable(path, _RULE, _INSTEAD), Image.open(path) as picture:
        mode, (width, height), kind = picture.mode, picture.size, picture.format
        greys = _greys(picture) if mode == "P" and palette != "indices" else None
    if kind not in ("PNG", "JPEG"):
        raise RefusedVolumeError(f"{path} must be a PNG or JPEG file, got {kind}; give it the suffix of its format")
    if mode not in _DTYPES or (mode == "P" and palette != "indices" and greys is None):
        raise RefusedVolumeError(
            f"{path} must be grey, got colours (mode {mode}); convert it to grey"
            + (", or take the numbers of its colours: #palette=indices" if mode == "P" else "")
        )
    modified = path.stat().st_mtime_ns
    dtype = np.dtype(_DTYPES[mode])

    def cut(y: slice, x: slice, fill_missing: bool) -> npt.NDArray[Any]:
        plane = PIECES.get((str(path), modified), functools.partial(_decode, path, dtype, (height, width)))
        return plane[y, x] if greys is None else greys[plane[y, x]]

    return Section((height, width), dtype, cut)


def _decode(path: Path, dtype: np.dtype[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    with readable(path, _RULE, _INSTEAD), Image.open(path) as picture:
        plane = np.asarray(picture)
    if plane.shape != shape:
        raise RefusedVolumeError(f"{path} must not change its shape {shape}, got {plane.shape}; run the command again")
    return plane.astype(dtype, copy=False)


def _greys(picture: Image.Image) -> npt.NDArray[np.uint8] | None:
    """The grey value of each number of a palette; None where a colour is not grey."""
    entries = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    if not len(entries) or (entries != entries[:, :1]).any():
        return None
    greys = np.zeros(256, np.uint8)
    greys[: len(entries)] = entries[:256, 0]
    return greys
