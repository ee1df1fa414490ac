"""Look whether every mip of a layer opens in Neuroglancer, those of later passes too:

    python -m tests.viewer.mips FOLDER

makes a small dataset of the sample's image in FOLDER, with five mips in three passes, draws each mip in Chromium, and
says whether its chunks were loaded, and something was drawn. The pictures stay in FOLDER.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.cli.commands import lchunk
from tests.viewer.aligned import CFG, FEWEST, draw, folder_of_line, viewer, write_image

LAYERS = ("image", "segmentation")
MIPS = 5
PASSES = f"factor = 1,2,2\npass_mips = 2\nmips = {MIPS}"


def make_dataset(folder: Path) -> None:
    """A dataset of real EM with mips in several passes, in the folder `out`."""
    write_image(folder)
    (folder / "luigi.cfg").write_text(CFG.replace("factor = 1,2,2\nmips = 2", PASSES))
    for layer in LAYERS:
        said = lchunk(folder, "run", "Downsample", "--of", layer)
        if said.code:
            raise RuntimeError(f"lchunk run Downsample failed: {said.err}")


def at_mip(state: dict[str, Any], name: str, mip: int) -> dict[str, Any]:
    """A state that shows one layer alone, a voxel of the mip in a pixel."""
    (own,) = (each for each in state["layers"] if each["name"] == name)
    finest = state["dimensions"]["x"][0] / 8e-9
    layer = own | {"visible": True, "crossSectionRenderScale": 1}
    return state | {
        "layers": [layer], "showAxisLines": False, "showScaleBar": False, "showDefaultAnnotations": False,
        "layout": "xy", "crossSectionScale": 2**mip / finest,
    }  # fmt: skip


async def look(folder: Path, base: str) -> int:
    """Draw every mip of every layer. Returns how many were not loaded, or show nothing."""
    with urllib.request.urlopen(f"{base}/state.json") as answer:
        state = json.load(answer)
    wrong = 0
    for name in LAYERS:
        for mip in range(MIPS + 1):
            pixels, loaded = await draw(base, at_mip(state, name, mip))
            Image.fromarray(pixels).save(folder / f"{name}-mip{mip}.png")
            colours = len(np.unique(pixels.reshape(-1, 3), axis=0))
            right = str(mip) in loaded and colours > FEWEST
            wrong += not right
            sys.stdout.write(
                f"{name} mip {mip}: {'drawn' if right else 'WRONG'}, {colours} colours; "
                f"loaded {', '.join(sorted(loaded))}\n"
            )
            sys.stdout.flush()
    return wrong


def main() -> int:
    """Parse the command line. Returns 1 if a mip is not drawn."""
    folder = folder_of_line(__doc__)
    make_dataset(folder)
    with viewer(folder) as base:
        return int(asyncio.run(look(folder, base)) > 0)


if __name__ == "__main__":
    sys.exit(main())
