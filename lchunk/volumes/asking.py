"""Requests to a server: a limited number in parallel, and repeated while the server fails."""

from __future__ import annotations

import functools
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from lchunk.volumes.store_settings import StoreSettings

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
FIRST_WAIT, LONGEST_WAIT = 0.1, 8.0
"""Seconds before a request is repeated. The wait doubles after each attempt."""
FIRST_PATIENCE = 5.0
"""Most seconds for which a server is tried that this process has never reached: its address may be wrong."""
LEAST_ATTEMPTS = 3
"""Least number of attempts, even if one attempt takes longer than the patience lasts."""
QUIET_ATTEMPTS = 4
"""Number of failed attempts after which a warning is logged."""
_reached: set[tuple[StoreSettings, str]] = set()
"""Servers that this process, or the process that it was forked from, has reached."""
_lost: set[tuple[StoreSettings, str]] = set()
"""Servers that failed for longer than the patience lasts, and have not answered since."""


class UnreachedError(ConnectionError):
    """No connection to a server: its name is unknown, it refuses, nothing answers, or the connection is not safe."""


def ask(request: Callable[[], Answer], settings: StoreSettings, server: str) -> Answer:
    """Make a request, and repeat it while it fails with an error that may be temporary.

    Args:
        request: raises ConnectionError or TimeoutError if another attempt may succeed.
        settings: how many requests this process makes in parallel, and for how long it repeats a request.
        server: URL of the bucket or the server.

    Raises:
        ConnectionError, TimeoutError: the error of the last attempt, after `patience_seconds`.
    """
    began, attempts, place = time.monotonic(), 0, (settings, server)
    while True:
        unreached = False
        try:
            with _gate(os.getpid(), settings.connections):
                answer = request()
            _lost.discard(place)
            return answer
        except (ConnectionError, TimeoutError) as error:
            attempts += 1
            unreached = isinstance(error, UnreachedError)
            first = unreached and place not in _reached
            patience = min(FIRST_PATIENCE, settings.patience_seconds) if first else settings.patience_seconds
            wait = random.uniform(0.5, 1) * min(LONGEST_WAIT, FIRST_WAIT * 2**attempts)
            over = time.monotonic() + wait - began > patience
            if over and (first or attempts >= LEAST_ATTEMPTS):
                _lost.add(place)
                raise
            if attempts == QUIET_ATTEMPTS and not first:
                logger.warning("a request failed and is repeated: %s", error)
            time.sleep(wait)
        finally:
            if not unreached:
                _reached.add(place)


def is_lost(settings: StoreSettings, server: str) -> bool:
    """Whether the last request to a server was given up, so that another one would only wait in vain."""
    return (settings, server) in _lost


@functools.cache
def _gate(process: int, connections: int) -> threading.BoundedSemaphore:
    """One semaphore per process, because a forked process must not inherit what a thread of its parent has acquired."""
    return threading.BoundedSemaphore(connections)
