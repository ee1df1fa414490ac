"""The segmentation: every voxel gets the label of its segment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lchunk.operators.graph import Table
from lchunk.tasks.absorption import names_of, naming
from lchunk.tasks.agglomeration import Agglomeration
from lchunk.tasks.edited import EditedNames, EditsParameter
from lchunk.tasks.fragments import LocalFragments
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.local_labels import named_voxels
from lchunk.tasks.parameters import CountParameter, RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.sources import readable
from lchunk.tasks.stage import Stage


@readable("segmentation")
class Segmentation(Stage):
    """Label every voxel with its segment: fragments merged while their mean affinity is high enough.

    Reads  `local_fragments`; `segmentation/names`, `segmentation/absorbed` with min_voxels, `segmentation/edited` with
           edits.
    Writes `segmentation` (z, y, x) uint64, 0 for background.

    One segmentation of the whole volume, without seams, the same voxels for every grid. Another threshold is another
    cut of the same tree of merges: write it to a layer of its own with --Segmentation-layer-name.
    """

    layer = "segmentation"
    dtype = np.uint64
    labels = True

    threshold: float = RangeParameter(
        least=0, most=1, default=0.7,
        description="merge while 1 - mean affinity is below it: higher merges more; 0 leaves the fragments",
    )  # fmt: skip
    min_voxels: int = CountParameter(
        default=0,
        description="segments of fewer voxels, in the whole volume, follow their strongest edge, in rounds; 0: none do",
    )
    edits: str = EditsParameter()
    dust_threshold: int = CountParameter(
        default=0, description="segments of fewer voxels, in the whole volume, are background"
    )

    def reading(self) -> tuple[Reads, ...]:
        return (Reads(LocalFragments), Reads(EditedNames if self.edits else naming(self.min_voxels)))

    def named_after(self) -> tuple[Reads, ...]:
        return self.reading()[1:]

    @property
    def names(self) -> Stage:
        """The stage that knows the labels of each chunk, and their voxels in the whole volume."""
        return self.upstream(self.reading()[1])

    def connect(self, reads: Reads) -> Stage:
        if reads.stage is LocalFragments:
            return super().connect(reads)
        if reads.stage is EditedNames:
            return EditedNames(
                root=self.root, threshold=self.threshold, min_voxels=self.min_voxels, edits=self.edits,
                layer_name=self.layer_name,
            )  # fmt: skip
        return names_of(self.root, self.threshold, self.min_voxels, self.layer_name)

    def validate(self) -> None:
        if self.edits and self.external:
            raise ValueError(
                "edits must be empty for an external segmentation, because its fragments are unknown, got "
                f"{self.edits}; remove them, or --Segmentation-external"
            )
        highest = Agglomeration(root=self.root).highest_threshold
        if self.threshold > highest:
            raise ValueError(
                f"threshold must be at most Agglomeration-highest-threshold, {highest:g}, got {self.threshold:g}; "
                "raise that, or cut lower"
            )

    def compute_chunk(self, chunk: Chunk, chunks: Iterator[Table], names: Iterator[Table]) -> npt.NDArray[np.uint64]:
        return named_voxels(chunks, names, self.upstream(self.reading()[0]).grid, chunk.bbox, self.dust_threshold)
