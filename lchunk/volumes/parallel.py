"""Calls that wait for a server, several in parallel."""

from __future__ import annotations

import functools
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from lchunk.volumes.step_parts import StepParts, Threads, current_step, noting

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
    waiting: deque[Future[tuple[Answer, StepParts]]] = deque()
    noted = Threads()
    try:
        for item in items:
            waiting.append(pool(os.getpid(), threads, name).submit(_noted, call, item, current_step() is not None))
            if len(waiting) > threads:
                yield _result(waiting.popleft(), noted)
        while waiting:
            yield _result(waiting.popleft(), noted)
    finally:
        for future in waiting:
            future.cancel()


def _noted(call: Callable[[Item], Answer], item: Item, in_a_step: bool) -> tuple[Answer, StepParts]:
    """Call a function in a thread, and note where its time goes if that is done for the step that needs its result."""
    own = StepParts()
    if not in_a_step:
        return call(item), own
    with noting(own):
        return call(item), own


def _result(future: Future[tuple[Answer, StepParts]], noted: Threads) -> Answer:
    start = time.perf_counter()
    answer, own = future.result()
    if own.whole:
        noted.waited(own, time.perf_counter() - start)
    return answer


@functools.cache
def pool(process: int, threads: int, name: str) -> ThreadPoolExecutor:
    """The thread pool of a process. A forked process does not inherit the threads of its parent."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"lchunk-{name}")
