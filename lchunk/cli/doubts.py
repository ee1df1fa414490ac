"""The merges in doubt of a segmentation, from the tree of merges that it was cut from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lchunk.geometry.bbox import Bbox, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.agglomeration import Merges
from lchunk.operators.doubts import near_threshold, sides
from lchunk.operators.graph import Labels, Numbers
from lchunk.recipe import FILES
from lchunk.scored import recipe_of
from lchunk.tasks.followed import first_voxel
from lchunk.volumes.chunk_files import Recipe
from lchunk.volumes.layer import Layer
from lchunk.volumes.records import RecordLayer
from lchunk.volumes.store import Store
from lchunk.volumes.tables import TABLE

MARGIN = 0.05
"""How far the score of a merge in doubt is from the threshold, at most."""


def doubts_of(layer: Layer, most: int) -> list[dict[str, Any]]:
    """The merges in doubt whose smaller side is largest.

    This reads the tree twice, and the sizes of all fragments once. Memory holds one table, and about 100 bytes per
    merge whose score is within `MARGIN` of the threshold.

    Args:
        layer: a layer that the stage Segmentation made.
        most: number of merges to list.

    Returns:
        For each merge: its `score`, 1 - mean affinity; whether the two sides are `joined`, because the score is below
        the threshold; and for the `smaller` and the `larger` side the number of `voxels` just before the merge, and
        the `first_voxel`, zyx, by which it is found. What `min_voxels` absorbed
        later is not considered.

    Raises:
        ValueError: another stage made the layer.
        FileNotFoundError: the tree, or a part of it, was removed.
    """
    recipe = layer.recipe() or {}
    if recipe.get("stage") != "Segmentation":
        raise ValueError(
            f"--doubts must be asked of a layer that Segmentation made, got {layer.name}; leave --doubts out"
        )
    threshold = float(recipe["knobs"]["threshold"])
    levels, fragments = _tree(layer.store, recipe)
    merges = near_threshold(_merges(levels), threshold, MARGIN)

    def known() -> Iterator[tuple[Labels, Numbers]]:
        for table in fragments.records(fragments.grid.bounds):
            yield table["nodes"], table["sizes"]
        for part in _merges(levels):
            yield part.into, part.size

    merged, into = sides(merges, known())
    smaller = np.minimum(merged, into)
    bounds = fragments.grid.bounds

    def side(labels: Labels, voxels: Numbers, row: int) -> dict[str, Any]:
        return {"voxels": int(voxels[row]), "first_voxel": list(first_voxel(bounds, int(labels[row])).start)}

    def row_of(row: int) -> dict[str, Any]:
        both = side(merges.merged, merged, row), side(merges.into, into, row)
        small, large = both if merged[row] <= into[row] else both[::-1]
        mean = float(merges.mean[row])
        return {"score": 1 - mean, "joined": mean > 1 - threshold, "smaller": small, "larger": large}

    return [row_of(row) for row in np.argsort(-smaller, kind="stable")[:most]]


def _merges(levels: list[RecordLayer]) -> Iterator[Merges]:
    for level in levels:
        yield from map(Merges.of_table, level.records(level.grid.bounds))


def _tree(store: Store, recipe: Recipe) -> tuple[list[RecordLayer], RecordLayer]:
    """The levels of the tree that a segmentation was cut from, the lowest first, and the table of its fragments."""
    top = _upstream(store, recipe, "Agglomeration")
    folder = top.rpartition("/")[0]
    recipes = [recipe_of(store, f"{folder}/0")]
    while found := recipe_of(store, f"{folder}/{len(recipes)}"):
        recipes.append(found)
    graph = _upstream(store, recipes[0], "RegionGraph")
    levels = [_table(store, f"{folder}/{number}", each) for number, each in enumerate(recipes)]
    return levels, _table(store, graph, recipe_of(store, graph))


def _upstream(store: Store, recipe: Recipe, stage: str) -> str:
    """The nearest layer upstream that a stage made."""
    waiting, seen = list[str](recipe.get("reads", {})), set[str]()
    while waiting:
        name = waiting.pop(0)
        found = recipe_of(store, name)
        if found.get("stage") == stage:
            return name
        seen.add(name)
        waiting += [each for each in found.get("reads", {}) if each not in seen]
    raise FileNotFoundError(
        f"merges in doubt must be read from the layer of {stage} in {store.url}, which does not exist; "
        f"`lchunk run {stage}` makes it, or leave --doubts out"
    )


def _table(store: Store, path: str, recipe: Recipe) -> RecordLayer:
    return RecordLayer(store, path, Grid(Bbox.parse(recipe["bounds"]), triple(recipe[FILES]["chunk_shape"])), TABLE)
