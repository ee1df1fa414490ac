"""Logs of chunkflow, alone and beside those of lchunk: the sums are those that are made by hand."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import pytest

from lchunk.chunk_logs import all_entries
from lchunk.summary.chunkflow_logs import STAGE, chunkflow_entries
from lchunk.summary.courses import Courses, courses_in
from lchunk.volumes.store import FileStore
from tests.test_chunk_logs import line

BOX = "16384-16492_86294-88342_121142-123190"
OPERATORS = ("cutout", "normalize-section-contrast", "sem-inference", "save-sem", "mask-image", "aff-inference",
             "mask-aff", "save-aff")  # fmt: skip
FIRST = (69.0, 21.25, 535.25, 8.0, 4.75, 273.0, 13.75, 71.75)
SECOND = (77.0, 2.25, 537.25, 9.0, 5.25, 271.5, 3.75, 89.0)


def write(folder: Path, name: str, content: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def write_two(folder: Path) -> None:
    """Logs of two tasks, as chunkflow's tests have them."""
    for number, seconds in enumerate((FIRST, SECOND)):
        timer = dict(zip(OPERATORS, seconds, strict=True))
        content = {"timer": timer, "bbox": BOX, "compute_device": "TITAN X (Pascal)"}
        write(folder, f"0-3_{BOX[:-1]}{number}.json", content)


def test_the_numbers_are_those_of_log_summary(tmp_path: Path) -> None:
    write_two(tmp_path / "log")
    course = Courses(chunkflow_entries(FileStore(tmp_path / "log"), "", (156, 1280, 1280))).stages[STAGE]
    device = course.devices["TITAN X (Pascal)"]
    assert device.whole.mean == (sum(FIRST) + sum(SECOND)) / 2
    for place, operator in enumerate(OPERATORS):
        pair = FIRST[place], SECOND[place]
        own = device.steps[operator]
        assert (own.mean, own.least, own.most, own.total) == (sum(pair) / 2, min(pair), max(pair), sum(pair))
    assert course.speed == pytest.approx(2 * 156 * 1280 * 1280 / (sum(FIRST) + sum(SECOND)) / 1e6)
    assert course.time == sum(FIRST) + sum(SECOND)
    by_box = Courses(chunkflow_entries(FileStore(tmp_path / "log"), "", None)).stages[STAGE]
    assert by_box.voxels == 2 * 108 * 2048 * 2048


def test_mixed_logs_are_added_up_and_broken_ones_are_counted(tmp_path: Path) -> None:
    own, other = FileStore(tmp_path / "out"), tmp_path / "log"
    for seconds in (1.0, 2.0, 4.0, 9.0):
        own.append("logs/affinities/2026-01-31-a-1.jsonl", line(seconds, device="cpu", bbox=f"{seconds}"))
    own.append("logs/affinities/2026-01-31-a-1.jsonl", line(1.0)[:-9] + b"\n")  # torn
    own.put("logs/affinities/2026-01-31-b-1.jsonl", b"\n")
    own.put("logs/failures/affinities/whole.json", b"{}")  # no log
    write_two(other)
    write(other, "0-4_0-4_0-4.json", {"timer": {"mask": 0.5}})  # under an empty mask
    for name, content in (
        ("empty.json", ""), ("torn.json", '{"timer": {"cut'), ("list.json", []), ("no-timer.json", {"bbox": BOX}),
        ("no-box.json", {"timer": {"a": 1.0}}), ("text.json", {"timer": {"a": "long"}, "bbox": BOX}),
        ("none.json", {"timer": {}, "bbox": BOX}), ("nan.json", '{"timer": {"a": NaN}, "bbox": "0-4_0-4_0-4"}'),
    ):  # fmt: skip
        write(other, name, content)
    write(other, "notes.txt", "not a log")
    entries = chain(all_entries(own), chunkflow_entries(FileStore(other), "", None))
    courses = courses_in(entries, " in both")
    assert courses.left_out == 1 + 8
    assert sorted(courses.stages) == ["Inference", STAGE]
    seconds = courses.stages["Inference"].devices["cpu"].whole.content()
    assert seconds == pytest.approx(
        {"count": 4, "mean": 4.0, "median": 3.0, "p95": 8.25, "min": 1.0, "max": 9.0, "sum": 16.0}
    )
    course = courses.stages[STAGE]
    assert (course.chunks, course.skipped) == (3, 1)
    assert {name: own.whole.count for name, own in course.devices.items()} == {"TITAN X (Pascal)": 2, "unknown": 1}
    assert course.worked == sum(FIRST) + sum(SECOND) + 0.5


def test_a_folder_with_broken_logs_alone_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "log", "a.json", "")
    with pytest.raises(FileNotFoundError, match="got none, and 1 lines that are torn or not of lchunk"):
        courses_in(chunkflow_entries(FileStore(tmp_path / "log"), "", None), " in log")
