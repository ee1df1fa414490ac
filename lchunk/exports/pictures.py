"""Folders of sections, one PNG or TIFF picture per section. The first section has number 0, for every box."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt
import tifffile
from PIL import Image

from lchunk.exports.source import Source


def write_png(source: Source, folder: Path) -> None:
    """Write grey pictures with 8 or 16 bits."""
    for path, section in _named(source, folder, ".png"):
        Image.fromarray(section).save(path)


def write_tiff_sections(source: Source, folder: Path) -> None:
    """Write grey pictures, compressed with zlib."""
    for path, section in _named(source, folder, ".tif"):
        tifffile.imwrite(path, section, photometric="minisblack", compression="zlib", metadata=None)


def _named(source: Source, folder: Path, suffix: str) -> Iterator[tuple[Path, npt.NDArray[Any]]]:
    """Each section with its file; all names have the same length."""
    folder.mkdir()
    digits = max(5, len(str(source.box.shape[0] - 1)))
    for number, section in enumerate(source.sections(folder.parent)):
        yield folder / f"{number:0{digits}}{suffix}", section
