"""A worker: takes one message at a time, makes its task, and says what became of it.

receive ── bad message ──────────────────────────→ dead letters
   │ ───── came too often, no worker answered ───→ dead letters
   │ ───── complete already ─────────────────────→ deleted
   └ make ─ complete, lease held ────────────────→ deleted
         ├─ complete, lease lost ────────────────→ left to whoever has it now
         ├─ failed, less than 4 times ───────────→ sent anew for later, with one failure more
         ├─ failed the 4th time ─────────────────→ dead letters, with the traceback
         └─ told to stop ────────────────────────→ given back at once
"""

from __future__ import annotations

import logging
import math
import random
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import luigi
from luigi.task import flatten
from luigi.task_register import Register

from lchunk.tasks.stage import Stage
from lchunk.workers.lease import Lease
from lchunk.workers.messages import STAGES, MessageError, Options, TaskMessage, options_of
from lchunk.workers.queue import LeaseLostError, Message, Queue
from lchunk.workers.stopping import Stopping

logger = logging.getLogger("luigi-interface")

FIRST_BACK_OFF = 30.0
LONGEST_BACK_OFF = 900.0
FORGET_SECONDS = 10.0
SHORT_WAIT = 2.0
"""Seconds between two looks of a worker that ends when the queue is empty."""


class Outcome(Enum):
    """What became of a delivery."""

    MADE = "made"
    STOOD = "stood already"
    FAILED = "failed, to be tried again"
    BURIED = "given up"
    LOST = "lost to another worker"
    RELEASED = "given back"


@dataclass(frozen=True)
class Terms:
    """How a worker works.

    Args:
        visibility: seconds of a lease, which is renewed every third of them.
        wait: most seconds of one wait for a message.
        most_failures: the failure that sends a message to the dead letters.
        most_receives: deliveries of one message, none of them answered, before it is given up.
        in_a_row: tasks that fail one after the other, none succeeding, after which the worker blames itself and ends.
        back_off: seconds until a failed message comes again, the first time; twice as many each next time.
        exit_when_empty: end when the queue holds no message, those of other workers included.
        max_tasks: end after so many deliveries; 0: never.
        max_minutes: take nothing after so many minutes; 0: never.
        modules: what messages may import.
        scheduler: HOST:PORT of a central scheduler; empty: the process has its own.
    """

    visibility: float = 600.0
    wait: float = 20.0
    most_failures: int = 4
    most_receives: int = 10
    in_a_row: int = 5
    back_off: float = FIRST_BACK_OFF
    exit_when_empty: bool = False
    max_tasks: int = 0
    max_minutes: float = 0.0
    modules: tuple[str, ...] = (STAGES,)
    scheduler: str = ""


