"""What `lchunk run --dry-run` prints: what is left to make, its requests, and what the logs say it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import luigi

from lchunk.chunk_logs import amount, billed_text
from lchunk.cli.foreseen import Foreseen, foreseen
from lchunk.cli.layout import job_stages
from lchunk.cli.planning.hours import courses_in
from lchunk.cli.planning.price import Prices, known_prices, prices_of
from lchunk.cli.planning.report import priced_lines, time_text
from lchunk.summary.course import Course
from lchunk.tasks.price_knobs import Prices as Knobs
from lchunk.volumes.requests_made import Requests


@dataclass(frozen=True)
class Left:
    """What is left to do of a stage.

    Args:
        foreseen: chunks and requests.
        seconds: of one process; None if no chunk of the stage left a log.
        written: bytes that chunks will write, as those before.
        memory: the most bytes that a process used; 0 if that is not known.
    """

    foreseen: Foreseen
    seconds: float | None
    written: int
    memory: int


def dry_run_lines(task: luigi.Task) -> Iterator[str]:
    """One line per stage with missing chunks; then requests, hours, memory, bytes and prices.

    Args:
        task: a stage or a pipeline.
    """
    stages: dict[str, Foreseen] = {}
    for each in foreseen(task):
        before = stages.get(each.stage)
        stages[each.stage] = each if before is None else before + each
    store = next(job_stages(task)).store
    courses = courses_in(store)
    parts = [_left(each, courses) for each in stages.values()]
    total = sum((each.foreseen.requests for each in parts), Requests())
    for left in parts:
        yield _line(left, remote=bool(total.number))
    if total.number:
        yield (
            f"requests: about {billed_text(total)}; and two PUT for each segment's mesh, and what it takes "
            "to read volumes of other programs"
        )
    yield from _estimates(parts, courses)
    seconds = sum(left.seconds or 0 for left in parts)
    yield from price_lines(seconds, total if total.number else None, sum(left.written for left in parts))


def _left(each: Foreseen, courses: Mapping[str, Course]) -> Left:
    course = courses.get(each.stage)
    if course is None or not course.time:
        return Left(each, None, 0, 0)
    return Left(
        each, course.seconds_for(each.voxels), round(course.written / course.voxels * each.voxels), course.whole_peak
    )


def _line(left: Left, *, remote: bool) -> str:
    parts = [f"{left.foreseen.stage:20} {left.foreseen.chunks:>9,} chunks"]
    if remote:
        parts.append(f"about {billed_text(left.foreseen.requests)}")
    if left.seconds is not None:
        parts.append(f"about {time_text(left.seconds / 3600)} of one process")
    if left.memory:
        parts.append(f"{amount(left.memory)} of memory")
    return "  ".join(parts)


def _estimates(parts: Sequence[Left], courses: Mapping[str, Course]) -> Iterator[str]:
    """The hours of all stages that have logs, and which have none."""
    known = [left for left in parts if left.seconds is not None]
    unknown = ", ".join(left.foreseen.stage for left in parts if left.seconds is None)
    if known:
        chunks = sum(courses[left.foreseen.stage].chunks for left in known)
        hours, written = sum(left.seconds or 0 for left in known) / 3600, sum(left.written for left in known)
        yield (
            f"hours: about {time_text(hours)} of one process, and {amount(written)} to write, by the logs of "
            f"{chunks:,} chunks of these stages"
        )
    if unknown:
        yield f"hours: not known for {unknown}, of which no chunk was made yet; `lchunk try STAGE` makes one to see"


def price_lines(seconds: float, requests: Requests | None, stored: int) -> Iterator[str]:
    """What work costs, if a price is named in [Prices].

    Args:
        seconds: of one process; 0 if that is not known.
        requests: to buckets; None if there are none, or if they are not known.
        stored: bytes on disk; 0 if that is not known.
    """
    prices, notes = known_prices(Prices())
    hours = seconds / 3600 / Knobs().processes if seconds else None
    found = list(prices_of(prices if stored else replace(prices, gb_month=None), hours, 1, requests, stored))
    if found:
        yield from priced_lines(found)
    yield from (f"price: {note}" for note in notes)
