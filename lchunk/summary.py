"""How the stages of a dataset ran, added up from the lines of its logs. No run depends on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from lchunk.chunk_logs import WORKERS, LogName, all_entries, amount, is_chunk, last_entries, requests_text
from lchunk.volumes.requests_made import Requests
from lchunk.volumes.store import Store

EXACT = 1 << 15
"""Boxes of a stage up to which those that are made again are counted exactly."""
_HASHES = 1 << 64


class Repeats:
    """Counts boxes that come again. Of many boxes it keeps a sample, chosen by their hash, and estimates."""

    def __init__(self) -> None:
        self.kept: dict[int, int] = {}
        self.below = _HASHES

    def add(self, box: str) -> None:
        """Count a box."""
        number = hash(box) % _HASHES
        if number >= self.below:
            return
        self.kept[number] = self.kept.get(number, 0) + 1
        if len(self.kept) > EXACT:
            self.below //= 2
            self.kept = {each: times for each, times in self.kept.items() if each < self.below}

    @property
    def exact(self) -> bool:
        """Whether no box was left out."""
        return self.below == _HASHES

    @property
    def number(self) -> int:
        """How many times a box was made again, about, if not `exact`."""
        return round((sum(self.kept.values()) - len(self.kept)) * (_HASHES / self.below))


class LastRequests:
    """The requests of processes by the last line of each: the sums since its start."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, int, int, int]] = {}

    def add(self, process: str, made: dict[str, int]) -> None:
        """Keep the requests of a process, if they are more than those that are known."""
        known = self.last.get(process)
        if known is None or made["writes"] + made["reads"] >= known[0] + known[1]:
            self.last[process] = made["writes"], made["reads"], made["received"], made["sent"]

    def total(self, without: Callable[[str], bool] = lambda process: False) -> Requests:
        """The requests of all processes, except of those for which a function is true."""
        return sum((Requests(*made) for process, made in self.last.items() if not without(process)), Requests())


@dataclass
class Course:
    """Totals of the chunks of one stage.

    Args:
        chunks: lines of chunks.
        voxels: of all of them.
        seconds: of work, by step.
        skipped: chunks that were not computed, because a mask is empty.
        projected: bytes that a chunk was expected to take, at most.
        peak: bytes that a process used in addition to those before, at most.
        whole_peak: bytes that a process used in all, at most.
        resident: by process, bytes in use at its first and at its last measurement, and how often they were measured.
        devices: chunks by the device that computed them.
        processes: names of the processes.
        requests: those of each process.
        repeats: chunks that were made again.
    """

    chunks: int = 0
    voxels: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    skipped: int = 0
    projected: int = 0
    peak: int = 0
    whole_peak: int = 0
    resident: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    devices: dict[str, int] = field(default_factory=dict)
    processes: set[str] = field(default_factory=set)
    requests: LastRequests = field(default_factory=LastRequests)
    repeats: Repeats = field(default_factory=Repeats)

    def add(self, entry: dict[str, Any], name: LogName) -> None:
        """Add the line of a chunk.

        Raises:
            TypeError, AttributeError: it is not as lchunk writes it; it is not counted.
        """
        memory = entry.get("memory")
        if memory:
            self._add_memory(memory, f"{name.process}:{memory.get('process', '')}")
        self.chunks += 1
        self.voxels += entry["voxels"]
        for step, seconds in entry["seconds"].items():
            self.seconds[step] = self.seconds.get(step, 0.0) + seconds
        self.skipped += "skipped" in entry
        device = str(entry.get("device", "unknown"))
        self.devices[device] = self.devices.get(device, 0) + 1
        self.processes.add(name.process)
        self.repeats.add(f"{name.folder} {entry.get('bbox')}")

    def _add_memory(self, memory: dict[str, int], process: str) -> None:
        peak = memory.get("peak", 0)
        self.projected = max(self.projected, memory.get("projected", 0))
        self.peak = max(self.peak, peak - memory.get("before", 0))
        self.whole_peak = max(self.whole_peak, peak)
        if "resident" in memory:
            first, _, times = self.resident.get(process, (memory["resident"], 0, 0))
            self.resident[process] = (first, memory["resident"], times + 1)

    @property
    def worked(self) -> float:
        """Seconds of all steps. Steps of different chunks overlap: a process may have taken less."""
        return sum(self.seconds.values())

    @property
    def speed(self) -> float | None:
        """Mvoxel per second of work."""
        return self.voxels / self.worked / 1e6 if self.worked else None

    def line(self, stage: str) -> str:
        """The line that `lchunk status` prints."""
        speed = f", {self.speed:.3g} Mvoxel/s" if self.speed else ""
        parts = [f"{stage}: {self.chunks} chunks in {self.worked:.1f} s of work{speed}"]
        if self.peak:
            of = f" of {amount(self.projected)} projected" if self.projected else ""
            parts.append(f"memory {amount(self.peak)} at its peak{of}")
        first, last, times = max(self.resident.values(), key=lambda each: each[2], default=(0, 0, 0))
        if times > 1:
            parts.append(f"a process from {amount(first)} to {amount(last)}")
        if self.requests.last:
            parts.append(requests_text(self.requests.total()))
        return ", ".join(parts)

    def content(self) -> dict[str, Any]:
        """The totals as JSON holds them."""
        return {
            "chunks": self.chunks, "made_again": self.repeats.number, "made_again_is_exact": self.repeats.exact,
            "skipped": self.skipped, "voxels": self.voxels,
            "seconds": {step: round(seconds, 4) for step, seconds in self.seconds.items()},
            "seconds_per_chunk": self.worked / self.chunks, "mvoxels_per_second": self.speed,
            "peak_bytes": self.whole_peak, "peak_bytes_of_chunks": self.peak, "projected_bytes": self.projected,
            "devices": self.devices, "processes": len(self.processes), "requests": asdict(self.requests.total()),
        }  # fmt: skip


