"""Commands that print what a dataset's folder holds: logs added up, and scores."""

from __future__ import annotations

import argparse
import datetime
import json
from typing import Any

from lchunk.cfg_file import dataset_root
from lchunk.summary import summary_lines, summed
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


def summary(arguments: argparse.Namespace) -> None:
    """Print how fast the stages ran, where the time went, and how much memory they took, from all of their logs.

    Each chunk leaves a line in a log of its process when it is made. This command reads all lines, and adds them up by
    stage. It changes nothing, and no run depends on logs: you may remove old ones, whose names begin with their day.
    """
    store = store_of(arguments)
    courses = summed(store, arguments.stage, arguments.since or "")
    if arguments.json:
        stages = {stage: course.content() for stage, course in sorted(courses.stages.items())}
        print(json.dumps({"root": store.url, "stages": stages, "lines_left_out": courses.left_out}, indent=1))
        return
    for line in summary_lines(courses):
        print(line)


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


COLUMNS = """\
columns:
  chunks     chunks that were made; one that was made again counts again, and a note says how many did (an estimate
             for stages of more than 32,768 chunks)
  seconds    work of all processes: reading, computing and writing together. A process reads the next chunk and
             writes the last one while it computes, so it takes less time than this.
  Mvoxel/s   voxels per second of this work
  read s …   seconds of each step, and its share of the work
  memory     the most that one process used, in all
  processes  commands that made chunks: `lchunk run` or `lchunk work`. One with --workers N counts once.
  devices    where chunks were computed, and the share of each
Below the table are the requests to a bucket, and the number of lines that were left out: those that are torn because a
process was killed, or that lchunk did not write.

examples:
  lchunk summary                                        the dataset of the cfg
  lchunk summary s3://my-bucket/mouse --stage Inference --since 2026-01-31
  lchunk summary --json | jq '.stages[].mvoxels_per_second'"""


def _day(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a day such as 2026-01-31, got {text!r}") from error


def _add_summary(commands: Any) -> None:
    command = commands.add_parser(
        "summary", description=summary.__doc__, epilog=COLUMNS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
    command.add_argument("--stage", default="", metavar="NAME", help="chunks of this stage; default: all")
    command.add_argument("--since", type=_day, metavar="DAY", help="chunks of this day (UTC) and later; default: all")
    command.add_argument("--json", action="store_true", help="print a JSON object, in bytes, seconds and voxels")
    command.set_defaults(run=summary)


def add_commands(commands: Any) -> None:
    """Add `summary`, `scores` and `curve`."""
    _add_summary(commands)
    for run in (scores, curve):
        command = commands.add_parser(run.__name__, description=run.__doc__)
        command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
        command.set_defaults(run=run)
        command.add_argument("--layer", default="", metavar="NAME", help="scores of this layer; default: all")
    command.add_argument("--plot", metavar="FILE", help=PLOT_HELP)
