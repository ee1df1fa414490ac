"""A coarse picture of a layer."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.operators.blending import quantise
from lchunk.tasks.downsample import MOST_MIPS, Downsample
from lchunk.tasks.external_values import Kind
from lchunk.tasks.parameters import CountParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.sources import LayerParameter
from lchunk.tasks.stage import Stage
from lchunk.volumes.layer import Layer
from lchunk.volumes.volume import Volume


class Thumbnail(Stage):
    """Make one coarse mip of a layer, in a small layer of its own: quick to load, and to look over.

    Reads  the layer named by `of`, at `mip`, which `Downsample` makes.
    Writes `<layer>_thumbnail` (z, y, x) uint8: of several channels the last one; numbers in [0, 1] times 255.
    """

    of: str = LayerParameter(default="affinities", description="layer to picture")
    mip: int = CountParameter(default=5, least=1, most=MOST_MIPS, description="mip of that layer to picture")

    def reading(self) -> tuple[Reads, ...]:
        return (Reads(Downsample),)

    def connect(self, reads: Reads) -> Stage:
        known = Downsample(root=self.root, of=self.of)
        enough: Downsample = known.clone(mips=max(known.mips, self.mip))
        return enough.pass_of(self.mip)

    @property
    def _downsample(self) -> Downsample:
        return cast(Downsample, self.upstream(self.reading()[0]))

    @cached_property
    def _pictured(self) -> Layer:
        """The mip that is pictured."""
        if self.region is not None:
            return cast(Thumbnail, self.for_volume)._pictured
        return self._downsample.mip(self.mip)

    def source(self, reads: Reads) -> Volume:
        return self._pictured

    def awaits(self, reads: Reads, bbox: Bbox) -> Bbox:
        return self._downsample.region_of(self.mip, bbox)

    @property
    def path(self) -> str:
        return self.layer_name or f"{self._downsample.path}_thumbnail"

    @property
    def bounds(self) -> Bbox:
        return self._pictured.bounds

    @property
    def voxels(self) -> Layer:
        return replace(
            self._pictured, name=self.path, dtype=np.dtype(np.uint8), channels=0, mip=0, chunk_shape=self.chunk_shape,
            inner_chunk=self.inner_chunk,
        )  # fmt: skip

    @property
    def external_kind(self) -> Kind | None:
        return None

    def compute(self, voxels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        last = voxels[-1:] if voxels.ndim == 4 else voxels[np.newaxis]
        grey = np.empty(last.shape, np.uint8)
        if last.dtype == np.uint8:
            grey[...] = last
        else:
            quantise(last, grey)
        picture: npt.NDArray[np.uint8] = grey[0]
        return picture
