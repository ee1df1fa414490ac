"""The segments that a viewer selects at first, so that their meshes are drawn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, combinations, islice, product

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.documents import read_document, read_json
from lchunk.volumes.info_folder import recipe_in
from lchunk.volumes.meshes import CHOSEN, MANIFESTS, MeshFolder
from lchunk.volumes.multires_meshes import SUFFIX
from lchunk.volumes.parallel import parallel
from lchunk.volumes.store import Store

MOST = 200
LOOKED_AT = 10_000
"""Fragments that are compared; all fragments of the last chunk are. A chunk is one request."""
ASKED = 5 * MOST
"""Segments of which a manifest is looked for, each by one request."""
LISTS = 20
"""Lists of segments that were asked for which are read."""
AROUND = 2
"""Chunks around the middle one, on every side."""


def segments_with_meshes(store: Store, path: str) -> list[int]:
    """The segments of the largest meshes around the middle of the volume, then those asked for; at most `MOST`.

    Args:
        store: the dataset's folder.
        path: the mesh folder in it. Without levels of detail, only segments with a manifest count, because a viewer
            does not find others.
    """
    folder = _open(store, path.removesuffix(SUFFIX))
    if folder is None:
        return []
    sizes: Counter[int] = Counter()
    seen = 0
    for areas in parallel(lambda index: _areas(folder, index), _from_the_middle(folder.grid), store.connections):
        sizes.update(areas)
        seen += len(areas)
        if seen >= LOOKED_AT:
            break
    largest = [label for label, _ in sizes.most_common(ASKED)]
    if path.endswith(SUFFIX):
        return largest[:MOST]
    there = parallel(lambda label: store.exists(f"{path}/{label}:0"), largest, store.connections)
    found = [label for label, exists in zip(largest, there, strict=True) if exists]
    return found[:MOST] if len(found) >= MOST else list(islice(dict.fromkeys(chain(found, _chosen(store, path))), MOST))


def _chosen(store: Store, path: str) -> Iterator[int]:
    """The segments whose meshes were asked for by their labels: no chunk may have their fragments."""
    keys = sorted(key for key in store.list(f"{path}/{MANIFESTS}") if key.rpartition("/")[2].startswith(CHOSEN))
    for key in keys[:LISTS]:
        with suppress(FileNotFoundError, ValueError):  # `lchunk verify` tells
            yield from read_document(store, key)["labels"]


def _open(store: Store, path: str) -> MeshFolder | None:
    info = read_json(store, f"{path}/info") or {}
    recipe = recipe_in(info)
    if "bounds" not in recipe or "chunk_size" not in info or "spatial_index" not in info:
        return None
    grid = Grid(Bbox.parse(recipe["bounds"]), triple(info["chunk_size"][::-1]))
    x, y, z = info["spatial_index"]["resolution"]
    return MeshFolder(store, path, grid, (z, y, x), info.get("mip", 0))


def _from_the_middle(grid: Grid) -> list[Triple]:
    """Chunks near the middle one, the nearest first."""
    middle = [count // 2 for count in grid.counts]
    sides = [range(max(0, m - AROUND), min(c, m + AROUND + 1)) for m, c in zip(middle, grid.counts, strict=True)]
    near = map(triple, product(*sides))
    return sorted(near, key=lambda index: sum((a - m) ** 2 for a, m in zip(index, middle, strict=True)))


def _areas(folder: MeshFolder, index: Triple) -> Counter[int]:
    """The surface of the box of each fragment of a chunk, nm²; empty where the chunk is not meshed yet."""
    try:
        boxes = folder.boxes(index)
    except (FileNotFoundError, ValueError):
        return Counter()
    sides = {
        label: [stop - start for start, stop in zip(box[:3], box[3:], strict=True)] for label, box in boxes.items()
    }
    return Counter(
        {
            label: math.ceil(2 * sum(one * other for one, other in combinations(lengths, 2)))
            for label, lengths in sides.items()
        }
    )
