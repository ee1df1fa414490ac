"""Why a region failed, kept in the dataset's folder for `lchunk status`: one small file per region. No run reads them.

logs/failures/<layer>/<region>.json
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from lchunk.volumes.store import Store

FOLDER = "logs/failures"
MOST_TEXT = 2000
"""Characters of a reason that are kept."""
MOST_KEYS = 20
"""Missing files that a record names: once all of them are there, the failure is over."""


@dataclass(frozen=True)
class Failure:
    """One region that failed.

    Args:
        stage: name of its class.
        layer: folder of its layer.
        region: its box, or `whole`.
        reason: what to tell a person.
        missing: some of the files that it did not make.
        when: date and time, UTC.
        process: host and number.
    """

    stage: str
    layer: str
    region: str
    reason: str
    missing: tuple[str, ...]
    when: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()))
    process: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")


def failure_key(layer: str, region: str) -> str:
    """Where the record of a region is kept."""
    return f"{FOLDER}/{layer}/{region}.json"


def keep_failure(store: Store, failure: Failure) -> None:
    """Write a record; the newest one of a region counts."""
    content = asdict(failure) | {"reason": failure.reason[:MOST_TEXT], "missing": failure.missing[:MOST_KEYS]}
    store.put(failure_key(failure.layer, failure.region), json.dumps(content).encode(), durable=False)


def kept_failures(store: Store) -> Iterator[Failure]:
    """Failures whose files are still missing, in the order of their names; a broken record is left out."""
    for key in sorted(store.list(FOLDER)):
        try:
            content = json.loads(store.get(key))
            failure = Failure(**content | {"missing": tuple(content["missing"])})
        except (ValueError, TypeError, KeyError, OSError):
            continue
        if not all(map(store.exists, failure.missing)):
            yield failure


def failure_lines(store: Store, most: int = 10) -> Iterator[str]:
    """One line per failure, and how many more there are."""
    count = 0
    for failure in kept_failures(store):
        count += 1
        if count <= most:
            yield f"failed: {failure.stage} {failure.region}, {failure.when} UTC on {failure.process}: {failure.reason}"
    if count > most:
        yield f"and {count - most} more regions failed: see {store.url}/{FOLDER}"
