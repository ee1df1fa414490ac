"""Metadata documents of zarr, v2 and v3: what a folder is, and its attributes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lchunk.volumes.formats.refusals import RefusedVolumeError, readable

METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr array or group."""
    return any((path / name).exists() for name in METADATA[:3])


def is_array(path: Path) -> bool:
    """Whether a folder is a zarr array."""
    if (path / "zarr.json").exists():
        return document(path / "zarr.json").get("node_type") == "array"
    return (path / ".zarray").exists()


def attributes_of(path: Path) -> dict[str, Any]:
    """The attributes of an array or group; nothing where the folder is none."""
    if (path / "zarr.json").exists():
        return _dictionary(document(path / "zarr.json").get("attributes", {}), path / "zarr.json")
    return document(path / ".zattrs") if (path / ".zattrs").exists() else {}


def children(path: Path) -> list[str]:
    """Names of the arrays and groups in a group."""
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and is_zarr(entry))


def document(path: Path) -> dict[str, Any]:
    """A JSON document.

    Raises:
        RefusedVolumeError: it is none.
    """
    with readable(path, "a JSON document", "copy it again"):
        return _dictionary(json.loads(path.read_bytes()), path)


def _dictionary(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise RefusedVolumeError(f"{path} must hold a JSON object, got {type(content).__name__}; copy it again")
    return content
