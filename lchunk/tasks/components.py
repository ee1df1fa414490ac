"""Connected components over a grid: labels a chunk, what touches across chunks, one union, labels of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, triple
from lchunk.operators.affinities import as_float
from lchunk.operators.components import CONNECTIVITIES, local_components
from lchunk.operators.pair_sums import added_sizes
from lchunk.operators.union import relabelled, union
from lchunk.tasks.agglomeration import Segmentation
from lchunk.tasks.inference import Inference
from lchunk.tasks.local_labels import Table, joined
from lchunk.tasks.parameters import CountParameter, RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.folder import TABLE

SOURCES: dict[str, type[Stage]] = {"probability": Inference, "segmentation": Segmentation}


class LocalComponents(Stage):
    """Number what hangs together in each chunk, as far as one voxel around it tells.

    Reads  the layer named by `of`, one voxel more on every side: `probability` (z, y, x), foreground above the
           threshold; or labels, whose voxels hang together where they have one label.
    Writes `local_components`, a table a chunk: labels (z, y, x) uint32, 0 for background; the id of each label, which
           is 1 + the smallest linear index, in the volume, of its voxels; its voxels; what lies at its faces.
    """

    layer = "local_components"
    format = TABLE

    of: str = luigi.ChoiceParameter(
        choices=tuple(SOURCES), default="probability", description="layer whose components are wanted"
    )
    threshold: float = RangeParameter(
        least=0, most=1, default=0.5, description="a voxel is foreground where its probability is above it"
    )
    connectivity: int = luigi.ChoiceParameter(
        var_type=int,
        choices=CONNECTIVITIES,
        default=26,
        description="6 joins voxels that share a face, 18 also an edge, 26 also a corner",
    )

    def reading(self) -> tuple[Reads, ...]:
        return (Reads.halo(SOURCES[self.of], 1),)

    def validate(self) -> None:
        stage = self.upstream(self.reading()[0])
        source: Any = self.source(self.reading()[0])
        if source.channels:
            raise ValueError(
                f"{self.of} must be (z, y, x), got {source.channels} channels in {stage.path}; pick one with keep"
            )

    def compute(self, voxels: npt.NDArray[Any]) -> Table:
        foreground = as_float(voxels) > np.float32(self.threshold) if self.of == "probability" else voxels
        found = local_components(foreground, self.bbox, self.bounds, connectivity=self.connectivity)
        table: Table = {"labels": found.numbers, "ids": found.ids, "sizes": found.sizes}
        for axis in range(3):
            table[f"before{axis}"] = found.ids[np.take(found.around, 0, axis)]
            table[f"high{axis}"] = found.ids[np.take(found.numbers, -1, axis)]
        return table


class ComponentPairs(Stage):
    """List which components of a chunk and of the chunks before it touch.

    Reads  `local_components`: the faces, of every chunk around.
    Writes `component_pairs`, a table a chunk: u and v are one component.
    """

    reads = (Reads.halo(LocalComponents, 1, clip=True),)
    layer = "component_pairs"
    format = TABLE

    def compute(self, chunks: Iterator[Table]) -> Table:
        grid = self.upstream(self.reads[0]).grid
        around = self.bbox.grown((1, 1, 1))
        tables = dict(zip(grid.meeting(self.reach(self.reads[0], self.bbox)), chunks, strict=True))
        own = tables[grid.index_of(self.bbox)]
        pairs = [np.empty((0, 2), np.uint64)]
        for axis in range(3):
            mine = own[f"before{axis}"]
            sides = zip(around.start, around.stop, strict=True)
            plane = Bbox(around.start, triple(a + 1 if n == axis else b for n, (a, b) in enumerate(sides)))
            theirs = np.zeros_like(mine)
            for index in grid.meeting(plane):
                part = grid.chunk(index).clipped(plane)
                face = tables[index][f"high{axis}"]
                theirs[_in_plane(part, plane, axis)] = face[_in_plane(part, grid.chunk(index), axis)]
            touching = (mine != 0) & (theirs != 0)
            pairs.append(np.stack([mine[touching], theirs[touching]], axis=1))
        u, v = np.unique(np.concatenate(pairs), axis=0).T
        return {"u": u, "v": v}


class ComponentUnion(Stage):
    """Join what touches, and count the voxels of each component of the volume.

    Reads  `component_pairs`, `local_components`: ids and sizes.
    Writes `component_union/table`: the ids that change, and what each becomes, the smallest of its component;
           every component, ascending, with its size in voxels.

    Holds the ids of every chunk's components, 16 bytes each, and those of their pairs.
    """

    reads = (Reads(ComponentPairs), Reads(LocalComponents))
    layer = "component_union"
    format = TABLE
    whole = True
    file = "table"

    def compute(self, pairs: Iterator[Table], chunks: Iterator[Table]) -> Table:
        touching = [np.stack([chunk["u"], chunk["v"]], axis=1) for chunk in pairs]
        changed, roots = union(np.concatenate(touching))
        parts = []
        for chunk in chunks:
            ids, sizes = chunk["ids"], chunk["sizes"]
            parts.append((relabelled(ids[ids != 0], changed, roots), sizes[ids != 0]))
        labels, sizes = added_sizes(parts)
        return {"changed": changed, "roots": roots, "labels": labels, "sizes": sizes}


class ConnectedComponents(Stage):
    """Give every voxel the label of its connected component, of the whole volume.

    Reads  `local_components`, `component_union`.
    Writes `components` (z, y, x) uint64, 0 for background: 1 + the smallest linear index of the component's voxels,
           so that labels are the same for every grid.
    """

    reads = (Reads(LocalComponents), Reads(ComponentUnion))
    layer = "components"
    dtype = np.uint64

    dust_threshold: int = CountParameter(
        default=0, description="components of fewer voxels, in the whole volume, are background"
    )

    def compute(self, chunks: Iterator[Table], unions: Iterator[Table]) -> npt.NDArray[np.uint64]:
        (found,) = unions
        components = joined(chunks, self.upstream(self.reads[0]).grid, self.bbox, found)
        if self.dust_threshold:
            dust = found["labels"][found["sizes"] < self.dust_threshold]
            components[np.isin(components, dust)] = 0
        return components


def _in_plane(part: Bbox, within: Bbox, axis: int) -> tuple[slice, ...]:
    """Indices of a part of a plane, without the axis that it is one voxel thick along."""
    return tuple(inside for n, inside in enumerate(part.slices(within.start)) if n != axis)
