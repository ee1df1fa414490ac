"""Reads and writes the log lines of chunks, for people and for estimates. No run depends on them.

logs/<layer>/<day>-<host>-<process>.jsonl     one line per chunk: stage, bbox, voxels, device, seconds, ended, memory, …
logs/requests/<day>-<host>-<process>.jsonl    one line per command that used a bucket: requests
logs/workers/<day>-<host>-<process>.jsonl     one line per worker that was ended, or ended itself, and per message that
                                              it gave up: why

The day is that of the lines (UTC), so that old logs can be found and removed. `ended` is when the chunk was complete,
in seconds since 1970. Requests are sums since the start of the process, so that its last line is enough.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from typing import Any

from lchunk.volumes.parallel import parallel
from lchunk.volumes.requests_made import Requests, counter
from lchunk.volumes.store import Store, open_store

logger = logging.getLogger("luigi-interface")

FOLDER = "logs"
WORKERS = "workers"
"""The folder of the lines of workers."""
LAST_BYTES = 1 << 16
"""Bytes that are read from the end of each process's log."""
BLOCK_BYTES = 1 << 22
"""Bytes of a log that are read at once. No line is longer."""
_NAME = re.compile(r"((?P<day>\d{4}-\d\d-\d\d)-)?(?P<process>.+?)(\.[0-9a-f]{8}-\d{4,})?\.jsonl")


def amount(size: float) -> str:
    """A number of bytes as text.

    >>> amount(4_120_000), amount(12_345_678_901), amount(4_000_000_000_000)
    ('4.12 MB', '12.3 GB', '4 TB')
    """
    if size >= 1e12:
        return f"{size / 1e12:.3g} TB"
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def duration(seconds: float) -> str:
    """A number of seconds as text.

    >>> duration(59), duration(61), duration(7260), duration(360000)
    ('59 s', '1 min 1 s', '2 h 1 min', '100 h 0 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


@dataclass(frozen=True)
class LogName:
    """What the key of a log says.

    >>> LogName.of("logs/segmentation/names/3/2026-01-31-host-12.1f0c55aa-0002.jsonl")
    LogName(folder='segmentation/names/3', day='2026-01-31', process='host-12')

    Args:
        folder: the folder below `logs/`: the layer, and its level.
        day: when its lines were written, UTC; empty if the name does not say it.
        process: host and number of the process that wrote it.
    """

    folder: str
    day: str
    process: str

    @classmethod
    def of(cls, key: str) -> LogName | None:
        """The parts of a key; None if it is not that of a log."""
        folder, _, name = key.removeprefix(f"{FOLDER}/").rpartition("/")
        found = _NAME.fullmatch(name)
        return cls(folder, found["day"] or "", found["process"]) if found else None


def log_key(folder: str, process: str) -> str:
    """The key of a process's log of today."""
    return f"{FOLDER}/{folder}/{day_of(time.time())}-{process}.jsonl"


