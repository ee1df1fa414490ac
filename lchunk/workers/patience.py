"""How long a process keeps trying while its queue is unreachable."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from lchunk.tasks.verdicts import Verdict, verdict_of

logger = logging.getLogger("luigi-interface")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class Patience:
    """Waits longer after each failure in a row.

    Args:
        most: largest number of seconds of failures in a row.
        pause: waits some seconds, or less if the process has to stop.
    """

    def __init__(self, most: float, pause: Callable[[float], object]) -> None:
        self.most = most
        self.pause = pause
        self.failures = 0
        self.began = 0.0

    def bear(self, error: Exception) -> None:
        """Wait after a transient failure.

        Raises:
            Exception: the failure itself, if it is not transient or has lasted too long.
        """
        now = time.monotonic()
        self.began = self.began if self.failures else now
        if verdict_of(error) is not Verdict.TRANSIENT or now - self.began >= self.most:
            raise error
        seconds = min(FIRST_PAUSE * 2.0 ** min(self.failures, 30), LONGEST_PAUSE) * random.uniform(0.5, 1)
        self.failures += 1
        logger.warning("unreachable, trying again in %.0f s: %s: %s", seconds, type(error).__name__, error)
        self.pause(seconds)

    def end(self) -> None:
        """Forget failures, after a success."""
        self.failures = 0
