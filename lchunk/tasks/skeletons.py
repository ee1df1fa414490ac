"""Skeletons of a segmentation: pieces in each chunk, and whole skeletons in shards for a viewer."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.skeleton_joining import join, tidied
from lchunk.operators.skeletonizing import Skeleton as Traced
from lchunk.operators.skeletonizing import skeletonize
from lchunk.tasks.at_mip import AtMip
from lchunk.tasks.gathering import find, pieces_of
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.parameters import CountParameter, RangeParameter, labels_parameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.label_shards import LabelSharding, LabelsOfShard, shard_grid
from lchunk.volumes.layer import Layer
from lchunk.volumes.mesh_containers import Container
from lchunk.volumes.packed_shards import packed_sharding
from lchunk.volumes.skeleton_folders import FragmentFolder, Piece, SkeletonFolder, encode_skeleton

CHUNKS_PER_SHARD = 16
BYTES_PER_VOXEL = 120
"""Most memory that `Skeleton` takes for each voxel that it reads: where one object fills them (`docs/skeletons.md`)."""
FAR = 1e9
"""Nanometres, more than any length in a volume."""


class Skeleton(AtMip):
    """Trace the skeleton of every segment in each chunk, by TEASAR.

    Reads  `segmentation` (z, y, x) at one mip, `joint_depth` beside the chunk, and one voxel more on the high sides.
    Writes `segmentation/skeleton_fragments`: a file per chunk with the pieces of all its labels.

    A chunk shares a plane of voxels with the next one. For each contact of a label in this plane, both choose the same
    voxel, and a vertex of both pieces is there; so all pieces together are connected exactly where the label is.
    """

    layer = "skeleton_fragments"

    scale: float = RangeParameter(
        least=0, most=1e3, default=1.5, description="a path covers so many times the distance to the boundary around it"
    )
    constant: float = RangeParameter(
        least=0, most=FAR, default=300.0, description="and so many nanometres more; only uncovered parts get branches"
    )
    joint_depth: float = RangeParameter(
        least=0, most=FAR, default=300.0,
        description="how far beyond a chunk it looks, nanometres: at least the usual radius of a neurite",
    )  # fmt: skip
    ids: tuple[int, ...] = labels_parameter(description="skeletons of these labels only: 5,7,12")

    @property
    def _reach(self) -> Triple:
        """Voxels that are read beside a chunk: at most the chunk before it, which the next one sees whole."""
        sides = zip(self.segmentation.voxel_size, self.grid.chunk_shape, strict=True)
        return triple(min(round(self.joint_depth / size), side) for size, side in sides)

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        return bbox.grown(self._reach, triple(side + 1 for side in self._reach)).clipped(self.bounds)

    @functools.cached_property
    def projected_memory(self) -> int | None:
        middle = self.grid.chunk(triple(count // 2 for count in self.grid.counts))
        return BYTES_PER_VOXEL * self.reach(self.reading()[0], middle).size

    def files(self) -> FragmentFolder:
        return FragmentFolder(self.store, self.path, self.grid)

    def compute_chunk(self, chunk: Chunk, labels: npt.NDArray[np.uint64]) -> dict[int, Piece]:
        traced = skeletonize(
            labels,
            voxel_size=self.segmentation.voxel_size,
            wanted=np.array(self.ids, np.uint64) if self.ids else None,
            scale=self.scale,
            constant=self.constant,
            start=self.reach(self.reading()[0], chunk.bbox).start,
            chunk=chunk.bbox,
            bounds=chunk.bounds,
            reach=self._reach,
        )
        return {label: (piece.voxels, piece.radius, piece.edges) for label, piece in traced.items()}


class SkeletonMerge(Stage):
    """Join each segment's pieces to one skeleton, without loops, ticks and dust, and write it for Neuroglancer.

    Reads  `segmentation/skeleton_fragments`: of each chunk's file the part with the labels of a shard.
    Writes `segmentation/skeletons`: a file per shard (`neuroglancer_skeletons`, sharded); vertices in nanometres, and
           their distance to the boundary as the attribute `radius`.

    Its regions are shards, not boxes: `--region 0-1_0-1_3-4` is shard 3. The hash of a label decides its shard.
    """

    reads = (Reads(Skeleton, waits_for_all=True),)
    layer = "skeletons"

    dust: float = RangeParameter(
        least=0, most=FAR, default=1000.0, description="isolated parts with less cable than this vanish, nanometres"
    )
    ticks: float = RangeParameter(
        least=0, most=FAR, default=300.0,
        description="branches vanish that reach less than this out of the process they leave, nanometres",
    )  # fmt: skip
    shard_bits: int = CountParameter(
        default=-1, least=-1, most=24, description="two to this power shards; -1: one for each 16 chunks"
    )

    @property
    def path(self) -> str:
        fragments = Skeleton(root=self.root)
        name = self.layer_name or "-".join(filter(None, (self.layer, fragments.layer_name)))
        return f"{fragments.path.rpartition('/')[0]}/{name}"

    @functools.cached_property
    def sharding(self) -> LabelSharding:
        """How labels are distributed to shards."""
        if self.shard_bits >= 0:
            return packed_sharding(self.shard_bits)
        chunks = len(self.upstream(self.reads[0]).grid)
        return packed_sharding((-(-chunks // CHUNKS_PER_SHARD) - 1).bit_length())

    @property
    def bounds(self) -> Bbox:
        return shard_grid(self.sharding.shard_bits).bounds

    @functools.cached_property
    def grid(self) -> Grid:
        return shard_grid(self.sharding.shard_bits)

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        return self.upstream(reads).bounds

    def files(self) -> SkeletonFolder:
        return SkeletonFolder(self.store, self.path, self.sharding)

    def compute_chunk(self, chunk: Chunk, containers: Iterator[Container]) -> dict[int, bytes]:
        fragments = Skeleton(root=self.root)
        folder, layer = fragments.files(), fragments.segmentation
        found = find(folder, containers, LabelsOfShard(self.sharding, chunk.bbox.start[2]))
        labels = found.labels
        content = {}
        for done, (label, pieces) in enumerate(pieces_of(folder, found, folder.pieces), start=1):
            whole = tidied(
                join([Traced(*piece) for piece in pieces]), layer.voxel_size, ticks=self.ticks, dust=self.dust
            )
            if whole is not None:
                content[label] = encode_skeleton(_places(whole, layer), whole.edges, whole.radius)
            chunk.report(done, len(labels), "labels")
        return content


def _places(skeleton: Traced, layer: Layer) -> npt.NDArray[Any]:
    """The centres of a skeleton's voxels, nanometres zyx; a mip's first voxel may begin before the volume."""
    places: npt.NDArray[Any] = (skeleton.voxels - layer.bounds.start + 0.5) * layer.voxel_size + layer.corner
    return places
