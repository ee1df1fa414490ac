"""What a stage has found out, so that it does not ask again at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lchunk.volumes.chunk_files import Recipe


@dataclass
class Known:
    """What one process knows about a stage; times are those of `time.monotonic`.

    Args:
        prepared: when the layer was last compared with this run.
        recipe: the recipe of this run, and when it was made.
        stored: the recipe in the layer, None where there is no layer, and when it was read.
        sampled: whether voxels of the external volume were checked.
        rehearsed: whether the stage was rehearsed, or needs no rehearsal.
        telling: the knobs that differ from those of the cfg; None: not yet known.
    """

    prepared: float = -math.inf
    recipe: tuple[float, Recipe] | None = None
    stored: tuple[float, Recipe | None] | None = None
    sampled: bool = False
    rehearsed: bool = False
    telling: frozenset[str] | None = None
