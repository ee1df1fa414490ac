"""Skeletons as a folder of SWC files, one per label, in nanometres."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from lchunk.exports.outputs import whole_or_nothing
from lchunk.volumes.documents import read_json
from lchunk.volumes.packed_shards import packed_sharding
from lchunk.volumes.parallel import parallel
from lchunk.volumes.skeleton_folders import SKELETONS, SkeletonFolder, decode_skeleton
from lchunk.volumes.store import Store

LAYER, STAGE = "segmentation/skeletons", "SkeletonMerge"
"""The usual name of the layer, and the stage that writes it."""
HEADER = "# number type x y z radius parent, nanometres; written by lchunk\n"


def holds_skeletons(store: Store, layer: str) -> bool:
    """Whether a layer holds whole skeletons, or would hold them, by its usual name."""
    info = read_json(store, f"{layer}/info")
    return layer == LAYER if info is None else info.get("@type") == SKELETONS


def read_skeletons(store: Store, layer: str) -> Iterator[tuple[int, bytes]]:
    """The labels of a layer, and the bytes of their skeletons; a few shards are in memory at a time.

    Raises:
        FileNotFoundError: the layer is absent or not complete.
        ValueError: a shard is damaged.
    """
    info = read_json(store, f"{layer}/info")
    if info is None:
        raise FileNotFoundError(f"{store.url} must have a layer {layer}, got none; lchunk run {STAGE} makes it")
    folder = SkeletonFolder(store, layer, packed_sharding(info["sharding"]["shard_bits"]))
    keys = [folder.keys(index)[0] for index in folder.grid]
    there = parallel(store.exists, keys, store.connections, "shards")
    absent = [key for key, exists in zip(keys, there, strict=True) if not exists]
    if absent:
        raise FileNotFoundError(
            f"{layer} must have all {len(keys)} shards, but {len(absent)} are missing, the first {absent[0]}; "
            f"lchunk run {STAGE} makes what is missing"
        )
    yield from chain.from_iterable(parallel(folder.skeletons, folder.grid, store.connections, "shards"))


def write_swc(store: Store, layer: str, folder: Path, *, overwrite: bool) -> int:
    """Write the skeleton of each label as `<label>.swc`. The folder appears when it is complete.

    Returns:
        The number of files.

    Raises:
        FileExistsError: the folder exists, and `overwrite` is off.
        FileNotFoundError, ValueError: see `read_skeletons`.
    """
    count = 0
    with whole_or_nothing(folder, replace=overwrite) as partial:
        partial.mkdir()
        for label, body in read_skeletons(store, layer):
            (partial / f"{label}.swc").write_text(swc(body))
            count += 1
    return count


def swc(body: bytes) -> str:
    """The SWC text of a skeleton. Each tree begins at its first vertex; a vertex follows the one that it is joined to.

    Args:
        body: the skeleton as Neuroglancer reads it, without loops.
    """
    places, edges, radius = decode_skeleton(body)
    both = np.concatenate([edges, edges[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    begins = np.searchsorted(both[:, 0], np.arange(len(places) + 1)).tolist()
    beside = both[:, 1].tolist()
    rows = [
        f" 0 {x:.9g} {y:.9g} {z:.9g} {r:.9g} " for (z, y, x), r in zip(places.tolist(), radius.tolist(), strict=True)
    ]
    number = [0] * len(places)
    lines = [HEADER]
    for first in range(len(places)):
        waiting = [] if number[first] else [(first, -1)]
        while waiting:
            place, parent = waiting.pop()
            number[place] = len(lines)
            lines.append(f"{len(lines)}{rows[place]}{parent}\n")
            around = beside[begins[place] : begins[place + 1]]
            waiting += [(other, number[place]) for other in around if not number[other]]
    return "".join(lines)
