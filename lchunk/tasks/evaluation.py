"""How good a segmentation is, at its threshold and at others."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import cached_property, reduce
from operator import add
from typing import Any

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.operators.agglomeration import Merges
from lchunk.operators.clefts import cleft_points, cleft_scores
from lchunk.operators.contingency import added, added_in_turn, contingency
from lchunk.operators.contingency_sums import MOST_LISTED, NEVER, PairSums, never_closed, open_segments
from lchunk.operators.contraction import Cut, absorbed, clustered, whole_graph
from lchunk.operators.edits import Edited
from lchunk.operators.evaluation import scores, worst
from lchunk.operators.graph import Table
from lchunk.operators.graph_table import graph_of
from lchunk.tasks.agglomeration import Agglomeration, RegionGraph
from lchunk.tasks.components import ConnectedComponents
from lchunk.tasks.edited import SegmentEdits
from lchunk.tasks.external_values import Kind
from lchunk.tasks.externals import CheckedVolume, Expected, checked_external
from lchunk.tasks.fragments import LocalFragments
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.levels import LAST, Summed, Sums, inner_faces, shared_faces, top_level
from lchunk.tasks.local_labels import labels_of
from lchunk.tasks.parameters import CountParameter, TupleParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.segmentation import Segmentation
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import DOCUMENT, TABLE

logger = logging.getLogger("luigi-interface")


SEGMENTS: dict[str, type[Stage]] = {"segmentation": Segmentation, "components": ConnectedComponents}


class AgainstTruth(Stage):
    """A stage that looks at true labels, chunk by chunk."""

    format = TABLE

    def ingredients(self) -> dict[str, str]:
        return {"ground_truth": self.dataset.ground_truth, "ground_truth_fingerprint": self.truth.fingerprint()}

    def validate(self) -> None:
        self.truth.sample()

    @cached_property
    def truth(self) -> CheckedVolume:
        """The dataset's ground truth, opened once for all chunks; it may cover a part of the volume."""
        if self.region is not None:
            return self.for_volume.truth  # type: ignore[attr-defined, no-any-return]
        url = self.dataset.ground_truth
        if not url:
            raise ValueError("ground_truth must be the URL of true labels, got nothing; set it in [Dataset]")
        place = self.geometry
        expected = Expected("ground_truth", Kind.LABELS, self.bounds, place.image, place.voxel_size, partial=True)
        return checked_external(expected, url)


class Contingency(AgainstTruth):
    """Count the voxels that each true body and each segment share.

    Reads  the layer named by `of`, `segmentation` or `components` (z, y, x); `segmentation/edits` if there are edits;
           `[Dataset] ground_truth` (z, y, x) labels, 0 is not labelled.
    Writes `contingency`, a table for each chunk: truth, segment, voxels; and labels, the segments on the chunk's faces,
           with the bits of these faces.

    A segment of an external volume need not be connected, and one that edits have made neither: labels have these,
    too, with a bit for "anywhere".
    """

    layer = "contingency"

    of: str = luigi.ChoiceParameter(choices=tuple(SEGMENTS), default="segmentation", description="layer to compare")

    def reading(self) -> tuple[Reads, ...]:
        compared = Reads(SEGMENTS[self.of])
        edited = self.of == Segmentation.layer and Segmentation(root=self.root).edits
        return (compared, Reads(SegmentEdits)) if edited else (compared,)

    def named_after(self) -> tuple[Reads, ...]:
        return (Reads(SEGMENTS[self.of]),)

    def connect(self, reads: Reads) -> Stage:
        if reads.stage is SegmentEdits:
            return Segmentation(root=self.root).names.upstream(reads)
        return super().connect(reads)

    def compute_chunk(
        self, chunk: Chunk, segmentation: npt.NDArray[np.uint64], edits: Iterator[Table] | None = None
    ) -> Table:
        pairs = contingency(self.truth.read(chunk.bbox), segmentation)
        if self.upstream(self.reading()[0]).external:
            return pairs | never_closed(pairs["segment"])
        joined = np.empty(0, np.uint64) if edits is None else Edited.of_table(next(edits)).labels
        return pairs | open_segments(segmentation, inner_faces(chunk.bbox, chunk.bounds), anywhere=joined)


