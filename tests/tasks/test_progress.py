"""Progress: not too often, and safe to show."""

import luigi
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.tasks import progress
from lchunk.tasks.progress import Reporter


class LongForTest(luigi.Task):
    """A task whose scheduler keeps the messages that it gets."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list:
    clock = iter(range(0, 1000, 1))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock) / 4)
    return []


def reporter(told: list) -> Reporter:
    task = LongForTest()
    task.set_status_message = told.append
    task.set_progress_percentage = told.append
    return Reporter(task)


def test_the_scheduler_hears_at_most_once_a_second_and_always_the_end(told: list) -> None:
    one = reporter(told)
    for done in range(1, 11):
        one.tell(done, 10, "patches")
    messages = [line for line in told if isinstance(line, str)]
    assert len(messages) < 5
    assert messages[-1] == "10/10 patches"
    assert told[-1] == 100
    assert "left" in messages[0]


def test_messages_are_escaped_as_html(told: list) -> None:
    reporter(told).tell(1, 1, "<b>chunks</b>")
    assert told[0] == "1/1 &lt;b&gt;chunks&lt;/b&gt;"


def test_a_task_outside_a_worker_reports_to_nobody() -> None:
    Reporter(LongForTest()).tell(1, 2, "chunks")


def test_a_block_reports_its_chunks_its_speed_and_the_time_left(told: list) -> None:
    one = reporter(told)
    one.task.bbox = Bbox((0, 0, 0), (4, 1000, 1000))
    one.chunk(2, 4)  # two existed before, and do not count for the speed of this run
    for done in range(1, 9):
        one.tell(done, 8, "patches")
    one.chunk(4, 4)
    messages = [line for line in told if isinstance(line, str)]
    # one second, three eighths of a chunk of a million voxels; 1.625 of them are left
    assert messages[0] == "2/4 chunks, 3/8 patches, 0.375 Mvoxel/s, 4 s left"
    assert messages[-1].startswith("4/4 chunks, ")
    assert told[-1] == 100


def test_shards_of_labels_have_no_speed_in_voxels(told: list) -> None:
    one = reporter(told)
    one.task.bbox = Bbox((0, 0, 0), (1, 1, 4))
    one.chunk(0, 4)
    one.chunk(4, 4)
    assert [line for line in told if isinstance(line, str)][-1] == "4/4 chunks"
