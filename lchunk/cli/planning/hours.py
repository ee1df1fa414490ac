"""The hours that stages take, from what the user says, from the logs of a run, or from the net as it runs here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lchunk.chunk_logs import last_entries
from lchunk.cli.planning.forecast import Patches, Row
from lchunk.cli.planning.sampling import Sample
from lchunk.operators.footprint import busiest
from lchunk.summary.course import Course
from lchunk.summary.courses import Courses
from lchunk.volumes.store import Store

NET = "Inference"


@dataclass(frozen=True)
class Speed:
    """How fast a user says that the net is; None: not said.

    Args:
        mvoxels_per_second: 10^6 voxels of the volume per second of a process.
        seconds_per_patch: seconds of a process.
    """

    mvoxels_per_second: float | None = None
    seconds_per_patch: float | None = None


@dataclass(frozen=True)
class Hours:
    """The hours of a stage.

    Args:
        stage: its name.
        work: hours of all processes together.
        hours: until the last process is done.
        source: where the speed comes from.
    """

    stage: str
    work: float
    hours: float
    source: str


def courses_in(store: Store) -> dict[str, Course]:
    """How the stages of a dataset ran, from the ends of its logs; empty if it has none."""
    try:
        return Courses(last_entries(store)).stages
    except FileNotFoundError:
        return {}


def hours_of(
    rows: Iterable[Row], patches: Patches, speed: Speed, sample: Sample | None, courses: Mapping[str, Course],
    *, machines: int,
) -> list[Hours]:  # fmt: skip
    """The hours of each stage whose speed is known."""
    found = []
    for row in rows:
        seconds, source = _net(patches, speed, sample) if row.stage == NET else (None, "")
        course = courses.get(row.stage)
        given = row.stage == NET and (speed.mvoxels_per_second or speed.seconds_per_patch)
        if course is not None and course.time and not given:
            seconds = course.seconds_for(row.volume)
            source = f"the logs of {course.chunks:,} chunks"
        if seconds is not None:
            largest = seconds / row.tasks
            if row.stage == NET and row.tasks == row.chunks:
                largest = seconds * math.prod(patches.of_chunk) / patches.computed
            found.append(Hours(row.stage, seconds / 3600, busiest(seconds, largest, machines) / 3600, source))
    return found


def _net(patches: Patches, speed: Speed, sample: Sample | None) -> tuple[float | None, str]:
    """Seconds of the net for the volume, and where they come from."""
    if speed.mvoxels_per_second:
        return patches.bounds.size / 1e6 / speed.mvoxels_per_second, f"{speed.mvoxels_per_second:g} Mvoxel/s, as given"
    if speed.seconds_per_patch:
        return patches.computed * speed.seconds_per_patch, f"{speed.seconds_per_patch:g} s per patch, as given"
    if sample is None or sample.seconds_per_patch is None:
        return None, ""
    taken = sample.seconds_per_patch
    on = f"{sample.patches:,} patches" if sample.patches > 1 else "a patch of noise"
    return patches.computed * taken, f"{taken:.3g} s per patch, measured here on {on} ({sample.device})"
