"""The picture of `lchunk summary --plot`: how the seconds of chunks are distributed, and where they went."""

from __future__ import annotations

from dataclasses import asdict

from lchunk.plot import SecondsRow, draw_seconds
from lchunk.summary.binding import shares_of
from lchunk.summary.courses import Courses


def draw(courses: Courses, path: str) -> None:
    """Draw a row for each stage and device.

    Args:
        courses: the totals.
        path: file to write; its suffix sets the format.
    """
    rows = []
    for stage, course in sorted(courses.stages.items()):
        whole = course.worked or 1.0
        shares = {name: seconds / whole for name, seconds in asdict(shares_of(course)).items()}
        wait = None if course.wait is None else course.wait / course.time
        for device, own in sorted(course.devices.items()):
            spread, name = own.whole, f"{stage}\n{device}, {own.whole.count:,} chunks"
            median, p95 = spread.quantile(0.5), spread.quantile(0.95)
            rows.append(SecondsRow(name, list(spread.groups()), median, p95, shares, wait))
    draw_seconds(rows, path)
