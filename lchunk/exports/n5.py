"""N5 datasets (https://github.com/saalfeldlab/n5#file-system-specification), packed by gzip.

N5 counts axes from the fastest one: x, y, z, channel. Attributes follow that order.
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
"""Of gzip."""


def write_n5(source: Source, path: Path) -> None:
    """Write `attributes.json`, and every block, those of zeros too: an absent block would be unknown."""
    path.mkdir()
    channels = (source.channels,) if source.channels else ()
    block = (*channels, *source.block)
    (path / "attributes.json").write_text(json.dumps(_attributes(source, block), indent=1))
    for place, voxels in source.pieces():
        # a piece begins at a block, and holds whole blocks or those at the end of the volume
        first = (*(0 for _ in channels), *(s.start // side for s, side in zip(place[1:], source.block, strict=True)))
        counts = [-(-length // side) for length, side in zip(voxels.shape, block, strict=True)]
        for index in product(*map(range, counts)):
            part = tuple(slice(i * side, (i + 1) * side) for i, side in zip(index, block, strict=True))
            file = path.joinpath(*(str(a + b) for a, b in zip(reversed(first), reversed(index), strict=True)))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_block(voxels[part]))


def write_n5_group(path: Path) -> None:
    """Write the attributes of a folder that holds datasets, where it has none.

    Raises:
        ValueError: it is a dataset itself.
    """
    file = path / "attributes.json"
    if not file.exists():
        file.write_text(json.dumps({"n5": VERSION}))
    elif "dimensions" in json.loads(file.read_text()):
        raise ValueError(f"datasets of N5 must lie in a group, got a dataset in {path}; write to another folder")


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
    }


def _block(voxels: npt.NDArray[Any]) -> bytes:
    """The file of a block: mode 0, the axes and their lengths from the fastest, then big-endian voxels."""
    shape = voxels.shape[::-1]
    header = struct.pack(f">HH{len(shape)}I", 0, len(shape), *shape)
    body = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder(">")).tobytes()
    return header + gzip.compress(body, LEVEL, mtime=0)
