"""In Chromium: the map of an unfinished layer's chunks, and the list of segments with what is known of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lchunk.cli.mapped import COLOURS, maps_of
from lchunk.status.chunks import DONE, FAILED
from lchunk.tasks import SegmentProperties
from lchunk.viewer.chromium import chromium, installed
from lchunk.viewer.elsewhere import Elsewhere
from lchunk.viewer.screenshot import served
from lchunk.viewer.server import application
from tests.cli.test_mapped import expected, layer_with_failures
from tests.conftest import build, write_hdf5
from tests.viewer.silhouettes import in_panel, panels, state_at, without_letters

pytestmark = pytest.mark.skipif(installed() is None, reason="Chromium must be installed: apt-get install chromium")

CHUNK = (160.0, 16.0)
"""Nanometres along z and x."""
PIXEL = 1.3
ROWS = """[...document.querySelectorAll(".neuroglancer-segment-list-entry")]
  .map((each) => each.innerText.split("\\n").map((text) => text.trim()).filter(Boolean))"""


def test_a_map_shows_which_chunks_of_a_layer_are_done_failed_and_missing(tmp_path: Path) -> None:
    """In the section xz through the second row of chunks along y."""
    store = layer_with_failures(tmp_path)

    async def look() -> npt.NDArray[np.uint8]:
        async with served(application(str(tmp_path), maps=maps_of(store))) as url, chromium(500, 500) as page:
            state = await state_at(url)
            x, _, z = state["position"]
            (own,) = (layer for layer in state["layers"] if layer["name"].startswith("chunks of"))
            plain = {"showAxisLines": False, "showScaleBar": False, "showDefaultAnnotations": False, "layout": "xz"}
            view = {"position": [x, 10, z], "crossSectionScale": PIXEL / 4, "layers": [own | {"notSelectedAlpha": 1}]}
            (pixels,) = await panels(page, url, state | plain | view)
            return pixels

    pixels = asyncio.run(look())
    found = np.zeros(pixels.shape[:2], np.uint8)
    for chunk, colour in COLOURS.items():
        found[(pixels == list(bytes.fromhex(colour[1:]))).all(axis=2)] = chunk
    wanted = in_panel(expected()[:, 1], CHUNK, pixels.shape[:2], PIXEL)
    assert {0, DONE, FAILED} == set(np.unique(wanted))
    assert (without_letters(found) != wanted).sum() < 0.01 * (wanted > 0).sum()


def test_the_list_begins_with_the_largest_segments_and_names_orphans(
    tmp_path: Path, configure: Callable[..., None]
) -> None:
    labels = np.zeros((8, 16, 16), np.uint64)
    labels[2:4, 2:4, 2:4] = 2**60 + 1
    labels[0:7, 6:14, 2:10] = 2**60 + 2
    labels[2:5, 12:15, 12:15] = 3
    url = write_hdf5(tmp_path / "a.h5", "labels", labels, (40, 4, 4), (-10, 200, 300))
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape="8,8,8", inner_chunk="8,8,8")
    configure("Segmentation", external=url)
    assert build(SegmentProperties())
    volume = Elsewhere("segmentation", url, "Segmentation", labels=True)

    async def look() -> list[list[str]]:
        app = application(str(tmp_path / "out"), elsewhere=[volume])
        async with served(app) as base, chromium(900, 500) as page:
            state = await state_at(base)
            (layer,) = state["layers"]
            seen = {
                "selectedLayer": {"layer": "segmentation", "visible": True},
                "layers": [layer | {"tab": "segments"}],
            }
            await panels(page, base, state | seen)
            rows: list[list[str]] = await page.value(ROWS)
            return rows

    head, *rows = asyncio.run(look())
    assert "voxels▼" in head
    assert [set(row) for row in rows[:3]] == [
        {str(2**60 + 2), "448"}, {"3", "27", "#orphan"}, {str(2**60 + 1), "8", "#orphan"}
    ]  # fmt: skip
