"""Kill the processes of a whole job on a queue, and check that it ends with the same bytes and no lost message.

`python -m tests.faults.killing KILLS SEED [FOLDER]` makes a small dataset, and lets one process compute it alone. Then
two workers and a sender compute it through a queue in a folder. In a random order, they are killed and restarted,
messages are sent twice, poison is sent, and workers with a broken cfg join. If the job is complete before all kills are
done, it starts again in another root. Each root must have the files of the undisturbed one, byte for byte, and the dead
letters must be exactly the poison.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lchunk.workers.folder_queue import FolderQueue
from lchunk.workers.messages import MessageError, TaskMessage
from tests.cli.commands import lchunk
from tests.faults.fleet import BROKEN, JOB, Fleet, wait_for
from tests.faults.whole_job import Triple, poisoned, whole_files, write_cfg, write_inputs

DUPLICATES = 20
UNREADABLE = ("{malformed", "\udcff\udcfe{")
"""The second message is not valid UTF-8."""


@dataclass
class Figures:
    """What happened in all jobs.

    Attributes:
        killed: number of kills, by what was hit.
        jobs: number of jobs that were started.
        files: number of files in each root.
        letters: how often each message was given up.
        doubled: number of messages that were sent twice.
        ended_themselves: number of workers that ended because the fault might be their own.
    """

    killed: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    files: int = 0
    letters: Counter[str] = field(default_factory=Counter)
    doubled: int = 0
    ended_themselves: int = 0


def poison(shape: Triple, root: Path) -> set[str]:
    """Messages that no worker can do, for the same root as all messages."""

    def message(module: str, family: str, region: str) -> str:
        return TaskMessage(module, family, {"root": str(root), "region": region}).body

    return {
        *UNREADABLE,
        message("lchunk.tasks", "NoSuchStage", "0-1_0-1_0-1"),
        message("tests.workers.stages", "Noted", "-10--9_200-216_300-316"),  # not whole chunks
        message("tests.workers.stages", "Noted", poisoned(shape)),  # fails each time
    }


def kill_over_jobs(folder: Path, shape: Triple, kills: int, chance: random.Random) -> Figures:
    """Run jobs until `kills` kills have hit a working process. Each job is checked by assertions."""
    write_inputs(folder, shape)
    write_cfg(folder, shape, folder / "alone", folder / "alone/out")
    said = lchunk(folder / "alone", "run", *JOB, "--local-scheduler")
    assert said.code == 0, said.err
    expected = whole_files(folder / "alone/out")
    figures = Figures(files=len(expected))
    while figures.killed.total() < kills:
        job = Job(folder, folder / f"job {figures.jobs}", shape, chance)
        figures.jobs += 1
        job.work_off(kills - figures.killed.total())
        figures.killed += job.fleet.killed
        figures.doubled += DUPLICATES
        figures.ended_themselves += job.fleet.ended_themselves
        letters = Counter(letter.body for letter in job.queue.dead())
        figures.letters += letters
        assert set(letters) == job.poison, set(letters) ^ job.poison
        assert not (job.place / "elsewhere").exists()
        made = whole_files(job.place / "out")
        differing = {name for name in {*made, *expected} if made.get(name) != expected.get(name)}
        assert not differing, (job.place, sorted(differing))
    return figures


@dataclass
class Job:
    """One job in a new root.

    Args:
        folder: folder of the inputs.
        place: folder in which its processes run.
        shape: shape of the volume.
        chance: decides what happens, and in which order.
    """

    folder: Path
    place: Path
    shape: Triple
    chance: random.Random
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.poison = poison(self.shape, self.place / "out")
        write_cfg(self.folder, self.shape, self.place, self.place / "out")
        for kind, (root, threshold) in BROKEN.items():
            write_cfg(self.folder, self.shape, self.place / kind, self.place / root, threshold)
        self.queue = FolderQueue(self.place / "queue")
        self.queue.create(60)
        self.fleet = Fleet(self.place, self.queue.address, self.chance)

    def work_off(self, kills: int) -> None:
        """Disturb the job until it is complete or `kills` kills are done; then let it end."""
        steps: list[Callable[[], None]] = [
            *[self.fleet.kill_one] * kills,
            *[self.send_twice] * DUPLICATES,
            *(partial(self.fleet.add_broken, kind) for kind in [*BROKEN, *BROKEN]),
            *(partial(self.queue.send, [body]) for body in sorted(self.poison)),
        ]
        self.chance.shuffle(steps)
        try:
            self.fleet.start()
            for step in steps:
                self.fleet.mend()
                step()
            wait_for(self.is_over, "the end of the job")
            self.fleet.end()
        finally:
            self.fleet.kill_all()

    def is_over(self) -> bool:
        self.fleet.mend()
        return self.fleet.is_done and not self.queue.counts().open

    def send_twice(self) -> None:
        """Send a message again that is in the queue, or was in it at an earlier look."""
        wait_for(self.look, "a message")
        self.queue.send([self.chance.choice(sorted(self.seen))])

    def look(self) -> bool:
        """Record the messages that are in the queue now. Return whether any message was ever seen."""
        for path in self.queue.messages.glob("*.json"):
            try:
                self.seen.add(TaskMessage.parse(path.read_text()).uncounted.body)
            except (FileNotFoundError, MessageError, UnicodeDecodeError):
                continue  # a worker has taken it, or it is poison
        self.seen -= self.poison
        return bool(self.seen)


def main() -> None:
    kills, seed = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="lchunk-killing-") as temporary:
        folder = Path(sys.argv[3] if len(sys.argv) > 3 else temporary)
        folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        figures = kill_over_jobs(folder, (40, 44, 44), kills, random.Random(seed))
    minutes = (time.monotonic() - began) / 60
    lines = [
        f"{figures.killed.total()} kills in {figures.jobs} jobs of {figures.files} files, {minutes:.1f} minutes",
        *(f"{count:>5}  {what}" for what, count in figures.killed.most_common()),
        f"{figures.doubled} messages were sent twice, {figures.ended_themselves} workers ended themselves",
        *(f"{count:>5}  given up: {body!r}" for body, count in figures.letters.items()),
    ]
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
