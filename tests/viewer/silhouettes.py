"""A page of Neuroglancer with sections and silhouettes of segments, side by side, and what must be in their places."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import tornado.httpclient

from lchunk.viewer.chromium import Page
from tests.viewer.pixels import pixels_of

HALF = 0.5**0.5
TURNS = {"xy": (0, 0, 0, 1), "xz": (HALF, 0, 0, HALF), "yz": (0, HALF, 0, HALF)}
"""Quaternions with which a panel of meshes looks as the section of this name does."""
AXES = {"xy": (1, 2), "xz": (0, 2), "yz": (1, 0)}
"""Axes (of z, y, x) along the columns and the rows of pixels."""
COLOURS = ("#ff0000", "#00ff00", "#0000ff", "#ffff00", "#ff00ff", "#00ffff")
"""Light and shade on a mesh change how bright a colour is, but not which of red, green and blue it has."""
PANELS = """[...document.querySelectorAll(".neuroglancer-rendered-data-panel")].map((panel) => {
  const box = panel.getBoundingClientRect();
  return [box.x + panel.clientLeft, box.y + panel.clientTop, panel.clientWidth, panel.clientHeight];
})"""
DARK = 30
"""A darker pixel is background."""
LETTERS = (75, 30)
"""Rows and columns of pixels, at the left, in which a panel has the names of the axes."""
BUTTONS = (30, 55)
"""Rows and columns of pixels, at the right, in which a panel has buttons."""


def page_of(state: Mapping[str, Any], colours: Mapping[int, str], rows: Iterable[tuple[Any, Mapping[str, Any]]]) -> Any:
    """A state with a row of three panels for each of some layers: xy, xz and yz.

    Args:
        state: the state of `lchunk view`.
        colours: of the labels that are seen.
        rows: of each row, the source of its layer, and other entries of its state. Where `projectionScale` is one of
            them, it shows meshes, otherwise sections.
    """
    layers, children = [], []
    for number, (source, more) in enumerate(rows):
        name = f"row {number}"
        layers.append(
            {
                "type": "segmentation", "name": name, "source": source, "selectedAlpha": 1, "notSelectedAlpha": 0,
                "segments": [str(label) for label in colours],
                "segmentColors": {str(label): colour for label, colour in colours.items()},
            }
        )  # fmt: skip
        meshes = {"type": "3d", "orthographicProjection": True}
        panels = [
            {
                "type": "viewer", "layers": [name], "layout": meshes if "projectionScale" in more else plane,
                "projectionOrientation": {"link": "unlinked", "value": list(turn)},
            } | {key: {"link": "unlinked", "value": value} for key, value in more.items()}
            for plane, turn in TURNS.items()
        ]  # fmt: skip
        children.append({"type": "row", "children": panels})
    plain = {"showAxisLines": False, "showScaleBar": False, "showDefaultAnnotations": False, "showSlices": False}
    return {**state, **plain, "layers": layers, "layout": {"type": "column", "children": children}}


async def state_at(base: str) -> Any:
    """The state with which the viewer at an address begins."""
    answer = await tornado.httpclient.AsyncHTTPClient().fetch(f"{base}state.json")
    return json.loads(answer.body)


async def panels(page: Page, base: str, state: Mapping[str, Any]) -> list[npt.NDArray[np.uint8]]:
    """The pixels of all panels of a state, row by row."""
    await page.open(f"{base}v/lchunk/#!{quote(json.dumps(state))}")
    pixels = pixels_of(await page.drawn())
    boxes = [map(round, box) for box in await page.value(PANELS)]
    return [pixels[y : y + height, x : x + width] for x, y, width, height in boxes]


def colours_of(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The number of the colour that each pixel has, from 1; 0 for black, for gray, and under letters and buttons."""
    brightest = pixels.max(axis=2, keepdims=True)
    has = (pixels > brightest // 2) & (brightest > DARK)
    numbers = np.zeros(pixels.shape[:2], np.uint8)
    for number, colour in enumerate(COLOURS, 1):
        numbers[(has == [int(colour[at : at + 2], 16) > 0 for at in (1, 3, 5)]).all(axis=2)] = number
    return without_letters(numbers)


def without_letters(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Pixels (y, x) of a panel, with 0 where it has letters or buttons."""
    clean = pixels.copy()
    clean[: LETTERS[0], : LETTERS[1]] = 0
    clean[: BUTTONS[0], -BUTTONS[1] :] = 0
    return clean


def nearest(voxels: npt.NDArray[Any], plane: str) -> npt.NDArray[Any]:
    """What a panel of meshes shows: of each ray, the first voxel that is not 0.

    Args:
        voxels: (z, y, x).
        plane: xy looks along z, xz against y, and yz along x with z to the left.
    """
    turned = {"xy": voxels, "xz": voxels.transpose(1, 0, 2)[::-1], "yz": voxels.transpose(2, 1, 0)[:, :, ::-1]}[plane]
    first = (turned != 0).argmax(axis=0)
    seen: npt.NDArray[Any] = np.take_along_axis(turned, first[None], axis=0)[0]
    return seen


def section(voxels: npt.NDArray[Any], plane: str) -> npt.NDArray[Any]:
    """What a section through the middle of voxels (z, y, x) shows."""
    z, y, x = (side // 2 for side in voxels.shape)
    return {"xy": voxels[z], "xz": voxels[:, y], "yz": voxels[:, :, x].T[:, ::-1]}[plane]


def in_panel(
    voxels: npt.NDArray[Any], sides: Sequence[float], shape: Sequence[int], pixel: float
) -> npt.NDArray[np.uint8]:
    """The pixels of a panel with a picture in its middle.

    Args:
        voxels: (row, column).
        sides: of a voxel along the columns and rows, in nanometres.
        shape: pixels (row, column).
        pixel: nanometres.
    """
    places = []
    for count, side, length in zip(voxels.shape, sides, shape, strict=True):
        place = np.floor((np.arange(length) + 0.5 - length / 2) * pixel / side + count / 2).astype(int)
        places.append(place.clip(-1, count) + 1)
    return without_letters(np.pad(voxels, 1)[np.ix_(*places)])
