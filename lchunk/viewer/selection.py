"""The segments that a viewer selects at first, so that their meshes are drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.chunk_files import Records
from lchunk.volumes.documents import read_json
from lchunk.volumes.info_folder import recipe_in
from lchunk.volumes.meshes import MeshFolder
from lchunk.volumes.store import Store

MOST = 200
LOOKED_AT = 10_000
"""Fragments whose size is read; all fragments of the last chunk are read."""
AROUND = 2
"""Chunks around the middle one, on every side."""


def segments_with_meshes(store: Store, path: str) -> list[int]:
    """The segments of the largest meshes around the middle of the volume, at most `MOST`.

    Args:
        store: the dataset's folder.
        path: the mesh folder in it. Only segments with a manifest count, because a viewer does not find others.
    """
    folder = _open(store, path)
    if folder is None:
        return []
    sizes: Counter[int] = Counter()
    seen = 0
    for index in _from_the_middle(folder.grid):
        if seen >= LOOKED_AT:
            break
        for label, size in _fragments(folder, index):
            sizes[label] += size
            seen += 1
    found = (label for label, _ in sizes.most_common() if store.exists(f"{path}/{label}:0"))
    return [label for label, _ in zip(found, range(MOST), strict=False)]


def _open(store: Store, path: str) -> MeshFolder | None:
    info = read_json(store, f"{path}/info") or {}
    recipe = recipe_in(info)
    if "bounds" not in recipe or "chunk_size" not in info:
        return None
    grid = Grid(Bbox.parse(recipe["bounds"]), triple(info["chunk_size"][::-1]))
    return MeshFolder(store, path, grid, (1, 1, 1), info.get("mip", 0))


def _from_the_middle(grid: Grid) -> list[Triple]:
    """Chunks near the middle one, the nearest first."""
    middle = [count // 2 for count in grid.counts]
    sides = [range(max(0, m - AROUND), min(c, m + AROUND + 1)) for m, c in zip(middle, grid.counts, strict=True)]
    near = map(triple, product(*sides))
    return sorted(near, key=lambda index: sum((a - m) ** 2 for a, m in zip(index, middle, strict=True)))


def _fragments(folder: MeshFolder, index: Triple) -> Iterator[tuple[int, int]]:
    """Label and bytes of each fragment of a chunk; nothing where the chunk is not meshed yet."""
    chunk = folder.grid.chunk(index)
    records: Records = folder
    try:
        for label in next(iter(records.records(chunk)))["labels"]:
            yield label, folder.store.size(folder.fragment_key(label, chunk))
    except (FileNotFoundError, ValueError):
        return
