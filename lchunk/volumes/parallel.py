"""Calls that wait for a server, several in parallel."""

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
    """Call a function for each item, and yield the results in the order of the items.

    Only a few items are taken before their results are needed. The function may itself use `parallel`, but with another
    `name`: threads that wait for threads of their own pool could wait forever.

    >>> list(parallel(abs, [-3, 2, -1], threads=2))
    [3, 2, 1]

    Args:
        call: the function, which waits for something outside this process.
        items: the argument of each call.
        threads: how many calls run in parallel; with 1, the calls run in this thread.
        name: name of the thread pool.
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
    """The thread pool of a process. A forked process does not inherit the threads of its parent."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"lchunk-{name}")
