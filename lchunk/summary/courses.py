"""The totals of all stages, from the lines of logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lchunk.chunk_logs import WORKERS, LogName, all_entries, is_chunk, last_entries, requests_text
from lchunk.summary.course import Course, LastRequests
from lchunk.volumes.requests_made import Requests
from lchunk.volumes.store import Store

Entry = tuple[LogName, dict[str, Any] | None]
"""The name of a log, and the JSON object of one of its lines; None for any other line."""


class Courses:
    """The totals of all stages, and the requests of all processes.

    Args:
        entries: lines of logs; None for lines that are not JSON objects.
        stage: the only stage whose chunks are added up; empty: all.
    """

    def __init__(self, entries: Iterable[Entry], stage: str = "") -> None:
        self.stages: dict[str, Course] = {}
        self.only = stage
        self.others: set[str] = set()
        """Stages that have lines too, but were not asked for."""
        self.left_out = 0
        """Lines that are torn, or that lchunk did not write."""
        self._made = LastRequests()
        self._families: set[str] = set()
        for name, entry in entries:
            try:
                self._add(name, entry or {})
            except (TypeError, KeyError, AttributeError, ValueError):
                self.left_out += 1

    def _add(self, name: LogName, entry: dict[str, Any]) -> None:
        """Add a line.

        Raises:
            TypeError, KeyError, ValueError, AttributeError: it is not as lchunk writes it.
        """
        chunk, made, stage = is_chunk(entry), entry.get("requests"), str(entry.get("stage", "a stage"))
        if name.folder == WORKERS:
            return  # why a worker ended, for `lchunk status`
        if not (chunk or made):
            raise ValueError("it must be the line of a chunk or of a command")
        if made:
            self._made.add(made["process"], made["all"])
            if not chunk:
                self._families.add(made["process"])
        if chunk and self.only not in ("", stage):
            self.others.add(stage)
        elif chunk:
            course = self.stages.get(stage, Course())
            if made:
                course.requests.add(made["process"], made["stage"])
            course.add(entry, name)
            self.stages[stage] = course

    @property
    def requests(self) -> Requests:
        """The requests of all processes, and of all stages."""
        # a command counts the requests of the processes that it forked, whose names begin with its own
        return self._made.total(lambda process: process.partition(".")[0] in self._families - {process})


def course_lines(store: Store) -> Iterator[str]:
    """One line per stage from the ends of its logs, and one for the requests of all processes to buckets."""
    courses = Courses(last_entries(store))
    yield from (course.line(stage) for stage, course in sorted(courses.stages.items()))
    yield from requests_lines(courses)


def summed(store: Store, stage: str = "", since: str = "") -> Courses:
    """The totals of all lines of all logs of a dataset.

    Args:
        store: the dataset's folder.
        stage: one stage; empty: all.
        since: only logs of this day (UTC) and later ones; empty: all.

    Raises:
        FileNotFoundError: there is no line of such a chunk; says which stages have lines.
    """
    when = f" since {since}" if since else ""
    return courses_in(all_entries(store, since), f"{when} in {store.url}", stage)


def courses_in(entries: Iterable[Entry], where: str, stage: str = "") -> Courses:
    """The totals of some lines.

    Args:
        entries: the lines; None for lines that are not JSON objects.
        where: where they are from, for the message, as " in data/mouse".
        stage: one stage; empty: all.

    Raises:
        FileNotFoundError: there is no line of such a chunk; says which stages have lines.
    """
    courses = Courses(entries, stage)
    if courses.stages:
        return courses
    if courses.others:
        others = ", ".join(sorted(courses.others))
        raise FileNotFoundError(f"--stage must be a stage that has logs{where}, got {stage}; these have: {others}")
    broken = f", and {courses.left_out:,} lines that are torn or not of lchunk" if courses.left_out else ""
    raise FileNotFoundError(
        f"there must be logs of chunks{where}, got none{broken}; name another folder, or run a stage first"
    )


def requests_lines(courses: Courses) -> Iterator[str]:
    """The requests of all processes, if there are any."""
    if courses.requests.number:
        yield f"requests: {requests_text(courses.requests)}"
