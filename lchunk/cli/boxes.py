"""How large the boxes of trees get, and the memory that they take, foreseen from the files of the lowest levels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import luigi
import numpy as np

from lchunk.chunk_logs import amount
from lchunk.cli.layout import job_stages
from lchunk.geometry.bbox import Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.tasks.levels import MergeTree, Naming, level_grid
from lchunk.tasks.stage import Stage
from lchunk.volumes.chunk_files import missing
from lchunk.volumes.parallel import parallel

SAMPLED = 48
"""Boxes of a level whose files are looked at; the largest of them is taken for the largest of all."""
MERGING = 32.0
"""Bytes of memory that merging takes, per byte of the files of the boxes that it joins, without the process itself.
Measured: 19 to 37 in boxes that join 1 to 8 MB of `benchmarks.synthetic`, with trees up to 0.5 and 1; 29 to 31 in the
largest."""
NAMING = 6.0
"""The same for finding names, which reads only the labels; measured: 3.8 to 5.1."""
LAST_SHARE = 0.63
"""Bytes of the last box, which has merges but no graph for a next level, per byte of a box below it; measured as
`MERGING`: 0.57 and 0.69."""
GROWTH_FROM = 3
"""The first level whose boxes show how a box grows apart from its surface: before, it has the shape of few chunks."""
MOST_GROWTH = 0.075
"""Most growth per level of the bytes per voxel of the surface, as a logarithm: that of trees up to 1, which merge cells
from face to face, in docs/segmentation.md."""


@dataclass(frozen=True)
class BoxLevel:
    """The boxes of a level.

    Args:
        level: its number.
        boxes: how many there are.
        bytes: of the file of the largest box.
        exists: whether such files exist, so that the bytes are not foreseen.
        joined: bytes of the files that the largest box joins.
    """

    level: int
    boxes: int
    bytes: float
    exists: bool
    joined: float

    @property
    def memory(self) -> float:
        """Bytes that merging takes."""
        return MERGING * self.joined


def surface(shape: Triple) -> int:
    """Voxels of the faces of a box.

    >>> surface((1, 2, 3))
    22
    """
    z, y, x = shape
    return 2 * (z * y + y * x + x * z)


def foreseen_bytes(known: Sequence[float], surfaces: Sequence[int]) -> list[float]:
    """The bytes of the largest box of each level, from those of the lowest levels.

    A box holds what crosses its faces, so its bytes grow with its surface, and somewhat faster in trees whose clusters
    reach far. The last level has no graph for a next one.

    Args:
        known: bytes of the largest box of levels 0, 1 …; at least one.
        surfaces: voxels of the faces of a box of each level; of all levels.

    >>> [round(size) for size in foreseen_bytes([100, 160], [10, 16, 20, 32])]
    [100, 160, 200, 126]
    """
    density = [size / voxels for size, voxels in zip(known, surfaces, strict=False)]
    growth, later = 0.0, density[GROWTH_FROM:]
    if len(later) >= 4:
        slope = np.polyfit(range(len(later)), np.log(later), 1)[0]
        growth = float(np.clip(slope, 0, MOST_GROWTH))
    sizes = list(known)
    for level in range(len(known), len(surfaces)):
        last = level == len(surfaces) - 1
        size = surfaces[level] * density[-1] * math.exp(growth * (level - len(known) + 1))
        sizes.append(LAST_SHARE * sizes[-1] if last else size)
    return sizes


def box_levels(tree: MergeTree) -> list[BoxLevel]:
    """All levels of a tree; empty if no box of level 0 exists. Asks for the sizes of some files of each level.

    Args:
        tree: any level of it.
    """
    grids = [level_grid(tree.chunks, level) for level in range(tree.top + 1)]
    lowest: Any = tree.clone(region=None, level=0)
    leaf: Stage = lowest.upstream(lowest.reading()[0])
    known: list[float] = []
    for level in range(tree.top + 1):
        size = _largest(tree.clone(region=None, level=level))
        if not size:
            break
        known.append(size)
    if not known:
        return []
    sizes = foreseen_bytes(known, [surface(_shape(grid)) for grid in grids])
    below = [float(_largest(leaf)), *(2 * size for size in sizes)]
    return [
        BoxLevel(level, len(grid), size, level < len(known), joined)
        for level, (grid, size, joined) in enumerate(zip(grids, sizes, below, strict=False))
    ]


def _shape(grid: Grid) -> Triple:
    """The shape of the largest box of a grid, which may be larger than its volume."""
    return triple(map(min, zip(grid.chunk_shape, grid.bounds.shape, strict=True)))


def _largest(stage: Any) -> int:
    """Bytes of the largest of some files of a stage, the same ones each time; 0 if none of them exists."""
    grid, files, store = stage.grid, stage.files(), stage.store
    chosen = Random(0).sample(range(len(grid)), min(len(grid), SAMPLED))
    places = np.unravel_index(chosen, grid.counts)
    keys = [files.keys(triple(map(int, index)))[0] for index in zip(*places, strict=True)]

    def size(key: str) -> int:
        try:
            found: int = store.size(key)
        except FileNotFoundError:
            return 0
        return found

    return max(parallel(size, keys, store.connections))


def box_lines(task: luigi.Task, memory: float) -> Iterator[str]:
    """A table of the levels of each tree of a job that is not complete, and the routes that large boxes need.

    Args:
        task: the job.
        memory: bytes that a worker has.
    """
    stages = list(job_stages(task))
    trees = {type(stage): stage for stage in stages if isinstance(stage, MergeTree)}
    names = {stage.tree: stage.task_family for stage in stages if isinstance(stage, Naming)}
    for kind, tree in sorted(trees.items(), key=lambda each: each[0].__name__):
        last: Any = tree.clone(region=None, level=tree.top)
        if not tree.top or next(missing(last.files(), last.bbox), None) is None:
            continue
        levels = box_levels(tree)
        if not levels:
            yield f"{kind.__name__}: how large its boxes get is foreseen once some of level 0 exist"
            continue
        yield f"{kind.__name__}: {'level':>6} {'boxes':>10} {'largest file':>14} {'memory':>9}"
        for each in levels:
            about = "" if each.exists else "about "
            yield (
                f"{'':{len(kind.__name__)}}  {each.level:6} {each.boxes:10,} {about + amount(each.bytes):>14} "
                f"{amount(each.memory):>9}"
            )
        yield from _hint(levels, kind.__name__, names.get(kind, ""), memory)


def _hint(levels: Sequence[BoxLevel], tree: str, naming: str, memory: float) -> Iterator[str]:
    large = [each for each in levels if each.memory > memory]
    if not large:
        return
    routes = [f"--route {tree}:{large[0].level}+=QUEUE"]
    named = [each.level for each in levels if NAMING * each.joined > memory]
    if naming and named:
        routes.append(f"--route {naming}:{named[0]}+=QUEUE")
    most = amount(max(each.memory for each in large))
    yield (
        f"note: boxes of {tree} from level {large[0].level} on take up to {most} of memory, and a worker has "
        f"{amount(memory)}; send them to a queue "
        f"of workers with more memory: lchunk enqueue {' '.join(routes)}"
    )
