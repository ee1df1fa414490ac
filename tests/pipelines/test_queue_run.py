"""Many workers on one queue, over real connections: killed, stopped, broken, with duplicate and malformed messages.

The dataset is on a disk, or in the same cloud as the queue.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lchunk.workers.address import open_queue
from lchunk.workers.queue import Queue
from tests.conftest import build, files_of, write_hdf5
from tests.faults.bucket_killing import objects_of, set_options
from tests.servers import set_variables, sqs_server, start_lchunk
from tests.volumes.conftest import make_bucket
from tests.workers.stages import Noted

REPOSITORY = Path(__file__).parent.parent.parent
SHAPE = (8 * 4, 5 * 4, 5 * 4)
VISIBILITY = 2
STAGES = "tests.workers.stages"
CFG = """
[Dataset]
root = {root}
image = {folder}/a.h5:/raw
chunk_shape = 4,4,4
inner_chunk = 4,4,4
[Noted]
runs = {folder}/runs
slow = {slow}
poison = {poison}
[core]
autoload_range = false
"""


def region(number: int) -> str:
    z, y, x = np.unravel_index(number, (8, 5, 5))
    return f"{4 * z}-{4 * z + 4}_{4 * y}-{4 * y + 4}_{4 * x}-{4 * x + 4}"


POISON = [region(7), region(150)]
LONG = [region(number) for number in range(11, 200, 9)]
SLOWEST = region(100)
"""Takes five leases."""


@pytest.fixture(params=["strict with S3", "clock", "folder"])
def places(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str]]:
    """The address of a queue, and the root of the dataset."""
    kind, _, in_bucket = request.param.partition(" with ")
    if kind == "folder":
        yield f"{tmp_path}/queue", f"{tmp_path}/out"
        return
    with sqs_server(kind) as variables:
        set_variables(monkeypatch, variables)
        if in_bucket:
            make_bucket(variables["AWS_ENDPOINT_URL"])
            set_options("Store", s3_endpoint=variables["AWS_ENDPOINT_URL"])
        yield "regions", "s3://lchunk/regions" if in_bucket else f"{tmp_path}/out"


def made(root: str) -> dict[str, bytes]:
    """The files of the stage in a root."""
    files = objects_of(root) if root.startswith("s3://") else files_of(Path(root))
    return {name: body for name, body in files.items() if name.startswith("noted/")}


class Line:
    """The lchunk command in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        self.environment.pop("LUIGI_CONFIG_PATH", None)

    def start(self, log: str, *words: str) -> subprocess.Popen[bytes]:
        (self.folder / log).unlink(missing_ok=True)
        return start_lchunk(self.folder, log, words, self.environment)

    def run(self, *words: str) -> tuple[int, str]:
        code = self.start("line.log", *words).wait(timeout=120)
        return code, (self.folder / "line.log").read_text()


def prepare(folder: Path, root: str, configure: Callable[..., None]) -> Line:
    """A dataset of 200 chunks."""
    write_hdf5(folder / "a.h5", "raw", np.zeros(SHAPE, np.uint8), (4, 4, 4), (0, 0, 0))
    slow = ",".join([*(f"{long}:0.8" for long in LONG), f"{SLOWEST}:{5 * VISIBILITY}"])
    (folder / "luigi.cfg").write_text(CFG.format(folder=folder, root=root, slow=slow, poison=",".join(POISON)))
    configure("Dataset", root=folder / "direct", image=f"{folder}/a.h5:/raw", chunk_shape="4,4,4", inner_chunk="4,4,4")
    configure("Noted", runs=folder / "direct-runs")
    return Line(folder)


def notes(folder: Path) -> list[tuple[str, str, int]]:
    path = folder / "runs"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(what, where, int(process)) for what, where, process in lines]


def in_a_long_task(folder: Path, worker: subprocess.Popen[bytes]) -> bool:
    own = [(what, where) for what, where, process in notes(folder) if process == worker.pid]
    return bool(own) and own[-1][0] == "start" and own[-1][1] in LONG


def signal_in_a_long_task(folder: Path, signals: dict[subprocess.Popen[bytes], signal.Signals]) -> None:
    """Send each worker its signal in the middle of a long task."""
    until = time.monotonic() + 60
    left = dict(signals)
    while left:
        if time.monotonic() > until:
            pytest.fail("no long task came to the worker")
        for worker in [worker for worker in left if in_a_long_task(folder, worker)]:
            worker.send_signal(left.pop(worker))
        time.sleep(0.05)


