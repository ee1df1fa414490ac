"""N5 datasets (https://github.com/saalfeldlab/n5#file-system-specification), compressed with gzip.

N5 lists axes from the fastest one: x, y, z, channel. Its attributes use the same order.
"""

from __future__ import annotations

import gzip
import json
import struct
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.exports.source import Source

VERSION = "2.5.1"
LEVEL = 4
"""Compression level of gzip."""


def write_n5(source: Source, path: Path) -> None:
    """Write `attributes.json` and all blocks, also blocks of zeros: a reader could not know why a block is missing."""
    path.mkdir()
    channels = (source.channels,) if source.channels else ()
    block = (*channels, *source.block)
    (path / "attributes.json").write_text(json.dumps(_attributes(source, block), indent=1))
    for place, voxels in source.pieces():
        # a piece begins at a block, and consists of whole blocks, except at the end of the volume
        first = (*(0 for _ in channels), *(s.start // side for s, side in zip(place[1:], source.block, strict=True)))
        counts = [-(-length // side) for length, side in zip(voxels.shape, block, strict=True)]
        for index in product(*map(range, counts)):
            part = tuple(slice(i * side, (i + 1) * side) for i, side in zip(index, block, strict=True))
            file = path.joinpath(*(str(a + b) for a, b in zip(reversed(first), reversed(index), strict=True)))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_block(voxels[part]))


def write_n5_group(path: Path) -> None:
    """Write the attributes of a folder that holds datasets, unless it already has attributes.

    Raises:
        ValueError: the folder is a dataset itself.
    """
    file = path / "attributes.json"
    if not file.exists():
        file.write_text(json.dumps({"n5": VERSION}))
    elif "dimensions" in json.loads(file.read_text()):
        raise ValueError(f"an N5 dataset must be inside a group, got a dataset in {path}; write to another folder")


def _attributes(source: Source, block: tuple[int, ...]) -> dict[str, Any]:
    size, channel = list(reversed(source.voxel_size)), [1.0] if source.channels else []
    return {
        "n5": VERSION,
        "dimensions": list(reversed(source.shape)),
        "blockSize": list(reversed(block)),
        "dataType": source.dtype.name,
        "compression": {"type": "gzip", "level": LEVEL},
        "axes": ["x", "y", "z", "c"] if source.channels else ["x", "y", "z"],
        "units": ["nm"] * 3 + [""] * len(channel),
        "resolution": size + channel,
        "offset": list(reversed(source.offset)),
        "pixelResolution": {"unit": "nm", "dimensions": size},
        "lchunk": source.lattice,
    }


def _block(voxels: npt.NDArray[Any]) -> bytes:
    """Bytes of a block's file: mode 0, the number of axes, their lengths from the fastest, then big-endian voxels."""
    shape = voxels.shape[::-1]
    header = struct.pack(f">HH{len(shape)}I", 0, len(shape), *shape)
    body = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder(">")).tobytes()
    return header + gzip.compress(body, LEVEL, mtime=0)
