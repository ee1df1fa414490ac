"""NumPy's `.npy`: one array, (z, y, x) or (channel, z, y, x)."""

from __future__ import annotations

from pathlib import Path

from lchunk.exports.source import Source, new_array


def write_npy(source: Source, path: Path) -> None:
    """Write the pieces one by one, each to its place in the file."""
    array = new_array(path, source.dtype, source.shape)
    for place, voxels in source.pieces():
        array[place] = voxels
