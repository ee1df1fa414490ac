"""`lchunk metrics`: the progress of a dataset and the messages of its queues, for Prometheus."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lchunk.cli.reporting import ROOT_HELP, store_of
from lchunk.volumes.store import Store

if TYPE_CHECKING:
    from lchunk.status.metrics import Progress
    from lchunk.workers.queue import Queue

EVERY = 30.0
"""Seconds between two looks, at least."""
PORT = 9464
EXAMPLES = """\
examples:
  lchunk metrics                                    http://127.0.0.1:9464/metrics of the dataset of the cfg
  lchunk metrics s3://my-bucket/mouse --queue regions --queue regions-gpu --address 0.0.0.0
  lchunk metrics data/mouse --once > lchunk.prom    for the textfile collector of node_exporter

docs/commands.md lists the metrics, and docker/prometheus/ has a board for Grafana."""


def metrics(arguments: argparse.Namespace) -> None:
    """Serve the progress of a dataset to Prometheus, until Ctrl-C.

    One process serves all: it reads the names of chunk files, the ends of the logs, and the numbers of messages in
    queues, as `lchunk status` and `lchunk queue status` do. Workers need no port, and may be gone.
    """
    try:
        from lchunk.status.metrics import Progress  # noqa: PLC0415 - needs an optional package
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "to measure for Prometheus, prometheus-client must be installed: pip install 'lchunk[metrics]'"
        ) from error
    store, queues = store_of(arguments), _queues(arguments.queue)
    progress = Progress()
    _look(progress, store, queues)
    if arguments.once:
        print(progress.text(), end="")
        return
    try:
        port = progress.serve(arguments.port, arguments.address)
    except OSError as error:
        raise OSError(
            f"--port must be free on an address of this machine, got {arguments.port} on {arguments.address} "
            f"({error.strerror or error}); choose another one, 0 takes a free one"
        ) from error
    print(f"{store.url} is measured at http://{arguments.address}:{port}/metrics (Ctrl-C stops)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(arguments.every)
            try:
                _look(progress, store, queues)
            except (OSError, ValueError) as error:  # the store may be back at the next look
                progress.up = False
                print(f"lchunk: not measured: {error}", file=sys.stderr, flush=True)


def _queues(addresses: Sequence[str]) -> list[Queue]:
    """The queues of the command line, or that of the variable."""
    from lchunk.workers.address import open_queue  # noqa: PLC0415 - seldom needed

    given = addresses or list(filter(None, [os.environ.get("LCHUNK_QUEUE", "")]))
    return [open_queue(address, patient=False) for address in given]


def _look(progress: Progress, store: Store, queues: Sequence[Queue]) -> None:
    """Find everything anew.

    Raises:
        OSError, ValueError: the dataset or a queue cannot be read.
    """
    from lchunk.status.facts import facts_of  # noqa: PLC0415 - imports zarr

    progress.facts = facts_of(store)
    progress.queues = {queue.address: asdict(queue.counts()) for queue in queues}
    progress.up = True


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"must be seconds from 1 to 86400, got {text!r}")
    return value


def add_commands(commands: Any) -> None:
    """Add `metrics`."""
    command = commands.add_parser(
        "metrics", description=metrics.__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
    command.add_argument(
        "--queue", action="append", default=[], metavar="ADDRESS",
        help="also the messages of this queue; may be repeated; default: LCHUNK_QUEUE, if it is set",
    )  # fmt: skip
    command.add_argument("--port", type=int, default=PORT, help=f"0 takes a free one; default: {PORT}")
    command.add_argument("--address", default="127.0.0.1", help="where it listens; default: this machine only")
    command.add_argument(
        "--every", type=_seconds, default=EVERY, metavar="SECONDS", help=f"between two looks; default: {EVERY:g}"
    )
    command.add_argument("--once", action="store_true", help="print the metrics once, and end")
    command.set_defaults(run=metrics)
