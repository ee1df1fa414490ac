"""A short text by which a change of files shows: what a recipe keeps of its inputs."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

SMALL = 8_000_000
"""Bytes in all up to which the content is looked at, not only sizes and times."""


def fingerprint(files: Iterable[Path]) -> str:
    """What files are: their content where they are small, else their sizes and times.

    Args:
        files: in a fixed order. Nothing but their status is asked for, unless they are small and have changed.

    Returns:
        `raw.h5: 1234 bytes, sha256 …` or `raw.h5: … bytes, written 2026-11-25T09:36:50.123456789Z`.
    """
    paths = list(files)
    found = [_status(path) for path in paths]
    total = sum(size for size, _ in found)
    name = _name(paths)
    if any(time == 0 for _, time in found):
        gone = [path.name for path, (_, time) in zip(paths, found, strict=True) if time == 0]
        name = f"{name} without {', '.join(gone[:3])}{' …' if len(gone) > 3 else ''}"
    if total <= SMALL:
        parts = [_digest(str(path), size, time) for path, (size, time) in zip(paths, found, strict=True)]
        digest = parts[0] if len(parts) == 1 else _sha256("".join(parts + [path.name for path in paths]).encode())
        return f"{name}: {total} bytes, sha256 {digest}"
    newest = max(time for _, time in found)
    text = f"{name}: {total} bytes, written {_utc(newest)}"
    if len(paths) == 1:
        return text
    listed = "\n".join(f"{path.name} {size} {time}" for path, (size, time) in zip(paths, found, strict=True))
    return f"{text}, names, sizes and times sha256 {_sha256(listed.encode())}"


def content_fingerprint(name: str, body: bytes) -> str:
    """What a small file is by its content, where that was read already."""
    return f"{name}: {len(body)} bytes, sha256 {_sha256(body)}"


def _name(paths: list[Path]) -> str:
    if not paths:
        return "no files"
    return paths[0].name if len(paths) == 1 else f"{len(paths)} files {paths[0].name} … {paths[-1].name}"


def _status(path: Path) -> tuple[int, int]:
    """Bytes, and nanoseconds of the last write; 0 for a file that is absent."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=100_000)
def _digest(path: str, size: int, modified: int) -> str:
    return _sha256(Path(path).read_bytes()) if modified else "absent"


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def _utc(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
