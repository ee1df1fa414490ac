"""TIFF stacks, compressed with zlib, with ImageJ's metadata if it supports the type and the size, otherwise OME's.

ImageJ reads 8 and 16 bit integers and float32, in files below 4 GB. OME-TIFF has all types up to 32 bit and float64,
and any size as BigTIFF; Fiji opens it with Bio-Formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt
import tifffile

from lchunk.exports.source import Source

IMAGEJ_TYPES = ("uint8", "uint16", "float32")
CLASSIC_BYTES = 4_000_000_000
"""Largest volume for a classic TIFF file. Its offsets have 32 bits, and compression may make it a little larger."""


def write_tiff(source: Source, path: Path) -> None:
    """Write the sections of a volume; within each section, the channels follow each other."""
    big = source.nbytes > CLASSIC_BYTES
    depth, *plane = source.box.shape
    # in an ImageJ image with one column, tifffile would mistake columns for samples
    imagej = source.dtype.name in IMAGEJ_TYPES and not big and plane[1] > 1 and ".ome." not in path.name.lower()
    channels = (source.channels,) if source.channels else ()
    dz, dy, dx = source.voxel_size
    metadata: dict[str, Any] = {"axes": "ZCYX" if channels else "ZYX"}
    if imagej:
        origin = (-corner / size for corner, size in zip(source.offset, source.voxel_size, strict=True))
        metadata |= {"unit": "nm", "spacing": dz} | dict(zip(("zorigin", "yorigin", "xorigin"), origin, strict=True))
    else:
        metadata |= {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (dz, dy, dx), strict=True)}
        metadata |= {f"PhysicalSize{axis}Unit": "nm" for axis in "ZYX"}
    with tifffile.TiffWriter(path, bigtiff=big, imagej=imagej, ome=not imagej) as file:
        file.write(
            _planes(source, path.parent), shape=(depth, *channels, *plane), dtype=source.dtype,
            photometric="minisblack", compression="zlib", resolution=(1 / dx, 1 / dy), resolutionunit="none",
            metadata=metadata,
        )  # fmt: skip


def _planes(source: Source, scratch: Path) -> Iterator[npt.NDArray[Any]]:
    for section in source.sections(scratch):
        if source.channels:
            yield from section
        else:
            yield section
