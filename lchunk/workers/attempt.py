"""One try at a task: look, rehearse, make; what went wrong is kept as text and a verdict, never as an exception.

An exception keeps the frames that it came through, and with them their arrays.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import luigi
from luigi.task import flatten

from lchunk.recipe import compare
from lchunk.tasks.checking import without_rehearsal
from lchunk.tasks.stage import Stage
from lchunk.workers.verdicts import Verdict, verdict_of

LEAST_TO_MOST = tuple(Verdict)
"""Of several failures of one try, the verdict that comes first here is that of the try."""
MOST_FAILURES = 5
"""Failures of one try whose text is kept."""
MOST_CHARACTERS = 20_000
REHEARSED = 256


@dataclass(frozen=True)
class Attempt:
    """How a try ended.

    Args:
        made: whether there was anything to make.
        verdict: whose fault the failure was; None where the task is complete.
        error: the failure, as text.
    """

    made: bool
    verdict: Verdict | None = None
    error: str = ""


@dataclass
class Attempts:
    """Makes tasks, one at a time.

    Args:
        scheduler: HOST:PORT of a central scheduler; empty: the process has its own.
    """

    scheduler: str = ""
    _rehearsed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        _scheduler(self.scheduler)

    def make(self, task: luigi.Task) -> Attempt:
        """Make a task that is not complete.

        Raises:
            KeyboardInterrupt: somebody interrupts it.
        """
        failures = _Failures(own=not self.scheduler)
        try:
            with without_rehearsal():
                if task.complete():
                    return Attempt(made=False)
                ready = isinstance(task, Stage) and all(other.complete() for other in flatten(task.requires()))
            self._rehearse(task)
            with without_rehearsal() if ready else contextlib.nullcontext():
                if ready and not self.scheduler:
                    task.run()  # Luigi's scheduling of one task takes longer than a small one
                else:
                    with failures.heard():
                        luigi.build([task], **_scheduler(self.scheduler))
            if task.complete():
                return Attempt(made=True)
            return failures.attempt(task)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return failed(error, task)

    def _rehearse(self, task: luigi.Task) -> None:
        """The costly check of a stage, once in a process: nobody did it before the task was sent."""
        if not isinstance(task, Stage):
            return
        stage = task.for_volume
        if stage.task_id not in self._rehearsed:
            stage.rehearse()
            if len(self._rehearsed) >= REHEARSED:
                self._rehearsed.clear()
            self._rehearsed.add(stage.task_id)


def failed(error: BaseException, task: luigi.Task | None = None) -> Attempt:
    """The end of a try that raised.

    Args:
        error: what was raised.
        task: what it was raised by; None where there was no task yet, which may be the worker's fault.
    """
    verdict = verdict_of(error)
    if verdict is Verdict.UNCLEAR:
        verdict = Verdict.WORKER if task is None else blame(task)
    return Attempt(made=True, verdict=verdict, error=_text(error))


def blame(task: luigi.Task) -> Verdict:
    """Whose fault a failure of a task is that its exception does not tell.

    The layer was created by the sender, with its recipe. A worker that cannot work out a recipe, or works out another
    one, has another cfg, other files or another version: what fails there may work elsewhere. A worker that agrees
    and still has the task's own knobs refused shows that no worker can do it.
    """
    if not isinstance(task, Stage):
        return Verdict.UNCLEAR
    try:
        stage = task.for_volume
        stored, wanted = stage.files().recipe(), stage.recipe()
    except Exception as error:
        return _at_least_workers(error)
    if stored is not None and compare(stage.path, stage.folders, stored, wanted) is not None:
        return Verdict.WORKER
    try:
        task.bbox  # noqa: B018 - it must be whole chunks
        stage.validate()
    except ValueError as error:
        verdict = verdict_of(error)
        return Verdict.FINAL if verdict is Verdict.UNCLEAR else verdict
    except Exception as error:
        return _at_least_workers(error)
    return Verdict.UNCLEAR if stored is not None else Verdict.WORKER


def _at_least_workers(error: Exception) -> Verdict:
    """The verdict of what fails before the task's own work begins."""
    verdict = verdict_of(error)
    return Verdict.WORKER if verdict is Verdict.UNCLEAR else verdict


class _Failures:
    """What Luigi reports of the tasks that it runs, and keeps to itself.

    Args:
        own: whether no other process could have been given the tasks.
    """

    def __init__(self, *, own: bool) -> None:
        self.own = own
        self.texts: list[str] = []
        self.verdicts: set[Verdict] = set()

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Collect the failures of all tasks that run inside."""
        events = (luigi.Event.FAILURE, luigi.Event.BROKEN_TASK, luigi.Event.PROCESS_FAILURE)
        for event in events:
            luigi.Task.event_handler(event)(self._hear)
        try:
            yield
        finally:
            for event in events:
                luigi.Task.remove_event_handler(event, self._hear)

    def _hear(self, task: luigi.Task, error: BaseException | str) -> None:
        if isinstance(error, BaseException):
            attempt = failed(error, task)
        else:  # the process that ran it died
            attempt = Attempt(made=True, verdict=Verdict.TRANSIENT, error=str(error))
        self.verdicts.add(attempt.verdict or Verdict.UNCLEAR)
        if len(self.texts) < MOST_FAILURES:
            self.texts.append(f"{task}\n{attempt.error}")

    def attempt(self, task: luigi.Task) -> Attempt:
        """How the try at a task ended that is not complete."""
        if not self.verdicts:
            return Attempt(
                made=True,
                verdict=Verdict.UNCLEAR if self.own else Verdict.TRANSIENT,
                error=f"{task} did not run, or wrote nothing, and is not complete: another worker of the central "
                "scheduler may be running it, or the scheduler disabled it after failures",
            )
        return Attempt(made=True, verdict=min(self.verdicts, key=LEAST_TO_MOST.index), error="\n".join(self.texts))


def _text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-MOST_CHARACTERS:]


def _scheduler(address: str) -> dict[str, Any]:
    if not address:
        return {"local_scheduler": True}
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"a scheduler must be HOST:PORT, got {address!r}")
    return {"local_scheduler": False, "scheduler_host": host, "scheduler_port": int(port)}