class ContingencySums(Summed):
    """Add up pairs of bodies and segments over larger and larger boxes, and forget the pairs of segments inside a box.

    Reads  level 1: `contingency` of up to eight chunks; level n: up to eight boxes of level n - 1.
    Writes `contingency_sums/n`, a table for each box: truth, segment and voxels of segments that may leave the box, and
           labels and faces, as of a chunk; body_…, a row for each true body by all other segments; merge_…, those
           1000 that merge most; totals.

    A segment of `segmentation` is connected, so that one that touches no face of a box is in no other box. A box holds
    the pairs of segments on its faces and of segment 0, which is not connected, 33 bytes each, and 64 bytes per true
    body. Segments of an external volume need not be connected: then the last levels hold all pairs of the volume.
    """

    layer = "contingency_sums"
    leaf = Contingency

    def joined(self, box: Bbox, bounds: Bbox, parts: Iterable[tuple[Bbox, Sums]]) -> Table:
        anywhere = 0 if box == bounds else NEVER
        sums = (PairSums.of_table(table).within(shared_faces(box, part) | anywhere) for part, table in parts)
        return reduce(add, sums).closed().table()


class FragmentContingency(AgainstTruth):
    """Count the voxels that each true body and each fragment share: what every threshold's scores follow from.

    Reads  `local_fragments`; `[Dataset] ground_truth` (z, y, x) labels, 0 is not labelled.
    Writes `fragment_contingency`, a table for each chunk: truth, segment (a chunk's fragment), voxels.
    """

    reads = (Reads(LocalFragments),)
    layer = "fragment_contingency"
    same_grid = True

    def compute_chunk(self, chunk: Chunk, chunks: Iterator[Table]) -> Table:
        (own,) = chunks
        return contingency(self.truth.read(chunk.bbox), own["ids"][labels_of(own)])


class Evaluation(Stage):
    """Score the segmentation against ground truth: Rand and variation of information; and tell where it errs.

    Reads  `contingency_sums`, the last level.
    Writes `evaluation/scores.json`: the scores; under `worst` the true bodies that are split and the segments that
           merge most, with their shares of VOI.

    Voxels whose truth is 0 do not count; segment 0 is a segment. `lchunk scores` prints it. Holds 64 bytes per true
    body, a few times.
    """

    reads = (Reads(ContingencySums, level=LAST),)
    layer = "evaluation"
    format = DOCUMENT
    single_chunk = True
    file = "scores"

    worst: int = CountParameter(
        default=10, most=MOST_LISTED, description="how many of the worst splits and merges to list"
    )

    def compute(self, boxes: Iterator[Table]) -> dict[str, Any]:
        (table,) = boxes
        result: dict[str, Any] = dict(scores(table))
        for name, value in result.items():
            logger.info("%s: %s", name.replace("_", " "), value)
        return result | {"worst": worst(table, self.worst)}


class CleftDifferences(AgainstTruth):
    """List where true clefts and those that were found differ.

    Reads  `components` (z, y, x); `[Dataset] ground_truth` (z, y, x) labels, no cleft is 0 or CREMI's number for it.
    Writes `cleft_differences`, a table a chunk: voxels of the surfaces of both, those that are extra, and those missed.
    """

    reads = (Reads(ConnectedComponents),)
    layer = "cleft_differences"

    def compute_chunk(self, chunk: Chunk, components: npt.NDArray[np.uint64]) -> Table:
        return cleft_points(self.truth.read(chunk.bbox), components, chunk.bbox.start)


class CleftEvaluation(Stage):
    """Score synaptic clefts by their distances to the true ones, as CREMI does.

    Reads  `cleft_differences`.
    Writes `cleft_evaluation/scores.json`: mean distances in nanometres, and voxels more than 200 nm off.

    Holds the clefts' surfaces and differences, 24 bytes a voxel.
    """

    reads = (Reads(CleftDifferences),)
    layer = "cleft_evaluation"
    format = DOCUMENT
    single_chunk = True
    file = "scores"

    def compute(self, chunks: Iterator[Table]) -> dict[str, float | None]:
        result = cleft_scores(list(chunks), self.geometry.voxel_size)
        for name, value in result.items():
            logger.info("%s: %s", name.replace("_", " "), "none" if value is None else value)
        return result


