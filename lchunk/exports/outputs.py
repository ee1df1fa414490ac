"""Outputs that are whole or absent: written in a folder beside them, and moved to their name at the end.

out.h5                    appears at once, when it is whole
.out.h5.partial/out.h5    what is being written; the next export to the same name removes what a kill left
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
    """Write a file or a folder inside; it gets its name when the block ends without an error.

    The folder in which it is written is locked until the process ends, so that the remains of a killed process differ
    from the work of a running one. A file replaces an older one in one step. A folder cannot: the older one is moved
    into that folder first. If the process is killed in between, the next export to the same name moves it back.

    Args:
        path: the final name. The folders above are created.
        replace: whether what has this name may be replaced.

    Yields:
        Where to write. Other names in the same folder are free for scratch files.

    Raises:
        BlockingIOError: another process writes the same output.
        FileExistsError: there is such a file or folder, and `replace` is off.
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
            f"the output must be new, got {path}, which is there already; remove it, or add --overwrite"
        )


def _claimed(partial: Path, path: Path) -> int:
    """Create a folder, or take over one whose process is gone. Returns the descriptor that holds its lock."""
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
                f"{path} must be written by one process at a time, got another that writes it now; wait until it ends"
            ) from error
        os.close(number)  # its owner removed the folder meanwhile


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _flush(path: Path) -> None:
    """Flush a file, or a folder with all below, to the disk: a rename may else survive a power cut alone."""
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
