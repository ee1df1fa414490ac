"""Fingerprints: short texts that change with the files, by which a recipe records its inputs."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from lchunk.volumes.parallel import parallel
from lchunk.volumes.place import Place
from lchunk.volumes.stamp import Stamp

SMALL = 8_000_000
"""Bytes in all up to which the content is looked at, not only sizes and times."""
ABSENT = Stamp(0, 0)
"""The stamp of a file that is not there."""


def fingerprint(files: Iterable[Place]) -> str:
    """What files are: their content where they are small, else their sizes, times and versions.

    Args:
        files: in a fixed order. Only their status is read, unless they are small and have changed.

    Returns:
        `raw.h5: 1234 bytes, sha256 …` or `raw.h5: … bytes, written 2026-11-25T09:36:50.123456789Z`.
    """
    places = list(files)
    threads = places[0].store.connections if places else 1
    found = list(parallel(lambda place: place.stamp() or ABSENT, places, threads))
    total = sum(stamp.size for stamp in found)
    name = _name(places)
    gone = [place.name for place, stamp in zip(places, found, strict=True) if _is_absent(stamp)]
    if gone:
        name = f"{name} without {', '.join(gone[:3])}{' …' if len(gone) > 3 else ''}"
    if total <= SMALL:
        parts = list(parallel(lambda each: _digest(*each), zip(places, found, strict=True), threads))
        digest = parts[0] if len(parts) == 1 else _sha256("".join(parts + [place.name for place in places]).encode())
        return f"{name}: {total} bytes, sha256 {digest}"
    newest = max(stamp.modified for stamp in found)
    text = f"{name}: {total} bytes, written {_utc(newest)}"
    if len(places) == 1:
        return f"{text}, version {found[0].version}" if found[0].version else text
    listed = "\n".join(f"{place.name} {_status(stamp)}" for place, stamp in zip(places, found, strict=True))
    return f"{text}, names, sizes and times sha256 {_sha256(listed.encode())}"


def _name(places: list[Place]) -> str:
    if not places:
        return "no files"
    return places[0].name if len(places) == 1 else f"{len(places)} files {places[0].name} … {places[-1].name}"


def _status(stamp: Stamp) -> str:
    """Bytes and nanoseconds; a bucket's version too, as its times are whole seconds."""
    return " ".join(map(str, (stamp.size, stamp.modified, *([stamp.version] if stamp.version else []))))


@functools.lru_cache(maxsize=100_000)
def _digest(place: Place, stamp: Stamp) -> str:
    return "absent" if _is_absent(stamp) else _sha256(place.store.get(place.key))


def _is_absent(stamp: Stamp) -> bool:
    return not stamp.modified and not stamp.version


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def _utc(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
