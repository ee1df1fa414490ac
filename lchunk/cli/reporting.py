"""Commands that print the scores in a dataset's folder, and what commands for such a folder share."""

from __future__ import annotations

import argparse
from typing import Any

from lchunk.cfg_file import dataset_root
from lchunk.volumes.store import Store, open_store, scheme_of

DRAWN = (".png", ".svg", ".pdf")
"""Suffixes of files that can be drawn to."""
PLOT_HELP = "draw to a file, .png, .svg or .pdf (pip install 'lchunk[plot]')"
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


def scores(arguments: argparse.Namespace) -> None:
    """Print how good a dataset's segmentation is, and where it errs most."""
    from lchunk.scored import score_lines  # noqa: PLC0415

    for line in score_lines(store_of(arguments), arguments.layer):
        print(line)


def refuse_undrawn(plot: str | None) -> None:
    """Raise an error if a drawing is asked for that cannot be written, before any work.

    Raises:
        ValueError: the suffix of the file is not one of `DRAWN`.
    """
    if plot is not None and not plot.endswith(DRAWN):
        raise ValueError(f"--plot must be a file of {', '.join(DRAWN)}, got {plot!r}; name one, as curve.png")


def curve(arguments: argparse.Namespace) -> None:
    """Print the scores at many thresholds and values of min_voxels, and draw them where a file is given."""
    from lchunk.scored import CURVE, by_min_voxels, curve_lines, required_scores  # noqa: PLC0415

    refuse_undrawn(arguments.plot)
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

        draw_curve(by_min_voxels(curves[0].content), arguments.plot)


def add_commands(commands: Any) -> None:
    """Add `scores` and `curve`."""
    for run in (scores, curve):
        command = commands.add_parser(run.__name__, description=run.__doc__)
        command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
        command.set_defaults(run=run)
        command.add_argument("--layer", default="", metavar="NAME", help="scores of this layer; default: all")
    command.add_argument("--plot", metavar="FILE", help=PLOT_HELP)
