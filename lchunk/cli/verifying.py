"""`lchunk verify`: read everything that a dataset's folder holds."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from typing import Any

from lchunk.cli import codes
from lchunk.cli.reporting import ROOT_HELP, store_of

PROGRESS_SECONDS = 5.0


def run(arguments: argparse.Namespace) -> int:
    """Read every file of a dataset's layers: chunks, tables, meshes, and the fragments of each manifest.

    Reports what is missing, damaged (torn, or with a wrong checksum), foreign (nothing reads it), or mixed (made from
    a layer of another recipe than the one that is there now). Nothing is changed, unless --remove is given: then the
    damaged chunks are removed, and the next run of their stages makes them again.
    """
    from lchunk.verify import Fault, verify  # noqa: PLC0415 - imports zarr

    store = store_of(arguments)
    counts: Counter[Any] = Counter()
    reported = time.monotonic()

    def progress(files: int) -> None:
        nonlocal reported
        if time.monotonic() - reported >= PROGRESS_SECONDS:
            reported = time.monotonic()
            print(f"{files} files read", file=sys.stderr, flush=True)

    for finding in verify(store, arguments.layer.strip("/"), progress):
        counts[finding.fault] += 1
        print(f"{finding.fault.value}: {finding.key}: {finding.reason}", flush=True)
        if arguments.remove:
            for key in finding.remove:
                store.remove(key)
                print(f"removed: {key}", flush=True)
    found = ", ".join(f"{counts[fault]} {fault.value}" for fault in Fault)
    print(f"{found} in {store.url}")
    if counts[Fault.DAMAGED] or counts[Fault.FOREIGN] or counts[Fault.MIXED]:
        return codes.FAILED
    return codes.MISSING_DATA if counts[Fault.MISSING] else codes.DONE


def add_commands(commands: Any) -> None:
    """Add `verify`."""
    command = commands.add_parser(
        "verify", description=run.__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"exit codes: {codes.DONE} all files exist and are whole; {codes.MISSING_DATA} some are missing, no "
        f"other fault; {codes.FAILED} some are damaged, foreign or mixed; {codes.REFUSED} refused",
    )  # fmt: skip
    command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
    command.add_argument("--layer", default="", metavar="NAME", help="one layer, with all below it; default: all")
    command.add_argument("--remove", action="store_true", help="remove damaged chunks, so that the next run makes them")
    command.set_defaults(run=run)
