"""Run commands, each in a fork of a process that has already imported the large packages.

The process reads lines of JSON, and answers each with a line: exit status and seconds. The fork itself imports lchunk,
Luigi and everything else that looks at the folder, the cfg or the environment, as a new process would.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import resource
import runpy
import signal
import sys
import tempfile
import time
import traceback
from typing import Any

LARGE = (
    "numpy", "scipy.ndimage", "h5py", "zarr", "tifffile", "imagecodecs", "nrrd", "PIL.Image", "numba", "cc3d", "zmesh",
    "boto3", "botocore.session", "argparse", "configparser", "asyncio", "rich.progress", "sqlite3", "jinja2",
    "tornado.web", "google_crc32c", "numcodecs", "email.message", "http.client",
)  # fmt: skip
MODULES = {"lchunk": "lchunk.cli", "luigi": "luigi"}
POLL_SECONDS = 0.005
MOST_BYTES = 12 << 30
"""Limit of a command's address space, so that a huge number in a cfg cannot take all memory of the machine."""


def main() -> None:
    """Answer requests until the input ends."""
    for name in LARGE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_forked(json.loads(line))) + "\n")
        sys.stdout.flush()


def _forked(wanted: dict[str, Any]) -> dict[str, float]:
    begun = time.monotonic()
    child = os.fork()
    if not child:
        status = 1
        try:
            status = _command(wanted)
        finally:
            os._exit(status)
    code = None
    while code is None and time.monotonic() - begun < wanted["seconds"]:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
        else:
            time.sleep(POLL_SECONDS)
    seconds = time.monotonic() - begun
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if code is None:
        os.waitpid(child, 0)
    return {"code": -signal.SIGKILL if code is None else code, "seconds": seconds}


def _command(wanted: dict[str, Any]) -> int:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(wanted[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["folder"])
    if wanted["own_process"]:
        script = os.path.join(os.path.dirname(sys.executable), wanted["program"])
        os.execve(script, [script, *wanted["words"]], wanted["environment"])
    tempfile.tempdir = None
    sys.path[0] = wanted["repository"]
    sys.argv = [wanted["program"], *wanted["words"]]
    code: Any = 0
    try:
        runpy.run_module(MODULES[wanted["program"]], run_name="__main__")
    except SystemExit as error:
        code = error.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
            code = 1
    except BaseException as error:
        hook = sys.excepthook if sys.excepthook is not sys.__excepthook__ else traceback.print_exception
        hook(type(error), error, error.__traceback__)
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):
            stream.flush()
    return int(code or 0) & 255


if __name__ == "__main__":
    main()
