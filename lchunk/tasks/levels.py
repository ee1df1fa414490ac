"""Reductions over a pyramid of boxes: merges and sums go up, level by level, and final names come down.

    level 2     one box, the volume        merges go up: a box merges what it sees whole,
    level 1     boxes of two chunks        and passes on whatever touches its faces
    level 0     chunks                     names come down: the final label of each label

No box holds more than a surface of the volume. Each box is a separate file, and can be made again on its own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.geometry.regions import doubled
from lchunk.operators.agglomeration import Merges, agglomerate_graph
from lchunk.operators.cut import Names, above_threshold, named
from lchunk.operators.graph import HIGH_FACES, LOW_FACES, Table, distinct, outside, put_together
from lchunk.operators.graph_table import graph_of, graph_table
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.parameters import CountParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import TABLE

LAST = -1
DOUBLINGS = 3
"""Levels of the pyramid that one level of sums goes up, so that a box joins up to eight of the level below."""


def level_grid(chunks: Grid, level: int) -> Grid:
    """The boxes of a level. Each joins two boxes of the level below, along their shortest axis."""
    for _ in range(level):
        chunks = doubled(chunks)
    return chunks


def top_level(chunks: Grid) -> int:
    """The first level that is one box."""
    level = 0
    while len(chunks) > 1:
        chunks, level = doubled(chunks), level + 1
    return level


Sums = Mapping[str, npt.NDArray[Any]]
"""A table of sums, whose columns may be read only when they are used."""


class Leveled(Stage):
    """A stage of boxes of a level of the pyramid.

    Class attributes:
        leaf: the stage whose chunks are below the lowest level.
        lowest: the number of that level.
    """

    format = TABLE
    selects = ("level",)
    leaf: ClassVar[type[Stage]]
    lowest: ClassVar[int] = 0

    level: int = CountParameter(
        default=LAST, least=LAST, description="0: chunks; each next level: boxes twice as large; -1: the last level"
    )

    @functools.cached_property
    def chunks(self) -> Grid:
        """The grid below level 0."""
        return self.upstream(Reads(self.leaf)).grid

    @functools.cached_property
    def grid(self) -> Grid:
        return level_grid(self.chunks, self.doublings)

    @property
    def doublings(self) -> int:
        """How often the chunks are doubled to get its boxes."""
        return self.height

    @functools.cached_property
    def top(self) -> int:
        """The number of the level that is one box."""
        return top_level(self.chunks)

    @functools.cached_property
    def height(self) -> int:
        """The number of the level.

        Raises:
            ValueError: there is no such level.
        """
        if self.level == LAST:
            return self.end
        if not self.lowest <= self.level <= self.top:
            raise ValueError(
                f"level must be from {self.lowest} to {self.top}, or {LAST} for the last, got {self.level}"
            )
        return self.level

    @property
    def end(self) -> int:
        """The level that all others lead to."""
        raise NotImplementedError

    @property
    def path(self) -> str:
        return f"{self.named(self.layer)}/{self.height}"

    @property
    def folders(self) -> list[str]:
        return [self.named(self.layer)]

    def named_after(self) -> tuple[Reads, ...]:
        return (Reads(self.leaf),)

    def connect(self, reads: Reads) -> Stage:
        if reads.stage is type(self):
            stage: Stage = self.clone(region=None, level=reads.level)
            return stage
        return super().connect(reads)


class MergeTree(Leveled):
    """Going up: merge labels that a box sees whole."""

    @property
    def end(self) -> int:
        return self.top

    @property
    def merged_up_to(self) -> float:
        """The highest threshold that the tree may be cut at."""
        return 0.0

    def reading(self) -> tuple[Reads, ...]:
        return (Reads(type(self), level=self.height - 1) if self.height else Reads(self.leaf),)

    def compute_chunk(self, chunk: Chunk, boxes: Iterator[Table]) -> Table:
        grid = self.upstream(self.reading()[0]).grid
        graphs = [graph_of(box) for box in boxes]
        graph = put_together(graphs, [shared_faces(chunk.bbox, grid.chunk(n)) for n in grid.meeting(chunk.bbox)])
        del graphs
        away = outside(graph.nodes, chunk.start, chunk.bbox.shape, chunk.bounds.shape)
        merges, left = agglomerate_graph(graph, away, threshold=self.merged_up_to, overwrite=True)
        return merges.table() | graph_table(left)


class Naming(Leveled):
    """Going down: the final labels of the labels that reach a box.

    Class attributes:
        tree: the stage that merged them.
    """

    tree: ClassVar[type[MergeTree]]

    @property
    def end(self) -> int:
        return 0

    @property
    def path(self) -> str:
        return f"{self.named(self.layer)}/names/{self.height}"

    def named_after(self) -> tuple[Reads, ...]:
        return (Reads(self.tree, level=LAST),)

    @property
    def cut_at(self) -> float:
        """The threshold at which the tree is cut."""
        return 0.0

    def reading(self) -> tuple[Reads, ...]:
        below = Reads(self.tree, level=self.height - 1) if self.height else Reads(self.leaf)
        above = (Reads(type(self), level=self.height + 1),) if self.height < self.top else ()
        return (below, Reads(self.tree, level=self.height), *above)

    def connect(self, reads: Reads) -> Stage:
        if reads.stage is self.tree:
            return self.tree(root=self.root, level=reads.level)
        return super().connect(reads)

    def compute_chunk(
        self, chunk: Chunk, below: Iterator[Table], tree: Iterator[Table], above: Iterator[Table] | None = None
    ) -> Table:
        (merges,), names = tree, list(above or ())
        boxes = list(below)
        labels = distinct(np.concatenate([box["nodes"] for box in boxes]))
        own = ~outside(labels, chunk.start, chunk.bbox.shape, chunk.bounds.shape)
        return named(
            labels[own],
            above_threshold(Merges.of_table(merges), self.cut_at),
            Names.of_table(names[0]) if names else None,
            None if self.height else boxes[0]["sizes"][own],
        ).table()


class Summed(Leveled):
    """Sums: each box adds up to eight boxes of the level below, and the boxes of level 1 add chunks themselves.

    There is no level 0, so that all levels together have about a seventh as many files as there are chunks. Inside a
    box, sums are added as in the pyramid, two neighbours at a time. A subclass overrides `joined`.
    """

    lowest = 1
    level: int = CountParameter(
        default=LAST,
        least=LAST,
        description="1: up to eight chunks; each next level: eight times as many; -1: the last",
    )

    @functools.cached_property
    def top(self) -> int:
        return max(1, -(-top_level(self.chunks) // DOUBLINGS))

    @property
    def end(self) -> int:
        return self.top

    @property
    def doublings(self) -> int:
        return self._doublings(self.height)

    def _doublings(self, height: int) -> int:
        return min(DOUBLINGS * height, top_level(self.chunks))

    def reading(self) -> tuple[Reads, ...]:
        return (Reads(type(self), level=self.height - 1) if self.height > 1 else Reads(self.leaf),)

    def joined(self, box: Bbox, bounds: Bbox, parts: Iterable[tuple[Bbox, Sums]]) -> Table:
        """The sums of a box.

        Args:
            box: its voxels.
            bounds: those of the whole volume.
            parts: one or more boxes that tile it, with the sums of each, or with the table of each chunk.
        """
        raise NotImplementedError

    def compute_chunk(self, chunk: Chunk, boxes: Iterator[Sums]) -> Table:
        below = self.upstream(self.reading()[0]).grid
        sums = dict(zip(below.meeting(chunk.bbox), boxes, strict=True))
        grids = [level_grid(self.chunks, n) for n in range(self._doublings(self.height - 1), self.doublings + 1)]
        return self._joined(chunk.bbox, chunk.bounds, grids, sums)

    def _joined(self, box: Bbox, bounds: Bbox, grids: list[Grid], sums: dict[Triple, Sums]) -> Table:
        """The sums of a box of the last of several grids, each of which doubles the one before."""
        *below, grid = grids
        if not below:
            return self.joined(box, bounds, [(box, sums.pop(grid.index_of(box)))])
        inner = map(below[-1].chunk, below[-1].meeting(box))
        return self.joined(box, bounds, ((part, self._joined(part, bounds, below, sums)) for part in inner))


def shared_faces(box: Bbox, inner: Bbox) -> int:
    """Bits of the faces of an inner box that are also faces of the box around it.

    >>> volume = Bbox((0, 0, 0), (9, 9, 9))
    >>> shared_faces(volume, Bbox((0, 3, 6), (9, 6, 9))) == LOW_FACES[0] | HIGH_FACES[0] | HIGH_FACES[2]
    True
    """
    bits = 0
    for axis in range(3):
        bits |= LOW_FACES[axis] * (inner.start[axis] == box.start[axis])
        bits |= HIGH_FACES[axis] * (inner.stop[axis] == box.stop[axis])
    return bits


def inner_faces(box: Bbox, bounds: Bbox) -> int:
    """Bits of the faces of a box beyond which the volume continues."""
    return (sum(LOW_FACES) + sum(HIGH_FACES)) ^ shared_faces(bounds, box)
