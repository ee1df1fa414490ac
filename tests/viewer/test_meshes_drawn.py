"""Meshes in Neuroglancer, by pixels: each lies where its segment lies, in all planes, and comes as fine as is seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from scipy.ndimage import distance_transform_edt, gaussian_filter, label

from lchunk.tasks import MeshManifest, MultiResMesh
from lchunk.viewer.chromium import chromium, installed
from lchunk.viewer.elsewhere import Elsewhere
from lchunk.viewer.screenshot import served
from lchunk.viewer.server import application
from tests.conftest import build, write_hdf5
from tests.tasks import multires_reader
from tests.viewer.silhouettes import (
    AXES,
    COLOURS,
    DARK,
    TURNS,
    colours_of,
    in_panel,
    nearest,
    page_of,
    panels,
    section,
    state_at,
    without_letters,
)

pytestmark = pytest.mark.skipif(installed() is None, reason="Chromium must be installed: apt-get install chromium")

SIZE = (4.1, 3.3, 3.7)
START = (-10, 200, 300)
SHAPE = (42, 50, 46)
SCALE = 0.26
"""Units (3.3 nm) per pixel: four to five pixels are in a voxel, and none is exactly on a face of a voxel."""
NEAR = {"sections": 1.0, "meshes": 2.5, "levels": 3.0}
"""Most pixels between a pixel and one that must have its colour. A mesh cuts the corners of voxels, which have four to
five pixels; a coarse level is as far away as it resolves."""
HEIGHT = 300
"""Pixels of a panel's height, about: `projectionScale` is the length that it shows."""
SHIFT = 0.75
"""Most pixels between the middle of what is drawn and of what must be; half a voxel would be two pixels."""
RESOLVED = 2.0
"""What level 0 of the meshes resolves, in nanometres; each next level resolves twice as many."""
PIXELS = (10.0, 2.8, 1.2)
"""Nanometres: from far, and then from nearer."""


def inside() -> npt.NDArray[np.bool_]:
    """Voxels (z, y, x) of a dozen bodies, which touch no other."""
    noise = gaussian_filter(np.random.default_rng(3).random(SHAPE), 3.5)
    return noise > np.quantile(noise, 0.86)


def make_meshes(folder: Path, configure: Callable[..., None], side: int, resolved: float) -> Path:
    """Make the meshes of a segmentation, from chunks of a side. Returns the dataset's folder."""
    url = write_hdf5(folder / "a.h5", "raw", np.ones(SHAPE, np.uint8), SIZE, START)
    configure("Dataset", root=folder / "out", image=url, chunk_shape=f"{side},{side},{side}", inner_chunk="4,4,4")
    configure("Mesh", max_error=resolved)
    configure("MultiResMesh", max_error=resolved, shard_bits=0)
    assert build(MeshManifest(), MultiResMesh())
    return folder / "out"


def from_afar(state: Any, own: dict[str, Any], pixel: float) -> dict[str, Any]:
    """A state that shows the meshes of a layer along z, in pixels of so many nanometres."""
    return state | {
        "layers": [own], "layout": {"type": "3d", "orthographicProjection": True}, "projectionOrientation": TURNS["xy"],
        "projectionScale": HEIGHT * pixel / min(SIZE), "showAxisLines": False, "showScaleBar": False,
        "showDefaultAnnotations": False,
    }  # fmt: skip


def compare(found: npt.NDArray[np.uint8], expected: npt.NDArray[np.uint8], most: float) -> None:
    """Expect that no pixel is farther than so many pixels from one of its colour, and that nothing is shifted."""
    for number in range(1, len(COLOURS) + 1):
        for one, other in ((found == number, expected == number), (expected == number, found == number)):
            if one.any():
                assert distance_transform_edt(~other)[one].max() <= most, number
    shift = np.argwhere(found).mean(axis=0) - np.argwhere(expected).mean(axis=0)
    assert np.abs(shift).max() <= SHIFT


