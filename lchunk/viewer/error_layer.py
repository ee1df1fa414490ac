"""The places where a segmentation is wrong, as annotations of Neuroglancer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from lchunk.volumes.documents import read_document, read_json
from lchunk.volumes.store import Store

STAGE, FILE = "ErrorPlaces", "places.json"
METRES = 1e-9
MOST = 200
"""Places that are shown of a layer: the page's address holds them all."""
COLOURS = {"merge": "#ff4040", "split": "#40c0ff"}
SHADER = "void main() { setColor(prop_color()); }"


def error_layers(store: Store | None) -> Iterator[dict[str, Any]]:
    """A layer of annotations for each layer of the stage ErrorPlaces.

    Args:
        store: the dataset's folder; None without a dataset.
    """
    if store is None:
        return
    for name in sorted(store.folders()):
        with contextlib.suppress(ValueError, FileNotFoundError):  # another program's, not made yet, or damaged
            if (read_json(store, f"{name}/layer.json") or {}).get("recipe", {}).get("stage") == STAGE:
                yield error_layer(name, read_document(store, f"{name}/{FILE}"))


def error_layer(name: str, content: dict[str, Any]) -> dict[str, Any]:
    """A layer of annotations, merges and splits in two colours: points, or a line between two sides that do not touch.

    Args:
        name: of the layer.
        content: what the stage ErrorPlaces has written.
    """
    sizes = dict(zip("zyx", content["voxel_size"], strict=True))
    dimensions = {axis: [sizes[axis] * METRES, "m"] for axis in "xyz"}
    places = enumerate(content["places"][:MOST], 1)
    return {
        "name": name,
        "type": "annotation",
        "source": {"url": "local://annotations", "transform": {"outputDimensions": dimensions}},
        "annotations": [_annotation(rank, place) for rank, place in places],
        "annotationProperties": [{"id": "color", "type": "rgb", "default": COLOURS["merge"]}],
        "shader": SHADER,
        "tab": "annotations",
        "visible": True,
    }


def _annotation(rank: int, place: dict[str, Any]) -> dict[str, Any]:
    one, *others = ([float(voxel) + 0.5 for voxel in reversed(at)] for at in place["at"])
    where = {"type": "line", "pointA": one, "pointB": others[0]} if others else {"type": "point", "point": one}
    return {"id": str(rank), "description": described(rank, place), "props": [COLOURS[place["kind"]]], **where}


def described(rank: int, place: dict[str, Any]) -> str:
    """The numbers of a place, in one line.

    Args:
        rank: 1 for the place that costs most.
        place: as the stage ErrorPlaces writes it.
    """
    one, other = place["sides"]
    parts = f"{one['body_voxels']:,} + {other['body_voxels']:,} voxels"
    if place["kind"] == "merge":
        what = f"bodies {one['body']} and {other['body']} in segment {one['segment']}"
    else:
        what = f"body {one['body']} in segments {one['segment']} and {other['segment']}"
    touching = "no contact" if place["affinity"] is None else f"affinity {place['affinity']:.4f}"
    return f"{rank}: {place['kind']}, VOI {place['voi']:.4f}, {touching}: {what}, {parts}"
