"""The stage that writes layers as Neuroglancer precomputed volumes."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, triple
from lchunk.tasks.downsample import Downsample
from lchunk.tasks.parameters import CountParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.sources import LayerParameter, refuse_other_layer, stage_of
from lchunk.tasks.stage import Stage
from lchunk.volumes.chunk_files import Records
from lchunk.volumes.precomputed import MOST_VOXELS, ExportedScale, ExportedVolume, require_packing
from lchunk.volumes.volume import Volume


class Export(Stage):
    """Write a layer as a precomputed volume, for Neuroglancer, cloud-volume and igneous.

    Reads  the layer named by `of`, mip 0 and the coarser mips.
    Writes `precomputed/<layer>`: a file per inner chunk, raw, or compressed for labels; and for each chunk, finally a
           file of their checksums.

    The info of a segmentation names the folders of its meshes and skeletons once they exist: `segmentation/skeletons`,
    and `segmentation/mesh`, or the one of `MultiResMesh` once all its shards exist.
    """

    layer = "precomputed"
    same_grid = True

    of: str = LayerParameter(default="segmentation", description="layer to write")
    mips: int = CountParameter(
        default=-1,
        least=-1,
        description="number of coarser mips to write; Downsample makes those that are missing; -1: those that exist",
    )

    def reading(self) -> tuple[Reads, ...]:
        coarser = (Reads(Downsample, waits_for_all=True, level=mip) for mip in range(1, self.levels + 1))
        return (Reads(stage_of(self.of)), *coarser)

    def connect(self, reads: Reads) -> Stage:
        return self._downsample.pass_of(reads.level) if reads.level else super().connect(reads)

    def source(self, reads: Reads) -> Volume | Records:
        return self._downsample.mip(reads.level) if reads.level else super().source(reads)

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        """The box of the mip that is read whose files belong to the chunk; it may be empty."""
        if not reads.level:
            return super().reach(reads, bbox)
        return self.exported.scales[reads.level].box(self.grid.index_of(bbox))

    def ingredients(self) -> dict[str, str]:
        return {"the number of mips": str(self.levels)}

    def validate(self) -> None:
        refuse_other_layer(self._finest, self.of)
        if self.levels > self._downsample.mips:
            raise ValueError(f"mips must be at most Downsample-mips, {self._downsample.mips}, got {self.levels}")
        if any(c % i for c, i in zip(self._finest.grid.chunk_shape, self.inner_chunk, strict=True)):
            raise ValueError(
                f"inner_chunk must divide the chunk_shape of {self.of}, {self._finest.grid.chunk_shape} (zyx), got "
                f"{self.inner_chunk}; set Export-inner-chunk"
            )
        if not self._finest.labels:
            return
        require_packing()
        largest = max((scale.chunk_shape for scale in self.exported.scales), key=math.prod)
        if math.prod(largest) > MOST_VOXELS:
            raise ValueError(
                f"inner_chunk must hold at most {MOST_VOXELS:,} voxels of labels, got {largest}; set Export-inner-chunk"
            )

    @cached_property
    def levels(self) -> int:
        """Number of coarser mips. It is determined once."""
        if self.region is not None:
            return self.for_volume.levels  # type: ignore[attr-defined, no-any-return]
        if self.mips >= 0:
            return self.mips
        exist = self.store.exists(f"{self._finest.path}/1/zarr.json")
        return self._downsample.mips if exist else 0

    @property
    def _finest(self) -> Stage:
        return self.upstream(Reads(stage_of(self.of)))

    @property
    def _downsample(self) -> Downsample:
        return Downsample(root=self.root, of=self.of)

    @property
    def path(self) -> str:
        return self.layer_name or f"{self.layer}/{self._finest.path}"

    @property
    def bounds(self) -> Bbox:
        return self._finest.bounds

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.exported.dtype

    @property
    def channels(self) -> int:  # type: ignore[override]
        return self.exported.channels

    @cached_property
    def exported(self) -> ExportedVolume:
        """The volume that is written."""
        if self.region is not None:
            return self.for_volume.exported  # type: ignore[attr-defined, no-any-return]
        finest = self._finest
        grids = [(finest.grid, finest.voxels.voxel_size, (1, 1, 1))]
        for level in range(1, self.levels + 1):
            mip = self._downsample.mip(level)
            # how many chunks of mip 0 one of this mip covers
            every = triple(
                f * c // c0 for f, c, c0 in zip(mip.factor, mip.chunk_shape, finest.grid.chunk_shape, strict=True)
            )
            grids.append((mip.grid, mip.voxel_size, every))
        scales = []
        for grid, size, every in grids:
            sides = zip(grid.chunk_shape, self.inner_chunk, strict=True)
            scales.append(ExportedScale(grid, size, triple(i if c % i == 0 else c for c, i in sides), every))
        voxels: Any = super().source(Reads(stage_of(self.of)))
        return ExportedVolume(
            self.store, self.path, tuple(scales), voxels.dtype, voxels.channels, finest.labels, finest.path
        )

    def files(self) -> ExportedVolume:
        return self.exported

    def compute(self, *mips: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        return list(mips)

    def complete(self) -> bool:
        return super().complete() and not (self.region is None and self.exported.lacks_objects)

    def run(self) -> None:
        if self.region is None:
            self.exported.link_objects()
        super().run()