def test_meshes_and_sections_lie_where_their_segments_lie_in_three_planes(
    tmp_path: Path, configure: Callable[..., None]
) -> None:
    joined = [inside() & np.roll(inside(), 1, axis) for axis in (2, 1, 0)]
    affinities = np.stack(joined).astype(np.float32) * np.float32(0.95)
    configure("Inference", external=write_hdf5(tmp_path / "b.h5", "affinities", affinities, SIZE, START))
    root = make_meshes(tmp_path, configure, 16, 1.0)
    voxels = zarr.open_array(root / "segmentation/0", mode="r")[:]
    names, counts = np.unique(voxels[voxels > 0], return_counts=True)
    labels = names[np.argsort(-counts)][: len(COLOURS)].tolist()
    numbers = sum((voxels == label) * np.uint8(number) for number, label in enumerate(labels, 1))

    async def look() -> tuple[list[Any], list[Any]]:
        async with served(application(str(root))) as url, chromium(960, 1033) as page:
            state = await state_at(url)
            (own,) = (layer for layer in state["layers"] if layer["name"] == "segmentation")
            levels = own["source"][1]["url"]
            meshes = {"projectionScale": HEIGHT * SCALE}
            rows = [
                ([own["source"][0]], {"crossSectionScale": SCALE}),
                (levels, meshes),
                (levels.removesuffix("_multires"), meshes),
            ]
            colours = dict(zip(labels, COLOURS, strict=True))
            return await panels(page, url, page_of(state, colours, rows)), page.requests

    drawn, requests = asyncio.run(look())
    assert any("/mesh_multires/" in url for url in requests)
    assert any("/mesh/" in url for url in requests)
    for place, pixels in enumerate(drawn):
        row, plane = place // 3, list(TURNS)[place % 3]
        sides = [SIZE[axis] for axis in AXES[plane]]
        pixel = min(SIZE) * (HEIGHT * SCALE / len(pixels) if row else SCALE)
        expected = in_panel((nearest if row else section)(numbers, plane), sides, pixels.shape[:2], pixel)
        found = colours_of(pixels)
        compare(found, expected, NEAR["meshes" if row else "sections"])


def test_a_level_is_loaded_once_its_error_takes_up_two_pixels_and_no_level_has_a_gap(
    tmp_path: Path, configure: Callable[..., None]
) -> None:
    labels = label(inside())[0].astype(np.uint64)
    url = write_hdf5(tmp_path / "b.h5", "labels", labels, SIZE, START)
    configure("Segmentation", external=url)
    root = make_meshes(tmp_path, configure, 12, RESOLVED)
    meshes = multires_reader.read(root / "segmentation/mesh_multires")
    read: list[str] = []

    async def look() -> tuple[list[str], list[tuple[npt.NDArray[np.uint8], list[str]]]]:
        app = application(str(root), elsewhere=[Elsewhere("segmentation", url, "Segmentation", labels=True)])
        app.settings["log_function"] = lambda handler: read.append(handler.request.headers.get("Range", ""))
        async with served(app) as base, chromium(400, 350) as page:
            state = await state_at(base)
            (own,) = (layer for layer in state["layers"] if layer["name"] == "segmentation")
            seen = []
            for pixel in PIXELS:
                read.clear()
                await page.open("about:blank")
                (pixels,) = await panels(page, base, from_afar(state, own, pixel))
                seen.append((pixels, list(read)))
            return own["segments"], seen

    segments, seen = asyncio.run(look())
    info = json.loads((root / "segmentation/mesh_multires/info").read_text())
    index = 16 << info["sharding"]["minishard_bits"]
    assert {len(meshes[int(name)].fragments) for name in segments} == {1, 2, 3}
    for pixel, (pixels, ranges) in zip(PIXELS, seen, strict=True):
        starts = {int(text.removeprefix("bytes=").partition("-")[0]) - index for text in ranges if text}
        level = sum(RESOLVED * 2**n <= 2 * pixel for n in (1, 2))
        for name in segments:
            levels = meshes[int(name)].fragments
            loaded = {fragment.level for fragments in levels for fragment in fragments if fragment.first_byte in starts}
            assert loaded == set(range(min(level, len(levels) - 1), len(levels))), (pixel, name)
        seen_at = without_letters(pixels.max(axis=2)) > DARK
        sides, size = [SIZE[axis] for axis in AXES["xy"]], pixel * HEIGHT / len(pixels)
        expected = in_panel((labels > 0).any(axis=0), sides, pixels.shape[:2], size)
        for one, other in ((seen_at, expected), (expected, seen_at)):
            assert distance_transform_edt(~other)[one].max() <= NEAR["levels"], pixel
