"""Look whether a precomputed export lies where its layer lies, in Neuroglancer:

    python -m tests.viewer.aligned FOLDER

makes a small dataset of the sample's image in FOLDER, exports it, draws each layer from its OME-Zarr and from its
precomputed volume in Chromium, at the same position and scale, and compares the pixels. The pictures stay in FOLDER.
Chromium must be installed: apt-get install chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np
import numpy.typing as npt
from PIL import Image

from lchunk.viewer.chromium import chromium
from tests.cli.commands import REPOSITORY, lchunk
from tests.conftest import write_hdf5
from tests.servers import served
from tests.viewer.pixels import panel

CFG = """
[Dataset]
root = out
image = image.h5:/raw
chunk_shape = 16,64,64
inner_chunk = 8,32,32
[Inference]
framework = identity
input_patch = 16,32,32
output_patch = 16,32,32
overlap = 0,0,0
[Segmentation]
threshold = 0.6
[Downsample]
factor = 1,2,2
mips = 2
[core]
autoload_range = false
"""
SHAPE = (31, 148, 140)
OFFSET = (-3, 12, -8)
"""First voxel, zyx. Shape and offset are whole numbers of the coarsest mip's voxels: Neuroglancer does not show what a
coarse mip of a precomputed volume has beyond the finest one, and its offset has no fractions of a voxel."""
LAYERS = ("image", "affinities", "segmentation")
SCALES = {"fine": ["8_8_40"], "coarse": ["32_32_40"]}
"""Folders of the chunks that a view must have loaded."""
FEWEST = 16
"""A picture with no more colours shows nothing."""


class _Files(SimpleHTTPRequestHandler):
    """Files that pages of other servers may read."""

    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, *arguments: Any) -> None:
        """A test needs no log."""


def write_image(folder: Path) -> None:
    """The image of the dataset: a part of the sample."""
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(REPOSITORY / "sample/fib25.h5") as file:
        image = file["volumes/raw"][tuple(map(slice, SHAPE))]
    (folder / "image.h5").unlink(missing_ok=True)
    write_hdf5(folder / "image.h5", "raw", image, (40, 8, 8), OFFSET)


def make_dataset(folder: Path) -> None:
    """A dataset of real EM with mips and meshes, in the folder `out`, and the precomputed volumes of its layers."""
    write_image(folder)
    (folder / "luigi.cfg").write_text(CFG)
    commands = [["MeshManifest"], *(["Export", "--of", layer, "--mips", "2"] for layer in LAYERS)]
    for command in commands:
        said = lchunk(folder, "run", *command)
        if said.code:
            raise RuntimeError(f"lchunk run {' '.join(command)} failed: {said.err}")


@contextlib.contextmanager
def viewer(folder: Path, *words: str) -> Iterator[str]:
    """`lchunk view` in a folder. Yields its address."""
    command = [sys.executable, "-m", "lchunk.cli", "view", "--port", "0", *words]
    with subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+:\d+", line)
            if found is None:
                raise RuntimeError(f"lchunk view must print its address, got {line!r}")
            yield found[0]
        finally:
            process.terminate()


def views(state: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """States that show one layer alone, without what Neuroglancer draws around it.

    Faces of the volume are parallel to the screen: Neuroglancer rounds the pixels of oblique ones differently.
    """
    (layer,) = (each | {"visible": True} for each in state["layers"] if each["name"] == name)
    plain = state | {
        "layers": [layer], "showAxisLines": False, "showScaleBar": False, "showDefaultAnnotations": False,
        "showSlices": False, "crossSectionScale": 0.25, "layout": "xy",
    }  # fmt: skip
    coarse = plain | {"layers": [layer | {"crossSectionRenderScale": 5}], "crossSectionScale": 0.8}
    meshes = {"meshes": plain | {"layout": "3d"}} if "segments" in layer else {}
    return {"fine": plain, "coarse": coarse, "across": plain | {"layout": "xz"}} | meshes


def exported(state: dict[str, Any], files: str) -> dict[str, Any]:
    """The same state with the precomputed volume of the layer, which also names its meshes."""
    (layer,) = state["layers"]
    return state | {"layers": [layer | {"source": f"precomputed://{files}/out/precomputed/{layer['name']}"}]}


async def draw(base: str, state: dict[str, Any]) -> tuple[npt.NDArray[np.uint8], set[str]]:
    """The pixels of the panel of a state, and the mips whose chunks were loaded."""
    async with chromium(800, 600) as page:
        await page.open(f"{base}/v/lchunk/#!{quote(json.dumps(state))}")
        pixels = await panel(page)
        found = (re.search(r"/(\d)/c/|/([\d_.]+)/-?\d+--?\d+_", url) for url in page.requests)
        return pixels, {match[1] or match[2] for match in found if match}


async def compare(folder: Path, base: str, files: str) -> int:
    """Draw and compare every view of every layer. Returns how many differ, or show nothing."""
    with urllib.request.urlopen(f"{base}/state.json") as answer:
        state = json.load(answer)
    wrong = 0
    for name in LAYERS:
        for view, ours in views(state, name).items():
            drawn = {"zarr": await draw(base, ours), "precomputed": await draw(base, exported(ours, files))}
            for kind, (pixels, _) in drawn.items():
                Image.fromarray(pixels).save(folder / f"{name}-{view}-{kind}.png")
            (one, mips), (other, scales) = drawn.values()
            colours = len(np.unique(one.reshape(-1, 3), axis=0))
            right = np.array_equal(one, other) and colours > FEWEST and set(SCALES.get(view, [])) <= scales
            wrong += not right
            sys.stdout.write(
                f"{name} {view}: {'equal' if right else 'WRONG'}, {one.shape[1]} x {one.shape[0]} pixels of {colours} "
                f"colours; mips {', '.join(sorted(mips))}, scales {', '.join(sorted(scales))}\n"
            )
            sys.stdout.flush()
    return wrong


def folder_of_line(description: str | None) -> Path:
    """The folder that the command line of such a module names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder.resolve()
    return folder


def main() -> int:
    """Parse the command line. Returns 1 if a view differs."""
    folder = folder_of_line(__doc__)
    make_dataset(folder)
    with served(functools.partial(_Files, directory=str(folder))) as files, viewer(folder) as base:
        return int(asyncio.run(compare(folder, base, files)) > 0)


if __name__ == "__main__":
    sys.exit(main())
