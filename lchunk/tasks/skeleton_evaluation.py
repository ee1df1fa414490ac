"""How far true skeletons can be followed in a segmentation: its expected run length."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.graph import Table
from lchunk.operators.points import PointsInGrid, voxels_at
from lchunk.operators.run_length import skeleton_scores
from lchunk.recipe import MADE_OF
from lchunk.tasks.evaluation import SEGMENTS
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.levels import LAST, Summed, Sums
from lchunk.tasks.parameters import CountParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.documents import Document
from lchunk.volumes.skeletons import Skeletons, find_skeletons
from lchunk.volumes.tables import DOCUMENT, TABLE
from lchunk.volumes.volume import VoxelSize

logger = logging.getLogger("luigi-interface")

FINGERPRINT = "skeletons_fingerprint"
MOST_LISTED = 1000


@dataclass(frozen=True)
class Placed:
    """True skeletons in the chunks of a volume."""

    skeletons: Skeletons
    points: PointsInGrid


@functools.lru_cache(maxsize=1)
def _read(url: str, fingerprint: str, voxel_size: VoxelSize) -> Skeletons:
    """The skeletons, read once by a process while their files stay the same."""
    return find_skeletons(url).read(voxel_size)


@functools.lru_cache(maxsize=2)
def _placed(url: str, fingerprint: str, voxel_size: VoxelSize, grid: Grid) -> Placed:
    skeletons = _read(url, fingerprint, voxel_size)
    points = PointsInGrid(voxels_at(skeletons.nodes, voxel_size), grid)
    if not points.inside[skeletons.edges].all(axis=1).any():
        z, y, x = points.voxels.min(axis=0).tolist()
        raise ValueError(
            f"skeletons must have an edge inside the bounds, {grid.bounds}, got none of {len(skeletons.edges)} in "
            f"{url}, whose nodes begin at {z},{y},{x} (voxels zyx); check their unit, and move them with "
            "#offset=z,y,x after the URL"
        )
    return Placed(skeletons, points)


class AgainstSkeletons(Stage):
    """A stage that looks at true skeletons."""

    def ingredients(self) -> dict[str, str]:
        url = self.dataset.skeletons
        return {"skeletons": url, FINGERPRINT: find_skeletons(url).fingerprint()}

    def validate(self) -> None:
        self.placed  # noqa: B018 - read them all, before any work

    @property
    def placed(self) -> Placed:
        """The dataset's skeletons, of the files that the recipe names."""
        whole = self.for_volume
        made_of = whole.recipe()[MADE_OF]
        return _placed(made_of["skeletons"], made_of[FINGERPRINT], whole.geometry.voxel_size, whole.grid)


class NodeLabels(AgainstSkeletons):
    """Look up the label under each node of the true skeletons.

    Reads  the layer named by `of`, `segmentation` or `components` (z, y, x), only where nodes are; `[Dataset]
           skeletons`.
    Writes `node_labels`, a table for each chunk: node, its position among all nodes of the skeletons; label.

    A process reads all skeletons, with about 250 bytes a node, and holds 100 of them.
    """

    layer = "node_labels"
    format = TABLE

    of: str = luigi.ChoiceParameter(choices=tuple(SEGMENTS), default="segmentation", description="layer to score")

    def reading(self) -> tuple[Reads, ...]:
        return (Reads(SEGMENTS[self.of]),)

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        points = self.placed.points
        return points.box_of(points.within(bbox))

    def trivial_content(self, bbox: Bbox) -> Table | None:
        return None if len(self.placed.points.within(bbox)) else _table([], [])

    def compute_chunk(self, chunk: Chunk, voxels: npt.NDArray[np.uint64]) -> Table:
        points = self.placed.points
        nodes = points.within(chunk.bbox)
        z, y, x = (points.voxels[nodes] - points.box_of(nodes).start).T
        return _table(nodes, voxels[z, y, x])


class GatheredNodeLabels(Summed):
    """Gather the labels under nodes, over larger and larger boxes.

    Reads  level 1: `node_labels` of up to eight chunks; level n: up to eight boxes of level n - 1.
    Writes `gathered_node_labels/n`, a table for each box: node, ascending; label.

    A box holds 16 bytes for each of its nodes, some times over.
    """

    layer = "gathered_node_labels"
    leaf = NodeLabels

    def joined(self, box: Bbox, bounds: Bbox, parts: Iterable[tuple[Bbox, Sums]]) -> Table:
        tables = [(table["node"], table["label"]) for _, table in parts]
        node, label = (np.concatenate(columns) for columns in zip(*tables, strict=True))
        order = np.argsort(node)
        return _table(node[order], label[order])


class SkeletonEvaluation(AgainstSkeletons):
    """Score the segmentation against true skeletons: expected run length, splits, merges and omissions.

    Reads  `gathered_node_labels`, the last level; `[Dataset] skeletons`.
    Writes `skeleton_evaluation/scores.json`: the scores, and those of each skeleton, the worst first, with the voxels
           (z, y, x) of its first errors.

    An edge to a node outside the bounds does not count. `lchunk scores` prints it. Holds about 250 bytes per node, and
    some kilobytes per skeleton.
    """

    reads = (Reads(GatheredNodeLabels, level=LAST),)
    layer = "skeleton_evaluation"
    format = DOCUMENT
    single_chunk = True
    file = "scores"

    merge_nodes: int = CountParameter(
        least=1, default=1, description="a segment merges skeletons if it has at least so many nodes of each"
    )
    listed: int = CountParameter(
        default=10, most=MOST_LISTED, description="how many errors of each kind to list for a skeleton"
    )

    def compute(self, boxes: Iterator[Table]) -> Document:
        (table,) = boxes
        skeletons, points = self.placed.skeletons, self.placed.points
        labels = np.zeros(len(skeletons.nodes), np.uint64)
        labels[table["node"]] = table["label"]
        found = skeleton_scores(
            skeletons.nodes, skeletons.edges, skeletons.skeleton, labels,
            inside=points.inside, merge_nodes=self.merge_nodes, listed=self.listed,
        )  # fmt: skip
        for each in found["skeletons"]:
            each["skeleton"] = skeletons.names[each["skeleton"]]
            for error in (error for errors in each["at"].values() for error in errors):
                error["voxel"] = points.voxels[error.pop("node")].tolist()
                if "skeletons" in error:
                    error["skeletons"] = [skeletons.names[other] for other in error["skeletons"]]
        for name, value in found.items():
            if name != "skeletons":
                logger.info("%s: %s", name.replace("_", " "), value)
        return found


def _table(nodes: npt.ArrayLike, labels: npt.ArrayLike) -> Table:
    return {"node": np.asarray(nodes, np.int64), "label": np.asarray(labels, np.uint64)}
