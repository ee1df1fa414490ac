"""Runs the task of a stage for Luigi or a worker: makes the jobs of its missing chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lchunk.geometry.bbox import Bbox
from lchunk.tasks import recipes
from lchunk.tasks.jobs import Chunk, ChunkJob, Input, Report, Work, report_nothing
from lchunk.tasks.making import ChunksFailedError, first_places, make, make_all, reasons
from lchunk.tasks.progress import Reporter, watched_memory
from lchunk.tasks.web_page import link
from lchunk.volumes.chunk_files import ChunkFiles
from lchunk.volumes.requests_made import counter
from lchunk.volumes.store import Store

if TYPE_CHECKING:
    from lchunk.tasks.stage import Stage

PARTIAL_AGE = 24 * 3600.0
"""Seconds after which a file that a killed writer left is removed."""


def run(stage: Stage) -> None:
    """Make the missing chunks of a region.

    Raises:
        ChunksFailedError: some chunks failed; the message says which and why.
    """
    with counter.stage(type(stage).__name__):
        _run(stage)


def _run(stage: Stage) -> None:
    stage.reporter = Reporter(stage)
    watched_memory.begin()
    set_tracking_url: Any = stage.set_tracking_url  # absent where Luigi does not run the task
    if set_tracking_url is not None and (address := link(stage)):
        set_tracking_url(address)
    if stage.delegates:
        stage.store.sweep(stage.path, PARTIAL_AGE)
    elif stage.is_chunk:
        make(job_of(stage, stage.bbox, stage.reporter.tell))
    else:
        _make_missing(stage, stage.reporter)


def job_of(stage: Stage, bbox: Bbox, report: Report = report_nothing) -> ChunkJob:
    """The job of one chunk of a stage."""
    return _jobs(stage, report)(bbox)


def jobs_beside(stage: Stage, output: ChunkFiles, logs: Store) -> Callable[[Bbox], ChunkJob]:
    """A function that makes the job of a chunk that is written elsewhere: it does not prepare the stage's layer."""
    job = _jobs(stage, report_nothing)

    def beside(bbox: Bbox) -> ChunkJob:
        own = job(bbox)
        return replace(own, work=replace(own.work, output=output, logs=logs, prepare=lambda: None))

    return beside


def _jobs(stage: Stage, report: Report) -> Callable[[Bbox], ChunkJob]:
    """A function that makes the job of a chunk. Everything that is the same for all chunks is made once."""
    whole = stage.for_volume
    work = Work(
        stage=type(stage).__name__, bounds=whole.bounds, output=whole.files(), compute=whole.compute_chunk,
        trivial=whole.trivial_content, prepare=whole.prepare, confirm=recipes.confirming(whole),
        device=lambda: whole.computed_on, logs=whole.store,
        log_folder=whole.log_folder, projected=whole.projected_memory,
    )  # fmt: skip
    inputs = inputs_of(whole)

    def job(bbox: Bbox) -> ChunkJob:
        return ChunkJob(work, Chunk(bbox, work.bounds, report), inputs(bbox))

    return job


def inputs_of(whole: Stage) -> Callable[[Bbox], tuple[Input, ...]]:
    """A function that gives what the chunk of a box reads.

    Args:
        whole: the stage for the whole volume.
    """
    sources = [(reads, whole.upstream(reads), whole.source(reads)) for reads in whole.reading()]

    def inputs(bbox: Bbox) -> tuple[Input, ...]:
        return tuple(
            # the only chunk of a single-chunk stage is read whole: its voxels may be of another mip than the box
            Input(source, upstream.bounds if upstream.single_chunk else whole.reach(reads, bbox), _fills(upstream))
            for reads, upstream, source in sources
        )

    return inputs


def _fills(upstream: Stage) -> bool:
    """Whether absent chunks of an external volume read as 0, which is a knob of the stage that it replaces."""
    return bool(upstream.external and getattr(upstream, "fill_missing", False))


def _make_missing(stage: Stage, reporter: Reporter) -> None:
    """Make the missing chunks of a block."""
    todo = list(stage.missing())
    total = sum(1 for _ in stage.grid.meeting(stage.bbox))
    made = total - len(todo)
    job = _jobs(stage, reporter.tell)

    def jobs() -> Iterator[ChunkJob]:
        for index in todo:
            yield job(stage.grid.chunk(index))

    failed = make_all(jobs(), lambda number: reporter.chunk(made + number, total))
    missing = sum(1 for _ in stage.missing()) if failed else 0
    reporter.chunk(total - missing, total)
    if failed:
        raise ChunksFailedError(
            f"{len(failed)} of {total} chunks of {type(stage).__name__} failed, the first at {first_places(failed)}: "
            f"{reasons(failed)}; {total - missing} chunks are complete; run again when the cause is gone",
            failed,
        ) from failed[0].error
