"""Records of failed regions in the dataset's folder, for `lchunk status`: a small file per region. No run reads them.

logs/failures/<layer>/<region>.json
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial

from lchunk.volumes.parallel import parallel
from lchunk.volumes.store import Store

FOLDER = "logs/failures"
MOST_TEXT = 2000
"""Most characters of a reason that are stored."""
_BOX = re.compile(r"(-?\d+--?\d+_){2}-?\d+--?\d+")
MOST_TRACE = 6000
"""Most characters of a traceback that are stored: its end."""
MOST_KEYS = 20
"""Most missing files that a record names. Once all of them exist, the failure is over."""
MOST_CHUNKS = 100
"""Most failed chunks that a record names."""


@dataclass(frozen=True)
class Failure:
    """One region that failed.

    Args:
        stage: name of the stage's class.
        layer: folder of its layer.
        region: its box, or `whole`.
        reason: the message for the user.
        missing: some of the files that it did not make.
        chunks: boxes of chunks that failed, of which the region may have many more; empty if none was begun.
        command: the command that runs the region again; empty in records of older versions.
        traceback: where the error was raised; of a region of several chunks, that of the first one.
        when: date and time, UTC.
        process: host and process number.
        fault: what failed, if it is of the machine or the network, as `disk full`; else empty.
    """

    stage: str
    layer: str
    region: str
    reason: str
    missing: tuple[str, ...]
    chunks: tuple[str, ...] = ()
    command: str = ""
    traceback: str = ""
    when: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()))
    process: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    fault: str = ""

    @property
    def again(self) -> str:
        """The command that runs the region again."""
        box = _BOX.match(self.region)
        return self.command or shlex.join(["lchunk", "run", self.stage, *([f"--region={box[0]}"] if box else [])])


def failure_key(layer: str, region: str) -> str:
    """The key of the record of a region."""
    return f"{FOLDER}/{layer}/{region}.json"


def keep_failure(store: Store, failure: Failure) -> None:
    """Write a record; it replaces an older one of the same region."""
    content = asdict(failure) | {
        "reason": failure.reason[:MOST_TEXT], "missing": failure.missing[:MOST_KEYS],
        "chunks": failure.chunks[:MOST_CHUNKS], "traceback": failure.traceback[-MOST_TRACE:],
    }  # fmt: skip
    store.put(failure_key(failure.layer, failure.region), json.dumps(content).encode(), durable=False)


def kept_failures(store: Store) -> Iterator[Failure]:
    """Failures whose files are still missing, in the order of their names; a damaged record is left out."""
    found = parallel(partial(_kept, store), sorted(store.list(FOLDER)), store.connections, "failures")
    yield from filter(None, found)


def _kept(store: Store, key: str) -> Failure | None:
    try:
        content = json.loads(store.get(key))
        lists = {name: tuple(content.get(name, ())) for name in ("missing", "chunks")}
        failure = Failure(**content | lists)
    except (ValueError, TypeError, AttributeError, OSError):
        return None
    return None if all(map(store.exists, failure.missing)) else failure


def failure_lines(store: Store, failures: Iterable[Failure], most: int = 10) -> Iterator[str]:
    """Two lines per failure, the second with its command, and a line with the number of further ones."""
    count = 0
    for failure in failures:
        count += 1
        if count <= most:
            fault = f" ({failure.fault})" if failure.fault else ""
            where = f"{failure.when} UTC on {failure.process}{fault}"
            yield f"failed: {failure.stage} {failure.region}, {where}: {failure.reason}"
            yield f"  run it again: {failure.again}"
    if count > most:
        yield f"and {count - most} more regions failed: see {store.url}/{FOLDER}"
