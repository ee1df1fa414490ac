"""Luigi's scheduler for one command, without what it does about all tasks each time that it hands out one.

Luigi's local scheduler prunes all tasks, and counts all pending tasks with everything above them, for each task that it
hands out: 25 ms of 3,000 tasks, which is more than a small task takes.
"""

from __future__ import annotations

import time
from typing import Any

from luigi import interface
from luigi.scheduler import Scheduler

PRUNE_SECONDS = 1.0
"""Seconds after which tasks are pruned again: those that failed are then tried again, if their time has come."""


class LocalScheduler(Scheduler):
    """Hands out the same tasks as Luigi's, in the same order."""

    def __init__(self) -> None:
        super().__init__(prune_on_get_work=True, record_task_history=False)
        self._pruned = float("-inf")
        self._handing_out = False

    def prune(self) -> None:
        if time.monotonic() - self._pruned >= PRUNE_SECONDS:
            super().prune()
            self._pruned = time.monotonic()

    def get_work(self, **arguments: Any) -> dict[str, Any]:
        self._handing_out = True
        try:
            reply: dict[str, Any] = super().get_work(**arguments)
        finally:
            self._handing_out = False
        if reply["task_id"] is None:
            reply |= self.count_pending(arguments["worker"])
        return reply

    def count_pending(self, worker: str) -> dict[str, Any]:
        """The counts of pending tasks, by which a worker without a task decides whether it waits."""
        if not self._handing_out:
            counts: dict[str, Any] = super().count_pending(worker)
            return counts
        state = self._state.get_worker(worker).state
        none = dict.fromkeys(("n_pending_tasks", "n_unique_pending", "n_pending_last_scheduled"), 0)
        return none | {"worker_state": state, "running_tasks": []}


class Factory(interface._WorkerSchedulerFactory):
    """Makes the scheduler and the worker of a command."""

    def create_local_scheduler(self) -> LocalScheduler:
        return LocalScheduler()


def use_local_scheduler() -> None:
    """Let `luigi --module lchunk.tasks`, `lchunk run` and `luigi.build` use this scheduler."""
    interface._WorkerSchedulerFactory = Factory  # type: ignore[misc]
