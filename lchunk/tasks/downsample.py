"""Coarser mips of a layer."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import luigi
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.downsample import mean_levels, mode_levels
from lchunk.tasks.parameters import CountParameter, TupleParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.sources import LayerParameter, refuse_other_layer, stage_of
from lchunk.tasks.stage import Stage
from lchunk.volumes.chunk_files import Records
from lchunk.volumes.layer import Layer
from lchunk.volumes.pyramid import Pyramid
from lchunk.volumes.volume import Volume

MOST_MIPS = 40
"""Of any volume, since sides are below 2^40 voxels."""
PASS_MIPS = 3


class Downsample(Stage):
    """Make coarser mips of a layer: images by mean, labels by mode.

    Reads  the layer named by `of`, mip 0, or the external volume in its place; with more than `pass_mips` mips, the
           last mip of the pass before.
    Writes mips 1, 2 … of the same layer, and lists them in its metadata.

    A pass makes `pass_mips` mips. Its chunks have the chunk shape of the layer, in voxels of the mip that the pass
    reads, so the number of files falls from pass to pass. Within a pass, each mean is that of the voxels that the pass
    reads, truncated; where one pass ends, the next one starts from truncated means. The chunk shape must be divisible
    by the factor as often as a pass makes mips. `region` is in voxels of the mip that the last pass reads.
    """

    selects = ("mips",)

    of: str = LayerParameter(default="segmentation", description="layer to make coarser")
    mips: int = CountParameter(default=2, least=1, most=MOST_MIPS, description="number of coarser mips")
    factor: Triple = TupleParameter(default=(1, 2, 2), description="z,y,x voxels of a mip in one voxel of the next")
    pass_mips: int = CountParameter(
        default=PASS_MIPS, least=1, most=MOST_MIPS, description="mips that are made from one mip, before the next pass"
    )
    sparse: bool = luigi.BoolParameter(default=False, description="voxels of 0 do not count, unless all are 0")

    def reading(self) -> tuple[Reads, ...]:
        return (Reads(Downsample if self.first else stage_of(self.of)),)

    def connect(self, reads: Reads) -> Stage:
        if reads.stage is Downsample:
            before: Stage = self.clone(mips=self.first, region=None)
            return before
        return super().connect(reads)

    @property
    def first(self) -> int:
        """The mip that the last pass reads."""
        return (self.mips - 1) // self.pass_mips * self.pass_mips

    @cached_property
    def _before(self) -> Stage:
        """The pass before, or the stage that writes mip 0."""
        return self.upstream(self.reading()[0])

    def pass_of(self, mip: int) -> Downsample:
        """The pass that makes a mip; the last one for a mip that is coarser than all."""
        one = self
        while mip <= one.first:
            one = cast(Downsample, one._before)
        return one

    def mip(self, number: int) -> Layer:
        """A coarser mip of the layer.

        Raises:
            ValueError: it is coarser than all mips.
        """
        if number > self.mips:
            raise ValueError(f"mip must be at most Downsample-mips, {self.mips}, got {number}; make more mips")
        one = self.pass_of(number)
        return one.files().mips[number - one.first - 1]

    def validate(self) -> None:
        if not self.first:
            refuse_other_layer(self._before, self.of)
            self._refuse_two_sources()
        self._check_factor()

    def _refuse_two_sources(self) -> None:
        """Raise an error if mips of an external volume would be put beside a mip 0 that is not that volume."""
        finest = self._before
        if finest.external and self.store.exists(f"{self.path}/0/zarr.json"):
            stage = type(finest).__name__
            raise ValueError(
                f"{self.of} must come from one place to get mips, got the external volume {finest.external}, and mip 0 "
                f"of {self.store.url}/{self.path}; leave {stage}-external out to make mips of the layer, or name "
                f"another layer with --{stage}-layer-name"
            )

    def _check_factor(self) -> None:
        if max(self.factor) < 2:
            raise ValueError(
                f"factor must be at least 2 along one axis, got {self.factor} (zyx); set Downsample-factor, as 1,2,2"
            )
        mips = min(self.mips, self.pass_mips)
        for axis, side, factor in zip("zyx", self._finest.grid.chunk_shape, self.factor, strict=True):
            if factor < 1 or side % factor**mips:
                raise ValueError(
                    f"the chunk_shape of {self.of} must be divisible by factor {factor} {mips} times along {axis}, got "
                    f"{side}; make fewer mips in a pass with Downsample-pass-mips, or change the chunk shape"
                )
        most = max(1, *map(_times, self._finest.bounds.shape, self.factor))
        if self.mips > most:
            raise ValueError(f"mips must be at most {most}, of which the last has one voxel, got {self.mips}")

    @property
    def _finest(self) -> Stage:
        """The stage that writes mip 0, or that an external volume replaces."""
        return self._before._finest if isinstance(self._before, Downsample) else self._before

    @cached_property
    def _source(self) -> Layer:
        """The mip that the pass reads; for mip 0 of an external volume, the layer that its voxels would make."""
        if self.region is not None:
            return cast(Downsample, self.for_volume)._source
        if isinstance(self._before, Downsample):
            return self._before.mip(self.first)
        if not self._before.external:
            return self._before.voxels
        volume = self._before.external_volume
        return replace(self._before.voxels, dtype=volume.dtype, channels=volume.channels)

    def source(self, reads: Reads) -> Volume | Records:
        return self._source if self.first else super().source(reads)

    def awaits(self, reads: Reads, bbox: Bbox) -> Bbox:
        return self._before.region_of(self.first, bbox) if isinstance(self._before, Downsample) else bbox

    def region_of(self, mip: int, bbox: Bbox) -> Bbox:
        """The region of its pass that makes a box of a mip, in voxels of the mip that the pass reads."""
        one = self.pass_of(mip)
        source, made = one._source, one.mip(mip)
        ratio = [coarse // fine for coarse, fine in zip(made.factor, source.factor, strict=True)]
        start, stop = (
            triple(
                first + (n - own) * f
                for first, n, own, f in zip(source.bounds.start, corner, made.bounds.start, ratio, strict=True)
            )
            for corner in (bbox.start, bbox.stop)
        )
        return Bbox(start, stop).clipped(source.bounds)

    @property
    def bounds(self) -> Bbox:
        return self._source.bounds

    @property
    def path(self) -> str:
        return self._before.path

    @property
    def log_folder(self) -> str:
        return f"{self.path}-mips/{self.first}"

    @property
    def folders(self) -> list[str]:
        return [mip.path for mip in self.files().mips]

    @cached_property
    def grid(self) -> Grid:
        if self.region is not None:
            return self.for_volume.grid
        return Grid(self.bounds, self._finest.grid.chunk_shape)

    def files(self) -> Pyramid:
        return self._pyramid

    @cached_property
    def _pyramid(self) -> Pyramid:
        """The mips of the pass; made once for all regions."""
        if self.region is not None:
            return cast(Downsample, self.for_volume)._pyramid
        self._check_factor()
        source = replace(self._source, chunk_shape=self.grid.chunk_shape, inner_chunk=self._finest.inner_chunk)
        mips = [source]
        for _ in range(self.first, self.mips):
            mips.append(mips[-1].coarser(self.factor))
        return Pyramid(source, tuple(mips[1:]))

    def compute(self, voxels: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        levels = mode_levels if self._source.labels else mean_levels
        return list(levels(voxels, self.factor, self.mips - self.first, sparse=self.sparse))


def _times(side: int, factor: int) -> int:
    """How often a side can be divided by a factor until one voxel is left.

    >>> _times(16, 2), _times(17, 2), _times(1, 2), _times(100, 1)
    (4, 5, 0, 0)
    """
    if factor < 2:
        return 0
    times = 0
    while factor**times < side:
        times += 1
    return times
