"""The requests that a run on a bucket will make, foreseen from grids, halos, and the chunks that are missing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import luigi
from luigi.task import flatten

from lchunk.cli.layout import job_stages
from lchunk.geometry.bbox import Bbox, Triple
from lchunk.tasks.jobs import Input
from lchunk.tasks.recipes import COMPARE_SECONDS
from lchunk.tasks.running import inputs_of
from lchunk.tasks.stage import Stage
from lchunk.tasks.wiring import with_upstream
from lchunk.volumes.chunk_files import FEW, PAGE, missing
from lchunk.volumes.layer import Layer
from lchunk.volumes.meshes import MeshFolder
from lchunk.volumes.multires_meshes import MultiResFolder
from lchunk.volumes.object_log import FLUSH_SECONDS
from lchunk.volumes.pyramid import Pyramid
from lchunk.volumes.requests_made import Requests
from lchunk.volumes.shards import AT_ONCE
from lchunk.volumes.store import Store

SAMPLED = 500
"""Most chunks of a stage whose inputs are looked at; the others are taken to be like them."""
RANGES = 2
"""Usual number of ranges that are read from a chunk file, after its index."""
VOXELS_PER_SECOND = 1e6
"""Usual speed of a process, which decides how often recipes are compared and logs are written."""


@dataclass(frozen=True)
class Foreseen:
    """What is left to do of a stage.

    Args:
        stage: its name.
        chunks: number of missing chunks.
        voxels: of these chunks, about.
        requests: those to buckets, by one process; their bytes are not foreseen.
    """

    stage: str
    chunks: int
    voxels: int
    requests: Requests

    def __add__(self, other: Foreseen) -> Foreseen:
        return Foreseen(
            self.stage, self.chunks + other.chunks, self.voxels + other.voxels, self.requests + other.requests
        )


def foreseen(task: luigi.Task) -> Iterator[Foreseen]:
    """The requests of each stage of a job that has missing chunks, upstream first."""
    left = {stage: list(missing(stage.files(), stage.bbox)) for stage in reversed(list(job_stages(task)))}
    consumers: list[luigi.Task] = [_task_of(stage, own[0]) for stage, own in left.items() if own]
    consumers += [] if isinstance(task, Stage) else [task]
    checked = {task, *(each for consumer in consumers for each in flatten(consumer.requires()))}
    for stage, own in left.items():
        if own:
            made = Requests()
            if _remote(stage.store):
                made = _tasks(stage, own) + _outputs(stage, len(own))
                made += _whole(stage) if stage in checked else Requests()
            yield Foreseen(stage.task_family, len(own), _voxels(stage, own), made + _inputs(stage, own))


def _voxels(stage: Stage, left: list[Triple]) -> int:
    sampled = left[:: math.ceil(len(left) / SAMPLED)]
    return round(sum(stage.grid.chunk(index).size for index in sampled) * len(left) / len(sampled))


def _task_of(stage: Stage, index: Triple) -> Stage:
    """The task that makes a chunk."""
    if not stage.delegates:
        return stage
    (block,) = stage.blocks.meeting(stage.grid.chunk(index))
    return stage.at(stage.blocks.chunk(block))


def _remote(store: Store) -> bool:
    return store.path("") is None


def _inputs(stage: Stage, left: list[Triple]) -> Requests:
    sampled, inputs = left[:: math.ceil(len(left) / SAMPLED)], inputs_of(stage.for_volume)
    reads = sum(_reading(each) for index in sampled for each in inputs(stage.grid.chunk(index)))
    return Requests(reads=round(reads * len(left) / len(sampled)))


def _reading(read: Input) -> int:
    """Requests that read one input of one chunk; 0 for a file of another program."""
    source: Any = read.source
    if not (hasattr(source, "store") and hasattr(source, "grid") and _remote(source.store)):
        return 0
    touched = map(source.grid.chunk, source.grid.meeting(read.bbox.clipped(source.grid.bounds)))
    if isinstance(source, Layer):
        return sum(_shard(source, chunk, chunk.clipped(read.bbox)) for chunk in touched)
    return sum(1 for _ in touched)


def _shard(layer: Layer, chunk: Bbox, part: Bbox) -> int:
    """Requests that read a part of a chunk file."""
    form = layer.form
    size = math.prod(form.shape) * max(form.channels, 1) * form.dtype.itemsize
    sides = zip(part.start, part.stop, chunk.start, form.inner, strict=True)
    wanted = math.prod(-(-(stop - first) // side) - (start - first) // side for start, stop, first, side in sides)
    return 1 if size <= AT_ONCE or 2 * wanted > math.prod(form.counts) else 1 + RANGES


def _whole(stage: Stage) -> Requests:
    """The checks of a stage's whole volume: which chunks exist, and the recipes of all stages upstream."""
    recipes = Requests(reads=len(list(with_upstream(stage, set()))))
    if not stage.delegates:
        return recipes
    return recipes + _existence(stage, len(stage.grid), 3) + Requests(writes=1)  # of unfinished uploads


def _tasks(stage: Stage, left: list[Triple]) -> Requests:
    """The checks of each task, before it and after it."""
    if not stage.delegates:
        return _existence(stage, sum(1 for _ in stage.grid.meeting(stage.bbox)), 2)
    tasks = len({next(stage.blocks.meeting(stage.grid.chunk(index))) for index in left})
    chunks = math.ceil(len(stage.grid) / len(stage.blocks))
    of_task = _existence(stage, chunks, 2 if chunks == 1 else 3)
    return Requests(tasks * of_task.writes, tasks * of_task.reads)


def _existence(stage: Stage, chunks: int, times: int) -> Requests:
    """Questions which of some chunks exist."""
    files = len(stage.files().keys((0, 0, 0)))
    if chunks <= FEW:
        return Requests(reads=times * chunks * files)
    z, y, x = stage.grid.counts
    planes, rows = (z, z * y) if chunks == len(stage.grid) else (math.ceil(chunks / (y * x)), math.ceil(chunks / x))
    of_planes, of_rows = planes * math.ceil(y * x / PAGE), rows * math.ceil(x / PAGE)
    listings = 1 if len(stage.grid) <= PAGE else min(of_planes, of_rows)
    return Requests(writes=times * listings * files)


def _outputs(stage: Stage, chunks: int) -> Requests:
    """The chunk files, the metadata of the layer, and the logs."""
    files, whole = stage.files(), stage.for_volume
    per_chunk = len(files.keys((0, 0, 0))) + isinstance(files, MeshFolder | MultiResFolder)
    layers = len(files.mips) if isinstance(files, Pyramid) else int(isinstance(files, Layer))
    seconds = chunks * math.prod(stage.grid.chunk_shape) / VOXELS_PER_SECOND
    compared = min(chunks, 1 + seconds / COMPARE_SECONDS) * (1 + len(whole.reading()))
    made = Requests(math.ceil(max(1, seconds / FLUSH_SECONDS)), round(compared))
    if isinstance(files, Pyramid):
        made += Requests(reads=chunks * layers)
    if files.recipe() is None:
        made += Requests(2 * layers or 1, 3 * layers or 1)
    return made + Requests(writes=chunks * per_chunk)
