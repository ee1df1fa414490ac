"""Reads the log lines of chunks, for people and for estimates. No run depends on them.

logs/<layer>/<host>-<process>.jsonl     one line per chunk: stage, bbox, voxels, device, seconds, memory, requests
logs/requests/<host>-<process>.jsonl    one line per command that used a bucket: requests

Requests are sums since the start of the process, so that the last line of a process is enough.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from lchunk.volumes.requests_made import Requests, counter
from lchunk.volumes.store import Store, open_store

logger = logging.getLogger("luigi-interface")

FOLDER = "logs"
LAST_BYTES = 1 << 16
"""Bytes that are read from the end of each process's log."""


def amount(size: float) -> str:
    """A number of bytes as text.

    >>> amount(4_120_000), amount(12_345_678_901)
    ('4.12 MB', '12.3 GB')
    """
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def log_lines(store: Store, layer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The last lines that each process wrote, for one layer or for all, with the names of their files.

    A line that is incomplete because of a crash is left out.
    """
    yield from ((key, entry) for key, entry in _entries(store, layer) if _is_chunk(entry))


def _entries(store: Store, layer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key in sorted(store.list(f"{FOLDER}/{layer}" if layer else FOLDER)):
        if not key.endswith(".jsonl"):
            continue
        body = store.get(key, -LAST_BYTES)
        for line in body.split(b"\n")[len(body) == LAST_BYTES :]:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield key, entry


def _is_chunk(entry: dict[str, Any]) -> bool:
    try:
        return bool(entry["voxels"] > 0 and sum(entry["seconds"].values()) >= 0)
    except (TypeError, KeyError, AttributeError):
        return False


@dataclass
class Course:
    """Totals of the chunks of one stage, as far as logs go back."""

    chunks: int = 0
    voxels: int = 0
    seconds: float = 0.0
    projected: int = 0
    peak: int = 0
    resident: dict[str, list[int]] = field(default_factory=dict)
    requests: dict[str, Requests] = field(default_factory=dict)

    def add(self, entry: dict[str, Any], process: str) -> None:
        """Add a line to the totals."""
        self.chunks += 1
        self.voxels += entry["voxels"]
        self.seconds += sum(entry["seconds"].values())
        memory = entry.get("memory", {})
        self.projected = max(self.projected, memory.get("projected", 0))
        self.peak = max(self.peak, memory.get("peak", 0) - memory.get("before", 0))
        if "resident" in memory:
            self.resident.setdefault(process, []).append(memory["resident"])
        if "requests" in entry:
            _keep_largest(self.requests, entry["requests"]["process"], Requests(**entry["requests"]["stage"]))

    def line(self, stage: str) -> str:
        """The line that `lchunk status` prints."""
        speed = f", {self.voxels / self.seconds / 1e6:.3g} Mvoxel/s" if self.seconds else ""
        parts = [f"{stage}: {self.chunks} chunks in {self.seconds:.1f} s of work{speed}"]
        if self.peak:
            of = f" of {amount(self.projected)} projected" if self.projected else ""
            parts.append(f"memory {amount(self.peak)} at its peak{of}")
        longest = max(self.resident.values(), key=len, default=[])
        if len(longest) > 1:
            parts.append(f"a process from {amount(longest[0])} to {amount(longest[-1])}")
        if self.requests:
            parts.append(requests_text(sum(self.requests.values(), Requests())))
        return ", ".join(parts)


def course_lines(store: Store) -> Iterator[str]:
    """One line per stage that left logs, and one for the requests of all processes, where they used a bucket."""
    courses: dict[str, Course] = {}
    made: dict[str, Requests] = {}
    families: set[str] = set()
    for key, entry in _entries(store):
        if _is_chunk(entry):
            courses.setdefault(str(entry.get("stage", "a stage")), Course()).add(entry, key)
        if "requests" in entry:
            process = entry["requests"]["process"]
            _keep_largest(made, process, Requests(**entry["requests"]["all"]))
            families |= {process} if "stage" not in entry else set()
    yield from (course.line(stage) for stage, course in sorted(courses.items()))
    # a command counts the requests of the processes that it forked, whose names begin with its own
    alone = [own for process, own in made.items() if process.partition(".")[0] not in families - {process}]
    if alone:
        yield f"requests: {requests_text(sum(alone, Requests()))}"


def requests_entry(stage: str) -> dict[str, Any]:
    """The requests of this process since its start, for a line of a log."""
    return {"process": counter.process, "stage": asdict(counter.of(stage)), "all": asdict(counter.made)}


def requests_text(requests: Requests) -> str:
    """Requests as text.

    >>> requests_text(Requests(1234, 5678, 1_200_000_000, 400_000))
    '1,234 PUT and LIST, 5,678 GET and HEAD, 1.2 GB received, 0.4 MB sent'
    """
    return f"{billed_text(requests)}, {amount(requests.received)} received, {amount(requests.sent)} sent"


def billed_text(requests: Requests) -> str:
    """The numbers of requests as text, without bytes."""
    return f"{requests.writes:,} PUT and LIST, {requests.reads:,} GET and HEAD"


def keep_requests(url: str, process: str) -> None:
    """Write the requests of a command so far into the logs, and all lines that are still buffered.

    Args:
        url: the dataset's folder.
        process: name of this process's log.
    """
    if not counter.made_by_family.number:
        return
    try:
        store = open_store(url)
        store.flush()  # first, because it makes requests
        content = {"requests": {"process": counter.process, "all": asdict(counter.made_by_family)}}
        store.append(f"{FOLDER}/requests/{process}.jsonl", f"{json.dumps(content)}\n".encode())
        store.flush()
    except (OSError, ValueError) as error:
        logger.warning("the number of requests could not be written to the logs of %s: %s", url, error)


@contextlib.contextmanager
def requests_told() -> Iterator[None]:
    """A context that prints the requests of this process, and of those that it forks, at its end; not if none."""
    with counter.family():
        try:
            yield
        finally:
            if counter.made_by_family.number:
                print(f"requests: {requests_text(counter.made_by_family)}", flush=True)  # noqa: T201


def _keep_largest(made: dict[str, Requests], process: str, own: Requests) -> None:
    if own.number >= made.get(process, own).number:
        made[process] = own