def twice(queue: Queue, count: int) -> set[str]:
    """Send some of the messages once more. Returns their regions."""
    held = []
    while len(held) < count:
        message = queue.receive(60, 1)
        assert message is not None
        held.append(message)
    for message in held:
        queue.renew(message, 0)
    regions = {json.loads(message.body)["params"]["region"]: message.body for message in held}
    again = {where: body for where, body in regions.items() if where not in [*POISON, SLOWEST]}
    queue.send(list(again.values()))
    return set(again)


def test_nothing_is_lost_and_nothing_made_in_vain(
    places: tuple[str, str], tmp_path: Path, configure: Callable[..., None]
) -> None:
    address, root = places
    line = prepare(tmp_path, root, configure)
    stage = ["--module", STAGES, "Noted"]
    assert line.run("enqueue", *stage, "--queue", address)[0] == 1  # there is no queue
    assert line.run("queue", "create", address)[0] == 0
    code, said = line.run("enqueue", *stage, "--queue", address)
    assert (code, "sent 200 messages" in said) == (0, True), said
    assert line.run("enqueue", *stage, "--queue", address)[0] == 10
    queue = open_queue(address)
    doubled = twice(queue, 20)
    queue.send(["{malformed"])

    work = ["work", "--queue", address, "--module", STAGES, "--visibility", str(VISIBILITY), "--back-off", "0.5"]
    # a worker that may not import the stage returns all messages, and ends
    assert line.start("broken.log", "work", "--queue", address, "--back-off", "0.5").wait(timeout=60) == 35
    assert "allow it with --module" in (tmp_path / "broken.log").read_text()
    killed = line.start("killed.log", *work)
    told = line.start("told.log", *work, "--grace", "0.1")
    steady = line.start("steady.log", *work, "--exit-when-empty")
    signal_in_a_long_task(tmp_path, {killed: signal.SIGKILL, told: signal.SIGTERM})
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert told.wait(timeout=60) in (0, 30)  # 30 where it met poison
    assert steady.wait(timeout=240) == 30
    logs = {name: (tmp_path / f"{name}.log").read_text() for name in ("killed", "told", "steady")}
    assert "returned: " in logs["told"], logs["told"]

    delivered = Counter(where for log in logs.values() for where in re.findall(r"took Noted (\S+) in", log))
    started = Counter(where for what, where, _ in notes(tmp_path) if what == "start")
    assert all(started[where] <= delivered[where] for where in started), (started, delivered)
    assert started[SLOWEST] == 1
    assert [started[where] for where in POISON] == [4, 4]
    # two workers may have the two messages of one region at one time
    unhurt = set(started) - {*POISON, *LONG} - doubled
    assert {started[where] for where in unhurt} == {1}

    assert queue.counts().open == 0
    code, said = line.run("queue", "dead", address)
    assert code == 0
    assert said.endswith("3 dead letters\n")
    assert {where for where in POISON if f"ArithmeticError: {where} is poison" in said} == set(POISON)
    assert "Traceback (most recent call last)" in said
    assert "a message must be JSON" in said

    assert build(Noted())
    expected = made(f"{tmp_path}/direct")
    assert len(set(expected) - set(made(root))) == len(POISON)
    (tmp_path / "luigi.cfg").write_text(CFG.format(folder=tmp_path, root=root, slow="", poison=""))
    assert "sent 3 dead letters again" in line.run("queue", "redrive", address)[1]
    assert line.run(*work, "--exit-when-empty")[0] == 30  # the malformed one stays so
    assert made(root) == expected
    code, said = line.run("enqueue", *stage, "--queue", address)
    assert (code, said.splitlines()[-1]) == (0, "nothing to send: all of it is complete")


def test_a_task_that_cannot_be_interrupted_is_given_back_and_the_process_ends(
    tmp_path: Path, configure: Callable[..., None]
) -> None:
    line = prepare(tmp_path, f"{tmp_path}/out", configure)
    slow = f"{SLOWEST}:600"
    cfg = CFG.format(folder=tmp_path, root=f"{tmp_path}/out", slow=slow, poison="").replace(
        "[core]", "stubborn = true\n[core]"
    )
    (tmp_path / "luigi.cfg").write_text(cfg)
    address = f"{tmp_path}/queue"
    line.run("queue", "create", address)
    code, said = line.run("enqueue", "--module", STAGES, "Noted", "--region", SLOWEST, "--queue", address)
    assert code == 0, said
    worker = line.start("told.log", "work", "--queue", address, "--module", STAGES, "--grace", "0.2")
    until = time.monotonic() + 60
    while not notes(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 143
    assert "cannot be interrupted" in (tmp_path / "told.log").read_text()
    assert open_queue(address).counts().visible == 1
