"""A folder of a local or shared file system as a store of objects."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import io
import os
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from lchunk.volumes.ranges import Range, read_ranges
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.step_parts import DISK, Part

PARTIAL = ".partial"
"""Suffix of a file that is being written. Readers never take such a file for an object."""
CLOSE = 1 << 16
"""Bytes between two ranges that cost less to read than another request does."""
MOST = 1 << 40
"""Bytes of a request beyond which another one beside it is quicker: none is."""
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links answer."""


class FileStore:
    """Objects as files; keys are paths below the root.

    A put writes a temporary file beside the target, flushes it to the disk, renames it, and flushes the folder: after
    a kill, a full disk or a power cut the old object is there, or the new one, or none.

    Args:
        root: the folder. It is created by the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = self._folder = str(root)
        self.connections = 1

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        with Part(DISK) as part, open(os.path.join(self._folder, key), "rb") as file:
            if start < 0:
                size = file.seek(0, os.SEEK_END)
                start = max(0, size + start)
            file.seek(start)
            body = file.read() if stop is None else file.read(stop - start)
            part.moved(read=len(body))
            return body

    def get_encoded(self, key: str) -> tuple[bytes, str]:
        return self.get(key), ""

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[memoryview]:
        return read_ranges(ranges, functools.partial(self.get, key), close=CLOSE, most=MOST)

    def put(self, key: str, body: bytes | memoryview, *, durable: bool = True) -> None:
        path = os.path.join(self._folder, key)
        with Part(DISK) as part:
            partial = _write_partial(path, body, durable=durable)
            try:
                os.replace(partial, path)
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise
            if durable:
                _flush_folder(os.path.dirname(path))
            part.moved(written=memoryview(body).nbytes)

    def settle(self, folder: str) -> None:
        with Part(DISK):
            _flush_file_system(os.path.join(self._folder, folder))

    def create(self, key: str, body: bytes | memoryview) -> bool:
        path = os.path.join(self._folder, key)
        if self.exists(key):
            return False
        partial = _write_partial(path, body, durable=True)
        try:
            os.link(partial, path)
        except FileExistsError:
            if self.size(key):
                return False
            os.replace(partial, path)  # an empty file, left by a crashed disk, is not an object
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            return _create_exclusively(path, body)
        finally:
            Path(partial).unlink(missing_ok=True)
        _flush_folder(os.path.dirname(path))
        return True

    def append(self, key: str, body: bytes) -> None:
        path = os.path.join(self._folder, key)
        try:
            number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        with open(number, "wb", buffering=0) as file:
            file.write(body)

    def flush(self) -> None:
        """Nothing: each line is written when it is appended."""

    def size(self, key: str) -> int:
        return os.stat(os.path.join(self._folder, key)).st_size

    def stamp(self, key: str) -> Stamp:
        found = os.stat(os.path.join(self._folder, key))
        return Stamp(found.st_size, found.st_mtime_ns)

    def exists(self, key: str) -> bool:
        try:
            return self.size(key) > 0
        except (FileNotFoundError, NotADirectoryError):
            return False

    def remove(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def prune(self, folder: str) -> None:
        paths = [path for path, _, _ in os.walk(os.path.join(self._folder, folder), topdown=False)]
        above = [os.path.join(self._folder, str(parent)) for parent in PurePosixPath(folder).parents][:-1]
        for path in (*paths, *above):
            with contextlib.suppress(OSError):  # most often because it is not empty
                os.rmdir(path)

    def list(self, prefix: str, *, empty: bool = False) -> Iterator[str]:
        before = len(os.path.join(self._folder, ""))
        for entry in self._walk(os.path.join(self._folder, prefix)):
            if not entry.name.endswith(PARTIAL) and (empty or _holds_bytes(entry)):
                yield entry.path[before:]

    def present(self, folder: str, names: Collection[str]) -> Collection[str]:
        """Those of some objects directly in a folder that exist and are not empty, by name."""
        try:
            entries = os.scandir(os.path.join(self._folder, folder))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        with entries:
            return {entry.name for entry in entries if entry.name in names and _holds_bytes(entry)}

    def changed(self, folder: str) -> int | None:
        """When a file directly in a folder was last created, renamed or removed: nanoseconds since 1970.

        Programs that copy folders can set the time of modification, but not this one. None if there is no such folder.
        """
        try:
            return os.stat(os.path.join(self._folder, folder)).st_ctime_ns
        except (FileNotFoundError, NotADirectoryError):
            return None

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        folder = self.root / prefix
        return tuple(sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())) if folder.is_dir() else ()

    def path(self, key: str) -> Path | None:
        return self.root / key

    def sweep(self, prefix: str, older_than: float) -> None:
        before = time.time() - older_than
        for entry in self._walk(self.root / prefix):
            if entry.name.endswith(PARTIAL):
                with contextlib.suppress(FileNotFoundError):  # renamed by its writer, or swept by another process
                    if entry.stat().st_mtime < before:
                        os.unlink(entry.path)

    def _walk(self, folder: Path | str) -> Iterator[os.DirEntry[str]]:
        try:
            entries = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        with entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(entry.path)
                else:
                    yield entry


def _holds_bytes(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.stat().st_size > 0
    except FileNotFoundError:
        return False  # removed since the folder was read


def _write_partial(path: str, body: bytes | memoryview, *, durable: bool) -> str:
    """Write a temporary file beside `path`. Returns its name; after an error nothing is left."""
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f".{name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        try:
            file = open(partial, "wb", buffering=0)  # noqa: SIM115 - closed below
        except FileNotFoundError:
            _make_folder(folder, durable=durable)
            file = open(partial, "wb", buffering=0)  # noqa: SIM115
        with file:
            _write(file, body)
            if durable:
                os.fsync(file.fileno())
    except BaseException as error:
        Path(partial).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = path  # a full disk does not say by itself which one it is
        raise
    return partial


def _create_exclusively(path: str, body: bytes | memoryview) -> bool:
    """Create a file where the file system has no hard links. Readers may see it while it is incomplete."""
    try:
        file = open(path, "xb", buffering=0)  # noqa: SIM115 - closed below
    except FileExistsError:
        return False
    with file:
        _write(file, body)
        os.fsync(file.fileno())
    _flush_folder(os.path.dirname(path))
    return True


def _make_folder(folder: str, *, durable: bool) -> None:
    """Create a folder and those above it. A new folder is on the disk when the folder above it is flushed."""
    absent = []
    while folder and not os.path.isdir(folder):
        absent.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(absent):
        os.makedirs(path, exist_ok=True)
        if durable:
            _flush_folder(os.path.dirname(path))


def _write(file: io.FileIO, body: bytes | memoryview) -> None:
    left = memoryview(body).cast("B")
    while left:
        left = left[file.write(left) :]


def _flush_file_system(folder: str) -> None:
    """Flush the file system that a folder is on: for many files, quicker than to flush each of them.

    Raises:
        OSError: something could not be written.
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:  # of Linux alone; this one flushes all file systems, and tells no error
        os.sync()
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(number):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), folder)
    finally:
        os.close(number)


def _flush_folder(folder: str) -> None:
    """Flush a folder to the disk: a rename, or a new name, is safe after that."""
    number = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
