"""The part of a job that can be made now: missing regions whose inputs are complete."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

import luigi
from luigi.task import flatten

from lchunk.chunk_logs import log_lines, process_seconds
from lchunk.geometry.grid import Grid
from lchunk.tasks.checking import without_rehearsal
from lchunk.tasks.stage import Stage

logger = logging.getLogger("luigi-interface")

LOGS = 200
"""Number of chunk logs per stage that an estimate uses."""


@dataclass
class Job:
    """A task and everything that it needs, as it is now.

    Args:
        root: the task.
        ready: missing regions that can be made now.
        waiting: number of missing regions that need others first.
    """

    root: luigi.Task
    ready: list[luigi.Task] = field(default_factory=list)
    waiting: int = 0
    _complete: dict[str, bool] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, root: luigi.Task) -> Job:
        """Check the chunk files of a task and of everything that it needs, without loading a net.

        Raises:
            ValueError: knobs, files or inputs cannot work.
        """
        job = cls(root)
        with without_rehearsal():
            job._visit(root)
        return job

    @property
    def done(self) -> bool:
        """Whether nothing is missing."""
        return not self.ready and not self.waiting

    def _is_complete(self, task: luigi.Task) -> bool:
        if task.task_id not in self._complete:
            self._complete[task.task_id] = task.complete()
        return self._complete[task.task_id]

    def _visit(self, task: luigi.Task) -> None:
        if task.task_id in self._seen or self._is_complete(task):
            return
        self._seen.add(task.task_id)
        incomplete = [other for other in flatten(task.requires()) if not self._is_complete(other)]
        for other in incomplete:
            self._visit(other)
        if isinstance(task, Stage) and task.delegates:
            return  # its blocks are made instead
        if not incomplete:
            self.ready.append(task)
        elif not isinstance(task, luigi.WrapperTask):
            self.waiting += 1


@dataclass(frozen=True)
class Amount:
    """The amount of work of a stage.

    Args:
        stage: its name.
        regions: number of tasks.
        chunks: number of chunk files.
        seconds: seconds of one worker; None if no chunk has left a log yet.
    """

    stage: str
    regions: int
    chunks: int
    seconds: float | None


def by_stage(tasks: Iterable[luigi.Task]) -> list[list[Stage]]:
    """The regions of each stage. Stages may share a layer, like an image and the passes that make its mips."""
    stages: dict[tuple[str, str, Grid], list[Stage]] = {}
    for task in tasks:
        if isinstance(task, Stage):
            stages.setdefault((task.task_family, task.path, task.grid), []).append(task)
    return list(stages.values())


def amounts(tasks: Iterable[luigi.Task]) -> list[Amount]:
    """The amount of work of some tasks, per stage."""
    return [_amount(regions) for regions in by_stage(tasks)]


def _amount(regions: list[Stage]) -> Amount:
    first = regions[0]
    chunks = sum(sum(1 for _ in stage.grid.meeting(stage.bbox)) for stage in regions)
    logs = list(islice(log_lines(first.store, first.log_folder), LOGS))
    voxels = sum(entry["voxels"] for entry in logs)
    seconds = sum(map(process_seconds, logs))
    total = sum(stage.bbox.size for stage in regions)
    return Amount(first.task_family, len(regions), chunks, seconds / voxels * total if voxels else None)
