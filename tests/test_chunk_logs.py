"""The summary of a stage's logs: speed, memory compared with the projection, and the trend of a process."""

import json
from pathlib import Path

import pytest

from lchunk.chunk_logs import course_lines, keep_requests, log_lines, requests_entry
from lchunk.volumes.requests_made import RequestCounter, Requests
from lchunk.volumes.store import FileStore

GB = 10**9


def line(seconds: float, **more: object) -> bytes:
    entry = {"stage": "Inference", "bbox": "0-1_0-1_0-1", "voxels": 2_000_000, "seconds": {"compute": seconds}}
    return json.dumps(entry | more).encode() + b"\n"


def test_a_stage_s_course_is_one_line(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for resident in (1, 2, 3):
        memory = {"before": GB, "resident": resident * GB, "peak": 4 * GB, "projected": 5 * GB}
        store.append("logs/affinities/a-1.jsonl", line(1.0, memory=memory))
    store.append("logs/affinities/b-2.jsonl", line(3.0))
    assert list(course_lines(store)) == [
        "Inference: 4 chunks in 6.0 s of work, 1.33 Mvoxel/s, memory 3 GB at its peak of 5 GB projected, "
        "a process from 1 GB to 3 GB"
    ]


def test_torn_and_foreign_lines_are_left_out(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for body in (line(1.0), b"[]\n", b'{"voxels": 0, "seconds": {}}\n', b"\xff\n", line(1.0)[:-20]):
        store.append("logs/a/a-1.jsonl", body)
    store.put("logs/failures/a/whole.json", b"{}")
    assert len(list(log_lines(store))) == 1


def test_of_a_long_log_the_end_is_read(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for number in range(1000):
        store.append("logs/a/a-1.jsonl", line(float(number)))
    seconds = [entry["seconds"]["compute"] for _, entry in log_lines(store, "a")]
    assert 100 < len(seconds) < 1000
    assert seconds == list(map(float, range(1000 - len(seconds), 1000)))


def made(process: str, stage: int, whole: int) -> dict[str, object]:
    """The requests in a line of a chunk: that many reads of the stage, and of all."""
    numbers = {"writes": 1, "received": 0, "sent": 0}
    return {"process": process, "stage": {**numbers, "reads": stage}, "all": {**numbers, "reads": whole}}


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


def test_a_command_has_counted_the_processes_that_it_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, own = FileStore(tmp_path), RequestCounter()
    monkeypatch.setattr("lchunk.chunk_logs.counter", own)
    keep_requests(str(tmp_path), "a-1")
    assert list(course_lines(store)) == []  # a command that used no bucket leaves no line
    own.add(Requests(reads=20))
    keep_requests(str(tmp_path), "a-1")
    for process in (f"{own.process}.11111111", "cc.11111111"):  # the command that forked the other one was killed
        store.append(f"logs/affinities/{process}.jsonl", line(1.0, requests=made(process, 3, 4)))
    assert list(course_lines(store))[-1] == "requests: 1 PUT and LIST, 24 GET and HEAD, 0 MB received, 0 MB sent"


def test_a_line_holds_what_its_process_made(monkeypatch: pytest.MonkeyPatch) -> None:
    own = RequestCounter()
    monkeypatch.setattr("lchunk.chunk_logs.counter", own)
    own.add(Requests(reads=1))
    with own.stage("Mesh"):
        own.add(Requests(writes=2))
    entry = requests_entry("Mesh")
    assert entry["process"] == own.process
    assert Requests(**entry["stage"]) == Requests(writes=2)
    assert Requests(**entry["all"]) == Requests(2, 1)
