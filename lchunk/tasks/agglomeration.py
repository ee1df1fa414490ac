"""From fragments to segments: region graph, agglomeration, relabelling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import triple
from lchunk.operators.agglomeration import agglomerate_graph
from lchunk.operators.pair_sums import Table, added
from lchunk.operators.region_graph import fragment_sizes, region_graph
from lchunk.operators.union import relabelled
from lchunk.tasks.fragments import Fragments
from lchunk.tasks.inference import Inference
from lchunk.tasks.parameters import RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.folder import TABLE


class RegionGraph(Stage):
    """Sum the affinities between touching fragments. A chunk owns the edges to the voxels before it.

    Reads  `fragments` (z, y, x), one voxel more on the low sides; `affinities` (3, z, y, x).
    Writes `region_graph`, a table a chunk: u < v, sum (fixed point), count; and labels with their sizes in voxels.

    Chunks add up to the graph of the whole volume, exactly, for every grid.
    """

    reads = (Reads(Fragments, low=(1, 1, 1)), Reads(Inference))
    layer = "region_graph"
    format = TABLE

    def compute(self, fragments: npt.NDArray[np.uint64], affinities: npt.NDArray[Any]) -> Table:
        start = triple(a - o for a, o in zip(self.bbox.start, self.bounds.start, strict=True))
        labels, sizes = fragment_sizes(fragments[1:, 1:, 1:])
        edges = region_graph(fragments, affinities, start=start, volume_shape=self.bounds.shape)
        return {**edges, "labels": labels, "sizes": sizes}


class Agglomeration(Stage):
    """Merge fragments by mean affinity, the strongest pair first.

    Reads  `region_graph`.
    Writes `agglomeration/table`: the fragments that change, and the segment of each, named by its smallest fragment;
           every segment, ascending, with its size in voxels.

    Holds the whole graph: about 200 bytes an edge, so 24 GB for 80 million edges, about 1 Gvoxel.
    """

    reads = (Reads(RegionGraph),)
    layer = "agglomeration"
    format = TABLE
    whole = True
    file = "table"

    threshold: float = RangeParameter(
        least=0, most=1, default=0.7, description="merge while 1 - mean affinity is below it: higher merges more"
    )

    def compute(self, chunks: Iterator[Table]) -> Table:
        graphs: list[Table] = []
        sizes: list[Table] = []
        for chunk in chunks:
            graphs.append({name: chunk[name] for name in ("u", "v", "sum", "count")})
            labels, voxels = chunk["labels"], chunk["sizes"]
            sizes.append({"u": labels, "v": np.zeros_like(labels), "sum": voxels, "count": voxels})
        merged = agglomerate_graph(added(graphs), threshold=self.threshold)
        fragments = added(sizes)
        segments = relabelled(fragments["u"], merged.changed, merged.roots)
        total = added([{**fragments, "u": segments}])
        return {"changed": merged.changed, "roots": merged.roots, "labels": total["u"], "sizes": total["sum"]}


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
