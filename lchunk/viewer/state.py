"""The state with which Neuroglancer starts (https://neuroglancer-docs.web.app/json/api/index.html)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lchunk.viewer.error_layer import METRES, error_layers
from lchunk.viewer.selection import segments_with_meshes
from lchunk.viewer.shown import Shown, layers_shown
from lchunk.volumes.store import Store

MIDDLE = (0.5, 0.5, 0.5)
PANEL = (470, 960)
"""Height and width, in pixels, of one of four panels on a full-HD screen; the volume fills it."""
COARSEST = 4
"""Most voxels of the coarsest mip per pixel. Without this limit, a large volume without mips would be loaded whole."""
CLOSE = 0.5
"""Units per pixel, at most, where the view begins at a place."""
OBLIQUE = [-0.3, 0.3, 0.1, 0.9]
"""Orientation of the volume in the 3-D panel, a quaternion."""
OPACITY = 0.35
TINT = 0.2
"""Opacity of a map over a segmentation, whose colours must stay recognizable."""
RGB = "void main() {{ emitRGB(vec3({0})); }}"
GRAY = "#uicontrol invlerp normalized\nvoid main() { emitGrayscale(normalized()); }"
GLOW = "void main() { emitRGB(vec3(toNormalized(getDataValue()), 0.0, 0.0)); }"
"""A shader that adds red where the value is high, and nothing where it is 0."""


def viewer_state(
    store: Store | None,
    base: str,
    at: tuple[float, float, float] = MIDDLE,
    others: Sequence[Shown] = (),
    place: tuple[float, float, float] | None = None,
) -> dict[str, Any]:
    """A state for Neuroglancer 2 with the layers that a store holds now, and others.

    Args:
        store: the dataset's folder; None without a dataset.
        base: URL of the server.
        at: the point in the middle of the view, in fractions of the volume, zyx.
        others: volumes outside the dataset's folder.
        place: nanometres zyx, the point to show closely, instead of `at`.

    Raises:
        FileNotFoundError: there is nothing to show.
    """
    return state_of(layers_shown(store, others), store, base, at, place)


def state_of(
    layers: Sequence[Shown],
    store: Store | None,
    base: str,
    at: tuple[float, float, float] = MIDDLE,
    place: tuple[float, float, float] | None = None,
) -> dict[str, Any]:
    """A state for Neuroglancer 2.

    Args:
        layers: the layers to show, the lowest first; at least one.
        store: the dataset's folder; None without a dataset.
        base: URL of the server.
        at: the point in the middle of the view, in fractions of the volume, zyx.
        place: nanometres zyx, the point to show closely, instead of `at`.
    """
    first = layers[0]
    sizes = dict(zip("zyx", first.voxel_size, strict=True))
    sides = zip(first.bounds.start, first.bounds.shape, at, strict=True)
    middle = [start + size * share for start, size, share in sides]
    scale = _section_scale(layers)
    if place is not None:
        middle = [nanometres / size for nanometres, size in zip(place, first.voxel_size, strict=True)]
        scale = min(scale, CLOSE)
    labels = [layer.name for layer in layers if layer.labels and not layer.hidden and not layer.colours]
    looks = [_layer(store, layer, base) for layer in layers]
    errors = list(error_layers(store))
    selected = {"layer": (labels or [first.name])[-1], "visible": False}
    if errors and place is not None:
        selected = {"layer": errors[0]["name"], "visible": True}  # lists the places beside the view
    title = Path(store.url).resolve().name if store else ", ".join(layer.name for layer in layers)
    return {
        "title": f"lchunk: {title}",
        "dimensions": {axis: [sizes[axis] * METRES, "m"] for axis in "xyz"},
        "position": middle[::-1],
        "crossSectionScale": scale,
        "projectionScale": 1.1 * math.hypot(*_extent(first)),
        "projectionOrientation": OBLIQUE,
        # sections would hide the meshes behind them
        "showSlices": not any(look["visible"] and look.get("segments") for look in looks),
        "layout": "4panel",
        "layers": [*looks, *errors],
        "selectedLayer": selected,
    }


def _extent(shown: Shown) -> list[float]:
    """The volume's sides zyx in Neuroglancer's unit for scales: the smallest side of a voxel."""
    unit = min(shown.voxel_size)
    return [side * size / unit for side, size in zip(shown.bounds.shape, shown.voxel_size, strict=True)]


def _section_scale(layers: Sequence[Shown]) -> float:
    """Units per pixel so that a section fills its panel, but needs no more voxels than can be loaded."""
    sides = zip(_extent(layers[0])[1:], PANEL, strict=True)
    visible = [layer.coarsest for layer in layers if not layer.hidden]
    return min(*(side / pixels for side, pixels in sides), COARSEST * min(visible, default=1))


def _layer(store: Store | None, layer: Shown, base: str) -> dict[str, Any]:
    source: dict[str, Any] = {"url": f"{base}/{layer.path}/|zarr3:"}
    shown: dict[str, Any] = {"name": layer.name, "visible": not layer.hidden}
    if layer.labels:
        return shown | {"type": "segmentation"} | _coloured(store, layer, base, source)
    if layer.channels:
        metres = {axis: [nm * METRES, "m"] for axis, nm in zip("zyx", layer.voxel_size, strict=True)}
        source["transform"] = {"outputDimensions": {"c^": [1, ""], **metres}}
        shown["shader"] = _colours(layer.channels)
    elif layer.stage == "Inference":
        shown |= {"shader": GLOW, "blend": "additive", "opacity": 1}
    elif layer.intensities is not None:
        shown |= {"shader": GRAY, "shaderControls": {"normalized": {"range": list(layer.intensities)}}}
    return shown | {"type": "image", "source": source}


def _colours(channels: int) -> str:
    """A shader that shows the first three channels as red, green and blue."""
    values = [f"toNormalized(getDataValue({channel}))" for channel in range(min(channels, 3))]
    return RGB.format(", ".join([*values, "0.0", "0.0"][:3]))


def _coloured(store: Store | None, layer: Shown, base: str, voxels: dict[str, Any]) -> dict[str, Any]:
    """A layer in which the sections show every segment in its colour, and the meshes of selected segments are drawn."""
    look: dict[str, Any] = {"source": [voxels], "selectedAlpha": OPACITY, "notSelectedAlpha": OPACITY}
    if layer.colours:
        look |= {"selectedAlpha": TINT, "notSelectedAlpha": TINT}
        look["segmentColors"] = {str(label): colour for label, colour in layer.colours.items()}
    if store and layer.mesh:
        look["source"].append({"url": f"precomputed://{base}/data/{quote(layer.mesh)}"})
        look["segments"] = [str(label) for label in segments_with_meshes(store, layer.mesh)]
    if store and layer.skeletons:
        look["source"].append({"url": f"precomputed://{base}/data/{quote(layer.skeletons)}"})
    if store and layer.properties:
        look["source"].append({"url": f"precomputed://{base}/data/{quote(layer.properties)}"})
        look["segmentQuery"] = ">voxels"  # the largest first
    return look
