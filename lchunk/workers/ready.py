"""What of a job can be done now: the regions that are missing, and have all that they are made from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import luigi
from luigi.task import flatten

from lchunk.tasks.stage import Stage

LOGS = 200
"""Chunk logs that an estimate looks at, a stage."""


@dataclass
class Job:
    """A task with all that it needs, as it stands now.

    Args:
        root: the task.
        ready: missing regions that can be made now.
        waiting: how many missing regions need others first.
    """

    root: luigi.Task
    ready: list[luigi.Task] = field(default_factory=list)
    waiting: int = 0
    _complete: dict[str, bool] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, root: luigi.Task) -> Job:
        """Look at the chunk files of a task and of all that it needs.

        Raises:
            ValueError: knobs, files or inputs cannot work.
        """
        job = cls(root)
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
        lacking = [other for other in flatten(task.requires()) if not self._is_complete(other)]
        for other in lacking:
            self._visit(other)
        if isinstance(task, Stage) and task.is_volume:
            return  # its blocks are what is made
        if not lacking:
            self.ready.append(task)
        elif not isinstance(task, luigi.WrapperTask):
            self.waiting += 1


@dataclass(frozen=True)
class Amount:
    """How much of a stage is to be done.

    Args:
        stage: its name.
        regions: tasks.
        chunks: chunk files.
        seconds: of one worker; None where no chunk has left a log yet.
    """

    stage: str
    regions: int
    chunks: int
    seconds: float | None


def amounts(tasks: Iterable[luigi.Task]) -> list[Amount]:
    """How much some tasks are, a stage."""
    stages: dict[tuple[str, str], list[Stage]] = {}
    for task in tasks:
        if isinstance(task, Stage):
            stages.setdefault((task.task_family, task.path), []).append(task)
    return [_amount(family, regions) for (family, _), regions in stages.items()]


def _amount(family: str, regions: list[Stage]) -> Amount:
    first = regions[0]
    chunks = sum(len(list(stage.grid.meeting(stage.bbox))) for stage in regions)
    logs = [json.loads(first.store.get(key)) for key in islice(first.store.list(f"logs/{first.log_folder}"), LOGS)]
    voxels = sum(log["voxels"] for log in logs)
    if not voxels:
        return Amount(family, len(regions), chunks, None)
    rate = sum(_seconds(log) for log in logs) / voxels
    return Amount(family, len(regions), chunks, rate * sum(stage.bbox.size for stage in regions))


def _seconds(log: dict[str, Any]) -> float:
    seconds: dict[str, float] = log["seconds"]
    return sum(seconds.values())
