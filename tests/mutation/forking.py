"""Runs tests repeatedly, each time in a fork of a process that has already imported the large packages.

It reads lines `{"arguments": [...], "seconds": 60}` and answers each with a line: pytest's exit status, or -9 if the
tests took longer. The output of the tests is in the file `printed.txt` of the working folder.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time

LARGE = ("numpy", "scipy.ndimage", "h5py", "zarr", "luigi", "luigi.cmdline_parser", "tifffile", "boto3", "pytest")
POLL_SECONDS = 0.01


def main() -> None:
    """Answer until the end of the input."""
    for name in LARGE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        wanted = json.loads(line)
        print(_forked(wanted["arguments"], wanted["seconds"]), flush=True)


def _forked(arguments: list[str], seconds: float) -> int:
    child = os.fork()
    if not child:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        printed = os.open("printed.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        import pytest  # noqa: PLC0415 - already there

        status = int(pytest.main(arguments))
        sys.stdout.flush()
        os._exit(status)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _kill_group(child)
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_SECONDS)
    _kill_group(child)
    os.waitpid(child, 0)
    return -signal.SIGKILL


def _kill_group(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
