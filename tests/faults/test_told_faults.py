"""200 regions, workers with every kind of fault, and poison: `lchunk status` names each, and the webhook hears once."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
from pathlib import Path

import numpy as np
import psutil

from lchunk.workers.folder_queue import FolderQueue
from tests.cli.commands import REPOSITORY, lchunk
from tests.conftest import write_hdf5
from tests.notices.receiver import Receiver, receiving
from tests.pipelines.test_sick_machines import FULL, STAGE, wait_for
from tests.servers import start_lchunk

REGIONS = 200
POISON = "40-44_0-4_0-4"
MALFORMED = "\x1b[31mno message"
HOARD, MOST_MEMORY = 6 << 30, 4 << 30
CFG = """
[Dataset]
root = {folder}/out
image = {folder}/a.h5:/raw
chunk_shape = 4,4,4
inner_chunk = 4,4,4
[Scratch]
seconds = 0.1
poison = {poison}
[Hooks]
webhook = ${{WEBHOOK}}
[core]
autoload_range = false
"""


class Fleet:
    """Workers of a queue with 200 regions, one of them poisonous, and a keeper that sends messages about the run."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.folder, self.queue, self.webhook = folder, f"{folder}/queue", receiver.url
        write_hdf5(folder / "a.h5", "raw", np.zeros((4 * REGIONS, 4, 4), np.uint8), (4, 4, 4), (0, 0, 0))
        (folder / "luigi.cfg").write_text(CFG.format(folder=folder, poison=POISON))
        assert lchunk(folder, "queue", "create", self.queue, WEBHOOK=self.webhook).code == 0

    def start(self, name: str, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        usual = {key: value for key, value in os.environ.items() if key != "LUIGI_CONFIG_PATH"}
        own = {"PYTHONPATH": str(REPOSITORY), "WEBHOOK": self.webhook, "SCRATCH": f"{self.folder}/file"}
        return start_lchunk(self.folder, f"{name}.log", words, usual | own | variables)

    def keeper(self) -> subprocess.Popen[bytes]:
        return self.start("keeper", "enqueue", *STAGE, "--queue", self.queue, "--until-done", "--every", "0.3")

    def worker(self, name: str, **variables: str) -> subprocess.Popen[bytes]:
        """A worker with a lease of three seconds."""
        words = ("--queue", self.queue, "--module", "tests.workers.stages", "--back-off", "0.1", "--visibility", "3")
        return self.start(name, "work", *words, **variables)

    def status(self, *options: str) -> str:
        said = lchunk(self.folder, "status", *options, WEBHOOK=self.webhook)
        assert said.code == 0
        return said.out

    def held_by(self, worker: subprocess.Popen[bytes]) -> str:
        """The region that a worker works on; empty if it has none."""
        for path in (self.folder / "out/logs/held").glob(f"*-{worker.pid}.json"):
            return str(json.loads(path.read_text())["region"])
        return ""


def kill_at_work(fleet: Fleet, worker: subprocess.Popen[bytes]) -> str:
    """Kill a worker while it makes a region that it has just taken. Returns the region."""
    before = fleet.held_by(worker)
    wait_for(lambda: fleet.held_by(worker) not in ("", before))
    psutil.Process(worker.pid).suspend()
    region = fleet.held_by(worker)
    worker.kill()
    worker.wait()
    return region


def test_status_alone_names_each_fault_and_the_webhook_hears_each_event_once(tmp_path: Path) -> None:
    with receiving() as receiver:
        fleet = Fleet(tmp_path, receiver)
        FolderQueue(Path(fleet.queue)).send([MALFORMED])
        keeper = fleet.keeper()
        full = fleet.worker("full", SCRATCH=FULL)
        starved = fleet.worker("starved", HOARD=str(HOARD))
        resource.prlimit(starved.pid, resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        for name, error in (("full", "No space left on device"), ("starved", "MemoryError")):
            wait_for(lambda name=name, error=error: error in (tmp_path / f"{name}.log").read_text())
        well = fleet.worker("well")
        assert (full.wait(timeout=60), starved.wait(timeout=60)) == (35, 35)
        region = kill_at_work(fleet, well)
        lost = rf"worker \S+-{well.pid} was last heard at \S+ \S+ UTC, with Scratch {region}: it was killed, or its "
        later = "machine is gone; another worker gets it when the lease has ended, at "
        assert re.search(lost + later, fleet.status())

        last = [fleet.worker(name) for name in ("third", "fourth")]
        assert keeper.wait(timeout=120) == 30  # the poisonous region is given up
        for worker in last:
            worker.terminate()
            assert worker.wait(timeout=60) in (0, 30)
        status = fleet.status()
    for process, fault in ((full, "disk full"), (starved, "out of memory")):
        assert re.search(rf"worker \S+-{process.pid} ended itself, .*of this machine \({fault}\)", status), fault
    assert re.search(lost + "machine is gone; another worker has made it since", status), status
    assert re.findall("failed: Scratch (\\S+),", status) == [POISON]
    assert f"message Scratch {POISON} was given up, see lchunk queue dead {fleet.queue}: ArithmeticError" in status
    assert r"message \x1b[31mno message was given up, see lchunk queue dead" in status
    assert "\x1b" not in status
    told = json.loads(fleet.status("--json"))["workers"]
    assert len(told) >= 5
    assert set(told) <= set(status.splitlines())
    assert not list((tmp_path / "out/logs/held").glob(f"*-{last[0].pid}.json"))
    assert receiver.events == ["start", "failure", "dead_letters", "end"]
    assert (receiver.of("end")["chunks_made"], receiver.of("end")["regions_failed"]) == (REGIONS - 1, 1)
