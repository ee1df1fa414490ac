"""NRRD with gzip (https://teem.sourceforge.net/nrrd/format.html): axes from the fastest, [channel], x, y, z."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np

from lchunk.exports.source import Source

_TYPES = {"float32": "float", "float64": "double"}
LEVEL = 4
"""Compression level of gzip."""


def write_nrrd(source: Source, path: Path) -> None:
    """Write the header, then the sections one by one."""
    with open(path, "wb") as file:
        file.write(_header(source).encode("ascii"))
        with gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=file, mtime=0) as packed:
            for section in source.sections(path.parent):
                packed.write(np.ascontiguousarray(np.moveaxis(section, 0, -1) if source.channels else section).data)


def _header(source: Source) -> str:
    """Sizes, directions and origin. The format defines the origin as the centre of the first voxel."""
    (dz, dy, dx), corner = source.voxel_size, source.offset
    centre = [low + size / 2 for low, size in zip(corner, source.voxel_size, strict=True)]
    channels = [source.channels] if source.channels else []
    sizes, kinds = [*channels, *reversed(source.box.shape)], ["vector"] * len(channels) + ["domain"] * 3
    directions = ["none"] * len(channels) + [f"({dx!r},0,0)", f"(0,{dy!r},0)", f"(0,0,{dz!r})"]
    lines = {
        "type": _TYPES.get(source.dtype.name, source.dtype.name),
        "dimension": len(sizes),
        "space dimension": 3,
        "sizes": " ".join(map(str, sizes)),
        "space directions": " ".join(directions),
        "kinds": " ".join(kinds),
        "endian": sys.byteorder,
        "encoding": "gzip",
        "space units": '"nm" "nm" "nm"',
        "space origin": f"({','.join(map(repr, reversed(centre)))})",
    }
    fields = "".join(f"{name}: {value}\n" for name, value in lines.items())
    return f"NRRD0004\n{fields}lchunk:={json.dumps(source.lattice)}\n\n"
