"""Commands that print what a dataset's folder holds: layers, failures, scores."""

from __future__ import annotations

import argparse
from typing import Any

from lchunk.cfg_file import dataset_root
from lchunk.chunk_logs import course_lines
from lchunk.failures import failure_lines
from lchunk.volumes.store import Store, open_store, scheme_of

DRAWN = (".png", ".svg", ".pdf")
"""Suffixes of files that a curve can be drawn to."""
ROOT_HELP = "the dataset's folder; default: [Dataset] root of the cfg"


def root_of(arguments: argparse.Namespace) -> str:
    """The folder that a command was given, or that of the cfg."""
    given = arguments.root or dataset_root()
    if given:
        return str(given)
    from lchunk.tasks.dataset import Dataset  # noqa: PLC0415 - takes time, and is seldom needed

    return Dataset().root


def store_of(arguments: argparse.Namespace) -> Store:
    """The store of the folder that a command was given, or of the cfg's; a bucket is opened as the cfg says."""
    root = root_of(arguments)
    if scheme_of(root) not in ("", "file"):
        from lchunk.tasks.dataset import Dataset  # noqa: PLC0415

        Dataset()  # hands the values of [Store] over
    return open_store(root)


def status(arguments: argparse.Namespace) -> None:
    """Print what a dataset's folder holds: layers with their chunks, meshes, scores, how stages ran, what failed."""
    from lchunk.status import status_lines  # noqa: PLC0415 - imports zarr

    store = store_of(arguments)
    for line in status_lines(store):
        print(line)
    for line in course_lines(store):
        print(line)
    for line in failure_lines(store):
        print(line)


def scores(arguments: argparse.Namespace) -> None:
    """Print how good a dataset's segmentation is, and where it errs most."""
    from lchunk.scored import score_lines  # noqa: PLC0415

    for line in score_lines(store_of(arguments), arguments.layer):
        print(line)


def curve(arguments: argparse.Namespace) -> None:
    """Print the scores at many thresholds, and draw them where a file is given."""
    from lchunk.scored import CURVE, curve_lines, required_scores  # noqa: PLC0415

    if arguments.plot is not None and not arguments.plot.endswith(DRAWN):
        raise ValueError(f"--plot must be a file of {', '.join(DRAWN)}, got {arguments.plot!r}; name one, as curve.png")
    curves = required_scores(store_of(arguments), CURVE, arguments.layer)
    if arguments.plot and len(curves) > 1:
        raise ValueError(
            f"one curve must be chosen to draw, got {', '.join(scored.layer for scored in curves)}; add --layer NAME"
        )
    for scored in curves:
        print(scored.subject)
        for line in curve_lines(scored.content):
            print(line)
    if arguments.plot:
        from lchunk.plot import draw_curve  # noqa: PLC0415

        draw_curve(curves[0].content, arguments.plot)


def add_commands(commands: Any) -> None:
    """Add `status`, `scores` and `curve`."""
    for run in (status, scores, curve):
        command = commands.add_parser(run.__name__, description=run.__doc__)
        command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
        command.set_defaults(run=run)
        if run is not status:
            command.add_argument("--layer", default="", metavar="NAME", help="scores of this layer; default: all")
    command.add_argument(
        "--plot", metavar="FILE", help="draw to a file, .png, .svg or .pdf (pip install 'lchunk[plot]')"
    )
