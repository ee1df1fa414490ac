"""Neuroglancer's precomputed skeletons: `info`, and a binary file named by each label, or shards of many labels.

A skeleton is two little-endian uint32, the number of vertices and of edges; xyz float32 of the vertices; pairs of
uint32 of the edges; attributes of the vertices, which are not read. `transform` in `info` leads from vertices to
nanometres, and `sharding` tells how shards are divided.
"""

from __future__ import annotations

import gzip
import json
import re
import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lchunk.volumes.formats.minishards import objects_in
from lchunk.volumes.formats.precomputed_scale import Sharding, sharding_of
from lchunk.volumes.formats.refusals import readable
from lchunk.volumes.info_folder import recipe_in
from lchunk.volumes.skeletons.trees import Gathered

_COUNTS = struct.Struct("<II")
_GZIP = b"\x1f\x8b\x08"
_LABEL = re.compile(r"(\d+)(\.gz)?")
_SHARD = re.compile(r"[0-9a-f]+\.shard")


@dataclass(frozen=True)
class PrecomputedInfo:
    """What the info of a folder tells.

    Args:
        transform: (3, 4), from xyz of vertices to xyz nanometres.
        sharding: how shards are divided; None if each skeleton is a file.
        least_files: how many files the folder must have at least: lchunk writes all shards, also those of no label.
    """

    transform: Any
    sharding: Sharding | None
    least_files: int = 1

    def holds(self, name: str) -> bool:
        """Whether a file of the folder holds skeletons, by its name."""
        return (_SHARD if self.sharding else _LABEL).fullmatch(name) is not None


def precomputed_info(body: bytes, file: str) -> PrecomputedInfo:
    """Read an info.

    Raises:
        ValueError: it is not the info of skeletons, or shards are of an unknown kind.
    """
    with readable(file, "the info of precomputed skeletons", "name their folder"):
        info = json.loads(body)
        kind, sharding = info["@type"], info.get("sharding")
        transform = np.array(info.get("transform", np.eye(3, 4).ravel()), float).reshape(3, 4)
        found = PrecomputedInfo(transform, None if sharding is None else sharding_of(sharding, file))
        if found.sharding and recipe_in(info):
            found = replace(found, least_files=1 << found.sharding.shard_bits)
    if kind != "neuroglancer_skeletons":
        raise ValueError(f"{file} must be the info of neuroglancer_skeletons, got {kind}; name their folder")
    return found


def read_precomputed(body: bytes, file: str, name: str, info: PrecomputedInfo) -> Gathered:
    """Read the skeletons of a file; they are named by their labels.

    Args:
        body: content of the file; that of a single skeleton may be compressed with gzip.
        file: its name, for messages.
        name: the same without its folder.
        info: that of the folder.

    Raises:
        ValueError: the file is torn, or a place is not finite.
    """
    found = Gathered(file)
    found.scale = (1.0, 1.0, 1.0)
    what = "a whole shard of skeletons" if info.sharding else "a whole precomputed skeleton"
    with readable(file, f"{what} of finite places", "copy it again"):
        if info.sharding:
            for label, skeleton in objects_in(body, info.sharding):
                _add(found, str(label), skeleton, info.transform)
        else:
            skeleton = gzip.decompress(body) if body.startswith(_GZIP) else body
            _add(found, _LABEL.sub(r"\1", name), skeleton, info.transform)
    return found


def _add(found: Gathered, name: str, body: bytes, transform: Any) -> None:
    number = len(found.names)
    found.names.append(name)
    vertices, edges = _COUNTS.unpack_from(body)
    xyz = np.frombuffer(body, "<f4", 3 * vertices, _COUNTS.size).reshape(-1, 3)
    pairs = np.frombuffer(body, "<u4", 2 * edges, _COUNTS.size + xyz.nbytes).reshape(-1, 2)
    places = (xyz.astype(float) @ transform[:, :3].T + transform[:, 3])[:, ::-1]
    for node, zyx in enumerate(places.tolist()):
        found.node(number, node, zyx, 0)
    for a, b in pairs.tolist():
        found.link(number, a, b, 0)