def day_of(seconds: float) -> str:
    """The day of a time in seconds since 1970, UTC, as names of logs have it.

    >>> day_of(0)
    '1970-01-01'
    """
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def process_exists(number: int) -> bool:
    """Whether a process of this machine exists."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def log_lines(store: Store, folder: str) -> Iterator[dict[str, Any]]:
    """The last lines of chunks that each process wrote into a folder of logs, not into those below it.

    A line that is incomplete because of a crash is left out.
    """
    yield from (entry for name, entry in last_entries(store, folder) if name.folder == folder and is_chunk(entry))


def last_entries(store: Store, folder: str = "") -> Iterator[tuple[LogName, dict[str, Any]]]:
    """The last lines of each log of a folder and of those below it, except lines that are not JSON objects."""
    for key in sorted(store.list(f"{FOLDER}/{folder}" if folder else FOLDER)):
        name = LogName.of(key)
        if name is None:
            continue
        body = store.get(key, -LAST_BYTES)
        for line in body.split(b"\n")[len(body) == LAST_BYTES :]:
            entry = _entry(line)
            if entry is not None:
                yield name, entry


def recent_entries(store: Store, since: float) -> Iterator[tuple[LogName, dict[str, Any]]]:
    """The lines of chunks that ended at a time or later; of a long log, only the end that holds them is read.

    Lines without a time, which older versions wrote, are left out.

    Args:
        store: the dataset's folder.
        since: seconds since 1970.
    """
    day = day_of(since)
    names = {key: name for key in sorted(store.list(FOLDER)) if (name := LogName.of(key)) and name.day >= day}
    ends = parallel(partial(_end_since, store, since=since), names, store.connections, "logs")
    for name, entries in zip(names.values(), ends, strict=True):
        yield from ((name, entry) for entry in entries)


def _end_since(store: Store, key: str, since: float) -> list[dict[str, Any]]:
    """The lines at the end of a log that ended at a time or later."""
    length = LAST_BYTES
    while True:
        body = store.get(key, -length)
        entries = filter(None, map(_entry, body.split(b"\n")[len(body) == length :]))
        chunks = filter(is_chunk, entries)
        first = next(chunks, None)
        if len(body) < length or (first is not None and ended_at(first) < since):
            return [entry for entry in chain([first or {}], chunks) if ended_at(entry) >= since]
        length *= 4


def ended_at(entry: dict[str, Any]) -> float:
    """When the chunk of a line was complete, in seconds since 1970; 0 if the line does not say it."""
    ended = entry.get("ended", 0)
    return float(ended) if isinstance(ended, int | float) else 0.0


def process_seconds(entry: dict[str, Any]) -> float:
    """Seconds that a process took for the chunk of a line: to compute it, and to wait while it was read or written.

    Lines that do not say how long the process waited, as older versions wrote them, count with all of their steps.

    >>> process_seconds({"seconds": {"read": 3, "compute": 2, "write": 1}, "wait": 1.5})
    3.5
    >>> process_seconds({"seconds": {"read": 3, "compute": 2, "write": 1}})
    6.0
    """
    seconds = entry["seconds"]
    return float(entry["wait"] + seconds.get("compute", 0.0) if says_wait(entry) else sum(seconds.values()))


def says_wait(entry: dict[str, Any]) -> bool:
    """Whether the line of a chunk says how long the process waited for it."""
    return isinstance(entry.get("wait"), int | float)


def all_entries(store: Store, since: str = "") -> Iterator[tuple[LogName, dict[str, Any] | None]]:
    """Every line of every log; None for a line that is not a JSON object. A few MB are held at once.

    Args:
        store: the dataset's folder.
        since: only logs of this day (UTC) and later ones; empty: all.
    """
    names = {key: name for key in sorted(store.list(FOLDER)) if (name := LogName.of(key)) and name.day >= since}
    first_blocks = parallel(partial(_block, store), names, store.connections, "logs")
    for (key, name), first in zip(names.items(), first_blocks, strict=True):
        for line in _lines(store, key, first):
            if line:
                yield name, _entry(line)


def _block(store: Store, key: str, start: int = 0) -> bytes:
    return store.get(key, start, start + BLOCK_BYTES)


def _lines(store: Store, key: str, block: bytes) -> Iterator[bytes]:
    """The lines of a log, of which the first block was read."""
    start, rest = 0, b""
    while block:
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
        if len(rest) > BLOCK_BYTES:
            rest = rest[:1]  # no line of a log is so long: what is left of it is not JSON
        start += len(block)
        block = _block(store, key, start) if len(block) == BLOCK_BYTES else b""
    yield rest


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line.decode())  # of bytes, json would first look for the encoding
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def is_chunk(entry: dict[str, Any]) -> bool:
    """Whether a line is that of a chunk."""
    try:
        return bool(entry["voxels"] > 0 and sum(entry["seconds"].values()) >= 0)
    except (TypeError, KeyError, AttributeError):
        return False


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
        store.append(log_key("requests", process), f"{json.dumps(content)}\n".encode())
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
