"""A worker: takes one message at a time, makes its task, and answers the queue.

receive ── delivered too often without an answer ─────→ dead letters
   │ ───── no worker can read it ─────────────────────→ dead letters
   │ ───── complete already ──────────────────────────→ deleted
   └ make ─ complete, lease held ─────────────────────→ deleted
         ├─ complete or failed, lease lost ───────────→ left to the worker that has it now
         ├─ machine or network failed ────────────────→ sent again for later, with one return more
         ├─ no memory the 6th time, others are made ──→ dead letters, with the reason
         ├─ this worker cannot do it ─────────────────→ sent again for later, with one return more
         ├─ failed, less than 4 times ────────────────→ sent again for later, with one failure more
         ├─ failed the 4th time, or no worker can ────→ dead letters, with the traceback
         └─ the worker has to stop ───────────────────→ returned at once
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from luigi.task_register import Register

from lchunk.tasks.verdicts import GPU_MEMORY, MEMORY, Verdict
from lchunk.workers.attempt import Attempt, Attempts, failed
from lchunk.workers.gate import Gate
from lchunk.workers.health import Health, anyone_succeeds, others_succeed
from lchunk.workers.lease import Lease
from lchunk.workers.messages import MessageError, Options, TaskMessage
from lchunk.workers.notes import Notes
from lchunk.workers.patience import LONGEST_PAUSE, Patience
from lchunk.workers.queue import LeaseLostError, Message, Queue
from lchunk.workers.stopping import Stopping
from lchunk.workers.terms import Outcome, Terms

__all__ = ["Outcome", "Terms", "Worker"]

logger = logging.getLogger("luigi-interface")

FORGET_SECONDS = 10.0
SHORT_WAIT = 2.0
"""Most seconds of one wait of a worker that ends when the queue is empty."""
SHOWN = 500
"""Most characters of a message in the log."""


@dataclass
class Worker:
    """Makes the tasks of a queue.

    Attributes:
        notes: writes what `lchunk status` tells about this worker; None: nothing is written.
        tally: number of deliveries by outcome.
        failing: tasks that failed here since the last success.
        ended_because: why it ended itself, because the fault may be its own; else empty.
    """

    queue: Queue
    terms: Terms
    stopping: Stopping
    tally: Counter[Outcome] = field(default_factory=Counter)
    failing: set[tuple[str, str]] = field(default_factory=set)
    ended_because: str = ""
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "lease"))
    notes: Notes | None = None
    _delayed_in_a_row: int = 0
    _forgot: float = -math.inf
    _options: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gate = Gate(self.terms.modules, self.terms.trust_queue)
        self.attempts = Attempts(self.terms.scheduler)
        self.health = Health(self.terms.sick_in_a_row, others_succeed)

    @property
    def ended_itself(self) -> bool:
        """Whether it ended because the fault may be its own."""
        return bool(self.ended_because)

    # ---- the loop

    def work(self) -> Counter[Outcome]:
        """Take messages until it has to stop, or the terms say so. Returns the number of deliveries by outcome."""
        try:
            return self._work()
        finally:
            self._hold_nothing()

    def _work(self) -> Counter[Outcome]:
        began = busy = time.monotonic()
        empty = 0
        patience = Patience(self.terms.outage, self.stopping.requested.wait)
        while not self.stopping.requested.is_set():
            left = _left(began, self.terms.max_minutes)
            if self._enough() or left <= 0 or _left(busy, self.terms.idle_minutes) <= 0:
                break
            try:
                message = self.queue.receive(self.terms.visibility, min(self._wait, left))
                open_ = self.queue.counts().open if message is None and self.terms.exit_when_empty else 1
            except Exception as error:
                patience.bear(error)
                continue
            patience.end()
            if message is not None:
                outcome = self._handle(message)
                self.tally[outcome] += 1
                self._pause_after(outcome, left)
                busy = time.monotonic()
            else:
                self._hold_nothing()
            # the counts of SQS are estimates: believe them when they say it twice
            empty = empty + 1 if not open_ else 0
            if empty == 2:
                logger.info("the queue is empty")
                break
        return self.tally

    def _hold_nothing(self) -> None:
        if self.notes is not None:
            self.notes.free()

    @property
    def _wait(self) -> float:
        return min(self.terms.wait, SHORT_WAIT) if self.terms.exit_when_empty else self.terms.wait

    def _enough(self) -> bool:
        if len(self.failing) >= self.terms.in_a_row:
            self._end_itself(
                f"{len(self.failing)} tasks failed in a row: the fault may be this worker's (its cfg, version, modules "
                "or machine)"
            )
        return self.ended_itself or (0 < self.terms.max_tasks <= self.tally.total())

    def _end_itself(self, why: str) -> None:
        self.ended_because = why
        logger.error("%s, so this worker ends; other workers get the messages", why)

    def _pause_after(self, outcome: Outcome, left: float) -> None:
        """Wait before the next message if the machine or the network failed, because that one may fail too."""
        self._delayed_in_a_row = self._delayed_in_a_row + 1 if outcome is Outcome.DELAYED else 0
        if self._delayed_in_a_row and not self.ended_itself:
            self._hold_nothing()
            seconds = min(self.terms.back_off * self._delayed_in_a_row, LONGEST_PAUSE)
            self.stopping.requested.wait(min(seconds * random.uniform(0.5, 1), left))

    # ---- one message

    def _handle(self, message: Message) -> Outcome:
        if self.stopping.requested.is_set():
            return self._give_back(message)
        if (
            message.receives > self.terms.most_receives
        ):  # checked first, because the steps below may have killed the other workers
            return self._bury(
                _uncounted(message),
                f"delivered {message.receives} times, and every worker died before it answered: the task may need more "
                "memory than a worker has, or more time than the grace after a notice",
            )
        try:
            content = TaskMessage.parse(message.body)
        except MessageError as error:
            return self._bury(message, str(error))
        return self._work_on(message, content)

    def _work_on(self, message: Message, content: TaskMessage) -> Outcome:
        """Make the task of a message, while its lease is renewed."""
        started = time.monotonic()
        renewed = self.notes.renewed if self.notes is not None else lambda: None
        with Lease(self.queue, message, self.terms.visibility, self.pool, renewed) as lease:
            self.stopping.release = lambda: self._give_back(lease.end())
            self.stopping.busy = True
            try:
                attempt = self._attempt(message, content)
            except KeyboardInterrupt:
                self.stopping.busy = False
                self.stopping.request("interrupted")
                return self._give_back(lease.end())
            finally:
                self.stopping.busy = False
            message = lease.end()
        if not lease.held:
            logger.warning(
                "%s of %s: its lease was lost, and the worker that has the message now continues%s",
                content.family, dict(content.params), f"\n{attempt.error}" if attempt.verdict else "",
            )  # fmt: skip
            return Outcome.LOST
        if attempt.verdict is None:
            return self._done(message, content, attempt, time.monotonic() - started)
        self.health.failed(content.key, attempt.fault)
        return self._answer(message, content, attempt)

    def _attempt(self, message: Message, content: TaskMessage) -> Attempt:
        try:
            self._forget(content.options)
            with self.gate.task(content) as task:
                logger.info("took %s (delivery %d, failures %d)", task, message.receives, content.failures)
                if self.notes is not None:
                    self.notes.took(task)
                return self.attempts.make(task)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return failed(error)

    def _forget(self, options: Options) -> None:
        """Drop the tasks that Luigi caches, from time to time, and when the next message has other options."""
        now = time.monotonic()
        if options != self._options or now - self._forgot > FORGET_SECONDS:
            Register.clear_instance_cache()
            self._forgot, self._options = now, options

    # ---- answers

    def _done(self, message: Message, content: TaskMessage, attempt: Attempt, seconds: float) -> Outcome:
        deleted = self._answered(lambda: self.queue.delete(message))
        if deleted is not None:
            return deleted
        self.failing.clear()
        self.health.succeeded()
        region = content.params.get("region") or "whole"
        what = "made" if attempt.made else "complete already"
        logger.info("%s %s: %s, %.1f s", content.family, region, what, seconds)
        return Outcome.MADE if attempt.made else Outcome.COMPLETE

    def _answer(self, message: Message, content: TaskMessage, attempt: Attempt) -> Outcome:
        """Answer the queue for a message whose task failed."""
        verdict, error = attempt.verdict, attempt.error
        if verdict in (Verdict.WORKER, Verdict.UNCLEAR):
            self.failing.add(content.key)
        if verdict is Verdict.DEVICE:
            self._end_itself("the device of this process failed, and only a new process can use it again")
        elif sickness := self.health.sickness():
            self._end_itself(sickness)
        clean = _uncounted(message)
        if verdict is Verdict.FINAL:
            return self._bury(clean, error)
        if verdict is Verdict.UNCLEAR:
            again = content.failed_again()
            if again.failures >= self.terms.most_failures:
                return self._bury(clean, error)
            return self._send_again(message, again, self.terms.after_failure(again.failures), Outcome.FAILED, error)
        again = content.returned(time.time(), starved=attempt.fault in (MEMORY, GPU_MEMORY))
        hours = (time.time() - again.since) / 3600
        if again.returns >= self.terms.most_returns and (
            verdict is Verdict.WORKER or hours >= self.terms.transient_hours
        ):
            return self._bury(
                clean,
                f"returned {again.returns} times in {hours:.1f} hours: no worker could do it; last error:\n{error}",
            )
        if again.starved >= self.terms.most_starved and anyone_succeeds(again.since):
            return self._bury(
                clean,
                f"{attempt.fault} {again.starved} times, while other chunks were made: it needs a worker with more "
                f"memory (lchunk enqueue --route), or smaller chunks; last error:\n{error}",
            )
        outcome = Outcome.UNFIT if verdict is Verdict.WORKER else Outcome.DELAYED
        return self._send_again(message, again, self.terms.after_return(again.returns), outcome, error)

    def _send_again(
        self, message: Message, again: TaskMessage, seconds: float, outcome: Outcome, error: str
    ) -> Outcome:
        delay = seconds * random.uniform(0.5, 1)
        logger.error(
            "%s in %.0f s (failures %d of %d, returns %d):\n%s",
            outcome.value, delay, again.failures, self.terms.most_failures, again.returns, error,
        )  # fmt: skip

        if outcome is Outcome.UNFIT and self.notes is not None:
            self.notes.gave_up(message.body, error, dead=False)

        def replaced() -> None:
            # send the new message before the old one is deleted: a kill in between leaves two, never none
            self.queue.send([again.body], delay)
            self.queue.delete(message)

        return self._answered(replaced) or outcome

    def _bury(self, message: Message, error: str) -> Outcome:
        logger.error("given up, see lchunk queue dead: %s\n%s", message.body[:SHOWN], error)
        if self.notes is not None:
            self.notes.gave_up(message.body, error, dead=True)
        return self._answered(lambda: self.queue.bury(message, error)) or Outcome.BURIED

    def _give_back(self, message: Message) -> Outcome:
        self._hold_nothing()
        given = self._answered(lambda: self.queue.renew(message, 0))
        if given is None:
            logger.info("returned: %s", message.body[:SHOWN])
        return given or Outcome.RELEASED

    def _answered(self, answer: Callable[[], object]) -> Outcome | None:
        """Answer the queue. Returns None, or the outcome for the message if the queue did not take the answer."""
        try:
            answer()
        except LeaseLostError as error:
            logger.warning("the message was lost to another worker: %s", error)
            return Outcome.LOST
        except Exception as error:
            logger.warning(
                "the queue took no answer, and will deliver the message again: %s: %s", type(error).__name__, error
            )
            return Outcome.UNANSWERED
        return None


def _left(since: float, minutes: float) -> float:
    """Seconds that are left of some minutes since a time; infinite for 0 minutes."""
    return since + 60 * minutes - time.monotonic() if minutes else math.inf


def _uncounted(message: Message) -> Message:
    """A message as it was first sent, if it can be read."""
    try:
        return replace(message, body=TaskMessage.parse(message.body).uncounted.body)
    except MessageError:
        return message
