"""Neuroglancer's precomputed skeletons, one file each: `info`, and a binary file named by each label.

A file is two little-endian uint32, the number of vertices and of edges; xyz float32 of the vertices; pairs of uint32 of
the edges; attributes of the vertices, which are not read. `transform` in `info` leads from vertices to nanometres.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from typing import Any

import numpy as np

from lchunk.volumes.skeletons.trees import Gathered

_COUNTS = struct.Struct("<II")
_GZIP = b"\x1f\x8b"


def transform_of(body: bytes, file: str) -> Any:
    """The (3, 4) transform of an `info`, from xyz of vertices to xyz nanometres.

    Raises:
        ValueError: it is not the info of unsharded skeletons.
    """
    try:
        info = json.loads(body)
        kind, sharding = info["@type"], info.get("sharding")
        transform = np.array(info.get("transform", np.eye(3, 4).ravel()), float).reshape(3, 4)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} must be the info of precomputed skeletons, got {body[:60]!r}; name their folder"
        ) from error
    if kind != "neuroglancer_skeletons" or sharding is not None:
        got = "sharded ones" if sharding is not None else kind
        raise ValueError(
            f"{file} must be the info of neuroglancer_skeletons in a file each, got {got}; name their folder, or "
            "export them without sharding"
        )
    return transform


def read_precomputed(body: bytes, file: str, name: str, transform: Any) -> Gathered:
    """Read one skeleton.

    Args:
        body: content of the file, which may be compressed with gzip.
        file: its name, for messages.
        name: name of the skeleton: its label.
        transform: that of the info.

    Raises:
        ValueError: the file is torn, or a place is not finite.
    """
    found = Gathered(file, [name])
    found.scale = (1.0, 1.0, 1.0)
    try:
        body = gzip.decompress(body) if body.startswith(_GZIP) else body
        vertices, edges = _COUNTS.unpack_from(body)
        xyz = np.frombuffer(body, "<f4", 3 * vertices, _COUNTS.size).reshape(-1, 3)
        pairs = np.frombuffer(body, "<u4", 2 * edges, _COUNTS.size + xyz.nbytes).reshape(-1, 2)
        places = (xyz.astype(float) @ transform[:, :3].T + transform[:, 3])[:, ::-1]
        for number, zyx in enumerate(places.tolist()):
            found.node(0, number, zyx, 0)
        for a, b in pairs.tolist():
            found.link(0, a, b, 0)
    except (ValueError, struct.error, zlib.error, OSError, EOFError) as error:
        raise ValueError(
            f"{file} must be a whole precomputed skeleton of finite places, got {len(body)} bytes; copy it again"
        ) from error
    return found
