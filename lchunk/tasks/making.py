"""Chunks made one after the other: while one is computed, the next is read and the last is written."""

from __future__ import annotations

import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lchunk.geometry.bbox import Bbox
from lchunk.operators.allocation import keep_freed_memory
from lchunk.tasks.jobs import ChunkJob
from lchunk.tasks.progress import ChunkLog

logger = logging.getLogger("luigi-interface")

WORTH_A_THREAD = 0.005
"""Seconds that a step must take to be worth a thread."""
ENOUGH_FAILURES = 5
"""Number of chunks that may fail for the same reason before the remaining chunks are skipped."""


@dataclass(frozen=True)
class Failure:
    """A chunk that could not be made, and why; the error has no frames, which would keep their arrays alive.

    Args:
        bbox: the chunk.
        error: the error.
        trace: where it was raised, as text; empty if another chunk failed for the same reason before.
    """

    bbox: Bbox
    error: Exception
    trace: str

    @property
    def reason(self) -> str:
        """The first line of the message for the user; the log has all of it."""
        return f"{type(self.error).__name__}: {self.error}".partition("\n")[0]


class ChunksFailedError(RuntimeError):
    """Some chunks of a region failed.

    Args:
        message: which, and why.
        failed: all of them.
    """

    def __init__(self, message: str, failed: list[Failure]) -> None:
        super().__init__(message)
        self.failed = failed


class ChunkInProgress:
    """A chunk that is being made: read, computed, written, each once and in this order.

    Attributes:
        idle_since: when the process began to have nothing to compute; before `compute`.
        last: whether the process has nothing to compute while the chunk is written.
    """

    def __init__(self, job: ChunkJob) -> None:
        self.idle_since = self.computed_at = time.perf_counter()
        self.last = True
        self.job = job
        self.log = ChunkLog(job.work.stage, job.chunk.bbox)
        self.log.projected = job.work.projected
        self.inputs: list[Any] = []
        self.content: Any = None

    def read(self) -> None:
        keep_freed_memory()
        with self.log.timed("read"):
            self.job.work.prepare()
            self.content = self.job.work.trivial(self.job.chunk.bbox)
            if self.content is None:
                self.inputs = [source.read() for source in self.job.inputs]
            else:
                self.log.skipped = True

    def compute(self) -> None:
        self.log.wait = time.perf_counter() - self.idle_since
        with self.log.timed("compute"):
            if self.content is None:
                self.content = self.job.content(self.inputs)
                self.log.device = self.job.work.device()
                self.job.work.confirm()
        self.inputs = []
        self.computed_at = time.perf_counter()

    def write(self) -> None:
        with self.log.timed("write"):
            self.job.work.output.write(self.job.chunk.bbox, self.content)
        self.content = None
        if self.last and self.log.wait is not None:
            self.log.wait += time.perf_counter() - self.computed_at
        self.log.write(self.job.work.logs, self.job.work.log_folder)


def make(job: ChunkJob) -> None:
    """Make one chunk."""
    chunk = ChunkInProgress(job)
    chunk.read()
    chunk.compute()
    chunk.write()


class BackgroundStep:
    """Runs one kind of step in a thread, if it takes long enough to be worth a thread."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool
        self.seconds = 0.0

    def start(self, step: Callable[[], None]) -> Callable[[], None]:
        """Start a step. Returns a function that waits for its end, and raises what it raised."""
        if self.seconds >= WORTH_A_THREAD:
            return self.pool.submit(self._timed, step).result
        try:
            self._timed(step)
        except Exception as error:
            raised = error  # Python deletes `error` at the end of the clause

            def fail() -> None:
                raise raised

            return fail
        return _nothing

    def _timed(self, step: Callable[[], None]) -> None:
        start = time.perf_counter()
        step()
        self.seconds = time.perf_counter() - start


def _nothing() -> None:
    """Waits for a step that has ended."""


class Failures:
    """The chunks that failed so far, and how often each reason occurred."""

    def __init__(self) -> None:
        self.all: list[Failure] = []
        self.reasons: Counter[str] = Counter()

    def settled(self, step: Callable[[], Any], job: ChunkJob) -> bool:
        """Run a step. Returns whether it succeeded."""
        try:
            step()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            trace = ""
            if not self.reasons[reason]:
                trace = traceback.format_exc()
                logger.exception("%s failed at %s", job.work.stage, job.chunk.bbox)
            else:
                logger.error("%s failed at %s, as before: %s", job.work.stage, job.chunk.bbox, error)
            self.reasons[reason] += 1
            self.all.append(Failure(job.chunk.bbox, _without_frames(error), trace))
            return False
        return True

    @property
    def enough(self) -> bool:
        """Whether one reason has occurred so often that the remaining chunks would fail too."""
        return max(self.reasons.values(), default=0) >= ENOUGH_FAILURES


def make_all(jobs: Iterable[ChunkJob], computing: Callable[[int], None]) -> list[Failure]:
    """Make many chunks. If some fail, the others are still made, unless several fail for the same reason.

    Args:
        jobs: the jobs, in order.
        computing: called with the number of a chunk before it is computed.

    Returns:
        Chunks that failed, and why.
    """
    failures = Failures()
    with ThreadPoolExecutor(1, "read") as read_pool, ThreadPoolExecutor(1, "write") as write_pool:
        reader, writer = BackgroundStep(read_pool), BackgroundStep(write_pool)
        upcoming = map(ChunkInProgress, _until(jobs, failures))
        chunk = next(upcoming, None)
        reading = reader.start(chunk.read) if chunk else None
        writing: tuple[Callable[[], None], ChunkJob] | None = None
        number, idle_since = 0, time.perf_counter()
        while chunk is not None and reading is not None:
            readable = failures.settled(reading, chunk.job)
            following = next(upcoming, None)
            reading = reader.start(following.read) if following else None
            computing(number)
            chunk.idle_since, chunk.last = idle_since, following is None
            if readable and failures.settled(chunk.compute, chunk.job):
                if writing is not None:
                    failures.settled(*writing)
                writing = (writer.start(chunk.write), chunk.job)
                idle_since = chunk.computed_at
            chunk, number = following, number + 1
        if writing is not None:
            failures.settled(*writing)
    return failures.all


def _until(jobs: Iterable[ChunkJob], failures: Failures) -> Iterator[ChunkJob]:
    """The jobs, until too many have failed for the same reason."""
    for job in jobs:
        if failures.enough:
            return
        yield job


def _without_frames(error: Exception) -> Exception:
    """An error, and those that it came from, without their tracebacks."""
    each: BaseException | None = error
    seen: set[int] = set()
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error


def reasons(failures: list[Failure], most: int = 3) -> str:
    """The reasons why chunks failed, each once, the most frequent first."""
    counts = Counter(failure.reason for failure in failures)
    shown = [f"{reason} ({count} chunks)" if count > 1 else reason for reason, count in counts.most_common(most)]
    more = len(counts) - most
    return "; ".join(shown) + (f"; and {more} other reasons" if more > 0 else "")


def first_places(failures: list[Failure], most: int = 3) -> str:
    """The boxes of the first chunks that failed."""
    return ", ".join(str(failure.bbox) for failure in islice(failures, most))