class Courses:
    """The totals of all stages, and the requests of all processes.

    Args:
        entries: lines of logs; None for lines that are not JSON objects.
        stage: the only stage whose chunks are added up; empty: all.
    """

    def __init__(self, entries: Iterable[tuple[LogName, dict[str, Any] | None]], stage: str = "") -> None:
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
            course = self.stages.get(stage) or self.stages.setdefault(stage, Course())
            if made:
                course.requests.add(made["process"], made["stage"])
            course.add(entry, name)

    @property
    def requests(self) -> Requests:
        """The requests of all processes, and of all stages."""
        # a command counts the requests of the processes that it forked, whose names begin with its own
        return self._made.total(lambda process: process.partition(".")[0] in self._families - {process})


def course_lines(store: Store) -> Iterator[str]:
    """One line per stage from the ends of its logs, and one for the requests of all processes to buckets."""
    courses = Courses(last_entries(store))
    yield from (course.line(stage) for stage, course in sorted(courses.stages.items()))
    yield from _requests_line(courses)


def summed(store: Store, stage: str = "", since: str = "") -> Courses:
    """The totals of all lines of all logs.

    Args:
        store: the dataset's folder.
        stage: one stage; empty: all.
        since: only logs of this day (UTC) and later ones; empty: all.

    Raises:
        FileNotFoundError: there is no line of such a chunk; says which stages have lines.
    """
    courses = Courses(all_entries(store, since), stage)
    if not courses.stages:
        when = f" since {since}" if since else ""
        if courses.others:
            raise FileNotFoundError(
                f"--stage must be a stage that has logs{when} in {store.url}, got {stage}; these have: "
                f"{', '.join(sorted(courses.others))}"
            )
        raise FileNotFoundError(
            f"{store.url} must hold logs of chunks{when}, but has none; name another folder, or run a stage first"
        )
    return courses


_HEADER = ("stage", "chunks", "Mvoxel", "seconds", "s/chunk", "Mvoxel/s", "memory", "processes", "devices")


def summary_lines(courses: Courses) -> Iterator[str]:
    """A table of the stages, and notes below it."""
    ordered = sorted(courses.stages.items())
    steps = list(dict.fromkeys(step for _, course in ordered for step in course.seconds))
    rows = [(*_HEADER[:6], *(f"{step} s" for step in steps), *_HEADER[6:])]
    rows += [_row(stage, course, steps) for stage, course in ordered]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others, last in rows:
        cells = (text.rjust(width) for text, width in zip(others, widths[1:-1], strict=True))
        yield "  ".join((first.ljust(widths[0]), *cells, last))
    for stage, course in ordered:
        yield from (f"{stage}: {note}" for note in _notes(course))
    if not courses.only:
        yield from _requests_line(courses)
    if courses.left_out:
        yield f"note: {courses.left_out:,} lines were left out, which are torn or not of lchunk"


def _row(stage: str, course: Course, steps: list[str]) -> tuple[str, ...]:
    whole = course.worked or 1.0
    parts = [(course.seconds.get(step, 0.0), course.seconds.get(step, 0.0) / whole) for step in steps]
    return (
        stage, f"{course.chunks:,}", _short(course.voxels / 1e6), _short(course.worked),
        _short(course.worked / course.chunks), _short(course.speed) if course.speed else "-",
        *(f"{_short(seconds)} {share:4.0%}" for seconds, share in parts),
        amount(course.whole_peak) if course.whole_peak else "-", f"{len(course.processes):,}",
        ", ".join(f"{device} {count / course.chunks:.0%}" for device, count in sorted(course.devices.items()))
        if len(course.devices) > 1 else next(iter(course.devices)),
    )  # fmt: skip


def _short(number: float) -> str:
    """Three digits, or all of a larger number.

    >>> _short(0.01234), _short(12345.6)
    ('0.0123', '12,346')
    """
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _notes(course: Course) -> Iterator[str]:
    again = course.repeats
    if again.number:
        about = "" if again.exact else "about "
        yield f"{about}{again.number:,} of the chunks are ones that were made before, and made again"
    if course.skipped:
        yield f"{course.skipped:,} chunks were not computed, because a mask is empty there"
    if course.requests.last:
        yield requests_text(course.requests.total())


def _requests_line(courses: Courses) -> Iterator[str]:
    if courses.requests.number:
        yield f"requests: {requests_text(courses.requests)}"
