"""Two workers and a sender on a queue in a folder, which are killed and restarted; and workers with a broken cfg."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import start_lchunk

REPOSITORY = Path(__file__).parent.parent.parent
JOB = ("--module", "tests.faults.whole_job", "WholeJob")
ALLOWED = ("--module", "tests.workers.stages")
WORK = ("--visibility", "2", "--back-off", "0.1")
WORKERS = ("worker 1", "worker 2")
SENDER = "sender"
VICTIMS = (*WORKERS, *WORKERS, SENDER)
NO_MODULE = "no module"
BROKEN = {"wrong root": ("elsewhere", 0.7), "wrong threshold": ("out", 0.3), NO_MODULE: ("out", 0.7)}
"""Root and threshold of the cfg of each kind of broken worker. The last kind cannot import the tests' stages."""
LONGEST_LAG = 1.0
"""Most seconds that a process runs after it was chosen and has begun to work."""
PATIENCE = 300.0
"""Seconds to wait for an expected event before the test fails."""
FAILED, ENDED_ITSELF = 30, 35
BEGUN = re.compile(r"took \w|sent \d+ regions|waiting until the queue")


@dataclass
class Process:
    """A worker or a sender, and its log."""

    words: tuple[str, ...]
    log: Path
    running: subprocess.Popen[bytes]

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def code(self) -> int | None:
        return self.running.poll()

    @property
    def has_begun(self) -> bool:
        """Whether the worker has taken its first message, or the sender has looked at the job."""
        return BEGUN.search(self.said) is not None

    @property
    def held(self) -> str:
        """What the worker was making, according to the last line of its log."""
        found = re.search(r" took (\w+) .*$", self.said.rstrip())
        return found[1] if found else "between two tasks"

    def kill(self) -> bool:
        """Kill the process. Return whether it was still running."""
        self.running.kill()
        return self.running.wait() == -signal.SIGKILL


@dataclass
class Fleet:
    """The processes of one job.

    Args:
        folder: where they run; it contains a folder with a cfg for each kind of broken worker.
        queue: address of the queue.
        chance: decides which process is killed, and when.
        killed: number of kills, by what was hit.
        ended_themselves: number of workers that ended because the fault might be their own.
    """

    folder: Path
    queue: str
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    ended_themselves: int = 0
    processes: dict[str, Process] = field(default_factory=dict)
    started: int = 0

    def start(self) -> None:
        for name in WORKERS:
            self._start(name, ("work", "--queue", self.queue, *WORK, *ALLOWED))
        self._start(SENDER, ("enqueue", *JOB, "--queue", self.queue, "--until-done", "--every", "0.2"))

    def _start(self, name: str, words: tuple[str, ...], place: str = "") -> None:
        self.started += 1
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        environment.pop("LUIGI_CONFIG_PATH", None)
        folder, log = self.folder / place, f"{self.started:03}-{name.replace(' ', '-')}.log"
        self.processes[name] = Process(words, folder / log, start_lchunk(folder, log, words, environment))

    @property
    def is_done(self) -> bool:
        """Whether the sender has reported that the job is complete."""
        sender = self.processes[SENDER]
        assert sender.code in (None, 0), sender.said[-3000:]
        return sender.code == 0

    def mend(self) -> None:
        """Restart workers that ended themselves, as a service manager would."""
        for name in WORKERS:
            worker = self.processes[name]
            if worker.code is not None:
                assert worker.code == ENDED_ITSELF, worker.said[-3000:]
                self.ended_themselves += 1
                self._start(name, worker.words)

    def kill_one(self) -> None:
        """Kill one of the three processes some time after it began to work, and start a new one instead."""
        name = self.chance.choice(VICTIMS)
        victim, lag = self.processes[name], self.chance.uniform(0, LONGEST_LAG)
        wait_for(lambda: victim.has_begun or victim.code is not None or self.is_done, victim.log.name)
        time.sleep(lag)
        if not self.is_done and victim.kill():
            self.killed[SENDER if name == SENDER else victim.held] += 1
            self._start(name, victim.words)

    def add_broken(self, kind: str) -> None:
        """Start a broken worker, which replaces the last broken one."""
        if "broken" in self.processes:
            self.processes["broken"].kill()
        allowed = () if kind == NO_MODULE else ALLOWED
        self._start("broken", ("work", "--queue", self.queue, *WORK, *allowed), kind)

    def end(self) -> None:
        """Stop the workers, which could do every message except poison."""
        for name in WORKERS:
            self.processes[name].running.terminate()
        for name in WORKERS:
            assert self.processes[name].running.wait(timeout=60) in (0, FAILED), self.processes[name].said[-3000:]

    def kill_all(self) -> None:
        for process in self.processes.values():
            process.kill()


def wait_for(reached: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < until, f"{what} did not come in {PATIENCE:g} s"
        time.sleep(0.01)
