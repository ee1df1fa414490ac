"""Chunks made one after the other: while one is computed, the next is read and the last is written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lchunk.geometry.bbox import Bbox
from lchunk.operators.allocation import keep_freed_memory
from lchunk.tasks.progress import ChunkLog

if TYPE_CHECKING:
    from lchunk.tasks.stage import Stage

logger = logging.getLogger("luigi-interface")


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

    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
        upcoming = map(Making, chunks)
        making = next(upcoming, None)
        reading: Future[None] | None = reader.submit(making.read) if making else None
        writing: tuple[Future[None], Stage] | None = None
        number = 0
        while making is not None and reading is not None:
            readable = settled(reading.result, making.chunk)
            following = next(upcoming, None)
            reading = reader.submit(following.read) if following else None
            computing(number, making.chunk)
            if readable and settled(making.compute, making.chunk):
                if writing is not None:
                    settled(writing[0].result, writing[1])
                writing = (writer.submit(making.write), making.chunk)
            making, number = following, number + 1
        if writing is not None:
            settled(writing[0].result, writing[1])
    return failed
