"""Copies of objects in a folder of this machine, for libraries that read nothing but files."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple
from pathlib import Path

from lchunk.volumes.file_store import PARTIAL
from lchunk.volumes.place import Place
from lchunk.volumes.stamp import Stamp

PART = 1 << 26
"""Bytes of a request for a part of a large object."""
LEFT_SECONDS = 24 * 3600.0
"""After which what is still incomplete was left by a killed process."""
UNUSED_SECONDS = 30 * 24 * 3600.0
"""Copies that were not used for so long are removed when others are fetched."""


Report = Callable[[Place, int, int], None]
"""Is called with an object, the bytes of it that were fetched, and its size: at its start and after each part."""


def _no_report(place: Place, done: int, size: int) -> None:
    """Report nothing."""


def copied(folder: Place, stamps: Mapping[str, Stamp], report: Report = _no_report) -> Path:
    """A folder of this machine with copies of objects; each state of the objects is fetched once for all processes.

    The copies become visible together, when they are complete: a kill leaves a folder that nobody reads and that is
    removed later. Where several processes ask for the same copies at the same time, one fetches and the others wait.

    Args:
        folder: where the objects are.
        stamps: the objects, by their names below the folder, each with its stamp. No name may leave the folder.
        report: is called while they are fetched.

    Raises:
        FileNotFoundError: an object does not exist.
        ConnectionError: an object changed while it was being fetched.
        PermissionError: access was refused, or the cache folder cannot be written.
    """
    state = sorted((name, *astuple(stamp)) for name, stamp in stamps.items())
    cache = _cache_folder()
    own = cache / hashlib.sha256(repr((str(folder), state)).encode()).hexdigest()[:32]
    if not own.is_dir():
        if not os.access(cache, os.W_OK):
            raise _refused(cache, "it cannot be written")
        with _alone(own.with_suffix(".lock")):
            if not own.is_dir():
                _remove_unused(cache)
                _fetch(folder, stamps, own, report)
    with contextlib.suppress(OSError):  # the folder may be of a read-only image
        os.utime(own)
    return own


def _cache_folder() -> Path:
    """The folder of all copies, made where it is absent. Others must not write there: what is copied may be code."""
    own = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(own if os.path.isabs(own) else os.path.expanduser("~/.cache")) / "lchunk" / "fetched"
    if not cache.is_absolute():
        raise _refused(cache, "there is no home folder")
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(cache, error.strerror or str(error)) from error
    if cache.stat().st_uid not in (0, os.getuid()):
        raise _refused(cache, "it is another user's")
    return cache


def _refused(cache: Path, why: str) -> PermissionError:
    return PermissionError(
        f"the cache folder must be one of yours that you can write to, got {cache}: {why}; set XDG_CACHE_HOME to one"
    )


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process fetches the same; its end, also by a kill, releases the lock."""
    with open(lock, "a") as file:
        with contextlib.suppress(OSError):  # without locks, as on some shared file systems, each process fetches
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # at once, also where a process that was forked holds the file
                fcntl.flock(file, fcntl.LOCK_UN)


def _fetch(folder: Place, stamps: Mapping[str, Stamp], own: Path, report: Report) -> None:
    partial = own.with_name(f"{own.name}.{uuid.uuid4().hex}{PARTIAL}")
    partial.mkdir(mode=0o700)
    try:
        for name, stamp in stamps.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(folder / name, stamp, path, report)
        try:
            os.rename(partial, own)
        except OSError:
            if not own.is_dir():  # else another process, where there are no locks, was quicker
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(place: Place, stamp: Stamp, path: Path, report: Report) -> None:
    """Copy an object to the disk, in parts, so that a large one is never whole in memory."""
    report(place, 0, stamp.size)
    with path.open("wb") as file:
        for start in range(0, stamp.size, PART):
            stop = min(start + PART, stamp.size)
            whole = start == 0 and stop == stamp.size
            file.write(place.store.get(place.key) if whole else place.store.get(place.key, start, stop))
            report(place, stop, stamp.size)
        written = file.tell()
        file.flush()
        os.fsync(file.fileno())
    if written != stamp.size or place.store.stamp(place.key) != stamp:
        raise ConnectionError(f"{place} must not change while it is fetched, got another version of it; run again")


def _remove_unused(cache: Path) -> None:
    """Remove what killed processes left, and copies that have not been used for long."""
    now = time.time()
    for path in cache.iterdir():
        left = path.name.endswith(PARTIAL)
        with contextlib.suppress(OSError):  # another process removes them too
            if path.stat().st_mtime > now - (LEFT_SECONDS if left else UNUSED_SECONDS):
                continue
            if path.suffix == ".lock":
                path.unlink()
                continue
            # renamed first: a kill must not leave a part of a folder under its name
            going = path if left else path.rename(path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}"))
            shutil.rmtree(going)
