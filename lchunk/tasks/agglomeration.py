"""From fragments to a tree of merges: the region graph, the tree, and its cut at a threshold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import triple
from lchunk.operators.graph import Table
from lchunk.operators.graph_table import graph_table
from lchunk.operators.region_graph import region_graph
from lchunk.tasks.fragments import LocalFragments, last_ids
from lchunk.tasks.inference import Inference
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.levels import MergeTree, Naming
from lchunk.tasks.local_labels import labels_of
from lchunk.tasks.parameters import RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import TABLE


class RegionGraph(Stage):
    """Sum the affinities between touching fragments; a chunk owns the edges to the voxels before it.

    Reads  `local_fragments` of the chunk, and the faces of the chunks before it; `affinities` (3, z, y, x).
    Writes `region_graph`, one table per chunk: nodes, the fragments with their sizes in voxels, and bits for the faces
           that they touch; pair: those that touch, with sum (fixed point), count and first voxel of their affinities;
           links: parts of one fragment on both sides of a face.

    Chunks add up to the graph of the whole volume, exactly, for every grid.
    """

    reads = (Reads(LocalFragments, low=(1, 1, 1), clip=True), Reads(Inference))
    layer = "region_graph"
    format = TABLE
    same_grid = True

    def compute_chunk(self, chunk: Chunk, chunks: Iterator[Table], affinities: npt.NDArray[Any]) -> Table:
        around = dict(zip(self.grid.meeting(self.reach(self.reads[0], chunk.bbox)), chunks, strict=True))
        index = self.grid.index_of(chunk.bbox)
        own = around[index]
        before, linked = [], []
        for axis in range(3):
            linked.append(own[f"linked{axis}"])
            neighbour = around.get(triple(i - (n == axis) for n, i in enumerate(index)))
            before.append(last_ids(neighbour, axis) if neighbour else np.zeros(linked[-1].shape, np.uint64))
        graph = region_graph(
            labels_of(own), own["ids"], affinities, start=chunk.start, volume_shape=chunk.bounds.shape, before=before,
            linked=linked,
        )  # fmt: skip
        return graph_table(graph)


class Agglomeration(MergeTree):
    """Merge fragments by mean affinity, the strongest pair first, into a tree that any threshold cuts.

    Reads  level 0: `region_graph` of a chunk; level n: two boxes of level n - 1.
    Writes `agglomeration/n`, a table for each box: merged, into, mean, size: the merges that the box decides, which are
           those of the whole graph; and the graph that the next level needs, as in `region_graph`.

    Equal means are merged in the order of their first voxels, so that every grid gives one tree.
    """

    layer = "agglomeration"
    leaf = RegionGraph

    highest_threshold: float = RangeParameter(
        least=0,
        most=1,
        default=0.7,
        description="highest threshold that Segmentation can use later; lower is faster and smaller",
    )

    @property
    def merged_up_to(self) -> float:
        return self.highest_threshold


class SegmentNames(Naming):
    """Find the segment that each fragment belongs to.

    Reads  `agglomeration`, the same level; the labels of the level below; the names of the level above.
    Writes `segmentation/names/n`, a table for each box: the labels that reach the box; their roots, the smallest
           fragment of the segment; and the size of the segment in voxels.
    """

    layer = "segmentation"
    leaf = RegionGraph
    tree = Agglomeration

    threshold: float = RangeParameter(least=0, most=1, default=0.7, description="the threshold of Segmentation")

    @property
    def cut_at(self) -> float:
        return self.threshold

    @property
    def named_by(self) -> str:
        return "Segmentation"
