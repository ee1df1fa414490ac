"""Commands that look at what a dataset's folder holds."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from typing import Any

from lchunk.plot import draw_curve
from lchunk.status import curve_lines, curve_points, score_lines, status_lines
from lchunk.tasks.dataset import Dataset
from lchunk.viewer.server import serve
from lchunk.viewer.state import layers_in
from lchunk.volumes.store import open_store


def view(arguments: argparse.Namespace) -> None:
    """Serve a dataset in Neuroglancer until Ctrl-C."""
    root = arguments.root or Dataset().root
    names = ", ".join(layer.name for layer in layers_in(open_store(root)))

    def ready(url: str) -> None:
        print(f"{names} in {root}: open {url} (Ctrl-C stops)", flush=True)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(root, arguments.address, arguments.port, ready))


def status(arguments: argparse.Namespace) -> None:
    """Print what a dataset's folder holds: layers, meshes, scores."""
    for line in status_lines(open_store(arguments.root or Dataset().root)):
        print(line)


def scores(arguments: argparse.Namespace) -> None:
    """Print how good a dataset's segmentation is, and where it errs most."""
    for line in score_lines(open_store(arguments.root or Dataset().root)):
        print(line)


def curve(arguments: argparse.Namespace) -> None:
    """Print the scores at many thresholds, and draw them where a file is given."""
    points = curve_points(open_store(arguments.root or Dataset().root))
    for line in curve_lines(points):
        print(line)
    if arguments.plot:
        draw_curve(points, arguments.plot)


def add_commands(commands: Any) -> None:
    """Add `status`, `scores`, `curve` and `view`."""
    root_help = "the dataset's folder; default: [Dataset] root of luigi.cfg"
    command = commands.add_parser("status", help="print what a dataset holds", description=status.__doc__)
    command.add_argument("root", nargs="?", default="", help=root_help)
    command.set_defaults(run=status)
    command = commands.add_parser("scores", help="print scores and the worst segments", description=scores.__doc__)
    command.add_argument("root", nargs="?", default="", help=root_help)
    command.set_defaults(run=scores)
    command = commands.add_parser("curve", help="print and draw scores by threshold", description=curve.__doc__)
    command.add_argument("root", nargs="?", default="", help=root_help)
    command.add_argument(
        "--plot", metavar="FILE", help="draw to a file, .png, .svg or .pdf (pip install 'lchunk[plot]')"
    )
    command.set_defaults(run=curve)
    command = commands.add_parser("view", help="show a dataset in Neuroglancer", description=view.__doc__)
    command.add_argument("root", nargs="?", default="", help=root_help)
    command.add_argument("--port", type=int, default=8080, help="0 takes a free one; default: 8080")
    command.add_argument("--address", default="127.0.0.1", help="default: this machine only")
    command.set_defaults(run=view)
