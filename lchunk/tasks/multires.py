"""Meshes with levels of detail."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from typing import IO

import luigi
import numpy as np

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.mesh_octree import Boxes, Octree
from lchunk.tasks.gathering import find
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.mesh_boxes import LabelPieces, MeshBoxes, pieces_of
from lchunk.tasks.meshes import Mesh, refuse_without_mesh
from lchunk.tasks.parameters import CountParameter, RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.draco import encode_draco
from lchunk.volumes.label_shards import LabelSharding, LabelsOfShard, ShardFile, shard_grid, sharding_for
from lchunk.volumes.mesh_containers import Container
from lchunk.volumes.multires_meshes import SUFFIX, Level, MultiResFolder, encode_manifest

SPOOL_BYTES = 1 << 22
"""Bytes of a label's fragments of one level that are in memory; more are in a temporary file."""
LEAST_ERROR = 1e-3
"""Nanometres; the scale of a level must be above 0."""
PIXELS = 2
"""Neuroglancer shows the coarsest level whose scale is at most half a pixel. A level's scale is the bound of its error
divided by twice this. So the bound takes up at most this many pixels, and the mean error, a quarter, half a pixel."""


class MultiResMesh(Stage):
    """Make meshes with levels of detail, of which a viewer loads only what it draws.

    Reads  `segmentation/mesh`: the tables of all chunks' files, and the fragments of its labels.
    Writes `segmentation/mesh_multires`: shards, each with the meshes of many labels, for Neuroglancer and cloud-volume
           (`neuroglancer_multilod_draco`).

    A fragment of level 0 is the surface in 2 x 2 x 2 chunks, as `Mesh` made it. A fragment of each next level joins
    2 x 2 x 2 of the level before, simplified with its border locked, so that no level has a gap. A region is a number
    of shards: `--region 0-1_0-1_3-4` is shard 3. A task holds the list of its fragments, 32 bytes each, and 128 MB of
    fragments, or those of one label in 2 x 2 x 2 chunks; of each level at most eight boxes of one label; never a whole
    label. The shard itself is in a temporary file until it is written.
    """

    reads = (Reads(Mesh, waits_for_all=True),)
    layer = "mesh_multires"

    max_error: float = RangeParameter(
        least=LEAST_ERROR, most=1e9, other=-1.0, default=-1.0,
        description="nanometres that level 0 resolves, -1: those of Mesh; each next level resolves twice as many",
    )  # fmt: skip
    bits: int = luigi.ChoiceParameter(
        var_type=int, choices=(10, 16), default=16, description="bits of a coordinate in its fragment"
    )
    shard_bits: int = CountParameter(
        default=-1,
        least=-1,
        most=20,
        description="the number of shards is 2 to the power of this; -1: by the number of chunks",
    )

    @property
    def path(self) -> str:
        fragments = Mesh(root=self.root).path
        return f"{fragments.rpartition('/')[0]}/{self.layer_name}" if self.layer_name else fragments + SUFFIX

    @property
    def bounds(self) -> Bbox:
        return self.grid.bounds

    @cached_property
    def grid(self) -> Grid:
        return shard_grid(self.sharding.shard_bits)

    @cached_property
    def sharding(self) -> LabelSharding:
        """How labels are distributed to shards: it is known before any label is."""
        if self.region is not None:
            return self.for_volume.sharding  # type: ignore[attr-defined, no-any-return]
        containers = len(self.upstream(self.reading()[0]).grid)
        return sharding_for(containers, None if self.shard_bits < 0 else self.shard_bits)

    @property
    def resolved(self) -> float:
        """Nanometres that level 0 resolves; above 0, as its scale must be."""
        return max(Mesh(root=self.root).largest_error, LEAST_ERROR) if self.max_error < 0 else self.max_error

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        """All chunks: each may have fragments of a shard's labels."""
        return self.upstream(reads).bounds

    def files(self) -> MultiResFolder:
        return MultiResFolder(self.store, self.path, self.sharding, self.bits)

    def compute_chunk(self, chunk: Chunk, meshed: Iterator[Container]) -> ShardFile:
        mesh = Mesh(root=self.root)
        wanted = LabelsOfShard(self.sharding, chunk.bbox.start[2])
        folder = mesh.files()
        found = find(folder, meshed, wanted)
        refuse_without_mesh("Mesh", [n for n in mesh.ids if wanted.holds(np.array([n], np.uint64))[0]], found.labels)
        shard = ShardFile(self.sharding)
        boxes = MeshBoxes.of(folder, mesh.corner)
        octree = Octree(boxes.side, boxes.half_voxel, self.bits, self.resolved)
        for one in pieces_of(folder, found, boxes):
            _add(shard, one, boxes, octree)
            chunk.report(shard.labels, len(found.labels), "labels")
        return shard


def _add(shard: ShardFile, label: LabelPieces, boxes: MeshBoxes, octree: Octree) -> None:
    """Append the mesh of a label to a shard, with the fragments of all levels, box by box."""
    positions: dict[int, list[Boxes]] = defaultdict(list)
    sizes: dict[int, list[int]] = defaultdict(list)
    with ExitStack() as stack:
        spools: dict[int, IO[bytes]] = {}
        for level, position, fragment in octree.fragments(label.boxes, label.pieces):
            if level not in spools:
                spools[level] = stack.enter_context(tempfile.SpooledTemporaryFile(SPOOL_BYTES))
            body = encode_draco(*fragment)
            spools[level].write(body)
            sizes[level].append(len(body))
            positions[level].append(position)
        levels = [
            Level(np.array(positions[n]), sizes[n], octree.max_error * 2.0**n / (2 * PIXELS)) for n in sorted(spools)
        ]
        manifest = encode_manifest(boxes.side_nm, boxes.start_nm(label.first), levels)
        shard.add(label.label, manifest, [spools[n] for n in sorted(spools)])
