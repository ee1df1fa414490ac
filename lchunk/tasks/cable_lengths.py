"""How much cable the skeleton of each segment has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lchunk.geometry.bbox import Bbox
from lchunk.operators.graph import Table
from lchunk.operators.skeleton_joining import edge_lengths
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.reads import Reads
from lchunk.tasks.skeletons import SkeletonMerge
from lchunk.tasks.stage import Stage
from lchunk.volumes.skeleton_folders import decode_skeleton
from lchunk.volumes.tables import TABLE


class CableLengths(Stage):
    """Measure the skeleton of each segment.

    Reads  `segmentation/skeletons`.
    Writes `cable_lengths`, a table for each shard: the labels in it, and the lengths of all edges of their skeletons
           together, nanometres.

    As those of `SkeletonMerge`, its regions are shards.
    """

    reads = (Reads(SkeletonMerge),)
    layer = "cable_lengths"
    format = TABLE
    same_grid = True

    @property
    def bounds(self) -> Bbox:
        return self.upstream(self.reads[0]).bounds

    def compute_chunk(self, chunk: Chunk, shards: Iterator[Iterator[tuple[int, bytes]]]) -> Table:
        (shard,) = shards
        labels, lengths = [], []
        for label, body in shard:
            places, edges, _ = decode_skeleton(body)
            labels.append(label)
            lengths.append(edge_lengths(places.astype(np.float64), edges).sum())
        return {"labels": np.array(labels, np.uint64), "lengths": np.array(lengths, np.float64)}
