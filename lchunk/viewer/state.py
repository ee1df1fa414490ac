"""What Neuroglancer shows first: every layer of a dataset's folder."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from lchunk.volumes.layer import Layer, layer_names, open_layer
from lchunk.volumes.store import Store
from lchunk.volumes.tables import TABLE

METRES = 1e-9
ORDER = ("image", "affinities", "probability", "segmentation", "components")
MIDDLE = (0.5, 0.5, 0.5)
HIDDEN = ("affinities",)
RGB = "void main() { emitRGB(vec3(getDataValue(0), getDataValue(1), getDataValue(2))); }"
GLOW = "void main() { emitRGB(vec3(toNormalized(getDataValue()), 0.0, 0.0)); }"
"""Adds red where it is likely, and nothing where it is not."""


def layers_in(store: Store) -> list[Layer]:
    """The layers of voxels in a store, in the order of the pipeline, others after it by name.

    Raises:
        FileNotFoundError: there is none.
    """
    names = layer_names(store)
    known = [name for name in ORDER if name in names]
    return [open_layer(store, name) for name in [*known, *(name for name in names if name not in known)]]


def viewer_state(store: Store, base: str, at: tuple[float, float, float] = MIDDLE) -> dict[str, Any]:
    """A state for Neuroglancer 2.

    Args:
        store: the dataset's folder.
        base: URL under which the folder's files are served.
        at: what is in the middle of the view: shares of the volume, zyx.
    """
    layers = layers_in(store)
    first = layers[0]
    sizes = dict(zip("zyx", first.voxel_size, strict=True))
    sides = zip(first.bounds.start, first.bounds.shape, at, strict=True)
    middle = [start + size * share for start, size, share in sides]
    return {
        "dimensions": {axis: [sizes[axis] * METRES, "m"] for axis in "xyz"},
        "position": middle[::-1],
        "crossSectionScale": max(first.bounds.shape[1:]) / 500,
        "projectionScale": max(first.bounds.shape) * 2,
        "layout": "4panel",
        "layers": [_layer(store, layer, base) for layer in layers],
        "selectedLayer": {"layer": layers[-1].name, "visible": False},
    }


def _layer(store: Store, layer: Layer, base: str) -> dict[str, Any]:
    source: Any = {"url": f"{base}/{layer.name}/|zarr3:"}
    shown: dict[str, Any] = {"name": layer.name, "visible": layer.name not in HIDDEN}
    if layer.labels:
        sources = [source]
        if store.exists(f"{layer.name}/mesh/info"):
            sources.append({"url": f"precomputed://{base}/{layer.name}/mesh"})
            shown["segments"] = [str(label) for label in _large_segments(store, layer)]
        return shown | {"type": "segmentation", "source": sources}
    if layer.channels:
        metres = {axis: [nm * METRES, "m"] for axis, nm in zip("zyx", layer.voxel_size, strict=True)}
        source["transform"] = {"outputDimensions": {"c^": [1, ""], **metres}}
        shown["shader"] = RGB
    elif layer.name == "probability":
        shown |= {"shader": GLOW, "blend": "additive", "opacity": 1}
    return shown | {"type": "image", "source": source}


def _large_segments(store: Store, layer: Layer, most: int = 12) -> list[int]:
    """Large segments of the middle chunk to begin with, but none that would hide the others."""
    middle = "/".join(str(count // 2) for count in layer.grid.counts)
    key = f"{layer.name}/names/0/c/{middle}{TABLE.suffix}"
    if not store.exists(key):
        return []
    names = TABLE.decode(io.BytesIO(store.get(key)))
    roots, places = np.unique(names["roots"], return_index=True)
    sizes = names["sizes"][places]
    seen = np.flatnonzero(sizes <= layer.bounds.size / 20)
    largest = seen[np.argsort(sizes[seen])[::-1][:most]]
    return [int(label) for label in roots[largest]]