@dataclass
class Worker:
    """Works off a queue."""

    queue: Queue
    terms: Terms
    stopping: Stopping
    tally: Counter[Outcome] = field(default_factory=Counter)
    failing: set[tuple[str, str]] = field(default_factory=set)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "lease"))
    _forgot: float = -math.inf
    _options: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        _scheduler(self.terms.scheduler)

    def work(self) -> Counter[Outcome]:
        """Take messages until told to stop, or until the terms say so. Returns what became of how many."""
        began = time.monotonic()
        empty = 0
        while not self.stopping.requested.is_set():
            left = self.terms.max_minutes * 60 - (time.monotonic() - began)
            if self._enough() or (self.terms.max_minutes and left <= 0):
                break
            wait = min(self.terms.wait, SHORT_WAIT) if self.terms.exit_when_empty else self.terms.wait
            wait = min(wait, left) if self.terms.max_minutes else wait
            message = self.queue.receive(self.terms.visibility, wait)
            if message is not None:
                empty = 0
                self.tally[self._handle(message)] += 1
            elif self.terms.exit_when_empty:
                # the counts of SQS are estimates: believe them when they say it twice
                empty = empty + 1 if self.queue.counts().open == 0 else 0
                if empty == 2:
                    logger.info("the queue is empty")
                    break
        return self.tally

    def _enough(self) -> bool:
        if len(self.failing) >= self.terms.in_a_row:
            logger.error(
                "%d tasks failed one after the other: the fault may be this worker's, which ends; "
                "the messages come again for others",
                len(self.failing),
            )
            return True
        return bool(self.terms.max_tasks) and self.tally.total() >= self.terms.max_tasks

    def _handle(self, message: Message) -> Outcome:
        if self.stopping.requested.is_set():
            return self._give_back(message)
        try:
            content = TaskMessage.parse(message.body)
            self._forget(content.options)
            with options_of(content):
                return self._do(message, content, content.task(self.terms.modules))
        except MessageError as error:
            return self._bury(message, str(error))

    def _forget(self, options: Options) -> None:
        """Drop the tasks that Luigi keeps: once in a while, and when the next are of another command line."""
        now = time.monotonic()
        if options != self._options or now - self._forgot > FORGET_SECONDS:
            Register.clear_instance_cache()
            self._forgot, self._options = now, options

    def _do(self, message: Message, content: TaskMessage, task: luigi.Task) -> Outcome:
        clean = replace(message, body=replace(content, failures=0).body)
        if message.receives > self.terms.most_receives:
            return self._bury(
                clean,
                f"delivered {message.receives} times, and no worker lived to answer: {task} may need more memory than "
                "a worker has, or more time than the grace after a notice",
            )
        logger.info("took %s (delivery %d, failures %d)", task, message.receives, content.failures)
        started = time.monotonic()
        with Lease(self.queue, message, self.terms.visibility, self.pool) as lease:
            self.stopping.release = lambda: self._release(lease)
            self.stopping.busy = True
            try:
                made, error = self._make(task)
            except KeyboardInterrupt:
                self.stopping.busy = False
                self.stopping.request("interrupted")
                return self._release(lease)
            finally:
                self.stopping.busy = False
            message = lease.end()
            clean = replace(message, body=clean.body)
        if not error:
            return self._done(message, task, lease, made, time.monotonic() - started)
        if not lease.held:
            logger.warning("%s failed, but its lease was lost: whoever has the message tries it\n%s", task, error)
            return Outcome.LOST
        failed = content.failed_again()
        if failed.failures >= self.terms.most_failures:
            return self._bury(clean, error)
        return self._retry(message, failed, error)

    def _make(self, task: luigi.Task) -> tuple[bool, str]:
        """Make a task. Returns whether there was anything to make, and the error; empty when the task is complete."""
        _raised.clear()
        try:
            if task.complete():
                return False, ""
            if self._alone(task):
                task.run()
            else:
                luigi.build([task], **_scheduler(self.terms.scheduler))
            if task.complete():
                return True, ""
        except Exception:
            _raised.append(traceback.format_exc())
        return True, "\n".join(_raised) or (
            f"{task} did not run, and is not complete: another worker of the central scheduler may be at it, "
            "or it was disabled there after failing"
        )

    def _alone(self, task: luigi.Task) -> bool:
        """Whether a task can be run as it is: Luigi's scheduling of one task takes longer than a small one."""
        ready = isinstance(task, Stage) and not self.terms.scheduler
        return ready and all(other.complete() for other in flatten(task.requires()))

    def _done(self, message: Message, task: luigi.Task, lease: Lease, made: bool, seconds: float) -> Outcome:
        if not lease.held:
            logger.warning("%s is complete, but its lease was lost: whoever has the message deletes it", task)
            return Outcome.LOST
        try:
            self.queue.delete(message)
        except LeaseLostError as error:
            logger.warning("%s is complete, but its message was lost: %s", task, error)
            return Outcome.LOST
        self.failing.clear()
        logger.info("%s: %s, %.1f s", task, "made" if made else "stood already", seconds)
        return Outcome.MADE if made else Outcome.STOOD

    def _retry(self, message: Message, failed: TaskMessage, error: str) -> Outcome:
        delay = min(self.terms.back_off * 2 ** (failed.failures - 1), LONGEST_BACK_OFF) * random.uniform(0.5, 1)
        logger.error(
            "failure %d of %d, to be tried again in %.0f s:\n%s",
            failed.failures, self.terms.most_failures, delay, error,
        )  # fmt: skip
        self.failing.add(failed.key)
        # first the new one, then the old: a kill between leaves two, never none
        self.queue.send([failed.body], delay)
        try:
            self.queue.delete(message)
        except LeaseLostError:
            return Outcome.LOST
        return Outcome.FAILED

    def _bury(self, message: Message, error: str) -> Outcome:
        logger.error("given up, see lchunk queue dead: %s\n%s", message.body[:500], error)
        try:
            self.queue.bury(message, error)
        except LeaseLostError:
            return Outcome.LOST
        return Outcome.BURIED

    def _release(self, lease: Lease) -> Outcome:
        return self._give_back(lease.end())

    def _give_back(self, message: Message) -> Outcome:
        try:
            self.queue.renew(message, 0)
        except LeaseLostError:
            return Outcome.LOST
        logger.info("given back: %s", message.body[:500])
        return Outcome.RELEASED


_raised: list[str] = []
"""Tracebacks of the task at hand, which Luigi keeps to itself."""


def _keep(task: luigi.Task, error: BaseException | str) -> None:
    lines = traceback.format_exception(error) if isinstance(error, BaseException) else [str(error)]
    _raised.append(f"{task}\n{''.join(lines)}")


for _event in (luigi.Event.FAILURE, luigi.Event.BROKEN_TASK, luigi.Event.PROCESS_FAILURE):
    luigi.Task.event_handler(_event)(_keep)


def _scheduler(address: str) -> dict[str, Any]:
    if not address:
        return {"local_scheduler": True}
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"a scheduler must be HOST:PORT, got {address!r}")
    return {"local_scheduler": False, "scheduler_host": host, "scheduler_port": int(port)}
