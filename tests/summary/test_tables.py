"""What `lchunk summary` prints: tables, what binds, notes."""

from __future__ import annotations

import json
from pathlib import Path

from lchunk.chunk_logs import LogName
from lchunk.summary.chunkflow_logs import chunkflow_entries
from lchunk.summary.courses import Courses
from lchunk.summary.tables import summary_lines
from lchunk.volumes.store import FileStore
from tests.test_chunk_logs import line

NAME = LogName("a", "", "host-1")


def words_of(lines: list[str]) -> list[str]:
    return [" ".join(text.split()) for text in lines]


def test_a_stage_has_a_row_for_each_device_and_one_for_where_the_work_went() -> None:
    steps = {"read": 2.0, "compute": 4.0, "write": 2.0}
    parts = {"read": {"bucket": 1.0, "decode": 0.5}, "write": {"encode": 1.5, "bucket": 0.5}}
    more = {"parts": parts, "bytes": {"read": 4_000_000, "written": 2_000_000}, "wait": 1.0, "device": "cuda:0"}
    entries = [json.loads(line(0, seconds=steps, bbox=f"{number}", **more)) for number in range(3)]
    entries += [json.loads(line(0, seconds={**steps, "compute": 14.0}, bbox="3", wait=3.0, device="cpu"))]
    entries += [json.loads(line(2.0, stage="Mesh", skipped="…", device="cpu")) for _ in range(2)]
    lines = list(summary_lines(Courses([*((NAME, entry) for entry in entries), (NAME, None)])))
    assert words_of(lines) == [
        "stage device chunks hours mean s median p95 min max Mvoxel Mvoxel/s",
        "Inference cpu 1 0.005 18 18 18 18 18 2 0.111",
        "Inference cuda:0 3 0.00667 8 8 8 8 8 6 0.25",
        "Mesh cpu 2 0.00111 2 2 2 2 2 4 1",
        "hours in all: 0.0128 of work, in 0.01 hours of processes",
        "",
        "stage read decode compute encode write wait bytes read written memory of a chunk projected processes",
        "Inference 15% 4% 62% 11% 8% 19% 12 MB 6 MB - - - 1",
        "Mesh 0% 0% 100% 0% 0% - - - - - - 1",
        "",
        "Inference: the net binds, on cpu, cuda:0: 81% of the time of its processes",
        "Inference: the ideal machine has, for each process, 0.462 MB/s to read, 0.231 MB/s to write, "
        "0.23 cores for compression; computing could be 3.2 times as fast before reading or writing binds",
        "Mesh: computing binds, on cpu: 100% of the time of its processes",
        "Mesh: 1 of the chunks are ones that were made before, and made again",
        "Mesh: 2 chunks were not computed, because a mask is empty there",
        "note: 1 lines were left out, which are torn or not of lchunk",
    ]


def test_chunkflow_has_a_row_for_each_operator(tmp_path: Path) -> None:
    timer = {"cutout": 10.0, "aff-inference": 60.0, "save-aff": 30.0}
    for number in (1, 3):
        content = {"timer": {name: number * seconds for name, seconds in timer.items()}, "compute_device": "TITAN X"}
        (tmp_path / f"0-10_0-100_{1000 * number}-{1000 * number + 1000}.json").write_text(json.dumps(content))
    lines = words_of(list(summary_lines(Courses(chunkflow_entries(FileStore(tmp_path), "", None)))))
    assert lines[1:5] == [
        "chunkflow TITAN X 2 0.111 200 200 290 100 300 2 0.005",
        "cutout TITAN X 2 0.0111 20 20 29 10 30 2 0.05",
        "aff-inference TITAN X 2 0.0667 120 120 174 60 180 2 0.00833",
        "save-aff TITAN X 2 0.0333 60 60 87 30 90 2 0.0167",
    ]
    assert lines[8] == "chunkflow 10% 0% 60% 0% 30% - - - - - - 1"
    assert lines[10:] == [
        "chunkflow: computing binds, on TITAN X: 60% of the time of its processes, most of it in aff-inference"
    ]
