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
LEAST_ATTEMPTS = 3
"""Also where each attempt waits longer for the server than the patience lasts."""
QUIET_ATTEMPTS = 4
"""After which a warning says what is waited for."""


def ask(request: Callable[[], Answer], settings: StoreSettings) -> Answer:
    """Make a request, again and again while it fails for reasons that may pass.

    Args:
        request: raises ConnectionError or TimeoutError where another attempt may succeed.
        settings: how many requests this process makes at one time, and how patient it is.

    Raises:
        ConnectionError, TimeoutError: the last attempt's, when the patience is over.
    """
    began, attempts = time.monotonic(), 0
    while True:
        try:
            with _gate(os.getpid(), settings.connections):
                return request()
        except (ConnectionError, TimeoutError) as error:
            attempts += 1
            wait = random.uniform(0.5, 1) * min(LONGEST_WAIT, FIRST_WAIT * 2**attempts)
            over = time.monotonic() + wait - began > settings.patience_seconds
            if over and attempts >= LEAST_ATTEMPTS:
                raise
            if attempts == QUIET_ATTEMPTS:
                logger.warning("a request is made again until it succeeds: %s", error)
            time.sleep(wait)


@functools.cache
def _gate(process: int, connections: int) -> threading.BoundedSemaphore:
    """One for each process: a forked one must not inherit what a thread of its parent holds."""
    return threading.BoundedSemaphore(connections)
