"""Watches a run from the files in the dataset's folder, and sends each event of it once.

Only logs, records of failures and the counts of a queue are read, so it makes no difference which processes, on which
machines, do the work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lchunk.chunk_logs import all_entries, duration, ended_at, is_chunk, recent_entries
from lchunk.failures import Failure, kept_failures
from lchunk.notices.hooks import DEAD_LETTERS, END, EVENTS, FAILURE, STALL, START, Hooks
from lchunk.notices.runs import Claim
from lchunk.volumes.store import Store

logger = logging.getLogger("luigi-interface")

LOOK_SECONDS = 20.0
"""Seconds between two looks."""
LOOKS_PER_STALL = 4
READING_PAUSE = 20
"""Time between the starts of two readings of the records of failures, in units of the time that the last one took."""
COMPLETE = "complete"


@dataclass(frozen=True)
class Job:
    """What a run makes.

    Args:
        name: the same text in all processes of the run.
        stage: name of the stage that was asked for.
        stages: names of all stages that it takes.
        viewer: address of `lchunk view`; empty if none is known.
        result: where the layer of the stage is; empty if it writes none.
    """

    name: str
    stage: str
    stages: frozenset[str]
    viewer: str = ""
    result: str = ""


@dataclass(frozen=True)
class Letters:
    """The dead letters of queues: their number, and the queues' addresses."""

    count: int
    queues: tuple[str, ...]


