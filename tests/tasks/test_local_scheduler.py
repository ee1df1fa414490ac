"""The scheduler of one command hands out what Luigi's own would, and tells the same about what is left."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from luigi.scheduler import DONE, FAILED, Scheduler

from lchunk.tasks import local_scheduler
from lchunk.tasks.local_scheduler import LocalScheduler

WORKER = "one"


def filled(scheduler: Scheduler) -> Scheduler:
    """Tasks of several priorities, each of which needs some of those before it."""
    rng = random.Random(0)
    for number in range(60):
        needed = [f"t{other}" for other in range(number) if rng.random() < 0.05]
        scheduler.add_task(worker=WORKER, task_id=f"t{number}", deps=needed, priority=number % 3, family="T", params={})
    return scheduler


def replies(scheduler: Scheduler) -> list[tuple[str | None, dict[str, Any] | None]]:
    """The tasks in the order in which they are handed out, every seventh of which fails; and the last reply."""
    said: list[tuple[str | None, dict[str, Any] | None]] = []
    while True:
        reply = scheduler.get_work(worker=WORKER, host="here")
        task = reply["task_id"]
        said.append((task, None if task else reply))
        if task is None:
            return said
        scheduler.add_task(worker=WORKER, task_id=task, status=FAILED if int(task[1:]) % 7 == 3 else DONE)


def test_it_hands_out_the_same_tasks_as_luigis() -> None:
    theirs = replies(filled(Scheduler(prune_on_get_work=True, record_task_history=False)))
    ours = replies(filled(LocalScheduler()))
    assert ours == theirs
    last = ours[-1][1]
    assert last is not None
    assert last["n_pending_tasks"] > 5, "tasks that wait for those that failed"


def test_a_failed_task_is_tried_again_when_its_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_scheduler, "PRUNE_SECONDS", 0.0)
    scheduler = LocalScheduler()
    scheduler._config.retry_delay = 0
    scheduler.add_task(worker=WORKER, task_id="t", family="T", params={})
    for _ in range(2):
        assert scheduler.get_work(worker=WORKER)["task_id"] == "t"
        scheduler.add_task(worker=WORKER, task_id="t", status=FAILED)


def test_luigis_own_command_uses_it(tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text(
        "import luigi, lchunk.tasks\n"
        "class Shown(luigi.Task):\n"
        "    def run(self):\n"
        "        import gc\n"
        "        from luigi.scheduler import Scheduler\n"
        "        print(*{type(one).__name__ for one in gc.get_objects() if isinstance(one, Scheduler)})\n"
    )
    words = [sys.executable, "-m", "luigi", "--module", "shown", "Shown", "--local-scheduler", "--no-lock"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["LocalScheduler"], ended.stderr
