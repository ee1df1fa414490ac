"""What stages of the segments' shapes share: they read the segmentation at one mip, and write beside its voxels."""

from __future__ import annotations

from lchunk.geometry.bbox import Bbox
from lchunk.tasks.downsample import Downsample
from lchunk.tasks.parameters import CountParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.segmentation import Segmentation
from lchunk.tasks.stage import Stage
from lchunk.volumes.chunk_files import Records
from lchunk.volumes.layer import Layer
from lchunk.volumes.volume import Volume


class AtMip(Stage):
    """A stage whose first input is a mip of the segmentation, and whose folder is in that layer."""

    mip: int = CountParameter(default=0, description="mip of the segmentation: coarser is faster, and less exact")

    def reading(self) -> tuple[Reads, ...]:
        return (Reads(Downsample if self.mip else Segmentation),)

    def connect(self, reads: Reads) -> Stage:
        if reads.stage is Downsample:
            return Downsample(root=self.root, of=Segmentation.layer).pass_of(self.mip)
        return super().connect(reads)

    def source(self, reads: Reads) -> Volume | Records:
        return self.segmentation if reads.stage is Downsample else super().source(reads)

    def awaits(self, reads: Reads, bbox: Bbox) -> Bbox:
        stage, seen = self.upstream(reads), self.reach(reads, bbox)
        return stage.region_of(self.mip, seen) if isinstance(stage, Downsample) else seen

    @property
    def segmentation(self) -> Layer:
        """The mip that is read."""
        stage = self.upstream(self.reading()[0])
        return stage.mip(self.mip) if isinstance(stage, Downsample) else stage.voxels

    @property
    def path(self) -> str:
        return f"{self.upstream(self.reading()[0]).path}/{self.layer_name or self.layer}"

    @property
    def bounds(self) -> Bbox:
        return self.segmentation.bounds
