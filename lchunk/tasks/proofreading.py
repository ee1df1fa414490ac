"""What a proofreading backend, PyChunkedGraph, ingests: supervoxels cut at chunk faces, and the edges between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.operators.chunk_edges import CutFragments, chunk_edges
from lchunk.operators.cut import Names
from lchunk.operators.graph import Graph, Labels, Table
from lchunk.operators.graph_table import graph_of
from lchunk.operators.labels import look_up
from lchunk.operators.supervoxels import LAYER_BITS, MOST_BITS, least_bits, supervoxel_ids
from lchunk.tasks.agglomeration import RegionGraph
from lchunk.tasks.external_values import Kind
from lchunk.tasks.fragments import LocalFragments
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.local_labels import labels_of
from lchunk.tasks.parameters import CountParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.segmentation import Segmentation
from lchunk.tasks.sources import readable
from lchunk.tasks.stage import Stage
from lchunk.volumes.chunked_graph import ChunkedGraphFolder

ALONG: tuple[Triple, ...] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


@readable("supervoxels")
class Supervoxels(Stage):
    """Cut the fragments of the watershed at chunk faces, and name each part as PyChunkedGraph requires.

    Reads  `local_fragments`.
    Writes `supervoxels` (z, y, x) uint64, 0 for background. An id holds the layer, 1, in 8 bits, the chunk's x, y and z
           in `spatial_bits` each, counted from the volume's first chunk, and a number from 0.

    The chunks are those of `local_fragments` (`LocalFragments-chunk-shape`). `Export --of supervoxels` writes the
    precomputed volume that PyChunkedGraph reads; `ChunkedGraph` the edges. docs/proofreading.md shows a whole ingest.
    """

    reads = (Reads(LocalFragments),)
    layer = "supervoxels"
    dtype = np.uint64
    labels = True

    spatial_bits: int = CountParameter(
        default=0,
        most=MOST_BITS,
        description="bits of an id for each axis of its chunk, SPATIAL_BITS of the ingest; 0: as few as the grid needs",
    )

    @property
    def external_kind(self) -> Kind | None:
        return None

    @property
    def bits(self) -> int:
        """Bits of an id for each axis of its chunk."""
        return self.spatial_bits or least_bits(self._cut.counts)

    @property
    def _cut(self) -> Grid:
        """The chunks at whose faces fragments are cut."""
        return self.upstream(self.reads[0]).grid

    def validate(self) -> None:
        least = least_bits(self._cut.counts)
        if not least <= self.bits <= MOST_BITS:
            raise ValueError(
                f"Supervoxels-spatial-bits must be at least {least}, and at most {MOST_BITS}, for {self._cut.counts} "
                f"chunks (z, y, x), got {self.bits}; correct it, or set LocalFragments-chunk-shape larger"
            )

    def ingredients(self) -> dict[str, str]:
        """The layout of the ids, which depends on the chunks, as no other layer does."""
        shape = ",".join(map(str, self._cut.chunk_shape))
        return {"the chunks at which supervoxels are cut": shape, "the bits of an id for each axis": str(self.bits)}

    def compute_chunk(self, chunk: Chunk, tables: Iterator[Table]) -> npt.NDArray[np.uint64]:
        grid = self._cut
        voxels = np.empty(chunk.bbox.shape, np.uint64)
        for index, table in zip(grid.meeting(chunk.bbox), tables, strict=True):
            ids = np.append(np.uint64(0), supervoxel_ids(index, len(table["ids"]) - 1, self.bits))
            box = grid.chunk(index)
            part = box.clipped(chunk.bbox)
            look_up(ids, labels_of(table)[part.slices(box.start)], voxels[part.slices(chunk.bbox.start)])
        return voxels


NAMED_ALIKE = Reads(Supervoxels)
"""No voxel is read, but the ids of the edges are those of this layer: its recipe is checked, and is part of theirs."""


class ChunkedGraph(Stage):
    """Write the edges between supervoxels, and which of them are one segment, as PyChunkedGraph ingests them.

    Reads  `region_graph`, `segmentation/names`, or `segmentation/absorbed` with `--Segmentation-min-voxels`: of the
           chunk and of the six around it. `supervoxels` are made first, so that the ids are the same.
    Writes `chunkedgraph`: two files per chunk, whose names hold its x, y and z; last, a file of their checksums.

    `edges_0_0_0.proto.zst` has the edges in the chunk, and those from it to other chunks: cross-chunk edges join what
    the faces of the chunk cut, and between-chunk edges are all others. An area is the number of pairs of voxels in
    which two supervoxels touch, an affinity the sum over these pairs; it is infinite for cross-chunk edges.
    `components_0_0_0.proto` lists which supervoxels are one segment at `--Segmentation-threshold`. Segments below
    `--Segmentation-dust-threshold` stay. `Supervoxels` has the knobs of the ids.
    """

    layer = "chunkedgraph"
    same_grid = True

    def reading(self) -> tuple[Reads, ...]:
        named = type(Segmentation(root=self.root).names)
        return (
            *(Reads(RegionGraph, high=side, clip=True) for side in ALONG),
            *(Reads(named, low=side, high=side, clip=True) for side in ALONG),
            NAMED_ALIKE,
        )

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        return Bbox(bbox.start, bbox.start) if reads == NAMED_ALIKE else super().reach(reads, bbox)

    def awaits(self, reads: Reads, bbox: Bbox) -> Bbox:
        return bbox if reads == NAMED_ALIKE else super().awaits(reads, bbox)

    def connect(self, reads: Reads) -> Stage:
        named = reads.stage not in (RegionGraph, Supervoxels)
        return Segmentation(root=self.root).names if named else super().connect(reads)

    def validate(self) -> None:
        segmentation = Segmentation(root=self.root)
        if segmentation.external:
            raise ValueError(
                "Segmentation-external must be empty for ChunkedGraph, which needs the fragments that segments are "
                f"made of, got {segmentation.external}; remove it"
            )
        segmentation.validate()

    @property
    def _bits(self) -> int:
        return cast(Supervoxels, self.upstream(NAMED_ALIKE)).bits

    def files(self) -> ChunkedGraphFolder:
        return ChunkedGraphFolder(self.store, self.path, self.grid, LAYER_BITS, self._bits)

    def compute_chunk(self, chunk: Chunk, *inputs: Iterator[Table]) -> tuple[dict[str, Table], Labels]:
        graphs: dict[Triple, Graph] = {}
        around: dict[Triple, CutFragments] = {}
        of_tables = (reads for reads in self.reading() if reads != NAMED_ALIKE)
        for reads, tables in zip(of_tables, inputs[:-1], strict=True):
            for index, table in zip(self.grid.meeting(self.reach(reads, chunk.bbox)), tables, strict=True):
                if reads.stage is RegionGraph:
                    graphs[index] = graphs.get(index) or graph_of(table)
                else:
                    around[index] = around.get(index) or _named(index, table, self._bits)
        own = around.pop(self.grid.index_of(chunk.bbox))
        return chunk_edges(own, list(around.values()), list(graphs.values()))


def _named(index: Triple, table: Table, bits: int) -> CutFragments:
    """The supervoxels of a chunk. Numbers follow first voxels, and so do the labels of fragments."""
    names = Names.of_table(table)
    return CutFragments(names.labels, supervoxel_ids(index, len(names.labels), bits), names.roots)
