"""Whether the machine of a worker is sick: it fails at several tasks in a row while other processes succeed.

A full disk that all machines share, and a chunk that no machine can make, are not its fault: then nobody succeeds.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator

from lchunk.chunk_logs import recent_entries
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.progress import process_name
from lchunk.tasks.verdicts import OF_THE_MACHINE
from lchunk.volumes.store import open_store


class Health:
    """The tasks that failed here since the last success, by what may have been the machine's fault.

    Args:
        most: number of different tasks that may fail in a row.
        others_succeed: whether other processes made chunks since a time, in seconds since 1970.
    """

    def __init__(self, most: int, others_succeed: Callable[[float], bool]) -> None:
        self.most = most
        self.others_succeed = others_succeed
        self.faults: dict[tuple[str, str], str] = {}
        self.began = 0.0

    def succeeded(self) -> None:
        """A task was made here."""
        self.faults.clear()

    def failed(self, task: tuple[str, str], fault: str) -> None:
        """A task failed here.

        Args:
            task: the same for each attempt at it.
            fault: what failed, as `lchunk.tasks.verdicts` names it; faults of the network, and none, do not count.
        """
        if fault in OF_THE_MACHINE:
            self.began = self.began if self.faults else time.time()
            self.faults[task] = fault

    def sickness(self) -> str:
        """Why this worker has to end; empty if it may go on."""
        if len(self.faults) < self.most or not self.others_succeed(self.began):
            return ""
        faults = ", ".join(fault for fault, _ in Counter(self.faults.values()).most_common())
        return f"{len(self.faults)} tasks failed in a row for a fault of this machine ({faults}), and others succeeded"


def others_succeed(since: float) -> bool:
    """Whether other processes made chunks of the cfg's dataset since a time, in seconds since 1970."""
    return any(process != process_name() for process in _successful(since))


def anyone_succeeds(since: float) -> bool:
    """Whether this process or others made chunks of the cfg's dataset since a time, in seconds since 1970."""
    return any(_successful(since))


def _successful(since: float) -> Iterator[str]:
    """The process of each chunk made since a time, by the logs, as far as these can be read."""
    with contextlib.suppress(OSError, ValueError):
        for name, _ in recent_entries(open_store(Dataset().root), since):
            yield name.process
