"""The watershed over a grid: links and labels a chunk, one union of what faces join, labels of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, triple
from lchunk.operators.union import canonical_ids, union
from lchunk.operators.watershed import HALO, LINKS, label_links, watershed_links
from lchunk.tasks.inference import Inference
from lchunk.tasks.local_labels import Table, joined
from lchunk.tasks.parameters import RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.folder import TABLE


class LocalFragments(Stage):
    """Follow each voxel's strongest affinity, and number what hangs together inside each chunk.

    Reads  `affinities` (3, z, y, x).
    Writes `local_fragments`, a table a chunk: labels (z, y, x) uint32, 0 for background; the id of each label, which
           is 1 + the smallest linear index, in the volume, of its voxels; and what lies at the chunk's faces.

    What a voxel follows depends on voxels at most 11 away, so no grid changes it.
    """

    reads = (Reads.halo(Inference, HALO, clip=True),)
    layer = "local_fragments"
    format = TABLE

    low: float = RangeParameter(
        least=0, most=1, default=0.001, description="voxels without an affinity above it are background"
    )
    high: float = RangeParameter(
        least=0,
        most=1,
        default=0.9999,
        description="affinities at or above it always join; under 0.99 fragments run together",
    )

    def validate(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low must be less than high, got low {self.low:g} and high {self.high:g}")

    def compute(self, affinities: npt.NDArray[Any]) -> Table:
        reached = self.reach(self.reads[0], self.bbox)
        links = watershed_links(affinities, low=self.low, high=self.high)[self.bbox.slices(reached.start)]
        links = np.ascontiguousarray(links)
        labels = label_links(links)
        start = triple(a - o for a, o in zip(self.bbox.start, self.bounds.start, strict=True))
        ids = canonical_ids(labels, start, self.bounds.shape)
        table: Table = {"labels": labels, "ids": ids}
        for axis, bit in enumerate(LINKS):
            table[f"low{axis}"] = np.where(np.take(links, 0, axis) & bit, ids[np.take(labels, 0, axis)], np.uint64(0))
            table[f"high{axis}"] = ids[np.take(labels, -1, axis)]
        return table


class FragmentUnion(Stage):
    """Join the fragments that links across chunk faces connect.

    Reads  `local_fragments`: the faces.
    Writes `fragment_union/table`: the ids that change, and what each becomes, the smallest of its fragment.
    """

    reads = (Reads(LocalFragments),)
    layer = "fragment_union"
    format = TABLE
    whole = True
    file = "table"

    def compute(self, chunks: Iterator[Table]) -> Table:
        grid = self.upstream(self.reads[0]).grid
        pairs = [np.empty((0, 2), np.uint64)]
        high_faces: dict[tuple[int, Bbox], npt.NDArray[np.uint64]] = {}
        for index, chunk in zip(grid, chunks, strict=True):
            for axis in range(3):
                before = triple(i - (a == axis) for a, i in enumerate(index))
                if index[axis]:
                    mine, theirs = chunk[f"low{axis}"], high_faces.pop((axis, grid.chunk(before)))
                    linked = mine != 0
                    pairs.append(np.unique(np.stack([mine[linked], theirs[linked]], axis=1), axis=0))
                if index[axis] + 1 < grid.counts[axis]:
                    high_faces[axis, grid.chunk(index)] = chunk[f"high{axis}"]
        changed, roots = union(np.concatenate(pairs))
        return {"changed": changed, "roots": roots}


class Fragments(Stage):
    """Give every voxel the label of its fragment: the watershed of the whole volume.

    Reads  `local_fragments`, `fragment_union`.
    Writes `fragments` (z, y, x) uint64, 0 for background.
    """

    reads = (Reads(LocalFragments), Reads(FragmentUnion))
    layer = "fragments"
    dtype = np.uint64

    def compute(self, chunks: Iterator[Table], unions: Iterator[Table]) -> npt.NDArray[np.uint64]:
        (found,) = unions
        return joined(chunks, self.upstream(self.reads[0]).grid, self.bbox, found)
