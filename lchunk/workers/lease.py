"""Holds a message for as long as the work on it takes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lchunk.workers.queue import LeaseLostError, Message, Queue

logger = logging.getLogger("luigi-interface")


class Lease:
    """Renews the lease of a message, every third of it, in a thread of its own.

    A renewal that fails, for example without a network, is tried again until the lease has run out. If the work lets no
    other Python thread run for longer than a lease, the lease is lost.

    Args:
        queue: the queue of the message.
        message: the message, just received.
        visibility: seconds of the lease.
        pool: the pool that runs the renewals; a worker keeps one for all its messages.
        renewed: called after each renewal.
    """

    def __init__(
        self,
        queue: Queue,
        message: Message,
        visibility: float,
        pool: ThreadPoolExecutor,
        renewed: Callable[[], object] = lambda: None,
    ) -> None:
        self.queue = queue
        self.message = message
        self.visibility = visibility
        self.ends = time.monotonic() + visibility
        self.lost = False
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.pool = pool
        self.renewed = renewed

    def __enter__(self) -> Lease:
        self.pool.submit(self._renew)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> Message:
        """Stop renewing. Returns the message with its last receipt."""
        self.ended.set()
        with self.lock:
            return self.message

    @property
    def held(self) -> bool:
        """Whether no other worker can have the message."""
        return not self.lost and time.monotonic() < self.ends

    def _renew(self) -> None:
        pause = self.visibility / 3
        while not self.ended.wait(pause) and not self.lost:
            pause = self.visibility / 3
            with self.lock:
                if self.ended.is_set():
                    return
                now = time.monotonic()
                try:
                    self.message = self.queue.renew(self.message, self.visibility)
                    self.ends = now + self.visibility
                    self.renewed()
                except LeaseLostError as error:
                    self._lose(str(error))
                except Exception as error:
                    logger.warning("the lease could not be renewed: %s", error)
                    pause = self.visibility / 12
                    if time.monotonic() >= self.ends:
                        self._lose("it could not be renewed in time")

    def _lose(self, why: str) -> None:
        self.lost = True
        logger.warning("the lease is lost, and another worker may make the same task: %s", why)
