"""What the web page of a real scheduler shows of a run in which a chunk of the image is torn, by its interface."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.conftest import write_identity_job
from tests.pipelines.test_central_scheduler import call, start, tasks, wait_for
from tests.servers import free_port, luigid, start_lchunk

SCHEDULER = "[core]\nautoload_range = false\n[scheduler]\nretry_count = 1\n"
VIEWER = "http://127.0.0.1:8080"
TORN = "-10-6_200-216_300-316"
"""The chunk of the image whose file is torn; all eight chunks of the net that touch it fail."""


class Page:
    """A scheduler's page beside a dataset whose file of one chunk is torn."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        write_identity_job(folder, (32, 48, 48), (-10, 200, 300), f"default_scheduler_port = {self.port}\n")
        cfg = folder / "luigi.cfg"
        cfg.write_text(cfg.read_text().replace("[Dataset]", f"[Dataset]\nviewer = {VIEWER}/"))
        (folder / "scheduler.cfg").write_text(SCHEDULER)
        assert self.run("Ingest", "--local-scheduler") == 0

    def scheduler(self) -> Any:
        return luigid(self.port, "--state-path", str(self.folder / "state"), cfg=self.folder / "scheduler.cfg")

    def run(self, *words: str) -> int:
        return start(self.folder, "run.log", *words).wait(timeout=300)

    def tear(self) -> None:
        (self.folder / "out/image/0/c/0/0/0").write_bytes(b"torn")

    def mend(self) -> None:
        (self.folder / "out/image/0/c/0/0/0").unlink()
        assert self.run("Ingest", "--local-scheduler") == 0

    def rows(self, family: str) -> list[dict[str, Any]]:
        return [row for row in tasks(self.port).values() if row["name"] == family]

    def states(self, family: str) -> set[str]:
        return {row["status"] for row in self.rows(family)}

    def error_at(self, region: str) -> str:
        (number,) = (
            number for number, row in tasks(self.port).items()
            if row["name"] == "Inference" and row["params"].get("region") == region
        )  # fmt: skip
        return str(json.loads(call(self.port, "fetch_error", task_id=number)["error"]))


def test_rows_are_short_and_the_reason_is_on_top_and_stays_until_it_is_mended(tmp_path: Path) -> None:
    page = Page(tmp_path)
    with page.scheduler() as first:
        page.tear()
        assert page.run("Inference", "--central", "--Inference-batch", "2") == 30
        shown = {json.dumps(row["params"]) for row in page.rows("Inference")}
        assert json.dumps({"root": f"{tmp_path}/out", "batch": "2"}) in shown
        assert json.dumps({"region": TORN, "batch": "2"}) in shown
        assert len(shown) == 1 + 2 * 3 * 3
        failed = [row for row in page.rows("Inference") if row["status"] == "DISABLED"]
        assert len(failed) == 8
        assert all(row["tracking_url"].startswith(f"{VIEWER}/?at=") for row in failed)
        told = page.error_at(TORN)
        assert "must be a whole chunk file" in told.partition("\n\n")[0].replace("\n", " ")
        again = f"run it again:\nlchunk run Inference --region={TORN} --Inference-batch=2\n"
        place = f"look at its place:\n{VIEWER}/?at=0.25,0.166667,0.166667\n"
        assert told.index(again) < told.index(place) < told.index("Traceback (most recent call last)")
        first.send_signal(signal.SIGTERM)
        assert first.wait(timeout=60) == 0
    with page.scheduler():
        assert page.error_at(TORN) == told
        page.mend()
        # the scheduler gave the tasks up for a day: a run that is started anew gets them all the same
        assert page.run("Inference", "--central", "--Inference-batch", "2") == 0
        assert page.states("Inference") == {"DONE"}


def test_what_was_mended_elsewhere_is_no_failure_for_the_next_run(tmp_path: Path) -> None:
    page = Page(tmp_path)
    with page.scheduler():
        page.tear()
        assert page.run("Inference", "--central") == 30
        page.mend()
        assert page.run("Inference", "--local-scheduler") == 0
        assert "DISABLED" in page.states("Inference")
        assert page.run("LocalFragments", "--central") == 0
        assert "DISABLED" not in page.states("Inference")


def test_a_worker_of_a_queue_gets_a_task_that_the_scheduler_gave_up(tmp_path: Path) -> None:
    page = Page(tmp_path)
    with page.scheduler():
        page.tear()
        assert page.run("Inference", "--central") == 30
        page.mend()

        def lchunk(*words: str) -> int:
            return start_lchunk(tmp_path, "queue.log", words, os.environ).wait(timeout=300)

        assert lchunk("queue", "create", "queue/") == 0
        assert lchunk("enqueue", "Inference", "--queue", "queue/") == 0
        address = f"127.0.0.1:{page.port}"
        assert lchunk("work", "--queue", "queue/", "--scheduler", address, "--max-tasks", "8") == 0
        wait_for(lambda: sum(row["status"] == "DONE" for row in page.rows("Inference")) == 2 * 3 * 3)
        assert lchunk("run", "Inference") == 0
        assert "nothing to do" in (tmp_path / "queue.log").read_text()
