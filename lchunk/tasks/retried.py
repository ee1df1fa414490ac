"""Lets tasks run again that Luigi's central scheduler gave up, and marks those done that were mended meanwhile.

After `retry_count` failures, Luigi's scheduler disables a task for a day: a run that is started again once the cause is
gone would not get it, and would end as if another process were making it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from luigi.rpc import RemoteScheduler, RPCError
from luigi.task_register import Register
from luigi.task_status import DISABLED, FAILED

logger = logging.getLogger("luigi-interface")


def retry_failed(url: str, root: str) -> None:
    """Let the failed tasks of a dataset run again, each as often as a new task; those that are complete are done.

    Args:
        url: address of the scheduler.
        root: the dataset's folder, as tasks name it.
    """
    scheduler: Any
    with contextlib.closing(RemoteScheduler(url)) as scheduler:
        try:
            for number, failed in _failed_of(scheduler, root):
                if _is_complete(failed):
                    scheduler.mark_as_done(task_id=number)
                else:
                    scheduler.re_enable_task(task_id=number)
        except RPCError as error:
            logger.warning("tasks that failed before may not run again: %s", error)


def retry(url: str, number: str) -> None:
    """Let one task run again, if the scheduler gave it up.

    Args:
        url: address of the scheduler.
        number: Luigi's id of the task.

    Raises:
        RPCError: the scheduler does not answer.
    """
    scheduler: Any
    with contextlib.closing(RemoteScheduler(url)) as scheduler:
        scheduler.re_enable_task(task_id=number)


def _failed_of(scheduler: Any, root: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Ids of the tasks of a dataset that failed or were given up, and what the scheduler knows about each."""
    for status in (FAILED, DISABLED):
        for number in scheduler.task_list(status=status, limit=False):
            failed = scheduler.fetch_error(task_id=number)
            if (failed.get("taskParams") or {}).get("root") == root:
                yield number, failed


def _is_complete(failed: dict[str, Any]) -> bool:
    """Whether the files of a task exist; False for a stage that this process does not know."""
    try:
        stage: Any = Register.get_task_cls(failed["taskFamily"])
        return bool(stage.from_str_params(failed["taskParams"]).complete())
    except Exception:  # of another version, or with knobs that cannot work: the run itself says so
        return False
