"""Metadata documents of zarr, v2 and v3: the kind of a folder, and its attributes."""

from __future__ import annotations

import json
from typing import Any

from lchunk.volumes.formats.refusals import RefusedVolumeError, readable
from lchunk.volumes.place import Place

METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")


def is_zarr(folder: Place) -> bool:
    """Whether a folder is a zarr array or group."""
    return any((folder / name).document() is not None for name in METADATA[:3])


def is_array(folder: Place) -> bool:
    """Whether a folder is a zarr array."""
    found = document(folder / "zarr.json")
    return (folder / ".zarray").document() is not None if found is None else found.get("node_type") == "array"


def attributes_of(folder: Place) -> dict[str, Any]:
    """The attributes of an array or group; empty if the folder is neither."""
    found = document(folder / "zarr.json")
    if found is not None:
        return _dictionary(found.get("attributes", {}), folder / "zarr.json")
    return document(folder / ".zattrs") or {}


def documents(folder: Place) -> list[Place]:
    """The existing metadata documents of a folder."""
    return [folder / name for name in METADATA if (folder / name).document() is not None]


def children(folder: Place) -> list[str]:
    """Names of the arrays and groups in a group."""
    return [name for name in folder.folders() if is_zarr(folder / name)]


def document(file: Place) -> dict[str, Any] | None:
    """Read a JSON document; None if the file does not exist.

    Raises:
        RefusedVolumeError: the file is not a JSON document.
    """
    with readable(file, "a JSON document", "copy it again"):
        body = file.document()
        return None if body is None else _dictionary(json.loads(body), file)


def _dictionary(content: Any, file: Place) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise RefusedVolumeError(f"{file} must hold a JSON object, got {type(content).__name__}; copy it again")
    return content
