"""One attempt at a task: check it, rehearse it, make it. A failure is kept as text and a verdict, not as an exception.

An exception would keep the frames that it came through, and with them their arrays.
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
from lchunk.tasks.retried import retry
from lchunk.tasks.stage import Stage
from lchunk.tasks.verdicts import KILLED, Verdict, fault_of, verdict_of

LEAST_TO_MOST = tuple(Verdict)
"""If an attempt has several failures, its verdict is the one that comes first here."""
MOST_FAILURES = 5
"""Number of failures of an attempt whose text is kept."""
MOST_CHARACTERS = 20_000
REHEARSED = 256


@dataclass(frozen=True)
class Attempt:
    """The result of an attempt.

    Args:
        made: whether there was anything to make.
        verdict: whose fault the failure was; None if the task is complete.
        error: the text of the failure.
        fault: what failed, if it is of the machine or the network.
    """

    made: bool
    verdict: Verdict | None = None
    error: str = ""
    fault: str = ""


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
            KeyboardInterrupt: the attempt was interrupted.
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
                    _run(task)  # Luigi's scheduling of one task takes longer than a small one
                else:
                    if self.scheduler:
                        retry(f"http://{self.scheduler}", task.task_id)  # it is the queue that counts failures
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
        """Make the costly check of a stage, once per process: it was not made before the task was sent."""
        if not isinstance(task, Stage):
            return
        stage = task.for_volume
        if stage.task_id not in self._rehearsed:
            stage.rehearse()
            if len(self._rehearsed) >= REHEARSED:
                self._rehearsed.clear()
            self._rehearsed.add(stage.task_id)


def _run(task: luigi.Task) -> None:
    """Run a task with Luigi's events of its end, which keep and remove the record of its failure."""
    try:
        task.run()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        task.trigger_event(luigi.Event.FAILURE, task, error)
        raise
    task.trigger_event(luigi.Event.SUCCESS, task)


def failed(error: BaseException, task: luigi.Task | None = None) -> Attempt:
    """The result of an attempt that raised an error.

    Args:
        error: the error.
        task: the task that raised it; None if there was no task yet, which may be the worker's fault.
    """
    verdict = verdict_of(error)
    if verdict is Verdict.UNCLEAR:
        verdict = Verdict.WORKER if task is None else blame(task)
    return Attempt(made=True, verdict=verdict, error=_text(error), fault=fault_of(error))


def blame(task: luigi.Task) -> Verdict:
    """Whose fault the failure of a task is, if its exception does not show it.

    The sender created the layer, with its recipe. A worker that cannot compute the recipe, or computes another one, has
    another cfg, other files or another version, and the task may succeed with another worker. If the recipes agree, and
    the task's own knobs are refused all the same, no worker can make it.
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
    """The verdict of a failure before the task's own work begins."""
    verdict = verdict_of(error)
    return Verdict.WORKER if verdict is Verdict.UNCLEAR else verdict


class _Failures:
    """The failures of the tasks that Luigi runs, which it reports only by events.

    Args:
        own: whether no other process can have got the tasks.
    """

    def __init__(self, *, own: bool) -> None:
        self.own = own
        self.texts: list[str] = []
        self.verdicts: set[Verdict] = set()
        self.faults: dict[str, None] = {}

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """A context that collects the failures of all tasks that run in it."""
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
            attempt = Attempt(made=True, verdict=Verdict.TRANSIENT, error=str(error), fault=KILLED)
        self.faults |= dict.fromkeys(filter(None, [attempt.fault]))
        self.verdicts.add(attempt.verdict or Verdict.UNCLEAR)
        if len(self.texts) < MOST_FAILURES:
            self.texts.append(f"{task}\n{attempt.error}")

    def attempt(self, task: luigi.Task) -> Attempt:
        """The result of an attempt after which the task is not complete."""
        if not self.verdicts:
            return Attempt(
                made=True,
                verdict=Verdict.UNCLEAR if self.own else Verdict.TRANSIENT,
                error=f"{task} did not run, or wrote nothing, and is not complete: another worker of the central "
                "scheduler may be running it, or the scheduler disabled it after failures",
            )
        verdict = min(self.verdicts, key=LEAST_TO_MOST.index)
        return Attempt(made=True, verdict=verdict, error="\n".join(self.texts), fault=next(iter(self.faults), ""))


def _text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-MOST_CHARACTERS:]


def _scheduler(address: str) -> dict[str, Any]:
    if not address:
        return {"local_scheduler": True}
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"a scheduler must be HOST:PORT, got {address!r}")
    return {"local_scheduler": False, "scheduler_host": host, "scheduler_port": int(port)}
