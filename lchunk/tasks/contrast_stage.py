"""The image with the contrast of each section stretched, as a layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lchunk.operators.contrast import Stretch, stretched
from lchunk.operators.graph import Table
from lchunk.tasks.derived import Derived
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.parameters import CountParameter, RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.section_levels import SectionLevels, levels_of
from lchunk.tasks.stage import IMAGE_LAYER


class Contrast(Derived):
    """Stretch the contrast of each section by the histogram of the whole section.

    Reads  `image` (z, y, x) uint8; `section_levels`.
    Writes `contrast` (z, y, x) uint8; 0, black, stays 0.

    No chunk shows a seam. `Inference --Inference-contrast` does the same without a layer.
    """

    layer = "contrast"

    of: str = IMAGE_LAYER
    """No knob, because the levels are those of the image."""
    lower: float = RangeParameter(
        least=0, most=1, default=0.01, description="largest fraction of a section's voxels that become `least`"
    )
    upper: float = RangeParameter(
        least=0, most=1, default=0.01, description="largest fraction of a section's voxels that become `most`"
    )
    least: int = CountParameter(default=1, least=1, description="lowest value after the stretch")
    most: int = CountParameter(default=255, least=2, description="highest value after the stretch")

    def reading(self) -> tuple[Reads, ...]:
        return (*super().reading(), Reads(SectionLevels, waits_for_all=True))

    @property
    def _stretch(self) -> Stretch:
        return Stretch(self.lower, self.upper, self.least, self.most)

    def validate(self) -> None:
        super().validate()
        self._stretch  # noqa: B018 - its fractions must fit each other

    def compute_chunk(
        self, chunk: Chunk, image: npt.NDArray[np.uint8], levels: Iterator[Table]
    ) -> npt.NDArray[np.uint8]:
        return stretched(image, levels_of(next(levels), chunk.bbox, self.bounds), self._stretch)
