"""`lchunk view`: the dataset in a browser."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from typing import Any

from lchunk.cli.reporting import ROOT_HELP, root_of
from lchunk.viewer.server import serve
from lchunk.viewer.state import layers_in
from lchunk.volumes.store import open_store


def view(arguments: argparse.Namespace) -> None:
    """Serve a dataset in Neuroglancer until Ctrl-C."""
    root = root_of(arguments)
    names = ", ".join(layer.name for layer in layers_in(open_store(root)))

    def ready(url: str) -> None:
        print(f"{names} in {root}: open {url} (Ctrl-C stops)", flush=True)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(root, arguments.address, arguments.port, ready))


def add_commands(commands: Any) -> None:
    """Add `view`."""
    command = commands.add_parser("view", description=view.__doc__)
    command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
    command.add_argument("--port", type=int, default=8080, help="0 takes a free one; default: 8080")
    command.add_argument("--address", default="127.0.0.1", help="default: this machine only")
    command.set_defaults(run=view)
