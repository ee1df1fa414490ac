"""The stages of a job, and what their layout costs: said before hours of work rest on it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import luigi
from luigi.task import flatten

from lchunk.operators.footprint import Footprint
from lchunk.tasks.inference import Inference
from lchunk.tasks.memory import free_memory
from lchunk.tasks.stage import Stage
from lchunk.volumes.chunk_files import missing

COSTLY = 2.0
"""How often a patch is computed, from where a note says so."""
SMALL = 1 << 18
"""Voxels of a small chunk."""
MANY = 10_000
"""Small chunks from where a note says so: each costs some milliseconds beside its work."""


def job_stages(task: luigi.Task) -> Iterator[Stage]:
    """The stages that a task is made by, each once, for the whole volume but the task itself; not external ones."""
    seen: set[str] = set()
    waiting = [task]
    while waiting:
        each = waiting.pop()
        if each.task_id in seen:
            continue
        seen.add(each.task_id)
        if not isinstance(each, Stage):
            waiting += flatten(each.requires())
        elif not each.external:
            yield each
            waiting += [each.upstream(reads) for reads in each.reading()]


def layout_notes(task: luigi.Task) -> Iterator[str]:
    """What is costly about the chunk shapes of stages that have work to do, and what would be better."""
    for stage in job_stages(task):
        if next(missing(stage.files(), stage.bbox), None) is None:
            continue
        if isinstance(stage, Inference):
            yield from _patches(stage)
        elif not stage.single_chunk and stage.region is None and not stage.same_grid:
            yield from _small(stage)


def _patches(stage: Inference) -> Iterator[str]:
    footprint = Footprint(stage.lattice, stage.selection, stage.precision, stage.batch, 0)
    times = footprint.redundancy(stage.chunk_shape)
    if times < COSTLY:
        return
    host, _ = free_memory(stage.memory, "cpu")
    better = footprint.fitting(host, None, stage.inner_chunk)
    way_out = ""
    if better is not None and footprint.redundancy(better) < 0.8 * times:
        shape = ",".join(map(str, better))
        way_out = f"; --Inference-chunk-shape {shape} computes it {footprint.redundancy(better):.1f} times"
    yield (
        f"Inference computes a patch {times:.1f} times on average, because it meets as many chunks of "
        f"{_shown(stage.chunk_shape)} voxels{way_out}"
    )


def _small(stage: Stage) -> Iterator[str]:
    voxels = math.prod(stage.chunk_shape)
    if len(stage.grid) < MANY or voxels >= SMALL:
        return
    yield (
        f"{stage.task_family} makes {len(stage.grid):,} chunk files of {_shown(stage.chunk_shape)} voxels, which are "
        f"small; a larger --{stage.task_family}-chunk-shape, or [Dataset] chunk_shape, saves time"
    )


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
