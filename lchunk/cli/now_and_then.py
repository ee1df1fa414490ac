"""Progress of long work, as a line on stderr every few seconds."""

from __future__ import annotations

import sys
import time

SECONDS = 5.0


class NowAndThen:
    """Prints the latest of many lines, none before the first seconds have passed."""

    def __init__(self) -> None:
        self.told = time.monotonic()

    def tell(self, line: str) -> None:
        """Print a line, unless another was printed just now."""
        if time.monotonic() - self.told >= SECONDS:
            self.told = time.monotonic()
            print(line, file=sys.stderr, flush=True)
