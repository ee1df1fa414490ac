"""Counts the requests that processes make to buckets and web servers, by the kinds that providers bill.

S3: https://aws.amazon.com/s3/pricing; GCS: https://cloud.google.com/storage/pricing#operations-by-class
"""

from __future__ import annotations

import fcntl
import os
import struct
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import IO, Any


@dataclass(frozen=True)
class Requests:
    """Numbers of requests, and of the bytes of their bodies. Removals are free, and not counted.

    >>> Requests(writes=1) + Requests(reads=2, received=10)
    Requests(writes=1, reads=2, received=10, sent=0)

    Args:
        writes: PUT, COPY, POST and LIST, which are billed as class A.
        reads: GET and HEAD, which are billed as class B, about a tenth of class A.
        received: bytes of the answers.
        sent: bytes that were uploaded.
    """

    writes: int = 0
    reads: int = 0
    received: int = 0
    sent: int = 0

    def __add__(self, other: Requests) -> Requests:
        return Requests(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    @property
    def number(self) -> int:
        """All that are billed."""
        return self.writes + self.reads


class RequestCounter:
    """The requests of this process by stage, and the sum of this process and those that it forks.

    A retry, a part of an upload and a page of a listing are requests of their own.
    """

    def __init__(self) -> None:
        self._family: IO[bytes] | None = None
        self._begin("")
        os.register_at_fork(after_in_child=lambda: self._begin(f"{self.process}."))

    def _begin(self, parent: str) -> None:
        self.process = parent + uuid.uuid4().hex[:8]
        """Name of the process, which begins with that of the process that forked it; no two are the same."""
        self._lock = threading.Lock()
        self._stage = ""
        self._made: dict[str, Requests] = {}

    def add(self, more: Requests) -> None:
        """Count requests, or what belongs to a request that was counted before."""
        with self._lock:
            self._made[self._stage] = self.of(self._stage) + more
            if self._family is not None:
                _add_to(self._family, more)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A context whose requests, of all threads, are those of a stage."""
        self._stage = name
        try:
            yield
        finally:
            self._stage = ""

    @contextmanager
    def family(self) -> Iterator[None]:
        """A context in which the requests of forked processes are counted too, also of those that are killed."""
        with tempfile.TemporaryFile(buffering=0) as shared:
            _add_to(shared, self.made)
            self._family = shared
            try:
                yield
            finally:
                self._family = None

    def of(self, stage: str) -> Requests:
        """The requests that this process made for a stage."""
        return self._made.get(stage, Requests())

    @property
    def made(self) -> Requests:
        """All requests that this process made."""
        return sum(self._made.values(), Requests())

    @property
    def made_by_family(self) -> Requests:
        """All requests of this process, and, inside `family`, of those that it forked."""
        return self.made if self._family is None else _sum_in(self._family)


_NUMBERS = struct.Struct("<4q")


def _sum_in(file: IO[bytes]) -> Requests:
    written = os.pread(file.fileno(), _NUMBERS.size, 0)
    return Requests(*_NUMBERS.unpack(written)) if written else Requests()


def _add_to(file: IO[bytes], more: Requests) -> None:
    """Add to the sum in a file that forked processes share. A killed process leaves no lock behind."""
    fcntl.lockf(file, fcntl.LOCK_EX)
    try:
        os.pwrite(file.fileno(), _NUMBERS.pack(*astuple(_sum_in(file) + more)), 0)
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)


counter = RequestCounter()
"""The counter of this process."""


def billed(free: bool, read: bool, headers: Mapping[str, Any]) -> Requests:
    """One request.

    Args:
        free: whether it is not billed.
        read: whether it is of the cheaper kind.
        headers: those that are sent.
    """
    return Requests(int(not free and not read), int(not free and read), 0, length_in(headers))


def length_in(headers: Mapping[str, Any]) -> int:
    """Bytes of a body, by its header; 0 if that is absent, as for a body whose end is not known before."""
    return int(headers.get("Content-Length") or 0)
