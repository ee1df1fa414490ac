"""The summary of logs: chunks, speed, the time of each step, memory, requests, and chunks that were made again."""

import json
from pathlib import Path
from typing import Any

import pytest

from lchunk.chunk_logs import LogName, keep_requests
from lchunk.summary import repeats
from lchunk.summary.course import Course
from lchunk.summary.courses import Courses, course_lines, summed
from lchunk.summary.repeats import Repeats
from lchunk.summary.tables import summary_lines
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.requests_made import RequestCounter, Requests
from lchunk.volumes.store import FileStore
from tests.cli.commands import lchunk
from tests.conftest import write_identity_job
from tests.test_chunk_logs import line
from tests.volumes.test_bucket_store import MemoryBucket

GB = 10**9


def made(process: str, stage: int, whole: int) -> dict[str, object]:
    """The requests in a line of a chunk: that many reads of the stage, and of all."""
    numbers = {"writes": 1, "received": 0, "sent": 0}
    return {"process": process, "stage": {**numbers, "reads": stage}, "all": {**numbers, "reads": whole}}


def test_a_stage_s_course_is_one_line(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for resident in (1, 2, 3):
        memory = {"before": GB, "resident": resident * GB, "peak": 4 * GB, "projected": 5 * GB, "process": 7}
        store.append("logs/affinities/a-1.jsonl", line(1.0, memory=memory))
    store.append("logs/affinities/a-1.jsonl", line(1.0, memory={"resident": 9 * GB, "process": 8}))
    store.append("logs/affinities/b-2.jsonl", line(2.0))
    assert list(course_lines(store)) == [
        "Inference: 5 chunks in 6.0 s of work, 1.67 Mvoxel/s, memory 3 GB at its peak of 5 GB projected, "
        "a process from 1 GB to 3 GB"
    ]


def test_the_last_line_of_each_process_has_its_requests(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for reads in (5, 7, 9):
        store.append("logs/affinities/a-1.jsonl", line(1.0, requests=made("aa", reads, 10 * reads)))
    store.append("logs/affinities/b-2.jsonl", line(1.0, requests=made("bb", 1, 1)))
    store.append("logs/meshes/a-1.jsonl", line(1.0, stage="Mesh", requests=made("aa", 3, 100)))
    of_stage, mesh, whole = course_lines(store)
    assert of_stage.startswith("Inference: 4 chunks")
    assert of_stage.endswith(", 2 PUT and LIST, 10 GET and HEAD, 0 MB received, 0 MB sent")
    assert mesh.endswith(", 1 PUT and LIST, 3 GET and HEAD, 0 MB received, 0 MB sent")
    assert whole == "requests: 2 PUT and LIST, 101 GET and HEAD, 0 MB received, 0 MB sent"
    assert list(summary_lines(summed(store)))[-1] == whole
    assert not any(text.startswith("requests") for text in summary_lines(summed(store, "Mesh")))


def test_a_command_has_counted_the_processes_that_it_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, own = FileStore(tmp_path), RequestCounter()
    monkeypatch.setattr("lchunk.chunk_logs.counter", own)
    own.add(Requests(reads=20))
    keep_requests(str(tmp_path), "a-1")
    for process in (f"{own.process}.11111111", "cc.11111111"):  # the command that forked the other one was killed
        store.append(f"logs/affinities/{process}.jsonl", line(1.0, requests=made(process, 3, 4)))
    assert list(course_lines(store))[-1] == "requests: 1 PUT and LIST, 24 GET and HEAD, 0 MB received, 0 MB sent"


def test_all_lines_are_added_up_by_stage(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for number in range(1000):  # many more than the end of a log holds
        steps = {"read": 0.25, "compute": 0.5, "write": 0.25}
        memory = {"before": GB, "peak": 3 * GB, "resident": 2 * GB, "projected": 4 * GB}
        more = {"memory": memory, "device": "cuda:0" if number % 4 else "cpu", "seconds": steps}
        store.append("logs/affinities/2026-01-31-a-1.jsonl", line(0, bbox=f"{number}", **more))
    store.append("logs/affinities/2026-02-01-a-1.jsonl", line(8.0, bbox="0", skipped="the mask is empty"))
    store.append("logs/mesh/2026-02-01-b-1.jsonl", line(2.0, stage="Mesh"))
    content = summed(store).stages["Inference"].content()
    assert content.pop("mvoxels_per_second") == pytest.approx(2002 / 1008)
    assert content.pop("requests") == {"writes": 0, "reads": 0, "received": 0, "sent": 0}
    devices = content.pop("devices")
    assert {name: own["chunks"] for name, own in devices.items()} == {"cpu": 250, "cuda:0": 750, "unknown": 1}
    assert devices["unknown"]["seconds"] == {
        "count": 1, "mean": 8, "median": 8, "p95": 8, "min": 8, "max": 8, "sum": 8
    }  # fmt: skip
    assert devices["cpu"]["steps"]["compute"]["mean"] == 0.5
    assert content == {
        "chunks": 1001, "made_again": 1, "made_again_is_exact": True, "skipped": 1, "voxels": 2_002_000_000,
        "seconds": {"read": 250, "compute": 508, "write": 250}, "seconds_per_chunk": 1008 / 1001,
        "process_hours": 1008 / 3600, "bytes_read": 0, "bytes_written": 0,
        "peak_bytes": 3 * GB, "peak_bytes_of_chunks": 2 * GB, "projected_bytes": 4 * GB, "processes": 1,
    }  # fmt: skip
    assert list(summed(store, "Mesh").stages) == ["Mesh"]
    assert summed(store, since="2026-02-01").stages["Inference"].chunks == 1


@pytest.mark.parametrize(
    "strange",
    [
        None, {}, {"voxels": "many", "seconds": {}}, {"voxels": 1, "seconds": {"read": "long"}},
        {"voxels": 1, "seconds": {"read": 1.0}, "memory": {"peak": "high"}}, {"requests": 7},
        {"stage": "Inference", "voxels": 1, "seconds": {"read": 1.0}, "memory": {"peak": "high"}},
        {"voxels": 1, "seconds": {"read": 1.0}, "bytes": {"read": "many"}},
        {"voxels": 1, "seconds": {"read": 1.0}, "wait": 1.0, "parts": {"read": {"disk": 1.0, "decode": "x"}}},
        {"voxels": 1, "seconds": {"read": 1.0}, "requests": {"process": "a", "all": {}}}, {"requests": {"all": {}}},
    ],
)  # fmt: skip
def test_a_strange_line_is_left_out_and_counted(strange: dict[str, Any] | None) -> None:
    name = LogName("a", "", "host-1")
    courses = Courses([(name, strange), (name, json.loads(line(1.0)))])
    assert courses.left_out == 1
    assert {stage: course.chunks for stage, course in courses.stages.items()} == {"Inference": 1}
    assert (courses.stages["Inference"].parts, courses.stages["Inference"].time) == ({}, 1)


def test_a_wait_that_is_no_number_counts_as_not_said() -> None:
    name = LogName("a", "", "host-1")
    course = Courses([(name, json.loads(line(2.0, wait=wait))) for wait in ("long", 1.5)]).stages["Inference"]
    assert (course.time, course.wait) == (2.0 + 3.5, None)


def test_of_many_boxes_those_that_were_made_again_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "EXACT", 1 << 10)
    monkeypatch.setattr(repeats, "hash", lambda text: int(text) * 0x9E3779B97F4A7C15, raising=False)  # spreads evenly
    counted = Repeats()
    for number in [*range(1000), *range(0, 1000, 10)]:
        counted.add(str(number))
    assert (counted.number, counted.exact) == (100, True)
    for number in [*range(1000, 20_000), *range(1000, 11_000)]:
        counted.add(str(number))
    assert not counted.exact
    assert len(counted.kept) <= 1 << 10
    assert counted.number == pytest.approx(10_100, rel=0.1)


def test_equal_boxes_of_two_levels_are_not_the_same_chunk() -> None:
    entry = json.loads(line(1.0))
    names = [LogName(folder, "", "host-1") for folder in ("agglomeration/0", "agglomeration/1")]
    assert Courses([(name, entry) for name in names]).stages["Inference"].repeats.number == 0


def test_objects_in_a_bucket_are_read_like_files() -> None:
    store = BucketStore(MemoryBucket(), "")
    for number in range(10):
        store.append(f"logs/affinities/2026-01-31-host-{number}.jsonl", line(1.0))
    store.flush()
    course = summed(store).stages["Inference"]
    assert (course.chunks, len(course.processes)) == (10, 10)


def test_the_summary_of_a_real_job(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (20, 20, 20), (0, 0, 0))
    said = lchunk(tmp_path, "summary", "out")
    assert said.code == 1
    assert said.last == (
        "lchunk: Error: there must be logs of chunks in out, got none; name another folder, or run a stage first"
    )
    assert lchunk(tmp_path, "run", "Segmentation", "--workers", "2").code == 0
    content = json.loads(lchunk(tmp_path, "summary", "--json").out)
    assert content["lines_left_out"] == 0
    stages = content["stages"]
    assert set(stages) >= {"Ingest", "Inference", "LocalFragments", "RegionGraph", "Agglomeration", "Segmentation"}
    assert {(stages[name]["chunks"], stages[name]["voxels"]) for name in ("Ingest", "Segmentation")} == {(8, 8000)}
    assert stages["Agglomeration"]["chunks"] == 15  # 8 boxes, 4, 2, 1
    assert all((each["processes"], each["made_again"]) == (1, 0) for each in stages.values())
    for stage in stages.values():
        assert sum(stage["work"].values()) == pytest.approx(sum(stage["seconds"].values()), rel=1e-3)
        assert stage["process_hours"] * 3600 == pytest.approx(stage["wait_seconds"] + stage["seconds"]["compute"])
        assert stage["binding"]["share"] > 0.1
    written = sum(path.stat().st_size for path in (tmp_path / "out/image/0/c").rglob("*") if path.is_file())
    assert stages["Ingest"]["bytes_written"] == written
    assert stages["Inference"]["work"]["decode"] > 0
    assert stages["Ingest"]["work"]["encode"] > 0
    folders = {path.name for path in (tmp_path / "out/logs").iterdir()}
    assert folders == {
        "image", "affinities", "local_fragments", "region_graph", "agglomeration", "segmentation"
    }  # fmt: skip
    table = lchunk(tmp_path, "summary", "--stage", "Agglomeration").out.splitlines()
    assert [text.split()[0] for text in table if text][:4] == ["stage", "Agglomeration", "hours", "stage"]
    assert not [text for text in table if "Inference" in text]
    assert "--stage must be a stage that has logs in" in lchunk(tmp_path, "summary", "--stage", "Meesh").last
    assert lchunk(tmp_path, "summary", "--since", "yesterday").code == 2
    assert "logs of chunks since 2999-01-01 in" in lchunk(tmp_path, "summary", "--since", "2999-01-01").last


def test_a_chunk_that_was_removed_is_made_again(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (20, 20, 20), (0, 0, 0))
    assert lchunk(tmp_path, "run", "Ingest").code == 0
    chunk = next(path for path in (tmp_path / "out/image/0/c").rglob("*") if path.is_file())
    chunk.unlink()
    assert lchunk(tmp_path, "run", "Ingest").code == 0
    said = lchunk(tmp_path, "summary").out.splitlines()
    assert said[1].split()[:3] == ["Ingest", "cpu", "9"]
    assert "Ingest: 1 of the chunks are ones that were made before, and made again" in said


def test_an_estimate_counts_the_start_of_a_process_once() -> None:
    course = Course()
    for process, seconds in (("a", (5.0, 1.0, 1.0)), ("b", (7.0, 1.0))):
        for each in seconds:
            course.add({"voxels": 100, "seconds": {"compute": each}, "wait": 0.0}, LogName("x", "", process))
    assert course.seconds_for(1000) == pytest.approx(10 * 1.0 + (4 + 6) / 2)
    first = Course()
    first.add({"voxels": 100, "seconds": {"compute": 5.0}, "wait": 0.0}, LogName("x", "", "a"))
    assert first.seconds_for(200) == pytest.approx(10.0)  # nothing tells a start from the rest
