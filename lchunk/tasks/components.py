"""Connected components over a grid: labels of each chunk, pairs that touch across chunks, a union, final labels."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, triple
from lchunk.operators.affinities import as_float
from lchunk.operators.components import CONNECTIVITIES, Plane, local_components, touching
from lchunk.operators.graph import HIGH_FACES, LOW_FACES, Table, linked_labels
from lchunk.operators.graph_table import graph_table
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.levels import MergeTree, Naming
from lchunk.tasks.local_labels import named_voxels
from lchunk.tasks.parameters import CountParameter, RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.sources import LayerParameter, readable, refuse_other_layer, refuse_part, stage_of
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import TABLE


class LocalComponents(Stage):
    """Label the connected components inside each chunk.

    Reads  the layer named by `of`: `probability` (z, y, x), or other values, foreground above the threshold; or labels,
           where voxels are connected if they have the same label.
    Writes `local_components`, one table per chunk: labels (z, y, x), 0 for background, of the smallest unsigned
           type that holds them; the id of each label, which is 1 + the smallest linear index, in the volume, of its
           voxels; its voxels; what they hold; low0 to low2, high0 to high2: labels in its first and last planes.
    """

    layer = "local_components"
    format = TABLE

    of: str = LayerParameter(default="probability", description="layer to label")
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
        return (Reads(stage_of(self.of)),)

    def validate(self) -> None:
        stage = self.upstream(self.reading()[0])
        source: Any = self.source(self.reading()[0])
        if source.channels:
            raise ValueError(
                f"{self.of} must be (z, y, x), got {source.channels} channels in {stage.path}; pick one with keep"
            )
        refuse_other_layer(stage, self.of)
        refuse_part(self, stage)

    def compute_chunk(self, chunk: Chunk, voxels: npt.NDArray[Any]) -> Table:
        foreground = voxels if self.upstream(self.reading()[0]).labels else self._above(voxels)
        found = local_components(foreground, chunk.start, chunk.bounds.shape, connectivity=self.connectivity)
        numbers = found.numbers.astype(np.min_scalar_type(len(found.ids)))
        table: Table = {"labels": numbers, "ids": found.ids, "sizes": found.sizes, "values": found.values}
        for axis in range(3):
            table[f"low{axis}"] = np.take(numbers, 0, axis)
            table[f"high{axis}"] = np.take(numbers, -1, axis)
        return table

    def _above(self, probability: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        if probability.dtype != np.uint8:
            return np.asarray(as_float(probability) > np.float32(self.threshold))
        above = as_float(np.arange(256, dtype=np.uint8)) > np.float32(self.threshold)
        foreground: npt.NDArray[np.bool_] = probability >= 256 - np.count_nonzero(above)
        return foreground


class ComponentPairs(Stage):
    """List which components of a chunk touch components of the chunks before it.

    Reads  `local_components`: the faces, of the chunks around that its connectivity joins it with.
    Writes `component_pairs`, one table per chunk: nodes, the components with their sizes in voxels, and bits for
           the faces that they touch; links: places of two nodes that are one component. As in `region_graph`, without
           edges.
    """

    layer = "component_pairs"
    format = TABLE
    same_grid = True

    def reading(self) -> tuple[Reads, ...]:
        return self._around

    @cached_property
    def _around(self) -> tuple[Reads, ...]:
        if self.region is not None:
            return self.for_volume.reading()
        if LocalComponents(root=self.root).connectivity == CONNECTIVITIES[0]:
            return (Reads(LocalComponents, low=(1, 1, 1), clip=True),)
        return (Reads.halo(LocalComponents, 1, clip=True),)

    def compute_chunk(self, chunk: Chunk, chunks: Iterator[Table]) -> Table:
        around = chunk.bbox.grown((1, 1, 1))
        (reads,) = self.reading()
        planes = dict(zip(self.grid.meeting(self.reach(reads, chunk.bbox)), map(_Planes, chunks), strict=True))
        place = self.grid.index_of(chunk.bbox)
        own = planes[place]
        local: Any = self.upstream(reads)
        most_axes = 1 + CONNECTIVITIES.index(local.connectivity)
        pairs = []
        for axis in range(3):
            mine = own.plane(f"low{axis}")
            sides = zip(around.start, around.stop, strict=True)
            box = Bbox(around.start, triple(a + 1 if n == axis else b for n, (a, b) in enumerate(sides)))
            shape = np.add(mine.ids.shape, 2)
            before = Plane(np.zeros(shape, np.uint64), np.zeros(shape, mine.values.dtype))
            for index in self.grid.meeting(box):
                if sum(map(operator.ne, index, place)) > most_axes:
                    continue
                theirs = planes[index].plane(f"high{axis}")
                part = self.grid.chunk(index).clipped(box)
                here, there = _in_plane(part, box, axis), _in_plane(part, self.grid.chunk(index), axis)
                before.ids[here], before.values[here] = theirs.ids[there], theirs.values[there]
            pairs.append(touching(mine, before, connectivity=local.connectivity))
        graph = linked_labels(own.ids, own.table["sizes"], np.concatenate(pairs), _at_faces(own, chunk))
        return graph_table(graph)


class ComponentUnion(MergeTree):
    """Join components that touch, level by level.

    Reads  level 0: `component_pairs` of a chunk; level n: two boxes of level n - 1.
    Writes `component_union/n`, a table for each box: merged, into, mean (infinite), size: which label becomes which;
           and the links and labels at faces that the next level needs.
    """

    layer = "component_union"
    leaf = ComponentPairs


class ComponentNames(Naming):
    """Find the component of the whole volume that each component of a chunk belongs to.

    Reads  `component_union`, the same level; the labels of the level below; the names of the level above.
    Writes `components/names/n`, a table for each box: the labels that reach the box; their roots, the smallest label of
           the component; and the size of the component in voxels.
    """

    layer = "components"
    leaf = ComponentPairs
    tree = ComponentUnion

    @property
    def named_by(self) -> str:
        return ConnectedComponents.__name__


@readable("components")
class ConnectedComponents(Stage):
    """Give every voxel the label of its connected component, of the whole volume.

    Reads  `local_components`, `components/names`.
    Writes `components` (z, y, x) uint64, 0 for background: 1 + the smallest linear index of the component's voxels,
           so that labels are the same for every grid.
    """

    reads = (Reads(LocalComponents), Reads(ComponentNames))
    layer = "components"
    dtype = np.uint64
    labels = True

    dust_threshold: int = CountParameter(
        default=0, description="components of fewer voxels, in the whole volume, are background"
    )

    def named_after(self) -> tuple[Reads, ...]:
        return (Reads(ComponentNames),)

    @property
    def names(self) -> Stage:
        """The stage that knows the labels of each chunk, and their voxels in the whole volume."""
        return self.upstream(self.reads[1])

    def connect(self, reads: Reads) -> Stage:
        if reads.stage is ComponentNames:
            return ComponentNames(root=self.root, layer_name=self.layer_name)
        return super().connect(reads)

    def compute_chunk(self, chunk: Chunk, chunks: Iterator[Table], names: Iterator[Table]) -> npt.NDArray[np.uint64]:
        return named_voxels(chunks, names, self.upstream(self.reads[0]).grid, chunk.bbox, self.dust_threshold)


class _Planes:
    """The first and last planes of a chunk; the ids of its labels are read once."""

    def __init__(self, table: Table) -> None:
        self.table = table

    @cached_property
    def ids(self) -> npt.NDArray[np.uint64]:
        return self.table["ids"]

    @cached_property
    def values(self) -> npt.NDArray[Any]:
        return self.table["values"]

    def plane(self, name: str) -> Plane:
        labels = self.table[name]
        return Plane(self.ids[labels], self.values[labels])


def _in_plane(part: Bbox, within: Bbox, axis: int) -> tuple[slice, ...]:
    """Indices of a part of a plane, without the axis along which it is one voxel thick."""
    return tuple(inside for n, inside in enumerate(part.slices(within.start)) if n != axis)


def _at_faces(own: _Planes, chunk: Chunk) -> dict[int, npt.NDArray[np.uint64]]:
    """The components in each face of a chunk beyond which the volume continues."""
    faces = {}
    for axis, (low, high) in enumerate(zip(LOW_FACES, HIGH_FACES, strict=True)):
        if chunk.bbox.start[axis] > chunk.bounds.start[axis]:
            faces[low] = own.plane(f"low{axis}").ids
        if chunk.bbox.stop[axis] < chunk.bounds.stop[axis]:
            faces[high] = own.plane(f"high{axis}").ids
    return faces
