"""Notes of the requests that a process makes to a bucket, which outlive it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.store import open_store

REQUESTS = ("get", "put", "stamp", "page")


def note_requests(path: Path, root: str) -> None:
    """Note each request of this process to buckets of one service, from now on.

    Args:
        path: of the notes: a line when a request begins, and one when its thread has the answer.
        root: URL in a bucket of the service.
    """
    store = open_store(root)
    assert isinstance(store, BucketStore)
    service: Any = type(store.bucket)
    file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND)

    def noted(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def request(bucket: Any, name: str, *rest: Any, **more: Any) -> Any:
            os.write(file, f"{threading.get_ident()} {what} {name}\n".encode())
            try:
                return call(bucket, name, *rest, **more)
            finally:
                os.write(file, f"{threading.get_ident()}\n".encode())

        return request

    for what in REQUESTS:
        setattr(service, what, noted(what, getattr(service, what)))


def count_requests(path: Path) -> int:
    """How many requests were begun."""
    return sum(" " in line for line in path.read_text().splitlines())


def open_requests(path: Path, root: str) -> str:
    """The requests that a process has begun and not ended, as `put affinities`; the layer is the first folder."""
    waiting: dict[str, str] = {}
    for line in path.read_text().splitlines():
        thread, _, request = line.partition(" ")
        waiting[thread] = request
    folder = root.partition("://")[2].partition("/")[2]
    shown = []
    for request in filter(None, waiting.values()):
        what, _, name = request.partition(" ")
        shown.append(f"{what} {name.removeprefix(folder).strip('/').partition('/')[0]}".strip())
    return ", ".join(sorted(shown)) or "between two requests"
