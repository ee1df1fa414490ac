"""`lchunk verify`: read everything that a dataset's folder holds."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from lchunk.cli import codes
from lchunk.cli.now_and_then import NowAndThen
from lchunk.cli.reporting import ROOT_HELP, store_of


def run(arguments: argparse.Namespace) -> int:
    """Read every file of a dataset's layers: chunks, tables, and meshes.

    It reports files that are missing, damaged (truncated, or with a wrong checksum), foreign (nothing reads them), or
    mixed (made from a layer with another recipe than the present one). It changes nothing, unless --remove is given:
    then it removes the damaged chunks, and the next run of their stages makes them again; metadata is written again.
    """
    from lchunk.verify import Fault, verify  # noqa: PLC0415 - imports zarr

    store = store_of(arguments)
    counts: Counter[Any] = Counter()
    progress = NowAndThen()
    for finding in verify(store, arguments.layer.strip("/"), lambda files: progress.tell(f"{files} files read")):
        counts[finding.fault] += 1
        print(f"{finding.fault.value}: {finding.key}: {finding.reason}", flush=True)
        if arguments.remove:
            for key in finding.remove:
                store.remove(key)
                print(f"removed: {key}", flush=True)
            if finding.rewrite is not None:
                finding.rewrite()
                print(f"written again: {finding.key}", flush=True)
    found = ", ".join(f"{counts[fault]} {fault.value}" for fault in Fault)
    print(f"{found} in {store.url}")
    if counts[Fault.DAMAGED] or counts[Fault.FOREIGN] or counts[Fault.MIXED]:
        return codes.FAILED
    return codes.MISSING_DATA if counts[Fault.MISSING] else codes.DONE


def add_commands(commands: Any) -> None:
    """Add `verify`."""
    command = commands.add_parser(
        "verify", description=run.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"exit codes: {codes.DONE} all files exist and are whole; {codes.MISSING_DATA} some are missing, no "
        f"other fault; {codes.FAILED} some are damaged, foreign or mixed; {codes.REFUSED} refused",
    )  # fmt: skip
    command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
    command.add_argument("--layer", default="", metavar="NAME", help="one layer, with all below it; default: all")
    command.add_argument("--remove", action="store_true", help="remove damaged chunks, so that the next run makes them")
    command.set_defaults(run=run)
