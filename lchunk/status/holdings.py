"""What a dataset's folder holds besides chunks: segments with meshes and with skeletons, and scores."""

from __future__ import annotations

from collections.abc import Iterator

from lchunk.parts import Part
from lchunk.scored import SEGMENTS, scored_layers
from lchunk.scored import totals as _totals
from lchunk.status.facts import Facts
from lchunk.volumes.documents import read_document
from lchunk.volumes.multires_meshes import SUFFIX, open_multires
from lchunk.volumes.packed_shards import labels_in
from lchunk.volumes.parallel import parallel
from lchunk.volumes.store import Store


def holding_lines(store: Store, facts: Facts) -> Iterator[str]:
    """A line per layer with meshes or skeletons, then the scores."""
    for layer in facts.layers:
        yield from _mesh_lines(store, layer.layer.part.path)
        yield from _skeleton_lines(store, layer.layer.part)
    for scored in scored_layers(store, SEGMENTS):
        yield scored.subject
        yield from _totals(scored.content)


def _mesh_lines(store: Store, path: str) -> Iterator[str]:
    if path.endswith(SUFFIX):
        levels = open_multires(store, path)
        if levels is not None and (count := levels.labels()):
            yield f"{path} meshes of {count:,} segments, with levels of detail"
    if not path.endswith("/mesh/manifest"):
        return
    labels: set[int] = set()
    for key in store.list(path):
        file = key.rsplit("/", 1)[-1]
        if file.endswith(".json") and file != "layer.json" and not file.startswith("."):
            labels.update(read_document(store, key)["labels"])
    if labels:
        yield f"{path.removesuffix('/manifest')} meshes of {len(labels):,} segments"


def _skeleton_lines(store: Store, part: Part) -> Iterator[str]:
    if part.recipe.get("stage") != "SkeletonMerge":
        return
    shards = [key for key in store.list(part.path) if key.endswith(".shard")]
    count = sum(parallel(lambda key: len(labels_in(store, key)), shards, store.connections))
    if count:
        yield f"{part.path} skeletons of {count:,} segments"