class ThresholdCurve(Stage):
    """Score the segmentation at many thresholds and values of min_voxels, from one tree: no voxel is looked at again.

    Reads  `fragment_contingency`; every level of `agglomeration`; `region_graph`, unless min_voxels is 0 alone.
    Writes `threshold_curve/curve.json`: a list of pairs of threshold and min_voxels with the scores of each.

    `lchunk curve` prints and draws it. Holds the merges and the pairs of a body and a fragment, 24 bytes each; and the
    edges between the segments of the lowest threshold, about 200 bytes each at the peak: for volumes that have a
    ground truth.
    """

    layer = "threshold_curve"
    format = DOCUMENT
    single_chunk = True
    file = "curve"

    thresholds: tuple[float, ...] = TupleParameter(
        of=float,
        rule="numbers in [0, 1], separated by commas",
        valid=lambda thresholds: all(0 <= threshold <= 1 for threshold in thresholds),
        form="X,X,…",
        default=(),
        description="to score at, separated by commas; nothing is each 0.05 up to Agglomeration-highest-threshold",
    )
    min_voxels: tuple[int, ...] = TupleParameter(
        rule="whole numbers of at least 0, separated by commas",
        valid=lambda numbers: bool(numbers) and min(numbers) >= 0,
        distinct=True,
        form="N,N,…",
        default=(0, 300, 1000, 3000),
        description="of Segmentation, to score each threshold with; 0 alone is faster, and reads no region graph",
    )

    def reading(self) -> tuple[Reads, ...]:
        levels = range(top_level(self.upstream(Reads(RegionGraph)).grid) + 1)
        edges = (Reads(RegionGraph),) if any(self.min_voxels) else ()
        return (Reads(FragmentContingency), *(Reads(Agglomeration, level=level) for level in levels), *edges)

    def named_after(self) -> tuple[Reads, ...]:
        return (Reads(FragmentContingency), Reads(Agglomeration, level=LAST))

    def connect(self, reads: Reads) -> Stage:
        if reads.stage is Agglomeration:
            return Agglomeration(root=self.root, level=reads.level)
        return super().connect(reads)

    def validate(self) -> None:
        most = max(self.thresholds, default=0)
        if most > self._highest:
            raise ValueError(
                f"thresholds must be at most Agglomeration-highest-threshold, {self._highest:g}, got {most:g}; "
                "raise that, or score lower"
            )

    @property
    def _highest(self) -> float:
        return Agglomeration(root=self.root).highest_threshold

    def compute_chunk(self, chunk: Chunk, chunks: Iterator[Table], *others: Iterator[Table]) -> list[dict[str, float]]:
        levels, edges = (others[:-1], others[-1]) if any(self.min_voxels) else (others, iter(()))
        steps = [n / 20 for n in range(1, 21) if n / 20 <= self._highest]
        thresholds = sorted(self.thresholds) or steps or [self._highest]
        trees = [Merges.together([Merges.of_table(box) for box in level]) for level in levels]
        table = added_in_turn(chunks)
        lowest = Cut.at(trees, thresholds[0])
        graph = whole_graph(
            clustered(part, lowest.segments(part.nodes), overwrite=True) for part in map(graph_of, edges)
        )
        curve: list[dict[str, float]] = []
        for number, threshold in enumerate(thresholds, 1):
            cut = Cut.at(trees, threshold)
            table = added([table | {"segment": cut.segments(table["segment"])}])
            graph = clustered(graph, cut.segments(graph.nodes), overwrite=True)
            for min_voxels in self.min_voxels:
                segments = absorbed(table["segment"], graph, min_voxels)
                point = {"threshold": threshold, "min_voxels": min_voxels}
                curve.append(point | scores(table | {"segment": segments}))
            chunk.report(number, len(thresholds), "thresholds")
        best = min(curve, key=lambda point: point["voi_split"] + point["voi_merge"])
        logger.info(
            "smallest VOI at threshold %s, min_voxels %s: %.6f",
            best["threshold"], best["min_voxels"], best["voi_split"] + best["voi_merge"],
        )  # fmt: skip
        return curve
