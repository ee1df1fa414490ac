"""Outputs that are complete or absent: each is written in a folder next to its final place, and moved at the end.

out.h5                    appears in one step, when it is complete
.out.h5.partial/out.h5    is being written; the next export to the same name removes what a killed process left
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lchunk.volumes.store import PARTIAL


@contextlib.contextmanager
def whole_or_nothing(path: Path, *, replace: bool) -> Iterator[Path]:
    """Write a file or a folder in a `with` block; it gets its final name when the block ends without an error.

    The partial folder is locked until the process ends, to tell the remains of a killed process from the work of a
    running one. A new file replaces an older file in one step. This is not possible for folders: the older folder is
    first moved into the partial folder. If the process is killed in between, the next export to the same name moves it
    back.

    Args:
        path: the final name. Missing folders above it are created.
        replace: whether an existing file or folder of this name may be replaced.

    Yields:
        The path to write to. Other names in the same folder are free for scratch files.

    Raises:
        BlockingIOError: another process is writing the same output.
        FileExistsError: the file or folder exists, and `replace` is off.
    """
    _refuse_existing(path, replace)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}{PARTIAL}")
    lock = _claimed(partial, path)
    replaced = partial / f"{path.name}.replaced"
    try:
        if os.path.lexists(replaced) and not os.path.lexists(path):
            os.rename(replaced, path)
        _refuse_existing(path, replace)
        for left in partial.iterdir():
            _remove(left)
        yield partial / path.name
        _flush(partial / path.name)
        _refuse_existing(path, replace)
        if os.path.lexists(path) and (path.is_dir() or (partial / path.name).is_dir()):
            os.rename(path, replaced)
        os.replace(partial / path.name, path)
        _flush_one(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _refuse_existing(path: Path, replace: bool) -> None:
    if os.path.lexists(path) and not replace:
        raise FileExistsError(
            f"the output must be new, got {path}, which already exists; remove it, or add --overwrite"
        )


def _claimed(partial: Path, path: Path) -> int:
    """Create a partial folder, or take over one whose process has ended. Return the descriptor that holds its lock."""
    while True:
        partial.mkdir(exist_ok=True)
        number = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(partial) and os.path.samestat(os.fstat(number), os.stat(partial)):
                return number
        except BlockingIOError as error:
            os.close(number)
            raise BlockingIOError(
                f"{path} must be written by one process at a time, got a second one; wait until the other process ends"
            ) from error
        os.close(number)  # in the meantime, the owner has removed the folder


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _flush(path: Path) -> None:
    """Flush a file, or a folder and all its content, to the disk; otherwise a power cut may leave the name alone."""
    if path.is_dir():
        for entry in path.iterdir():
            _flush(entry)
    _flush_one(path)


def _flush_one(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
