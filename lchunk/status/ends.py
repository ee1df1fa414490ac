"""Why workers ended that did not end as they were told to: a line in the log of each, which `lchunk status` shows.

logs/workers/<day>-<host>-<process>.jsonl
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from lchunk.chunk_logs import WORKERS, last_entries, log_key
from lchunk.volumes.store import Store

logger = logging.getLogger("luigi-interface")

SHOWN_SECONDS = 24 * 3600.0
MOST = 10
"""Largest number of sick machines that are listed."""


@dataclass(frozen=True)
class WorkerEnd:
    """The end of a worker.

    Args:
        why: in a few words, as `SIGTERM`.
        machine: the state of its machine; empty if it was told to end.
        ended: seconds since 1970.
    """

    why: str
    machine: str = ""
    ended: float = field(default_factory=time.time)


def keep_end(store: Store, process: str, end: WorkerEnd) -> None:
    """Write the end of a worker into its log; if that fails, only its last line remains."""
    try:
        store.append(log_key(WORKERS, process), f"{json.dumps({'worker': asdict(end)})}\n".encode())
        store.flush()
    except OSError as error:
        logger.warning("the end of this worker could not be written to the logs of %s: %s", store.url, error)


def ends(store: Store, since: float) -> Iterator[tuple[str, WorkerEnd]]:
    """Processes and the ends of workers after a time, in the order of their names."""
    for name, entry in last_entries(store, WORKERS):
        try:
            end = WorkerEnd(**entry["worker"])
            if end.ended >= since:
                yield name.process, end
        except (KeyError, TypeError):
            continue


def end_lines(store: Store) -> Iterator[str]:
    """A line with the number of workers of the last day per reason, and one per sick machine."""
    found = sorted(ends(store, time.time() - SHOWN_SECONDS), key=lambda each: each[1].ended, reverse=True)
    told = Counter(end.why for _, end in found if not end.machine)
    if told:
        counts = (f"{count:,} by {why}" for why, count in told.most_common())
        yield f"workers that were ended in the last day: {', '.join(counts)}"
    sick = [(process, end) for process, end in found if end.machine]
    for process, end in sick[:MOST]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(end.ended))
        yield f"worker {process} ended itself, {when} UTC: {end.why}; {end.machine}"
    if len(sick) > MOST:
        yield f"and {len(sick) - MOST} more workers ended themselves: see {store.url}/logs/{WORKERS}"
