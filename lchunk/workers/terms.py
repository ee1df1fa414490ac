"""How a worker works, and what became of what it took."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lchunk.workers.messages import STAGES

FIRST_BACK_OFF = 30.0
LONGEST_BACK_OFF = 900.0


class Outcome(Enum):
    """What became of a delivery."""

    MADE = "made"
    STOOD = "complete already"
    FAILED = "failed, to be tried again"
    UNFIT = "given back, as this worker cannot do it"
    DELAYED = "given back, as the machine or the network failed"
    BURIED = "given up"
    LOST = "lost to another worker"
    UNANSWERED = "left to its lease, as the queue did not answer"
    RELEASED = "given back, as the worker stops"


@dataclass(frozen=True)
class Terms:
    """How a worker works.

    Args:
        visibility: seconds of a lease, which is renewed every third of it.
        wait: most seconds of one wait for a message.
        most_failures: the failure that sends a message to the dead letters.
        most_receives: deliveries of one message without an answer, after which it is given up.
        most_returns: returns of one message, for a cause that may be the workers', after which it is given up.
        transient_hours: where the cause was the machine's or the network's, that many hours must have passed, too.
        in_a_row: tasks that fail one after the other, without a success between them, after which the worker ends.
        back_off: seconds until a failed message comes again, the first time; more each next time.
        outage: seconds that the queue may be out of reach before the worker ends.
        exit_when_empty: end when the queue holds no message, those of other workers included.
        idle_minutes: end after so many minutes without a message; 0: never.
        max_tasks: end after so many deliveries; 0: never.
        max_minutes: take nothing after so many minutes; 0: never.
        modules: what messages may import.
        trust_queue: whether messages may name roots and nets other than those of the worker's cfg.
        scheduler: HOST:PORT of a central scheduler; empty: the process has its own.
    """

    visibility: float = 600.0
    wait: float = 20.0
    most_failures: int = 4
    most_receives: int = 10
    most_returns: int = 24
    transient_hours: float = 24.0
    in_a_row: int = 5
    back_off: float = FIRST_BACK_OFF
    outage: float = 900.0
    exit_when_empty: bool = False
    idle_minutes: float = 0.0
    max_tasks: int = 0
    max_minutes: float = 0.0
    modules: tuple[str, ...] = (STAGES,)
    trust_queue: bool = False
    scheduler: str = ""

    def after_failure(self, failures: int) -> float:
        """Seconds until a message comes again that failed so often: twice as many each time."""
        return min(self.back_off * 2.0 ** min(failures - 1, 30), LONGEST_BACK_OFF)

    def after_return(self, returns: int) -> float:
        """Seconds until a message comes again that was given back so often: the first wait, times as many."""
        return min(self.back_off * returns, LONGEST_BACK_OFF)
