"""The tables and notes that `lchunk summary` prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lchunk.chunk_logs import amount, requests_text
from lchunk.summary.binding import binding_of, shares_of
from lchunk.summary.course import STEPS, Course, OnDevice, speed
from lchunk.summary.courses import Courses, requests_lines
from lchunk.summary.spread import Spread

SECONDS = ("stage", "device", "chunks", "hours", "mean s", "median", "p95", "min", "max", "Mvoxel", "Mvoxel/s")
WORK = (
    "stage", "read", "decode", "compute", "encode", "write", "wait", "bytes read", "written", "memory", "of a chunk",
    "projected", "processes",
)  # fmt: skip


def summary_lines(courses: Courses) -> Iterator[str]:
    """A table of seconds, a table of where they went, what binds each stage, and notes."""
    ordered = sorted(courses.stages.items())
    yield from table([SECONDS, *(row for stage, course in ordered for row in _seconds_rows(stage, course))], left=2)
    yield from _hours_line([course for _, course in ordered])
    yield ""
    yield from table([WORK, *(_work_row(stage, course) for stage, course in ordered)], left=1)
    yield ""
    for stage, course in ordered:
        yield from (f"{stage}: {note}" for note in _notes(stage, course))
    if not courses.only:
        yield from requests_lines(courses)
    if courses.left_out:
        yield f"note: {courses.left_out:,} lines were left out, which are torn or not of lchunk"


def table(rows: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    """Rows with columns of equal widths.

    >>> list(table([("a", "b"), ("long", "1")], left=1))
    ['a     b', 'long  1']

    Args:
        rows: the header, and the rows below it.
        left: how many columns begin at the left; the others end at the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [text.ljust(width) if place < left else text.rjust(width)
                 for place, (text, width) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
        yield "  ".join(cells).rstrip()


def _seconds_rows(stage: str, course: Course) -> Iterator[tuple[str, ...]]:
    """A row for each device, and one for each operator of chunkflow below it."""
    for device, own in sorted(course.devices.items()):
        yield _seconds_row(stage, device, own.whole, own)
        if not set(own.steps) <= set(STEPS):
            yield from (_seconds_row(f"  {step}", device, spread, own) for step, spread in own.steps.items())


def _seconds_row(name: str, device: str, spread: Spread, own: OnDevice) -> tuple[str, ...]:
    rate = speed(own.voxels, spread)
    return (
        name, device, f"{spread.count:,}", short(spread.total / 3600), short(spread.mean), short(spread.quantile(0.5)),
        short(spread.quantile(0.95)), short(spread.least), short(spread.most), short(own.voxels / 1e6),
        short(rate) if rate else "-",
    )  # fmt: skip


def _hours_line(courses: Sequence[Course]) -> Iterator[str]:
    work, time = (sum(values) / 3600 for values in zip(*((each.worked, each.time) for each in courses), strict=True))
    yield f"hours in all: {short(work)} of work, in {short(time)} hours of processes"


def _work_row(stage: str, course: Course) -> tuple[str, ...]:
    shares, whole = shares_of(course), course.worked or 1.0
    of_work = (shares.read, shares.decode, shares.compute, shares.encode, shares.write)
    return (
        stage, *(f"{seconds / whole:.0%}" for seconds in of_work), _wait(course), _size(course.read),
        _size(course.written), _size(course.whole_peak), _size(course.peak), _size(course.projected),
        f"{len(course.processes):,}",
    )  # fmt: skip


def _wait(course: Course) -> str:
    """The share of the time of the processes in which they computed nothing."""
    return "-" if course.wait is None else f"{course.wait / course.time:.0%}"


def _size(size: int) -> str:
    return amount(size) if size else "-"


def short(number: float) -> str:
    """Three digits, or all of a larger number.

    >>> short(0.01234), short(12345.6)
    ('0.0123', '12,346')
    """
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _notes(stage: str, course: Course) -> Iterable[str]:
    binding = binding_of(stage, course)
    if binding is not None:
        yield binding.text
        if binding.ideal:
            yield binding.ideal
    again = course.repeats
    if again.number:
        about = "" if again.exact else "about "
        yield f"{about}{again.number:,} of the chunks are ones that were made before, and made again"
    if course.skipped:
        yield f"{course.skipped:,} chunks were not computed, because a mask is empty there"
    if course.requests.last:
        yield requests_text(course.requests.total())
