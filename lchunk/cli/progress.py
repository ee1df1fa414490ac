"""A live line per stage on the terminal: chunks, Mvoxel/s, and the remaining time."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import luigi
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lchunk.cli.layout import job_stages
from lchunk.tasks.progress import chunk_listeners
from lchunk.tasks.stage import Stage
from lchunk.volumes.chunk_files import missing

MOST_LISTED = 1_000_000
"""Largest number of chunks of a stage whose missing chunks are counted before the start."""


@contextlib.contextmanager
def live_progress(task: luigi.Task) -> Iterator[None]:
    """A context that shows the progress of a task.

    Chunks are reported through a pipe, so that chunks made by other processes of this run are counted as well.
    """
    reading, writing = os.pipe()
    lines = Lines(task)

    def listen(log: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            os.write(writing, json.dumps({key: log[key] for key in ("stage", "voxels")}).encode() + b"\n")

    def follow() -> None:
        with open(reading) as pipe:
            for line in pipe:
                if line.strip():
                    lines.chunk(**json.loads(line))
                else:
                    return

    follower = threading.Thread(target=follow, daemon=True)
    chunk_listeners.append(listen)
    try:
        with lines.bars:
            follower.start()
            yield
            os.write(writing, b"\n")
            follower.join()
    finally:
        chunk_listeners.remove(listen)
        os.close(writing)


class Lines:
    """The lines: one per stage that has begun, and one for the whole job."""

    def __init__(self, task: luigi.Task) -> None:
        self.left = chunks_left(task)
        self.voxels: dict[str, int] = {}
        self.ids: dict[str, Any] = {}
        self.bars = Progress(
            TextColumn("{task.description:22}"), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(file=sys.stderr), refresh_per_second=4,
        )  # fmt: skip
        self.job = self.bars.add_task(task.task_family, total=sum(self.left.values()), rate="all stages")

    def chunk(self, stage: str, voxels: int) -> None:
        """Count a chunk that was made."""
        if stage not in self.ids:
            self.ids[stage] = self.bars.add_task(stage, total=self.left.get(stage), rate="")
        self.voxels[stage] = self.voxels.get(stage, 0) + voxels
        number = self.ids[stage]
        elapsed = self.bars._tasks[number].elapsed or 0
        # a shard of labels is a box of one voxel
        rate = f"{self.voxels[stage] / elapsed / 1e6:6.3g} Mvoxel/s" if elapsed > 1 and voxels > 1 else ""
        self.bars.update(number, advance=1, rate=rate)
        self.bars.advance(self.job)


def chunks_left(task: luigi.Task) -> dict[str, int]:
    """The number of chunks that each stage of a job has to make; a stage with two layers has one number for both."""
    left: dict[str, int] = {}
    for stage in job_stages(task):
        left[stage.task_family] = left.get(stage.task_family, 0) + _missing(stage)
    return left


def _missing(stage: Stage) -> int:
    chunks = sum(1 for _ in stage.grid.meeting(stage.bbox)) if stage.region is not None else len(stage.grid)
    if chunks > MOST_LISTED:
        return chunks
    return sum(1 for _ in missing(stage.files(), stage.bbox))


@contextlib.contextmanager
def voxel_progress(title: str, voxels: int) -> Iterator[Callable[[int], None]]:
    """Show a line for a job that counts voxels; what is yielded is called with the number of each part that is done."""
    bars = Progress(
        TextColumn("{task.description:22}"), BarColumn(20), TaskProgressColumn(), TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(file=sys.stderr), refresh_per_second=4,
    )  # fmt: skip
    number, done = bars.add_task(title, total=voxels, rate=""), 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        elapsed = bars._tasks[number].elapsed or 0
        bars.update(number, advance=more, rate=f"{done / elapsed / 1e6:6.3g} Mvoxel/s" if elapsed > 1 else "")

    with bars:
        yield advance
