"""`lchunk status`: how far a dataset is, how long it takes, and what is wrong."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lchunk.cli.reporting import ROOT_HELP, store_of
from lchunk.failures import failure_lines
from lchunk.summary.courses import course_lines
from lchunk.volumes.store import Store

EVERY = 10.0
"""Seconds between two looks of --watch."""
CLEAR = "\x1b[H\x1b[2J\x1b[3J"
"""Makes a terminal empty."""
EXAMPLES = """\
columns:
  chunks    all chunks of the layer; the levels of a tree, and coarser mips, are one row
  done      chunks whose files exist
  failed    missing chunks that a record in logs/failures names; the lines below the table say why
  missing   all other chunks
  working   processes that made a chunk in the last minute, or in the last three times that their last chunk took;
            one with --workers N counts once
  Mvoxel/s  of all processes together, over the last hour, or since the first chunk in it; of stages whose chunks are
            shards of labels, as MultiResMesh and SkeletonMerge, shards per minute
  left      time until the layer is complete, at this speed

examples:
  lchunk status                                    the dataset of the cfg
  lchunk status s3://my-bucket/mouse --watch 60    again every minute, until Ctrl-C
  lchunk status --html status.html                 a page with a map of the chunks, their seconds and errors
  lchunk status --html status.html --viewer http://127.0.0.1:8080
                                                   … in which a click on a chunk opens it in a running `lchunk view`
  lchunk status --json | jq '.layers[] | select(.missing > 0)'

docs/commands.md explains the keys of --json."""


def status(arguments: argparse.Namespace) -> None:
    """Print how far a dataset is: chunks done, failed and missing, speed, time left, and what failed.

    It reads the names of the chunk files, and logs; it needs no scheduler, and the run may be over or killed. Below the
    table are meshes, scores, a line per stage from the ends of the logs, and each failed region with its reason and the
    command that runs it again.
    """
    _refuse_wrong(arguments)
    store = store_of(arguments)
    if arguments.watch is None:
        _look(store, arguments)
        return
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            _look(store, arguments)
            time.sleep(arguments.watch)


def _look(store: Store, arguments: argparse.Namespace) -> None:
    """Look once, and print or write what was asked for."""
    from lchunk.status.facts import facts_of  # noqa: PLC0415 - imports zarr
    from lchunk.status.fleet import fleet_lines  # noqa: PLC0415

    facts = facts_of(store)
    fleet = list(fleet_lines(store, facts))
    if arguments.html:
        from lchunk.status.page import write_page  # noqa: PLC0415 - seldom needed

        write_page(store, facts, Path(arguments.html), arguments.viewer)
    if arguments.json:
        print(json.dumps(facts.content() | {"workers": fleet}, indent=None if arguments.watch else 1), flush=True)
        return
    from lchunk.status.holdings import holding_lines  # noqa: PLC0415
    from lchunk.status.table import table_lines  # noqa: PLC0415

    terminal = sys.stdout.isatty()
    lines = [*table_lines(facts, bars=terminal), *holding_lines(store, facts), *course_lines(store)]
    lines += [*failure_lines(store, facts.failures), *fleet]
    if arguments.html:
        lines.append(f"the page is {arguments.html}")
    if arguments.watch:
        last = f"{time.strftime('%H:%M:%S')}, again every {arguments.watch:g} s; Ctrl-C ends"
        lines = [CLEAR + "\n".join(fitted(lines)), last] if terminal else [*lines, last]
    print("\n".join(lines), flush=True)


def fitted(lines: Sequence[str]) -> list[str]:
    """The lines that a terminal can show above its last two, each cut to its width."""
    columns, rows = shutil.get_terminal_size()
    single = [line for text in lines for line in text.splitlines()]
    return [line[:columns] for line in single[: max(1, rows - 2)]]


def _refuse_wrong(arguments: argparse.Namespace) -> None:
    """Raise an error about options that cannot work, before anything is listed.

    Raises:
        ValueError: the page or the viewer cannot be what was given.
    """
    if arguments.viewer and not arguments.html:
        raise ValueError(f"--viewer must be given with --html, got {arguments.viewer} alone; add --html FILE")
    if arguments.viewer and (urlsplit(arguments.viewer).scheme not in ("http", "https")):
        raise ValueError(
            f"--viewer must be the address that `lchunk view` printed, got {arguments.viewer!r}; "
            "write it as http://HOST:PORT"
        )


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be seconds above 0, got {text!r}")
    return number


def add_commands(commands: Any) -> None:
    """Add `status`."""
    command = commands.add_parser(
        "status", description=status.__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
    command.add_argument(
        "--watch", nargs="?", type=_seconds, const=EVERY, metavar="SECONDS",
        help=f"look again after so many seconds, until Ctrl-C; default: {EVERY:g}",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="print a JSON object; with --watch, one line each time")
    command.add_argument("--html", default="", metavar="FILE", help="write a page with a map of the chunks")
    command.add_argument(
        "--viewer", default="", metavar="URL", help="with --html: address of a running `lchunk view`, for links to it"
    )
    command.set_defaults(run=status)
