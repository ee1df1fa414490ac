"""What became of the workers of a dataset and of their messages, as `lchunk status` tells in each of its forms."""

from __future__ import annotations

from collections.abc import Iterator

from lchunk.status.ends import end_lines
from lchunk.status.facts import Facts
from lchunk.status.given_up import given_up_lines
from lchunk.status.held import lost_lines
from lchunk.volumes.store import Store


def fleet_lines(store: Store, facts: Facts) -> Iterator[str]:
    """A line for each message of the last day that was given up, and for each worker that vanished or ended itself."""
    yield from given_up_lines(store)
    yield from lost_lines(store, facts)
    yield from end_lines(store)
