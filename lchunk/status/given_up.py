"""Messages that workers could not make a task of, or gave up: lines in the log of each, which `lchunk status` shows.

logs/workers/<day>-<host>-<process>.jsonl
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from lchunk.chunk_logs import WORKERS, last_entries, log_key
from lchunk.status.ends import MOST, SHOWN_SECONDS
from lchunk.volumes.store import Store

MOST_TEXT = 300
"""Most characters of a message, and of a reason, that are stored."""


@dataclass(frozen=True)
class GivenUp:
    """A message that went to the dead letters, or that a worker returned because it could not do it.

    Args:
        queue: address of the queue.
        message: stage and region, or the body of a message that cannot be read.
        reason: why.
        dead: whether it went to the dead letters.
        when: seconds since 1970.
    """

    queue: str
    message: str
    reason: str
    dead: bool
    when: float = field(default_factory=time.time)


def keep_given_up(store: Store, process: str, given_up: GivenUp) -> None:
    """Write a line about a message.

    Raises:
        OSError: the store takes no line, as a full disk.
    """
    content = asdict(given_up) | {
        "message": printable(given_up.message[:MOST_TEXT]), "reason": printable(given_up.reason[:MOST_TEXT]),
    }  # fmt: skip
    store.append(log_key(WORKERS, process), f"{json.dumps({'message': content})}\n".encode())


def given_up_lines(store: Store) -> Iterator[str]:
    """A line for each message of the last day that was given up or returned, the last one first; each message once."""
    found = sorted(_given_up(store, time.time() - SHOWN_SECONDS), key=lambda each: (each.dead, each.when), reverse=True)
    once = list({(each.queue, each.message): each for each in reversed(found)}.values())[::-1]
    for each in once[:MOST]:
        what = "given up, see lchunk queue dead" if each.dead else "returned, because a worker could not do it, to"
        yield f"message {each.message} was {what} {each.queue}: {each.reason}"
    if len(once) > MOST:
        yield f"and {len(once) - MOST} more messages: see {store.url}/logs/{WORKERS}"


def _given_up(store: Store, since: float) -> Iterator[GivenUp]:
    for _, entry in last_entries(store, WORKERS):
        try:
            given_up = GivenUp(**entry["message"])
            if given_up.when >= since:
                yield given_up
        except (KeyError, TypeError):
            continue


def printable(text: str) -> str:
    """A text for a terminal, with all other bytes escaped."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() or letter == "\t" else ascii(letter)[1:-1] for letter in plain)
