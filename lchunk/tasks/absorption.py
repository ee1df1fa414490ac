"""Small segments follow their strongest edge: decided box by box on the way up, and named on the way down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from lchunk.operators.absorb import absorb
from lchunk.operators.contraction import clustered
from lchunk.operators.cut import Names
from lchunk.operators.graph import LOW_FACES, Graph, Labels, Table
from lchunk.operators.graph_table import graph_of
from lchunk.operators.waiting import Decided, Waiting, absorbed_names, put_together
from lchunk.tasks.agglomeration import RegionGraph, SegmentNames
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.levels import Leveled, shared_faces
from lchunk.tasks.parameters import CountParameter, RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage


class Absorbing(Leveled):
    """A stage of the segments of one cut of the tree, of which those below `min_voxels` are absorbed."""

    layer = "segmentation"
    leaf = RegionGraph
    folder = ""

    threshold: float = RangeParameter(least=0, most=1, default=0.7, description="the threshold of Segmentation")
    min_voxels: int = CountParameter(default=0, description="the min_voxels of Segmentation")

    @property
    def path(self) -> str:
        return f"{self.named(self.layer)}/{self.folder}/{self.height}"

    @property
    def named_by(self) -> str:
        return "Segmentation"

    def connect(self, reads: Reads) -> Stage:
        if reads.stage is SegmentNames:
            return names_of(self.root, self.threshold, 0, self.layer_name)
        if reads.stage is Absorb:
            return Absorb(
                root=self.root, threshold=self.threshold, min_voxels=self.min_voxels, layer_name=self.layer_name,
                level=reads.level,
            )  # fmt: skip
        return super().connect(reads)


class Absorb(Absorbing):
    """Let segments that are too small follow their strongest edge, in rounds, as far as a box sees it.

    Reads  level 0: `region_graph` of a chunk, `segmentation/names` of the chunk and those before it; level n: two boxes
           of level n - 1.
    Writes `segmentation/absorb/n`, a table for each box: the labels that the box decides, and what they become; the
           segments that gain no more voxels; and the labels that wait, with their edges (see `Waiting`).

    A segment that no box sees whole waits for a larger one, so every grid gives the same segments. Two segments that
    have enough voxels are never joined.
    """

    folder = "absorb"

    @property
    def end(self) -> int:
        return self.top

    def reading(self) -> tuple[Reads, ...]:
        if self.height:
            return (Reads(Absorb, level=self.height - 1),)
        return (Reads(RegionGraph), Reads(SegmentNames, low=(1, 1, 1), clip=True))

    def compute_chunk(self, chunk: Chunk, boxes: Iterator[Table], names: Iterator[Table] | None = None) -> Table:
        grid = self.upstream(self.reading()[0]).grid
        if names is not None:
            waiting = self._cut(chunk, graph_of(next(boxes)), [Names.of_table(table) for table in names])
        else:
            parts = [Waiting.of_table(box) for box in boxes]
            inner = [shared_faces(chunk.bbox, grid.chunk(index)) for index in grid.meeting(chunk.bbox)]
            waiting = put_together(parts, inner)
        decided, left = absorb(waiting, self.min_voxels)
        return decided.table() | left.table()

    def _cut(self, chunk: Chunk, graph: Graph, names: Sequence[Names]) -> Waiting:
        """The segments of a chunk, and the edges between them that the chunk owns."""
        labels = np.concatenate([one.labels for one in names])
        order = np.argsort(labels)
        at = order[np.searchsorted(labels, graph.nodes, sorter=order)]
        roots, sizes = (np.concatenate([getattr(one, name) for one in names])[at] for name in ("roots", "sizes"))
        faces = graph.faces | _before(graph.nodes, chunk)
        own = clustered(replace(graph, faces=faces), roots, overwrite=True)
        voxels = np.empty(len(own.nodes), np.int64)
        voxels[np.searchsorted(own.nodes, roots)] = sizes
        return Waiting.before(own.nodes, voxels, own.faces, own.edges, self.min_voxels)


class AbsorbedNames(Absorbing):
    """Find the segment that each fragment belongs to once small segments are absorbed.

    Reads  level 0: `segmentation/names` of a chunk; level n: `segmentation/absorb` of the level below; then
           `segmentation/absorb` of the same level, and the names of the level above.
    Writes `segmentation/absorbed/n`, a table for each box: labels, their roots, and the sizes of these, as
           `segmentation/names/n`.

    A segment that was large keeps its label; one of small segments has their smallest.
    """

    folder = "absorbed"

    @property
    def end(self) -> int:
        return 0

    def named_after(self) -> tuple[Reads, ...]:
        return (Reads(SegmentNames),)

    def reading(self) -> tuple[Reads, ...]:
        below = Reads(Absorb, level=self.height - 1) if self.height else Reads(SegmentNames)
        above = (Reads(AbsorbedNames, level=self.height + 1),) if self.height < self.top else ()
        return (below, Reads(Absorb, level=self.height), *above)

    def compute_chunk(
        self, chunk: Chunk, below: Iterator[Table], own: Iterator[Table], above: Iterator[Table] | None = None
    ) -> Table:
        decided = Decided.of_table(next(own))
        further = Names.of_table(next(above)) if above is not None else None
        if self.height:
            labels, sizes = _passed([Waiting.of_table(box) for box in below])
            return absorbed_names(labels, sizes, decided, further).table()
        cut = Names.of_table(next(below))
        roots, at = np.unique(cut.roots, return_inverse=True)
        sizes = np.zeros(len(roots), np.int64)
        sizes[at] = cut.sizes
        final = absorbed_names(roots, sizes, decided, further)
        return Names(cut.labels, final.roots[at], final.sizes[at]).table()


def naming(min_voxels: int) -> type[Leveled]:
    """The kind of stage that knows the labels of each chunk, and their voxels in the whole volume."""
    return AbsorbedNames if min_voxels else SegmentNames


def names_of(root: str, threshold: float, min_voxels: int, layer_name: str) -> Stage:
    """The stage that knows the labels of each chunk for a cut of the tree."""
    if min_voxels:
        return AbsorbedNames(root=root, threshold=threshold, min_voxels=min_voxels, layer_name=layer_name)
    return SegmentNames(root=root, threshold=threshold, layer_name=layer_name)


def _before(labels: Labels, chunk: Chunk) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Bits of the low faces beyond which labels are that a chunk's edges reach."""
    faces = np.zeros(len(labels), np.uint8)
    places = np.unravel_index((labels - np.uint64(1)).astype(np.int64), chunk.bounds.shape)
    for bit, place, start in zip(LOW_FACES, places, chunk.start, strict=True):
        faces[place < start] |= np.uint8(bit)
    return faces


def _passed(boxes: Sequence[Waiting]) -> tuple[Labels, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The labels that boxes have passed on, ascending, and their voxels before any joined."""
    labels = np.concatenate([part for box in boxes for part in (box.nodes, box.gaining)])
    sizes = np.concatenate([part for box in boxes for part in (box.sizes, box.own)])
    distinct, at = np.unique(labels, return_inverse=True)
    own = np.zeros(len(distinct), np.int64)
    np.maximum.at(own, at, sizes)
    return distinct, own
