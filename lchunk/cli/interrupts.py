"""Signals that interrupt a command, also at the instant at which it forks.

Python calls hooks around a fork, as to release the locks of its loggers, and ignores what is raised in them: a Ctrl-C
that comes then would be lost, and the run would go on.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

SOON = 0.05
"""Seconds after which a signal that came during a fork comes again."""
Handler = Callable[[int, FrameType | None], Any]


class _Forks:
    """Whether this process is in the hooks around a fork."""

    going_on = False
    watched = False

    @classmethod
    def watch(cls) -> None:
        """Note forks from now on. Hooks that other modules register later are not covered."""
        if not cls.watched:
            cls.watched = True
            os.register_at_fork(before=cls._begin, after_in_parent=cls._end, after_in_child=cls._end)

    @classmethod
    def _begin(cls) -> None:
        cls.going_on = True

    @classmethod
    def _end(cls) -> None:
        cls.going_on = False


def handle_outside_forks(number: signal.Signals, handler: Handler) -> None:
    """Call a handler, which may raise an exception, when a signal comes; if that is during a fork, right after it.

    Args:
        number: the signal.
        handler: what Python would call.
    """
    _Forks.watch()

    def handle(number: int, frame: FrameType | None) -> None:
        if not _Forks.going_on:
            handler(number, frame)
            return
        again = threading.Timer(SOON, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()

    signal.signal(number, handle)


def interrupt_by_ctrl_c() -> None:
    """Let Ctrl-C interrupt this process also during a fork, unless it ignores Ctrl-C, as one in the background does."""
    in_main = threading.current_thread() is threading.main_thread()  # the only one that may handle signals
    if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        handle_outside_forks(signal.SIGINT, signal.default_int_handler)
