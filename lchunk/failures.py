"""Records of failed regions in the dataset's folder, for `lchunk status`: a small file per region. No run reads them.

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
"""Most characters of a reason that are stored."""
MOST_KEYS = 20
"""Most missing files that a record names. Once all of them exist, the failure is over."""


@dataclass(frozen=True)
class Failure:
    """One region that failed.

    Args:
        stage: name of the stage's class.
        layer: folder of its layer.
        region: its box, or `whole`.
        reason: the message for the user.
        missing: some of the files that it did not make.
        when: date and time, UTC.
        process: host and process number.
    """

    stage: str
    layer: str
    region: str
    reason: str
    missing: tuple[str, ...]
    when: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()))
    process: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")


def failure_key(layer: str, region: str) -> str:
    """The key of the record of a region."""
    return f"{FOLDER}/{layer}/{region}.json"


def keep_failure(store: Store, failure: Failure) -> None:
    """Write a record; it replaces an older one of the same region."""
    content = asdict(failure) | {"reason": failure.reason[:MOST_TEXT], "missing": failure.missing[:MOST_KEYS]}
    store.put(failure_key(failure.layer, failure.region), json.dumps(content).encode(), durable=False)


def kept_failures(store: Store) -> Iterator[Failure]:
    """Failures whose files are still missing, in the order of their names; a damaged record is left out."""
    for key in sorted(store.list(FOLDER)):
        try:
            content = json.loads(store.get(key))
            failure = Failure(**content | {"missing": tuple(content["missing"])})
        except (ValueError, TypeError, KeyError, OSError):
            continue
        if not all(map(store.exists, failure.missing)):
            yield failure


def failure_lines(store: Store, most: int = 10) -> Iterator[str]:
    """One line per failure, and a line with the number of further ones."""
    count = 0
    for failure in kept_failures(store):
        count += 1
        if count <= most:
            yield f"failed: {failure.stage} {failure.region}, {failure.when} UTC on {failure.process}: {failure.reason}"
    if count > most:
        yield f"and {count - most} more regions failed: see {store.url}/{FOLDER}"
