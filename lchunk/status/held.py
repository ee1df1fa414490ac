"""Which message each worker holds: a small file per worker, from which `lchunk status` tells those that vanished.

logs/held/<day>-<host>-<process>.json

A worker writes it when it takes a message, and again whenever it renews the lease; without a message, it removes it.
If its process is gone, or the lease has ended, nobody works on the region until the queue gives it to another worker.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial

from lchunk.chunk_logs import FOLDER, day_of, process_exists
from lchunk.geometry.bbox import Bbox
from lchunk.status.ends import MOST, SHOWN_SECONDS
from lchunk.status.facts import Facts
from lchunk.volumes.chunk_files import missing
from lchunk.volumes.parallel import parallel
from lchunk.volumes.store import Store

HELD = f"{FOLDER}/held"
"""The folder of the files."""


@dataclass(frozen=True)
class Held:
    """What a worker works on.

    Args:
        process: host and number of the process, as in the names of logs.
        host: the host.
        number: of the process.
        stage: the stage.
        layer: the folder of the stage's logs, below `logs/`; empty for a task that is not a stage.
        region: its box, or `whole`.
        heard: when the worker last wrote this, in seconds since 1970.
        until: when the lease ends, in seconds since 1970.
    """

    process: str
    host: str
    number: int
    stage: str
    layer: str
    region: str
    heard: float
    until: float

    @property
    def key(self) -> str:
        """The key of its file, which tells the day."""
        return f"{HELD}/{day_of(self.heard)}-{self.process}.json"

    def is_lost(self, now: float) -> bool:
        """Whether the worker is gone: its process, on this machine, or its lease."""
        return now > self.until or (self.host == socket.gethostname() and not process_exists(self.number))


def keep_held(store: Store, held: Held) -> None:
    """Write what a worker works on.

    Raises:
        OSError: the store takes no file, as a full disk.
    """
    store.put(held.key, json.dumps(asdict(held)).encode(), durable=False)


def lost_workers(store: Store, now: float) -> list[Held]:
    """The workers that vanished in the last day, the last one first.

    Args:
        store: the dataset's folder.
        now: seconds since 1970.
    """
    keys = [key for key in store.list(HELD) if key.removeprefix(f"{HELD}/") >= day_of(now - SHOWN_SECONDS)]
    found = filter(None, parallel(partial(_read, store), keys, store.connections, "workers"))
    lost = [held for held in found if held.is_lost(now) and now - held.heard <= SHOWN_SECONDS]
    return sorted(lost, key=lambda held: held.heard, reverse=True)


def lost_lines(store: Store, facts: Facts) -> Iterator[str]:
    """A line for each worker that vanished."""
    lost = lost_workers(store, facts.now)
    for held in lost[:MOST]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(held.heard))
        yield (
            f"worker {held.process} was last heard at {when} UTC, with {held.stage} {held.region}: it was killed, or "
            f"its machine is gone; {_fate(held, facts)}"
        )
    if len(lost) > MOST:
        yield f"and {len(lost) - MOST} more workers vanished: see {store.url}/{HELD}"


def _fate(held: Held, facts: Facts) -> str:
    """What becomes of the region of a worker that vanished."""
    for layer in facts.layers:
        if layer.layer.log_folder == held.layer and layer.layer.part.grid is not None:
            grid = layer.layer.grid
            box = grid.bounds if held.region == "whole" else Bbox.parse(held.region)
            if next(missing(layer.layer, box), None) is None:
                return "another worker has made it since"
    if facts.now < held.until:
        when = time.strftime("%H:%M:%S", time.gmtime(held.until))
        return f"another worker gets it when the lease has ended, at {when} UTC"
    return "its lease has ended, and the next worker gets it"


def _read(store: Store, key: str) -> Held | None:
    try:
        return Held(**json.loads(store.get(key)))
    except (ValueError, TypeError, OSError):  # damaged, or removed meanwhile
        return None
