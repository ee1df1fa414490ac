"""The input as a layer."""

from __future__ import annotations

from typing import Any

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.tasks.jobs import Chunk
from lchunk.tasks.stage import IMAGE_LAYER, Stage
from lchunk.volumes.files import open_volume


class Ingest(Stage):
    """Copy the input image into the layer `image`, whatever its format.

    Reads  `[Dataset] image`.
    Writes `image` (z, y, x) uint8, 0 for black.

    With `--Ingest-external URL` nothing is copied, and stages read that volume in place.
    """

    layer = IMAGE_LAYER

    fill_missing: bool = luigi.BoolParameter(
        default=False, description="chunks that a zarr input does not have are black, not an error"
    )

    def ingredients(self) -> dict[str, str]:
        return {"image": self.dataset.image}

    def validate(self) -> None:
        image = self.external or self.dataset.image
        if not self.external and self.files().recipe() is not None:
            return  # it is being copied, or is: the recipe tells whether it is the same
        volume = open_volume(image)
        if volume.channels or volume.dtype != self.dtype:
            shape = "(channel, z, y, x)" if volume.channels else "(z, y, x)"
            raise ValueError(f"image must be (z, y, x) uint8, got {shape} {volume.dtype} in {image}; convert it first")
        if not volume.bounds.contains(self.bounds):
            raise ValueError(f"bounds must lie inside the image, {volume.bounds}, got {self.bounds}")

    def compute_chunk(self, chunk: Chunk) -> npt.NDArray[Any]:
        return np.asarray(open_volume(self.dataset.image).read(chunk.bbox, fill_missing=self.fill_missing))
