"""What a dataset's folder holds, from the files alone."""

from __future__ import annotations

from collections.abc import Iterator

from lchunk.scored import SEGMENTS, scored_layers, short
from lchunk.scored import totals as _totals
from lchunk.volumes.chunk_files import missing
from lchunk.volumes.documents import read_document
from lchunk.volumes.layer import Layer, layer_names, mips_in, open_layer
from lchunk.volumes.store import Store


def status_lines(store: Store) -> Iterator[str]:
    """One line per layer and mip, then meshes, then scores.

    Raises:
        FileNotFoundError: there is no layer.
    """
    layers = layer_names(store)
    for name in layers:
        yield from _layer_lines(store, name)
    for name in layers:
        yield from _mesh_lines(store, name)
    for scored in scored_layers(store, SEGMENTS):
        yield scored.subject
        yield from _totals(scored.content)


def _layer_lines(store: Store, name: str) -> Iterator[str]:
    for mip in mips_in(store, name):
        layer = open_layer(store, name, mip)
        done = len(layer.grid) - sum(1 for _ in missing(layer, layer.bounds))
        shape = "x".join(map(str, (*_channels(layer), *layer.bounds.shape)))
        size = "x".join(map(short, layer.voxel_size))
        yield f"{name:14} mip {mip}  {shape:>16} {layer.dtype!s:7} {size} nm  {done}/{len(layer.grid)} chunks"


def _channels(layer: Layer) -> tuple[int, ...]:
    return (layer.channels,) if layer.channels else ()


def _mesh_lines(store: Store, name: str) -> Iterator[str]:
    labels: set[int] = set()
    for key in store.list(f"{name}/mesh/manifest"):
        file = key.rsplit("/", 1)[-1]
        if file.endswith(".json") and file != "layer.json" and not file.startswith("."):
            labels.update(read_document(store, key)["labels"])
    if labels:
        yield f"{name + '/mesh':14} meshes of {len(labels)} segments"
