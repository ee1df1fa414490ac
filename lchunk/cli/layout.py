"""The stages of a job, and notes on costly layouts, which are printed before hours of work depend on them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import luigi
from luigi.task import flatten

from lchunk.operators.footprint import Footprint
from lchunk.tasks.inference import Inference
from lchunk.tasks.memory import free_memory
from lchunk.tasks.stage import Stage
from lchunk.tasks.wiring import awaited
from lchunk.volumes.chunk_files import missing

COSTLY = 2.0
"""Number of times that a patch is computed, from which a note is printed."""
SMALL = 1 << 18
"""Voxels of a small chunk."""
MANY = 10_000
"""Number of small chunks from which a note is printed: each costs some milliseconds in addition to its work."""


def job_stages(task: luigi.Task) -> Iterator[Stage]:
    """The stages that make a task, each once: the task itself, and others for the whole volume; without externals."""
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
            waiting += [one for reads in each.reading() for one in awaited(each, reads)]


def layout_notes(task: luigi.Task) -> Iterator[str]:
    """Notes on costly chunk shapes of stages that have work to do, with better ones."""
    for stage in job_stages(task):
        notes: list[str] = []
        if isinstance(stage, Inference):
            notes += _patches(stage)
        elif not stage.single_chunk and stage.region is None and not stage.same_grid:
            notes += _small(stage)
        if notes and next(missing(stage.files(), stage.bbox), None) is not None:
            yield from notes


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
