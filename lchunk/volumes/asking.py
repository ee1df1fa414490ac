"""Requests to a server: few at one time, and made again while the server fails."""

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
"""Seconds before a request is made again, doubled each time."""
FIRST_PATIENCE = 5.0
"""Seconds, at most, for which a server is tried that this process has never reached: its address may be wrong."""
LEAST_ATTEMPTS = 3
"""Also where each attempt waits longer for the server than the patience lasts."""
QUIET_ATTEMPTS = 4
"""After which a warning says what is waited for."""
_reached: set[tuple[StoreSettings, str]] = set()
"""Servers that this process has reached, or the one that it was forked from."""


class UnreachedError(ConnectionError):
    """There is no connection to a server: its name is unknown, it refuses, nothing answers, or it is not safe."""


def ask(request: Callable[[], Answer], settings: StoreSettings, server: str) -> Answer:
    """Make a request, again and again while it fails for reasons that may pass.

    Args:
        request: raises ConnectionError or TimeoutError where another attempt may succeed.
        settings: how many requests this process makes at one time, and how patient it is.
        server: URL of the bucket or the server that is asked.

    Raises:
        ConnectionError, TimeoutError: the last attempt's, when the patience is over.
    """
    began, attempts, place = time.monotonic(), 0, (settings, server)
    while True:
        unreached = False
        try:
            with _gate(os.getpid(), settings.connections):
                return request()
        except (ConnectionError, TimeoutError) as error:
            attempts += 1
            unreached = isinstance(error, UnreachedError)
            first = unreached and place not in _reached
            patience = min(FIRST_PATIENCE, settings.patience_seconds) if first else settings.patience_seconds
            wait = random.uniform(0.5, 1) * min(LONGEST_WAIT, FIRST_WAIT * 2**attempts)
            over = time.monotonic() + wait - began > patience
            if over and (first or attempts >= LEAST_ATTEMPTS):
                raise
            if attempts == QUIET_ATTEMPTS and not first:
                logger.warning("a request is made again until it succeeds: %s", error)
            time.sleep(wait)
        finally:
            if not unreached:
                _reached.add(place)


@functools.cache
def _gate(process: int, connections: int) -> threading.BoundedSemaphore:
    """One for each process: a forked one must not inherit what a thread of its parent holds."""
    return threading.BoundedSemaphore(connections)
