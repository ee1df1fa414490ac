"""From fragments to segments: region graph, agglomeration, relabelling."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import triple
from lchunk.geometry.grid import Grid
from lchunk.operators.agglomeration import agglomerate_graph
from lchunk.operators.pair_sums import Table, added, added_sizes
from lchunk.operators.region_graph import face_labels, fragment_sizes, region_graph
from lchunk.operators.union import relabelled
from lchunk.tasks.fragments import Fragments
from lchunk.tasks.inference import Inference
from lchunk.tasks.parameters import CountParameter, RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.folder import TABLE

GRAPH = ("u", "v", "sum", "count")
FACES = tuple(f"{side}{axis}" for side in ("low", "high") for axis in range(3))


class RegionGraph(Stage):
    """Sum the affinities between touching fragments. A chunk owns the edges to the voxels before it.

    Reads  `fragments` (z, y, x), one voxel more on the low sides; `affinities` (3, z, y, x).
    Writes `region_graph`, a table a chunk: u < v, sum (fixed point), count; labels with their sizes in voxels; the
           labels at each face, low0 to high2.

    Chunks add up to the graph of the whole volume, exactly, for every grid.
    """

    reads = (Reads(Fragments, low=(1, 1, 1)), Reads(Inference))
    layer = "region_graph"
    format = TABLE

    def compute(self, fragments: npt.NDArray[np.uint64], affinities: npt.NDArray[Any]) -> Table:
        start = triple(a - o for a, o in zip(self.bbox.start, self.bounds.start, strict=True))
        labels, sizes = fragment_sizes(fragments[1:, 1:, 1:])
        edges = region_graph(fragments, affinities, start=start, volume_shape=self.bounds.shape)
        return {**edges, "labels": labels, "sizes": sizes, **face_labels(fragments, start, self.bounds.shape)}


class MergeLevel(Stage):
    """Merge, in a box of chunks, the fragments that the box sees whole; hand the others to the next level.

    Reads  level 0: `region_graph`, a chunk; level n: level n - 1, 2 x 2 x 2 boxes.
    Writes `agglomeration/levels/n`, a table a box: the fragments that change, and the root of each; u, v, sum, count:
           the graph that is left for the next level; the labels at each face, low0 to high2.

    Mean affinity is reducible, so what a box sees whole may merge before the rest is known, and the result is that of
    the whole graph. A box holds its own edges at level 0, and above it what its boxes left: no task holds the graph
    of the volume, but the last level what crosses the middle of it.
    """

    format = TABLE
    selects = ("level",)

    level: int = CountParameter(default=0, description="0 for chunks; each next one is of boxes twice as long")
    threshold: float = RangeParameter(least=0, most=1, default=0.7, description="that of Agglomeration")

    @property
    def path(self) -> str:
        return f"{self.layer_name or Agglomeration.layer}/levels/{self.level}"

    @property
    def named_by(self) -> str:
        return Agglomeration.__name__

    @property
    def log_folder(self) -> str:
        return f"{Agglomeration.layer}-level-{self.level}"

    @functools.cached_property
    def grid(self) -> Grid:
        return level_grid(Grid(self.bounds, self.chunk_shape), self.level)

    def reading(self) -> tuple[Reads, ...]:
        return (Reads(MergeLevel, level=self.level - 1) if self.level else Reads(RegionGraph),)

    def connect(self, reads: Reads) -> Stage:
        if reads.stage is MergeLevel:
            stage: Stage = self.clone(region=None, level=reads.level)
            return stage
        return super().connect(reads)

    def compute(self, boxes: Iterator[Table]) -> Table:
        grid = self.upstream(self.reading()[0]).grid
        graphs: list[Table] = []
        faces: dict[str, list[npt.NDArray[np.uint64]]] = {name: [np.empty(0, np.uint64)] for name in FACES}
        for index, box in zip(grid.meeting(self.bbox), boxes, strict=True):
            graphs.append({name: box[name] for name in GRAPH})
            inner = grid.chunk(index)
            for axis in range(3):
                if inner.start[axis] == self.bbox.start[axis]:
                    faces[f"low{axis}"].append(box[f"low{axis}"])
                if inner.stop[axis] == self.bbox.stop[axis]:
                    faces[f"high{axis}"].append(box[f"high{axis}"])
        outer = {name: np.unique(np.concatenate(labels)) for name, labels in faces.items()}
        frozen = np.unique(np.concatenate(list(outer.values())))
        merged = agglomerate_graph(added(graphs), threshold=self.threshold, frozen=frozen)
        return {"changed": merged.changed, "roots": merged.roots, **merged.rest, **outer}


class Agglomeration(Stage):
    """Merge fragments by mean affinity, the strongest pair first.

    Reads  every level of `agglomeration/levels`; `region_graph`: the fragments and their sizes.
    Writes `agglomeration/table`: the fragments that change, and the segment of each, named by its smallest fragment;
           every segment, ascending, with its size in voxels.

    Holds 32 bytes a fragment; the graph is merged level by level, in boxes of chunks.
    """

    layer = "agglomeration"
    format = TABLE
    whole = True
    file = "table"

    threshold: float = RangeParameter(
        least=0, most=1, default=0.7, description="merge while 1 - mean affinity is below it: higher merges more"
    )

    def reading(self) -> tuple[Reads, ...]:
        levels = range(top_level(self.upstream(Reads(RegionGraph)).grid) + 1)
        return (*(Reads(MergeLevel, level=level) for level in levels), Reads(RegionGraph))

    def connect(self, reads: Reads) -> Stage:
        if reads.stage is MergeLevel:
            return MergeLevel(
                root=self.root, level=reads.level, threshold=self.threshold, layer_name=self.layer_name,
                chunk_shape=self.upstream(Reads(RegionGraph)).grid.chunk_shape,
            )  # fmt: skip
        return super().connect(reads)

    def compute(self, *inputs: Iterator[Table]) -> Table:
        *levels, graphs = inputs
        changed = roots = np.empty(0, np.uint64)
        for level in reversed(levels):
            merges = [(box["changed"], box["roots"]) for box in level]
            lower, above = (np.concatenate(columns) for columns in zip(*merges, strict=True))
            lower, above = np.concatenate([changed, lower]), np.concatenate([roots, relabelled(above, changed, roots)])
            order = np.argsort(lower)
            changed, roots = lower[order], above[order]
        labels, sizes = added_sizes((relabelled(graph["labels"], changed, roots), graph["sizes"]) for graph in graphs)
        return {"changed": changed, "roots": roots, "labels": labels, "sizes": sizes}


def level_grid(chunks: Grid, level: int) -> Grid:
    """The boxes of a level: 2^level chunks long on each axis."""
    return Grid(chunks.bounds, triple(side << level for side in chunks.chunk_shape))


def top_level(chunks: Grid) -> int:
    """The first level that is one box."""
    return (max(chunks.counts) - 1).bit_length()


class Segmentation(Stage):
    """Give every voxel the label of its segment.

    Reads  `fragments` (z, y, x), `agglomeration`.
    Writes `segmentation` (z, y, x) uint64, 0 for background.

    One segmentation of the whole volume: no seams, and the same voxels for every grid.
    """

    reads = (Reads(Fragments), Reads(Agglomeration))
    layer = "segmentation"
    dtype = np.uint64

    def compute(self, fragments: npt.NDArray[np.uint64], tables: Iterator[Table]) -> npt.NDArray[np.uint64]:
        (table,) = tables
        return relabelled(fragments, table["changed"], table["roots"])
