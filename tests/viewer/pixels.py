"""The pixels of a page in Chromium."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from lchunk.viewer.chromium import Page

PANEL = """(() => {
  const box = document.querySelector(".neuroglancer-rendered-data-panel").getBoundingClientRect();
  return [box.x, box.y, box.width, box.height];
})()"""


def pixels_of(png: bytes) -> npt.NDArray[np.uint8]:
    """The pixels (y, x, 3) of a picture."""
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"))


async def panel(page: Page) -> npt.NDArray[np.uint8]:
    """The pixels of the first panel of data, once everything is drawn."""
    pixels = pixels_of(await page.drawn())
    x, y, width, height = map(round, await page.value(PANEL))
    return pixels[y : y + height, x : x + width]
