"""Chunks made one after the other: while one is computed, the next is read and the last is written."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lchunk.geometry.bbox import Bbox
from lchunk.operators.allocation import keep_freed_memory
from lchunk.tasks.progress import ChunkLog

if TYPE_CHECKING:
    from lchunk.tasks.stage import Stage

logger = logging.getLogger("luigi-interface")

WORTH_A_THREAD = 0.005
"""Seconds of reading, or writing, one chunk."""


class Making:
    """One chunk on its way: read, computed, written, each once and in this order."""

    def __init__(self, chunk: Stage) -> None:
        self.chunk = chunk
        self.log = ChunkLog(type(chunk).__name__, chunk.bbox)
        self.inputs: list[Any] = []
        self.content: Any = None

    def read(self) -> None:
        keep_freed_memory()
        with self.log.timed("read"):
            self.chunk.prepare()
            self.content = self.chunk.known()
            if self.content is None:
                self.inputs = self.chunk.inputs()
            else:
                self.log.skipped = True

    def compute(self) -> None:
        with self.log.timed("compute"):
            if self.content is None:
                self.content = self.chunk.trimmed(self.chunk.compute(*self.inputs))
                self.log.device = self.chunk.computed_on
        self.inputs = []

    def write(self) -> None:
        with self.log.timed("write"):
            self.chunk.files().write(self.chunk.bbox, self.content)
        self.content = None
        self.log.write(self.chunk.store, self.chunk.log_folder)


def make(chunk: Stage) -> None:
    """Make one chunk."""
    making = Making(chunk)
    making.read()
    making.compute()
    making.write()


class Beside:
    """Runs one kind of step in a thread beside the others, where it takes long enough to be worth that."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool
        self.seconds = 0.0

    def start(self, step: Callable[[], None]) -> Callable[[], None]:
        """Start a step. Returns what waits for its end, and raises what it raised."""
        if self.seconds >= WORTH_A_THREAD:
            return self.pool.submit(self._timed, step).result
        try:
            self._timed(step)
        except Exception as error:
            raised = error  # the name of the clause ends with it

            def fail() -> None:
                raise raised

            return fail
        return _nothing

    def _timed(self, step: Callable[[], None]) -> None:
        start = time.perf_counter()
        step()
        self.seconds = time.perf_counter() - start


def _nothing() -> None:
    """What waits for a step that has ended."""


def make_all(chunks: Iterable[Stage], computing: Callable[[int, Stage], None]) -> list[tuple[Bbox, Exception]]:
    """Make many; when one fails the others are still made.

    Args:
        chunks: in order.
        computing: told the number of a chunk, and the chunk, before it is computed.

    Returns:
        Chunks that failed, and why.
    """
    failed: list[tuple[Bbox, Exception]] = []

    def settled(step: Callable[[], Any], chunk: Stage) -> bool:
        try:
            step()
        except Exception as error:
            logger.exception("%s failed at %s", type(chunk).__name__, chunk.bbox)
            failed.append((chunk.bbox, error))
            return False
        return True

    with ThreadPoolExecutor(1, "read") as read_pool, ThreadPoolExecutor(1, "write") as write_pool:
        reader, writer = Beside(read_pool), Beside(write_pool)
        upcoming = map(Making, chunks)
        making = next(upcoming, None)
        reading = reader.start(making.read) if making else None
        writing: tuple[Callable[[], None], Stage] | None = None
        number = 0
        while making is not None and reading is not None:
            readable = settled(reading, making.chunk)
            following = next(upcoming, None)
            reading = reader.start(following.read) if following else None
            computing(number, making.chunk)
            if readable and settled(making.compute, making.chunk):
                if writing is not None:
                    settled(*writing)
                writing = (writer.start(making.write), making.chunk)
            making, number = following, number + 1
        if writing is not None:
            settled(*writing)
    return failed
