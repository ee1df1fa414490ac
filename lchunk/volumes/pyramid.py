"""Several coarser mips of a layer, written together, one chunk of the source at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.chunk_files import Recipe
from lchunk.volumes.layer import Layer
from lchunk.volumes.store import Store


@dataclass(frozen=True)
class Pyramid:
    """The mips that are made from a mip of a layer. Each is an ordinary layer; a chunk is one chunk file of each mip.

    Args:
        source: the mip that they are made from, in the chunks in which it is read.
        mips: the coarser mips, the finest first.
    """

    source: Layer
    mips: tuple[Layer, ...]

    @property
    def store(self) -> Store:
        return self.source.store

    @property
    def path(self) -> str:
        return self.source.name

    @property
    def grid(self) -> Grid:
        return self.source.grid

    def keys(self, index: Triple) -> list[str]:
        return [key for mip in self.mips for key in mip.keys(index)]

    def recipe(self) -> Recipe | None:
        return self.mips[-1].recipe() or self.mips[0].recipe()

    def create(self, recipe: Recipe) -> Recipe:
        """Create every mip. Returns the first recipe that another writer stored and that differs, or `recipe`."""
        stored = (mip.create(recipe) for mip in self.mips)
        return next((other for other in stored if other != recipe), recipe)

    def write(self, bbox: Bbox, content: list[npt.NDArray[Any]]) -> None:
        """Write the chunk's file at each mip where it is missing."""
        index = self.grid.index_of(bbox)
        for mip, voxels in zip(self.mips, content, strict=True):
            if not self.store.exists(mip.keys(index)[0]):
                mip.write(mip.grid.chunk(index), voxels)
