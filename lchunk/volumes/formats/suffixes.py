"""Formats by the names of files, without importing any reader."""

from __future__ import annotations

import os
from pathlib import Path

TIFF = (".tif", ".tiff", ".btf", ".tf2", ".tf8")
PNG = (".png",)
JPEG = (".jpg", ".jpeg")
NRRD = (".nrrd", ".nhdr")
NPY = (".npy",)
N5 = "attributes.json"


def section_files(folder: Path) -> list[str]:
    """Names of the sections in a folder, without hidden files, `._` files of a Mac and other kinds of files."""
    return [
        entry.name
        for entry in os.scandir(folder)
        if not entry.name.startswith(".") and entry.name.lower().endswith(TIFF + PNG + JPEG) and entry.is_file()
    ]