class Watch:
    """Sends the events of a run, unless another process does so.

    Args:
        store: the dataset's folder.
        job: what the run makes.
        hooks: who is told; if nobody is, nothing is done.
        stall: seconds without a chunk after which the run stalls; 0: never.
        letters: the dead letters as they are now, of a run through queues.
    """

    def __init__(
        self, store: Store, job: Job, hooks: Hooks, *, stall: float, letters: Callable[[], Letters] | None = None
    ) -> None:
        self.store, self.job, self.hooks, self.stall, self.letters = store, job, hooks, stall, letters
        self.claim = Claim(store, job.name)
        self.over = threading.Event()
        self.thread: threading.Thread | None = None
        self.begun = self.last_chunk = _now()
        self.next_failures = 0.0
        self._warned = False

    def begin(self) -> None:
        """Begin to watch, in a thread; a second call changes nothing."""
        if not self.hooks or self.thread is not None:
            return
        self.begun = self.last_chunk = _now()
        self.thread = threading.Thread(target=self._follow, name="hooks", daemon=True)
        self.thread.start()

    def end(self, outcome: str, code: int, *, goes_on: bool = False) -> None:
        """Send the end of the run, if this process sends its messages.

        Args:
            outcome: how it ended: `COMPLETE`, or why not.
            code: the exit code.
            goes_on: whether others may continue the run: then they send its end.
        """
        if not self.hooks:
            return
        self.over.set()
        if self.thread is not None:
            self.thread.join()
        self._guarded(lambda: self._end(outcome, code, goes_on=goes_on))

    # ---- looks

    def _follow(self) -> None:
        self._guarded(self._first_look)
        every = min(LOOK_SECONDS, self.stall / LOOKS_PER_STALL or LOOK_SECONDS)
        while not self.over.wait(every):
            self._guarded(self.look)

    def _guarded(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:
            if not self._warned:
                self._warned = True
                logger.warning(
                    "a message about the run was not sent, because the dataset's folder or the queue could not be "
                    "read: %s: %s; the run goes on, and this is said once", type(error).__name__, error,
                )  # fmt: skip

    def _first_look(self) -> None:
        self.claim.begin(self.begun)
        self.look()

    def look(self) -> None:
        """Look once, and send what is new."""
        if self.claim.held is None:
            self.claim.take_over()
        self.claim.keep()
        if self.claim.held is None:
            return
        self._tell(START, f"{self._name} has started")
        self._look_for_failure()
        self._look_for_stall()
        self._look_for_letters()

    def _look_for_failure(self) -> None:
        if self._is_sent(FAILURE) or (time.monotonic() < self.next_failures and not self.over.is_set()):
            return
        began = time.monotonic()
        failure = next(self._failures(), None)
        # many records of earlier runs take long to read
        self.next_failures = began + READING_PAUSE * (time.monotonic() - began)
        if failure:
            self._tell_failure(failure)

    def _failures(self) -> Iterator[Failure]:
        """The regions that failed in this run."""
        begun = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.claim.held.begun if self.claim.held else 0))
        return (each for each in kept_failures(self.store) if each.when >= begun and each.stage in self.job.stages)

    def _tell_failure(self, failure: Failure) -> None:
        where = failure.chunks[0] if failure.chunks else failure.region
        self._tell(
            FAILURE,
            f"{failure.stage} of {self.store.url} failed at {where}: {failure.reason}\nrun it again: {failure.again}",
            failed_stage=failure.stage, layer=failure.layer, region=failure.region, chunk=where,
            reason=failure.reason, command=failure.again, failed_on=failure.process,
        )  # fmt: skip

    def _look_for_stall(self) -> None:
        now = time.time()
        if not self.stall or self._is_sent(STALL) or now - self.last_chunk <= self.stall:
            return
        lately = (ended_at(entry) for _, entry in recent_entries(self.store, now - self.stall) if self._is_ours(entry))
        newest = max(lately, default=0.0)
        if newest:
            self.last_chunk = newest
        else:
            self._tell(
                STALL,
                f"{self._name} has made no chunk for {duration(now - self.last_chunk)}; see how far it is: lchunk "
                f"status {self.store.url}",
                seconds=round(now - self.last_chunk, 1),
            )

    def _look_for_letters(self) -> None:
        if self.letters is None or self._is_sent(DEAD_LETTERS) or self.claim.held is None:
            return
        letters, before = self.letters(), self.claim.held.dead
        if before is None or letters.count < before:
            self.claim.write(dead=letters.count)
        elif letters.count > before:
            count = letters.count - before
            ways = [
                f"see why: lchunk queue dead {name}; send again: lchunk queue redrive {name}" for name in letters.queues
            ]
            self._tell(
                DEAD_LETTERS, "\n".join([f"{count} messages of {self._name} were given up", *ways]),
                count=count, queues=list(letters.queues),
            )  # fmt: skip

    def _is_ours(self, entry: dict[str, Any]) -> bool:
        return is_chunk(entry) and entry.get("stage") in self.job.stages

    # ---- the end

    def _end(self, outcome: str, code: int, *, goes_on: bool) -> None:
        if self.claim.held is None and not self.claim.take_over():
            last = self.claim.latest()
            if self.thread is None or outcome != COMPLETE or last is None or last.ended in ("", COMPLETE):
                return
            # the process that sent the end did not know yet that the run would become complete
            self.claim.begin(self.begun, tuple(event for event in EVENTS if event != END))
        self.look()
        if self.claim.held is None:
            return
        if goes_on:
            self.claim.write(process="")
            return
        self.store.flush()
        seconds = time.time() - self.claim.held.begun
        made, failed = self._made(), sum(1 for _ in self._failures())
        lines = [
            f"{self._name} {'is' if outcome == COMPLETE else 'has ended:'} {outcome}: {made:,} chunks made in "
            f"{duration(seconds)}, {failed:,} regions failed"
        ]
        lines += [f"why: lchunk status {self.store.url}"] if failed else []
        lines += [f"look at it: {self.job.viewer}"] if self.job.viewer else []
        self._tell(
            END, "\n".join(lines), outcome=outcome, code=code, seconds=round(seconds, 1), chunks_made=made,
            regions_failed=failed, viewer=self.job.viewer, result=self.job.result,
        )  # fmt: skip
        self.claim.write(ended=outcome)

    def _made(self) -> int:
        """The chunks that were made in this run, by the lines of all logs."""
        begun = self.claim.held.begun if self.claim.held else 0.0
        day = time.strftime("%Y-%m-%d", time.gmtime(begun))
        entries = (entry for _, entry in all_entries(self.store, day) if entry is not None)
        return sum(1 for entry in entries if ended_at(entry) >= begun and self._is_ours(entry))

    # ---- messages

    @property
    def _name(self) -> str:
        return f"{self.job.stage} of {self.store.url}"

    def _is_sent(self, event: str) -> bool:
        return self.claim.held is None or event in self.claim.held.sent

    def _tell(self, event: str, text: str, **facts: Any) -> None:
        """Send an event once. It is noted before it is sent, so that a kill in between leaves none, never two."""
        run = self.claim.held
        if run is None or event in run.sent:
            return
        self.claim.write(sent=(*run.sent, event))
        begun, now = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each)) for each in (run.begun, time.time()))
        known = {
            "stage": self.job.stage, "root": self.store.url, "begun": begun, "time": now,
            "process": run.process.rpartition(":")[0],
        }  # fmt: skip
        self.hooks.send(event, text, known | facts)


def _now() -> float:
    """The time in seconds since 1970, in tenths, as logs have it."""
    return int(time.time() * 10) / 10
