"""One process per user, dataset and task: a lock that ends with the process that holds it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lchunk.tasks.luigi_settings import lock_folder


@contextlib.contextmanager
def held_lock(root: str, task: Any) -> Iterator[str]:
    """A context that holds the lock of a task.

    Args:
        root: the dataset's folder.
        task: the task to make: the stage with its region and knobs.

    Yields:
        An empty text if the lock is held; else the process that has it: number, start and command.
    """
    path = _folder(root) / f"{task.task_id}.lock"
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield _holder(path)
            return
        file.truncate(0)
        json.dump({"pid": os.getpid(), "since": time.strftime("%H:%M:%S"), "command": shlex.join(sys.argv)}, file)
        file.flush()
        try:
            yield ""
        finally:
            file.truncate(0)


def _folder(root: str) -> Path:
    folder = Path(lock_folder(root))
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(
            f"the folder of locks must be yours, got {folder} of another user; remove it, or set TMPDIR"
        )
    return folder


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_text())
        return f"process {held['pid']}, started at {held['since']} as `{held['command']}`"
    except (ValueError, KeyError, OSError):
        return "a process that has just started"
