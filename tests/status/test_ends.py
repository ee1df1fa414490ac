"""Why workers ended, as `lchunk status` says it."""

from __future__ import annotations

import time
from pathlib import Path

from lchunk.chunk_logs import all_entries
from lchunk.status.ends import MOST, SHOWN_SECONDS, WorkerEnd, end_lines, keep_end
from lchunk.summary.courses import Courses
from lchunk.volumes.store import FileStore


def test_ends_of_the_last_day_by_reason_and_sick_machines(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    assert list(end_lines(store)) == []
    for number, why in enumerate(["SIGTERM", "spot notice", "SIGTERM"]):
        keep_end(store, f"host-{number}", WorkerEnd(why))
    keep_end(store, "host-8", WorkerEnd("Ctrl-C", ended=time.time() - SHOWN_SECONDS - 10))
    keep_end(store, "host-9", WorkerEnd("disk full", "host a, 1 GB of memory free", 0.0))
    day = time.time() - 100
    keep_end(store, "host-9", WorkerEnd("disk full", "host a, 1 GB of memory free", day))
    (log,) = (tmp_path / "logs/workers").glob("*-host-9.jsonl")
    with log.open("a") as file:
        file.write('{"requests": {}}\n{"worker": {"unknown": 1}}\n{"worker"')
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(day))
    assert list(end_lines(store)) == [
        "workers that were ended in the last day: 2 by SIGTERM, 1 by spot notice",
        f"worker host-9 ended itself, {when} UTC: disk full; host a, 1 GB of memory free",
    ]


def test_many_sick_machines_are_a_short_list(tmp_path: Path) -> None:
    for number in range(MOST + 2):
        keep_end(FileStore(tmp_path), f"host-{number}", WorkerEnd("disk full", "host a"))
    lines = list(end_lines(FileStore(tmp_path)))
    assert len(lines) == MOST + 1
    assert lines[-1] == f"and 2 more workers ended themselves: see {tmp_path}/logs/workers"


def test_ends_are_no_torn_lines_of_a_summary(tmp_path: Path) -> None:
    keep_end(FileStore(tmp_path), "host-1", WorkerEnd("SIGTERM"))
    courses = Courses(all_entries(FileStore(tmp_path)))
    assert (courses.left_out, courses.stages) == (0, {})
