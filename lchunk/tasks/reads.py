"""The inputs of a stage: the stage whose layer is read, and how far beyond the chunk."""

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
        stage: the stage whose layer is read.
        low: voxels read before the chunk, zyx.
        high: voxels read after it, zyx.
        clip: whether voxels outside the volume are left out, instead of being read as 0.
        waits_for_all: whether the whole input must be complete before any chunk starts.
        if_made: whether it is read as far as it is made; what is missing is found in the sources of its stage, which
            must be complete in its place. Together with `waits_for_all`.
        level: the level that is read, if the stage has several.
    """

    stage: type[Stage]
    low: Triple = (0, 0, 0)
    high: Triple = (0, 0, 0)
    clip: bool = False
    waits_for_all: bool = False
    if_made: bool = False
    level: int = 0

    @classmethod
    def halo(cls, stage: type[Stage], voxels: int, *, clip: bool = False) -> Reads:
        """The same number of voxels on every side."""
        side = (voxels, voxels, voxels)
        return cls(stage, side, side, clip)
