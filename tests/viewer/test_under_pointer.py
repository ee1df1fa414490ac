"""What Neuroglancer says of the voxel under the pointer: the label and the intensity that the layers have there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.viewer.chromium import chromium, installed
from lchunk.viewer.screenshot import served
from lchunk.viewer.server import application
from lchunk.viewer.state import viewer_state
from lchunk.volumes.layer import Layer
from lchunk.volumes.store import FileStore

pytestmark = pytest.mark.skipif(installed() is None, reason="Chromium must be installed: apt-get install chromium")

SIZE = (4.1, 3.3, 3.7)
BOUNDS = Bbox.of((-10, 200, 300), (16, 24, 20))
VOXEL = (-3, 209, 316)
PANELS = {0: (0, 0, 3), 1: (2, 0, 0), 3: (0, -4, 0)}
"""Voxels (z, y, x) between the cross and the pointer in the sections xy, xz and yz. Panel 2 has meshes."""
POINT = """(number, right, down) => {
  const panel = document.querySelectorAll(".neuroglancer-rendered-data-panel")[number];
  const box = panel.getBoundingClientRect();
  const x = box.x + panel.clientLeft + panel.clientWidth / 2 + right;
  const y = box.y + panel.clientTop + panel.clientHeight / 2 + down;
  const at = {clientX: x, clientY: y, bubbles: true, view: window};
  for (const kind of ["mouseenter", "mouseover", "mousemove"]) panel.dispatchEvent(new MouseEvent(kind, at));
}"""
"""Moves the pointer in a panel, so many pixels away from the cross."""
VALUES = "[...document.querySelectorAll('.neuroglancer-layer-item-value')].map((each) => each.textContent)"


def write(folder: Path) -> npt.NDArray[np.uint64]:
    """An image, and a segmentation in which each voxel has a label of its own, above 2^53. Returns the labels."""
    labels = np.arange(1, BOUNDS.size + 1, dtype=np.uint64).reshape(BOUNDS.shape) + np.uint64(2**60)
    side = (8, 8, 8)
    for name, voxels in (("image", (labels % np.uint64(251)).astype(np.uint8)), ("segmentation", labels)):
        layer = Layer(FileStore(folder), name, BOUNDS, SIZE, voxels.dtype, side, side, 0, voxels is labels)
        layer.create({"stage": {"image": "Ingest", "segmentation": "Segmentation"}[name]})
        for chunk in map(layer.grid.chunk, layer.grid):
            layer.write(chunk, voxels[chunk.slices(BOUNDS.start)])
    return labels


def test_the_voxel_under_the_pointer_is_the_one_of_the_place_in_every_section(tmp_path: Path) -> None:
    labels = write(tmp_path)
    place = tuple((index + 0.5) * size for index, size in zip(VOXEL, SIZE, strict=True))
    pixel = min(SIZE) * viewer_state(FileStore(tmp_path), "", place=place)["crossSectionScale"]

    async def look() -> list[list[str]]:
        async with served(application(str(tmp_path))) as url, chromium(700, 600) as page:
            await page.open(f"{url}?place={','.join(map(str, place))}")
            await page.drawn()
            seen = []
            for panel, (z, y, x) in PANELS.items():
                down = z * SIZE[0] + y * SIZE[1]
                await page.value(f"({POINT})({panel}, {x * SIZE[2] / pixel}, {down / pixel})")
                await asyncio.sleep(1)
                seen.append(await page.value(VALUES))
            return seen

    for away, values in zip(PANELS.values(), asyncio.run(look()), strict=True):
        label = int(labels[tuple(np.add(VOXEL, away) - BOUNDS.start)])
        assert values == [str(label % 251), str(label)]
