"""The input as a layer."""

from __future__ import annotations

import contextlib
import math
from functools import cached_property
from typing import Any

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.operators.intensity import eight_bits
from lchunk.recipe import MADE_OF
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.parameters import TupleParameter
from lchunk.tasks.recipes import stored_recipe
from lchunk.tasks.sources import readable
from lchunk.tasks.stage import IMAGE_LAYER, Stage
from lchunk.volumes.formats import AbsentVoxelsError, OpenedVolume, open_volume

FINGERPRINT = "the content of image"


@readable(IMAGE_LAYER)
class Ingest(Stage):
    """Copy the input image into the layer `image`, whatever its format.

    Reads  `[Dataset] image` (z, y, x): uint8, or any other type of number with `intensity_range`.
    Writes `image` (z, y, x) uint8, 0 for black.

    With `--Ingest-external URL` nothing is copied, and stages read that volume in place; it must be uint8.
    """

    layer = IMAGE_LAYER

    fill_missing: bool = luigi.BoolParameter(
        default=False,
        description="absent chunks, blocks and sections of the input are black, not an error; "
        "#fill_missing=yes after a URL does the same for any volume",
    )
    intensity_range: tuple[float, ...] = TupleParameter(
        of=float,
        rule="two different numbers low,high",
        valid=lambda ends: len(ends) == len(set(ends)) in (0, 2) and all(map(math.isfinite, ends)),
        form="LOW,HIGH",
        default=(),
        description="low,high: the intensities that become 0 and 255, for images that are not uint8; "
        "`lchunk intensity IMAGE` prints percentiles of the whole volume",
    )

    @cached_property
    def volume(self) -> OpenedVolume:
        """The input, opened once for all chunks."""
        if self.region is not None:
            return self.for_volume.volume  # type: ignore[attr-defined, no-any-return]
        return open_volume(self.dataset.image, "image")

    def ingredients(self) -> dict[str, str]:
        return {"image": self.dataset.image, FINGERPRINT: self._fingerprint()}

    def _fingerprint(self) -> str:
        """The input's fingerprint; if the input was moved away after it was copied, the one in the layer's recipe."""
        with contextlib.suppress(AbsentVoxelsError):
            return self.volume.fingerprint()
        stored = self.files().recipe() or {}
        return str(stored.get(MADE_OF, {}).get(FINGERPRINT, "absent"))

    def validate(self) -> None:
        if self.external:
            return
        if stored_recipe(self.for_volume) is not None:
            return  # a copy exists, perhaps unfinished: its recipe shows whether the input is the same
        volume = self.volume
        if volume.channels:
            raise ValueError(
                f"image must be (z, y, x), got {volume.channels} channels of {volume.bounds.shape} voxels in "
                f"{self.dataset.image}; pick one with #channel=0 after its URL, or name its axes, as in #axes=zyxc"
            )
        if volume.dtype == bool or (volume.dtype != self.dtype and not self.intensity_range):
            raise ValueError(
                f"image must be uint8, or have an intensity range, got {volume.dtype} in {self.dataset.image}; "
                "set Ingest-intensity-range to low,high, the intensities that become black and white "
                f"(lchunk intensity '{self.dataset.image}' prints percentiles)"
            )
        if not volume.bounds.contains(self.bounds):
            raise ValueError(
                f"bounds must lie inside the image, {volume.bounds}, got {self.bounds}; correct [Dataset] bounds"
            )
        volume.inspect()

    def compute_chunk(self, chunk: Chunk) -> npt.NDArray[Any]:
        voxels = self.volume.read(chunk.bbox, fill_missing=self.fill_missing)
        if not self.intensity_range:
            return np.asarray(voxels)
        low, high = self.intensity_range
        return eight_bits(voxels, low, high)
