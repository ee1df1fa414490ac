"""Where a segmentation differs from the true labels."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lchunk.operators.agglomeration import Merges
from lchunk.operators.contingency import added, added_in_turn
from lchunk.operators.contingency_sums import MOST_LISTED
from lchunk.operators.contraction import Cut, clustered, whole_graph
from lchunk.operators.cut import Names, above_threshold
from lchunk.operators.error_place import Compared
from lchunk.operators.error_places import described, error_places
from lchunk.operators.evaluation import scores
from lchunk.operators.graph import Labels, Table
from lchunk.operators.graph_table import graph_of
from lchunk.operators.labels import relabelled
from lchunk.tasks.absorption import AbsorbedNames, naming
from lchunk.tasks.agglomeration import Agglomeration, RegionGraph, SegmentNames
from lchunk.tasks.evaluation import FragmentContingency
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.levels import top_level
from lchunk.tasks.parameters import CountParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.segmentation import Segmentation
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import DOCUMENT

logger = logging.getLogger("luigi-interface")

DUST = "Segmentation-dust-threshold"


class ErrorPlaces(Stage):
    """Find where the segmentation is wrong: the contacts of wrong merges, and of segments that should be one.

    Reads  `fragment_contingency`; every level of `agglomeration`; `region_graph`; `segmentation/names`, with
           `--Segmentation-min-voxels` instead `segmentation/absorbed`.
    Writes `error_places/places.json`: what was compared, its scores, and under `places` the wrong merges and splits
           that cost most: kind, voi (the cost), affinity, place; for both sides segment, voxels and body.

    `lchunk errors` lists them, and `lchunk view` shows them. The segments are those of `Segmentation`, the same places
    for every grid. Merges of small segments (min_voxels) and those inside a fragment of the watershed are not listed.
    Holds the edges between fragments, about 150 bytes each at the peak, the merges, and the pairs of a body and a
    fragment, 24 bytes each, and about 200 bytes per pair of a body and a segment: for volumes with a ground truth.
    """

    layer = "error_places"
    format = DOCUMENT
    single_chunk = True
    file = "places"

    most: int = CountParameter(
        default=100, most=MOST_LISTED, description="how many wrong merges to list, and how many wrong splits"
    )

    def reading(self) -> tuple[Reads, ...]:
        levels = range(top_level(self.upstream(Reads(RegionGraph)).grid) + 1)
        trees = (Reads(Agglomeration, level=level) for level in levels)
        return (*self.named_after(), Reads(FragmentContingency), Reads(RegionGraph), *trees)

    def named_after(self) -> tuple[Reads, ...]:
        return (Reads(naming(self.segmentation.min_voxels)),)

    def connect(self, reads: Reads) -> Stage:
        if reads.stage in (AbsorbedNames, SegmentNames):
            return self.segmentation.names
        if reads.stage is Agglomeration:
            return Agglomeration(root=self.root, level=reads.level)
        return super().connect(reads)

    @property
    def segmentation(self) -> Segmentation:
        """The stage whose segments are compared with the truth."""
        return Segmentation(root=self.root)

    def ingredients(self) -> dict[str, str]:
        dust = self.segmentation.dust_threshold
        return {DUST: str(dust)} if dust else {}

    def validate(self) -> None:
        if self.segmentation.edits:
            raise ValueError(
                "Segmentation-edits must be empty for ErrorPlaces, which follows the tree of merges alone, got "
                f"{self.segmentation.edits}; leave it out, with --Segmentation-layer-name for a layer without edits"
            )
        url = self.segmentation.external
        if url:
            raise ValueError(
                f"ErrorPlaces must read the tree of merges of Segmentation, but Segmentation-external is {url}; "
                "remove that, or use Evaluation, which lists the worst segments of any volume"
            )
        self.segmentation.validate()

    def compute_chunk(
        self, chunk: Chunk, names: Iterator[Table], chunks: Iterator[Table], edges: Iterator[Table],
        *levels: Iterator[Table],
    ) -> dict[str, Any]:  # fmt: skip
        trees = [Merges.together([Merges.of_table(box) for box in level]) for level in levels]
        fragments = Cut.at(trees, 0)  # of which chunks have parts, that links join
        graph = whole_graph(
            clustered(part, fragments.segments(part.nodes), overwrite=True) for part in map(graph_of, edges)
        )
        segments = _segments(graph.nodes, map(Names.of_table, names), self.segmentation.dust_threshold)
        pairs = added_in_turn(chunks)
        pairs = added([pairs | {"segment": fragments.segments(pairs["segment"])}])
        merges = Merges.together([_without_links(above_threshold(t, self.segmentation.threshold)) for t in trees])
        compared = Compared.of(graph, segments, pairs)
        found = error_places(compared, merges, self.most)
        places = [described(error, chunk.bounds, compared.labelled) for error in found]
        inside = scores(pairs)["voi_merge"]
        result = dict(scores(pairs | {"segment": relabelled(pairs["segment"], graph.nodes, segments)}))
        logger.info("%d places; the worst costs %.6f bits of VOI", len(places), places[0]["voi"] if places else 0)
        return {
            "segmentation": self.segmentation.path, "ground_truth": self.dataset.ground_truth,
            "threshold": self.segmentation.threshold, "min_voxels": self.segmentation.min_voxels,
            "voxel_size": list(self.geometry.voxel_size), **result,
            "fragments_voi_merge": inside, "places": places,
        }  # fmt: skip


def _segments(fragments: Labels, chunks: Iterable[Names], dust_threshold: int) -> Labels:
    """The segment of each fragment, from the names of all chunks; 0 where it has too few voxels."""
    segments = np.zeros(len(fragments), np.uint64)
    for names in chunks:
        at = np.searchsorted(fragments, names.labels)
        own = np.append(fragments, np.uint64(0))[at] == names.labels
        segments[at[own]] = np.where(names.sizes[own] < dust_threshold, 0, names.roots[own])
    return segments


def _without_links(merges: Merges) -> Merges:
    kept = np.isfinite(merges.mean)
    return Merges(merges.merged[kept], merges.into[kept], merges.mean[kept], merges.size[kept])
