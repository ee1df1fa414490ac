"""The summary of a stage's logs: speed, memory compared with the projection, and the trend of a process."""

import json
from pathlib import Path

from lchunk.chunk_logs import course_lines, log_lines
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
