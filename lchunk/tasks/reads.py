"""What a stage reads: which stage's layer, and how far beyond its own chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lchunk.geometry.bbox import Triple

if TYPE_CHECKING:
    from lchunk.tasks.stage import Stage


@dataclass(frozen=True)
class Reads:
    """One input of a stage.

    Args:
        stage: whose layer.
        low: voxels read before the chunk, zyx.
        high: voxels read after it, zyx.
        clip: leave out what lies outside the volume, instead of reading zeros.
        waits_for_all: nothing starts before the whole input is complete.
        level: which of a stage's levels, where it has many.
    """

    stage: type[Stage]
    low: Triple = (0, 0, 0)
    high: Triple = (0, 0, 0)
    clip: bool = False
    waits_for_all: bool = False
    level: int = 0

    @classmethod
    def halo(cls, stage: type[Stage], voxels: int, *, clip: bool = False) -> Reads:
        """The same number of voxels on every side."""
        side = (voxels, voxels, voxels)
        return cls(stage, side, side, clip)
