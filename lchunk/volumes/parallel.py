"""Calls that wait for a server, several at one time."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def parallel(
    call: Callable[[Item], Answer], items: Iterable[Item], threads: int, name: str = "files"
) -> Iterator[Answer]:
    """The answers of calls, in the order of their items; few items are taken before they are needed.

    The calls may use this function themselves, with another name: threads that wait for others of their own pool could
    wait forever.

    >>> list(parallel(abs, [-3, 2, -1], threads=2))
    [3, 2, 1]

    Args:
        call: waits for something outside this process.
        items: one for each call.
        threads: calls at one time; 1 makes them here, one after the other.
        name: of the pool of threads.
    """
    if threads <= 1:
        yield from map(call, items)
        return
    waiting: deque[Future[Answer]] = deque()
    try:
        for item in items:
            waiting.append(pool(os.getpid(), threads, name).submit(call, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@functools.cache
def pool(process: int, threads: int, name: str) -> ThreadPoolExecutor:
    """The threads of a process; a forked process has none of its parent's."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"lchunk-{name}")
