"""The settings of a worker, and the outcomes of its deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lchunk.workers.messages import STAGES

FIRST_BACK_OFF = 30.0
LONGEST_BACK_OFF = 900.0


class Outcome(Enum):
    """The outcome of a delivery."""

    MADE = "made"
    COMPLETE = "complete already"
    FAILED = "failed, to be tried again"
    UNFIT = "returned, because this worker cannot do it"
    DELAYED = "returned, because the machine or the network failed"
    BURIED = "given up"
    LOST = "lost to another worker"
    UNANSWERED = "left until its lease ends, because the queue did not answer"
    RELEASED = "returned, because the worker stops"


@dataclass(frozen=True)
class Terms:
    """The settings of a worker.

    Args:
        visibility: seconds of a lease, which is renewed every third of it.
        wait: most seconds of one wait for a message.
        most_failures: number of failures after which a message goes to the dead letters.
        most_receives: number of deliveries of a message without an answer after which it is given up.
        most_returns: number of returns of a message, for a cause that may be the workers', after which it is given up.
        transient_hours: hours that must also have passed if the cause was the machine's or the network's.
        most_starved: number of returns because a worker's memory was not enough, after which a message is given up if
            other chunks were made meanwhile.
        in_a_row: number of tasks that fail in a row, without a success between them, after which the worker ends.
        sick_in_a_row: the same for faults of its machine, if other processes succeed meanwhile.
        back_off: seconds until a failed message is delivered again, the first time; later more.
        outage: seconds for which the queue may be unreachable before the worker ends.
        exit_when_empty: whether to end when the queue is empty and no other worker holds a message.
        idle_minutes: end after this many minutes without a message; 0: never.
        max_tasks: end after this many deliveries; 0: never.
        max_minutes: receive no message after this many minutes; 0: no limit.
        modules: modules that messages may import.
        trust_queue: whether messages may name roots and nets other than those of the worker's cfg.
        scheduler: HOST:PORT of a central scheduler; empty: the process has its own.
    """

    visibility: float = 600.0
    wait: float = 20.0
    most_failures: int = 4
    most_receives: int = 10
    most_returns: int = 24
    transient_hours: float = 24.0
    most_starved: int = 6
    in_a_row: int = 5
    sick_in_a_row: int = 3
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
        """Seconds until a message is delivered again after a number of failures: twice as many each time."""
        return min(self.back_off * 2.0 ** min(failures - 1, 30), LONGEST_BACK_OFF)

    def after_return(self, returns: int) -> float:
        """Seconds until a message is delivered again after a number of returns: `back_off` times this number."""
        return min(self.back_off * returns, LONGEST_BACK_OFF)
