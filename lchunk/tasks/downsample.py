"""Coarser mips of a layer."""

from __future__ import annotations

import functools
from typing import Any

import luigi
import numpy.typing as npt

from lchunk.geometry.bbox import Triple
from lchunk.geometry.grid import Grid
from lchunk.operators.downsample import mean_levels, mode_levels
from lchunk.tasks.agglomeration import Segmentation
from lchunk.tasks.components import ConnectedComponents
from lchunk.tasks.inference import Inference
from lchunk.tasks.ingest import Ingest
from lchunk.tasks.parameters import CountParameter, TupleParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.layer import Layer
from lchunk.volumes.pyramid import Pyramid

SOURCES: dict[str, type[Stage]] = {
    stage.layer: stage for stage in (Ingest, Inference, Segmentation, ConnectedComponents)
}
"""Stages by the layer that they write by default."""
SOURCES["probability"] = Inference


def refuse_other_layer(stage: Stage, of: str) -> None:
    """Raise where a stage of `SOURCES` writes another layer: Inference makes affinities, or a probability.

    Raises:
        ValueError: it does; names the layer.
    """
    if stage.path != of and not stage.variant:
        raise ValueError(f"of must be the layer that {type(stage).__name__} writes, {stage.path}, got {of}")


class Downsample(Stage):
    """Make coarser mips of a layer: images by mean, labels by mode.

    Reads  the layer named by `of`, mip 0.
    Writes mips 1, 2 … of the same layer, and lists them in its metadata.

    A chunk file of mip k covers the voxels of a chunk file of mip 0, so the chunk shape must be divisible by
    the factor as often as there are mips.
    """

    of: str = luigi.ChoiceParameter(choices=tuple(SOURCES), default="segmentation", description="layer to make coarser")
    mips: int = CountParameter(default=2, least=1, description="number of coarser mips")
    factor: Triple = TupleParameter(default=(1, 2, 2), description="z,y,x voxels of a mip in one voxel of the next")

    def reading(self) -> tuple[Reads, ...]:
        return (Reads(SOURCES[self.of]),)

    def validate(self) -> None:
        refuse_other_layer(self.upstream(self.reading()[0]), self.of)
        self._check_factor()

    def _check_factor(self) -> None:
        if max(self.factor) < 2:
            raise ValueError(
                f"factor must be at least 2 along one axis, got {self.factor} (zyx); set Downsample-factor, as 1,2,2"
            )
        for axis, side, factor in zip("zyx", self._source.chunk_shape, self.factor, strict=True):
            # more mips than a side has bits leave nothing of it
            if factor < 1 or (factor > 1 and self.mips > side.bit_length()) or side % factor**self.mips:
                raise ValueError(
                    f"the chunk_shape of {self.of} must be divisible by factor {factor} {self.mips} times "
                    f"along {axis}, got {side}; make fewer mips, or change the chunk shape"
                )

    @property
    def _source(self) -> Layer:
        source = self.upstream(self.reading()[0])
        if source.external:
            raise ValueError(
                f"{self.of} must be a layer of lchunk to get mips, got the external volume {source.external}"
            )
        return source.voxels

    @property
    def path(self) -> str:
        return self.upstream(self.reading()[0]).path

    @property
    def log_folder(self) -> str:
        return f"{self.path}-mips"

    @property
    def folders(self) -> list[str]:
        return [mip.path for mip in self.files().mips]

    @functools.cached_property
    def grid(self) -> Grid:
        return self._source.grid

    def files(self) -> Pyramid:
        self._check_factor()
        mips = [self._source]
        for _ in range(self.mips):
            mips.append(mips[-1].coarser(self.factor))
        return Pyramid(mips[0], tuple(mips[1:]))

    def compute(self, voxels: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        levels = mode_levels if self._source.labels else mean_levels
        return list(levels(voxels, self.factor, self.mips))
