"""What a worker notes about its messages in the logs of the dataset."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from lchunk.status.given_up import given_up_lines
from lchunk.volumes.store import FileStore
from lchunk.workers import notes as notes_module
from lchunk.workers.notes import Notes
from lchunk.workers.stopping import Stopping
from lchunk.workers.terms import Terms
from lchunk.workers.worker import Worker
from tests.workers.scripted import ScriptedQueue
from tests.workers.stages_that_fail import Failing
from tests.workers.test_whose_fault import FIRST, REGIONS, body

pytestmark = pytest.mark.usefixtures("configured")
DAY = 24 * 3600.0


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out/failing").mkdir(parents=True)
    return tmp_path / "out"


def notes_of(out: Path) -> Notes:
    return Notes(str(out), "queue", 600)


def held(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((out / "logs/held").glob("*.json"))]


def test_a_worker_has_one_note_which_it_renews_and_removes(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    notes = notes_of(out)
    for seconds, region in ((0.0, FIRST), (DAY, REGIONS[1])):  # the name of a file has the day
        monkeypatch.setattr(notes_module.time, "time", lambda seconds=seconds: now + seconds)
        notes.took(Failing(region=region))
        (note,) = held(out)
        assert (note["stage"], note["layer"], note["region"]) == ("Failing", "failing", region)
        assert (note["heard"], note["until"]) == (now + seconds, now + seconds + 600)
    monkeypatch.setattr(notes_module.time, "time", lambda: now + 2 * DAY)
    notes.renewed()
    (note,) = held(out)
    assert (note["region"], note["until"]) == (REGIONS[1], now + 2 * DAY + 600)
    notes.free()
    notes.renewed()
    assert held(out) == []


def test_the_folder_of_a_wrong_cfg_is_not_created_and_lines_wait_for_the_right_one(tmp_path: Path) -> None:
    notes = notes_of(tmp_path / "out")
    notes.took(Failing(region=FIRST))
    notes.gave_up("no message", "why\n", dead=True)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out/failing").mkdir(parents=True)
    notes.took(Failing(region=FIRST))
    (line,) = given_up_lines(FileStore(tmp_path / "out"))
    assert line == "message no message was given up, see lchunk queue dead queue: why"
    assert len(held(tmp_path / "out")) == 1


def test_what_a_worker_returns_again_and_again_is_one_line(out: Path) -> None:
    notes = notes_of(out)
    for _ in range(3):
        notes.gave_up(body(), "Traceback\nImportError: no torch\n", dead=False)
    notes.gave_up(body(), "another reason", dead=False)
    (log,) = (out / "logs/workers").iterdir()
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    assert [message["reason"] for message in messages] == ["ImportError: no torch", "another reason"]
    assert {message["message"] for message in messages} == {f"Failing {FIRST}"}


def test_a_worker_notes_what_it_holds_while_it_works_and_what_it_buries(out: Path, configured: Any) -> None:
    configured("Failing", how=f"{FIRST}:bug")
    seen: list[list[dict[str, Any]]] = []

    class Looking(ScriptedQueue):
        def receive(self, visibility: float, wait: float) -> Any:
            seen.append(held(out))
            return super().receive(visibility, wait)

        def bury(self, message: Any, error: str) -> None:
            seen.append(held(out))
            super().bury(message, error)

    queue = Looking(body(failures=3))
    terms = Terms(wait=0.0, exit_when_empty=True, back_off=0.001, modules=("tests.workers",))
    Worker(queue, terms, Stopping(1), notes=notes_of(out)).work()
    before, burying, *after = seen
    assert (before, [note["region"] for note in burying]) == ([], [FIRST])
    assert after[-1] == []
    (line,) = given_up_lines(FileStore(out))
    assert line == f"message Failing {FIRST} was given up, see lchunk queue dead queue: ZeroDivisionError: a bug"


def test_a_full_disk_hinders_no_work(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("keep_held", "keep_given_up"):
        monkeypatch.setattr(notes_module, name, full)
    notes = notes_of(out)
    notes.took(Failing(region=FIRST))
    notes.gave_up("no message", "why", dead=True)
    notes.free()


def test_in_a_bucket_only_a_message_that_takes_long_is_noted(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileStore, "path", lambda store, key: None)
    notes = notes_of(out)
    notes.took(Failing(region=FIRST))
    assert held(out) == []
    notes.renewed()
    assert [note["region"] for note in held(out)] == [FIRST]
    notes.took(Failing(region=REGIONS[1]))  # the file must not tell of the message before
    assert [note["region"] for note in held(out)] == [REGIONS[1]]
    notes.free()
    assert held(out) == []
