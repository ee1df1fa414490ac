"""`lchunk summary`: how fast the stages of a dataset ran, what binds them, and what they cost, from their logs."""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from typing import Any

from lchunk.cfg_file import dataset_sections
from lchunk.cli.reporting import PLOT_HELP, ROOT_HELP, refuse_undrawn, store_of
from lchunk.cli.triples import counts_of
from lchunk.summary.binding import binding_of, shares_of
from lchunk.summary.courses import Courses, Entry, courses_in, summed
from lchunk.summary.tables import summary_lines
from lchunk.volumes.store import Store, open_store

COLUMNS = """\
first table, a row for each stage and device:
  chunks     chunks that were made; one that was made again counts again, and a note says how many did (an estimate
             for stages of more than 32,768 chunks)
  hours      work of all processes: reading, computing and writing together. A process reads the next chunk and
             writes the last one while it computes, so it takes less time than this.
  mean s …   seconds of work of a chunk; of more than 32,768 chunks, median and p95 are known to within 1 %
  Mvoxel/s   voxels per second of this work
second table, a row for each stage:
  read …     share of the work: waiting for a disk or a bucket to read, decompressing, computing, compressing, writing
  wait       share of the time of the processes in which they computed nothing; - if older logs do not say it
  memory     the most that one process used, in all; of a chunk: in addition to what it used before; projected: what a
             chunk was expected to take
  processes  commands that made chunks: `lchunk run` or `lchunk work`. One with --workers N counts once.
Below the tables, a line says what binds each stage. Then come requests to a bucket, prices, and the number of lines
that were left out: those that are torn because a process was killed, or that neither lchunk nor chunkflow wrote.

examples:
  lchunk summary                                        the dataset of the cfg
  lchunk summary s3://my-bucket/mouse --stage Inference --since 2026-01-31
  lchunk summary --plot summary.png --machine g5.xlarge
  lchunk summary --log-dir /tmp/log --output-size 156 1280 1280       logs of chunkflow, as its log-summary
  lchunk summary --json | jq '.stages[].mvoxels_per_second'

docs/planning.md says how it is found what binds, and where prices come from."""


def summary(arguments: argparse.Namespace) -> None:
    """Print how fast the stages ran, what binds them, how much memory they took, and what they cost, from their logs.

    Each chunk leaves a line in a log of its process when it is made. This command reads all lines, and adds them up by
    stage and device. It changes nothing, and no run depends on logs: you may remove old ones, whose names begin with
    their day.
    """
    refuse_undrawn(arguments.plot)
    if arguments.output_size and not arguments.log_dir:
        raise ValueError(
            f"--output-size must be given with --log-dir, got {' '.join(arguments.output_size)} alone; the logs of "
            "lchunk hold the sizes of chunks"
        )
    where, courses = _courses(arguments)
    prices, notes = _prices(courses, arguments.machine)
    if arguments.plot:
        from lchunk.cli.summary_picture import draw  # noqa: PLC0415 - seldom needed

        draw(courses, arguments.plot)
    if arguments.json:
        print(json.dumps(_content(where, courses) | {"prices": prices, "price_notes": notes}, indent=1))
        return
    for line in chain(summary_lines(courses), _price_lines(prices, notes)):
        print(line)


def _courses(arguments: argparse.Namespace) -> tuple[str, Courses]:
    """Where the logs are, and their totals."""
    since = arguments.since or ""
    if not arguments.log_dir:
        store = store_of(arguments)
        return store.url, summed(store, arguments.stage, since)
    if since:
        raise ValueError(
            f"--since must be given without --log-dir, got {since}; logs of chunkflow do not say their day"
        )
    logs = open_store(arguments.log_dir)
    stores = [store_of(arguments)] if arguments.root else []
    where = " and ".join(store.url for store in (*stores, logs))
    return where, courses_in(_entries(stores, logs, arguments.output_size), f" in {where}", arguments.stage)


def _entries(stores: list[Store], logs: Store, output_size: list[str]) -> Iterator[Entry]:
    """The lines of a dataset's logs, if there is one, and those of chunkflow."""
    from lchunk.chunk_logs import all_entries  # noqa: PLC0415 - only for logs of chunkflow
    from lchunk.summary.chunkflow_logs import chunkflow_entries  # noqa: PLC0415

    shape = counts_of("--output-size", " ".join(output_size), "156 1280 1280") if output_size else None
    yield from chain.from_iterable(map(all_entries, stores))
    yield from chunkflow_entries(logs, "", shape)


def _prices(courses: Courses, machine: str) -> tuple[list[dict[str, Any]], list[str]]:
    """What the hours and the requests cost, and notes; nothing if no price is named."""
    if not machine and "Prices" not in dataset_sections():
        return [], []
    from lchunk.cli.planning.price import Prices, known_prices, prices_of  # noqa: PLC0415 - takes time to import
    from lchunk.tasks.price_knobs import Prices as Knobs  # noqa: PLC0415

    prices, notes = known_prices(Prices(), machine)
    hours = sum(course.time for course in courses.stages.values()) / 3600 / Knobs().processes
    written = sum(course.written for course in courses.stages.values())
    requests = courses.requests if courses.requests.number else None
    return [asdict(each) for each in prices_of(prices, hours, 1, requests, written)], notes


def _price_lines(prices: list[dict[str, Any]], notes: list[str]) -> Iterator[str]:
    if not prices and not notes:
        yield "price: not known; name the machine with --machine, or in [Prices] of the cfg"
    yield from (f"price: {each['amount']:,.2f} for {each['what']}: {each['how']}" for each in prices)
    yield from (f"price: {note}" for note in notes)


def _content(where: str, courses: Courses) -> dict[str, Any]:
    """The summary as JSON holds it."""
    stages = {}
    for stage, course in sorted(courses.stages.items()):
        binding = binding_of(stage, course)
        stages[stage] = course.content() | {
            "work": asdict(shares_of(course)), "wait_seconds": course.wait, "binding": binding and asdict(binding)
        }  # fmt: skip
    return {"root": where, "stages": stages, "lines_left_out": courses.left_out, "requests": asdict(courses.requests)}


def _day(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a day such as 2026-01-31, got {text!r}") from error


def add_commands(commands: Any) -> None:
    """Add `summary`."""
    command = commands.add_parser(
        "summary", description=summary.__doc__, epilog=COLUMNS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
    command.add_argument("--stage", default="", metavar="NAME", help="chunks of this stage; default: all")
    command.add_argument("--since", type=_day, metavar="DAY", help="chunks of this day (UTC) and later; default: all")
    command.add_argument(
        "--log-dir", default="", metavar="FOLDER", help="logs of chunkflow; the dataset's own too, if ROOT is given"
    )
    command.add_argument(
        "--output-size", nargs="+", default=[], metavar=("Z", "Y X"),
        help="with --log-dir: voxels of a task of chunkflow; default: those of its box",
    )  # fmt: skip
    command.add_argument(
        "--machine", default="", metavar="NAME", help="for the price: a machine of lchunk/prices.cfg; default: [Prices]"
    )
    command.add_argument("--plot", metavar="FILE", help=PLOT_HELP)
    command.add_argument("--json", action="store_true", help="print a JSON object, in bytes, seconds and voxels")
    command.set_defaults(run=summary)
