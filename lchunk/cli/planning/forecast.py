"""What a run takes: chunks, files, memory and bytes of its stages, and the patches of its net."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import luigi
import numpy as np

from lchunk.cli.layout import job_stages
from lchunk.cli.planning.sampling import Sample
from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.operators.footprint import Footprint
from lchunk.tasks.inference import Inference
from lchunk.tasks.stage import Stage
from lchunk.tasks.wiring import with_upstream
from lchunk.volumes.layer import Layer
from lchunk.volumes.pyramid import Pyramid


@dataclass(frozen=True)
class Row:
    """A stage of the job, all its levels or passes together.

    Args:
        stage: its name.
        layer: the layer that it writes.
        chunks: how many chunks it makes.
        tasks: blocks of chunks that a scheduler or a queue hands out.
        files: chunk files that it writes.
        chunk_shape: voxels zyx of the largest chunk.
        volume: voxels that its chunks cover.
        memory: bytes that a chunk takes at most; None if its size is not known before.
        voxels: bytes of its voxels, uncompressed; None if it does not write voxels.
        stored: bytes of its chunk files, expected; None if that is not known.
    """

    stage: str
    layer: str
    chunks: int
    tasks: int
    files: int
    chunk_shape: Triple
    volume: int
    memory: int | None
    voxels: int | None
    stored: int | None = None

    def __add__(self, other: Row) -> Row:
        return replace(
            self, chunks=self.chunks + other.chunks, tasks=self.tasks + other.tasks, files=self.files + other.files,
            volume=self.volume + other.volume, memory=_most(self.memory, other.memory),
            voxels=None if self.voxels is None or other.voxels is None else self.voxels + other.voxels,
            chunk_shape=max(self.chunk_shape, other.chunk_shape, key=math.prod),
        )  # fmt: skip


def _most(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


@dataclass(frozen=True)
class Patches:
    """The patches of a net over a volume, and what its chunks take; shapes are voxels zyx.

    Args:
        bounds: the volume.
        input_patch: voxels that the net sees.
        output_patch: voxels of its output that are used.
        overlap: voxels that output patches share.
        stride: voxels from one patch to the next.
        of_volume: patches along each axis.
        chunk_shape: voxels of a chunk.
        of_chunk: patches along each axis of a chunk, at most.
        input_chunk: voxels that are read for a chunk, at most.
        halo: voxels that are read beyond a chunk on one side, at most.
        computed: patches that all chunks compute.
        shared: voxels that patches output per voxel of the volume, because patches overlap.
        border: patches that chunks compute per patch of the volume, because a patch that meets several chunks is
            computed in each.
        memory: bytes that a chunk is expected to take on the host.
        most_memory: bytes that it takes at most, which a run demands to be free.
        device_memory: bytes on the device; None if the net runs on the host.
        net: bytes of them that the net and its batches take on the host.
    """

    bounds: Bbox
    input_patch: Triple
    output_patch: Triple
    overlap: Triple
    stride: Triple
    of_volume: Triple
    chunk_shape: Triple
    of_chunk: Triple
    input_chunk: Triple
    halo: Triple
    computed: int
    shared: float
    border: float
    memory: int
    most_memory: int
    device_memory: int | None
    net: int

    @property
    def redundancy(self) -> float:
        """Voxels that the net outputs for each voxel of the volume."""
        return self.shared * self.border


def patches_of(
    footprint: Footprint, chunk_shape: Triple, sample: Sample | None, *, alone: bool, on_device: bool
) -> Patches:
    """The patches of a volume and of its chunks.

    Args:
        footprint: the net and its patches.
        chunk_shape: voxels of a chunk.
        sample: what was measured; without it, the memory of the net is not known, and nothing compresses.
        alone: a process makes one chunk at a time.
        on_device: the net does not run on the host.
    """
    packed = sample.output.ratio if sample else None
    working = sample.working if sample else footprint.working
    lattice = footprint.lattice
    of_volume = triple(map(len, lattice.starts))
    return Patches(
        lattice.bounds, lattice.input_patch, lattice.output_patch, lattice.overlap, lattice.stride, of_volume,
        chunk_shape, footprint.patches(chunk_shape), footprint.input_shape(chunk_shape), footprint.halo(chunk_shape),
        footprint.computed(chunk_shape),
        shared=math.prod(of_volume) * math.prod(lattice.output_patch) / lattice.bounds.size,
        border=footprint.redundancy(chunk_shape),
        memory=footprint.expected(
            chunk_shape, 1.0 if packed is None else packed, working, alone=alone, blends=not on_device
        ),
        most_memory=footprint.host(chunk_shape, blends=not on_device),
        device_memory=footprint.device(chunk_shape) if on_device else None,
        net=working,
    )  # fmt: skip


def rows_of(stages: Iterable[Stage], patches: Patches, ratios: dict[str, float]) -> list[Row]:
    """A row per stage of a job, upstream first.

    Args:
        stages: those of the job.
        patches: those of the net.
        ratios: bytes of a compressed voxel per byte of a voxel, by stage.
    """
    found: dict[str, Row] = {}
    for stage in stages:
        row = _row(stage, patches)
        before = found.get(row.stage)
        found[row.stage] = row if before is None else before + row
    return list(_with_stored(found.values(), ratios))


def stages_of(goals: Iterable[luigi.Task]) -> Iterator[Stage]:
    """The stages that some tasks need, and these themselves, each once, upstream first; without externals."""
    seen: set[str] = set()
    for goal in goals:
        for top in job_stages(goal):
            yield from (stage for stage in with_upstream(top, seen, to_make=True) if not stage.external)


def _row(stage: Stage, patches: Patches) -> Row:
    files, chunks = stage.files(), len(stage.grid)
    memory = patches.most_memory if isinstance(stage, Inference) else stage.projected_memory
    return Row(
        stage.task_family, stage.path, chunks, len(stage.blocks), chunks * len(files.keys((0, 0, 0))),
        stage.grid.chunk_shape, stage.grid.bounds.size, memory, voxel_bytes(stage),
    )  # fmt: skip


def voxel_bytes(stage: Stage) -> int | None:
    """Bytes of the voxels that a stage writes, uncompressed; None if it does not write voxels."""
    files = stage.files()
    layers = files.mips if isinstance(files, Pyramid) else (files,) if isinstance(files, Layer) else ()
    sizes = [layer.bounds.size * max(layer.channels, 1) * np.dtype(layer.dtype).itemsize for layer in layers]
    return sum(sizes) if sizes else None


def _with_stored(rows: Iterable[Row], ratios: dict[str, float]) -> Iterator[Row]:
    for row in rows:
        known = row.voxels is not None and row.stage in ratios
        yield replace(row, stored=round(row.voxels * ratios[row.stage])) if known and row.voxels else row
