"""The watershed over a grid: links and labels, one chunk at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import triple
from lchunk.operators.graph import Table
from lchunk.operators.label_steps import to_steps
from lchunk.operators.labels import ids_of
from lchunk.operators.watershed import LINKS, RINGS, halo, label_links, watershed_links
from lchunk.tasks.inference import Inference
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.parameters import CountParameter, RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import TABLE


class LocalFragments(Stage):
    """Compute the watershed: follow each voxel's strongest affinity, and label fragments inside each chunk.

    Reads  `affinities` (3, z, y, x).
    Writes `local_fragments`, one table per chunk: its labels (z, y, x) as steps (see `label_steps`), 0 for background;
           the id of each label, 1 + the smallest linear index, in the volume, of its voxels; linked0 to linked2: where
           the chunk's first planes along z, y, x are linked to the voxels before them; last0 to last2: the labels in
           its last planes.

    The edge that a voxel follows depends on voxels at most `rings` + 3 away, so the result is the same for every grid.
    """

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

    rings: int = CountParameter(
        default=RINGS,
        least=1,
        description="voxels from its outlets that a plateau of equal affinities is drained; what is deeper is a "
        "fragment of its own; more reads more around each chunk",
    )

    def reading(self) -> tuple[Reads, ...]:
        return (Reads.halo(Inference, halo(self.rings), clip=True),)

    def validate(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low must be less than high, got low {self.low:g} and high {self.high:g}")

    def compute_chunk(self, chunk: Chunk, affinities: npt.NDArray[Any]) -> Table:
        reached = self.reach(self.reading()[0], chunk.bbox)
        links = watershed_links(affinities, low=self.low, high=self.high, rings=self.rings)[
            chunk.bbox.slices(reached.start)
        ]
        links = np.ascontiguousarray(links)
        labels = label_links(links)
        found = to_steps(labels)
        ids = ids_of(found.firsts, triple(labels.shape), chunk.start, chunk.bounds.shape)
        table: Table = found.table | {"ids": ids}
        for axis, bit in enumerate(LINKS):
            table[f"linked{axis}"] = np.take(links, 0, axis) & bit != 0
            table[f"last{axis}"] = found.numbers[np.take(labels, -1, axis)]
        return table


def last_ids(table: Table, axis: int) -> npt.NDArray[np.uint64]:
    """The ids in a chunk's last plane along an axis."""
    ids: npt.NDArray[np.uint64] = table["ids"][table[f"last{axis}"]]
    return ids
