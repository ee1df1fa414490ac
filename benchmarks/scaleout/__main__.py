"""Run it: scripts/bench scaleout [--rounds 3].

It measures a worker's CPU time per task, without the start: the slope between few tasks and many. The tasks do nothing
(lchunk's write a small file each, which shows that they are complete), or write a small file with both programs, or
downsample 64x128x128 voxels of real EM once, each program in its usual encoding. Then it counts how often two workers
do a task that takes three leases.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from tests.servers import sqs_server

PEER = Path(__file__).parent
SAMPLE = PEER.parent.parent / "sample/fib25.h5"
FEW = 16
CFG = """
[Dataset]
root = {folder}/out
image = {folder}/a.h5:/raw
chunk_shape = {chunk}
inner_chunk = {inner}
max_blocks = 100000
[Downsample]
factor = 1,2,2
mips = 1
[core]
autoload_range = false
"""
MODULES = ["benchmarks.grid.stages", "benchmarks.scaleout.stages"]


@dataclass
class Place:
    """The place of a measurement: a new folder, a queue of each program, and the variables for them."""

    folder: Path
    kind: str
    number: int
    environment: dict[str, str]

    @property
    def ours(self) -> str:
        return f"{self.folder}/queue" if self.kind == "folder" else f"ours-{self.number}"

    @property
    def theirs(self) -> str:
        return f"fq://{self.folder}/theirs" if self.kind == "folder" else f"sqs://theirs-{self.number}"

    def start(self, words: list[str]) -> subprocess.Popen[bytes]:
        environment = os.environ | self.environment | {
            "PYTHONPATH": str(Path.cwd()), "LUIGI_CONFIG_PATH": f"{self.folder}/bench.cfg", "HOME": str(self.folder),
        }  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(words, env=environment, cwd=self.folder, stdout=log, stderr=log)

    def cpu(self, words: list[str]) -> float:
        """CPU seconds of a command."""
        process = self.start(words)
        _, status, usage = os.wait4(process.pid, 0)
        if os.waitstatus_to_exitcode(status):
            raise RuntimeError(f"{words} failed:\n{(self.folder / 'log').read_text()[-3000:]}")
        return usage.ru_utime + usage.ru_stime

    def lchunk(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "lchunk.cli", *words]

    def peer(self, *words: str) -> list[str]:
        return [str(PEER / ".venv/bin/python"), str(PEER / "peer.py"), *words]

    def make_queues(self) -> None:
        self.cpu(self.lchunk("queue", "create", self.ours))
        if self.kind == "sqs":
            self.cpu(self.lchunk("queue", "create", f"theirs-{self.number}"))

    def work(self, count: int, *words: str) -> list[str]:
        modules = [word for module in MODULES for word in ("--module", module)]
        return self.lchunk("work", "--queue", self.ours, *modules, "--max-tasks", str(count), *words)


def configure(place: Place, voxels: int, chunk: str, inner: str) -> None:
    """An image with this number of voxels along x, which repeats the sample."""
    with h5py.File(SAMPLE) as file:
        sample = file["volumes/raw"][:64, :128, :128]
    image = np.tile(sample, (1, 1, voxels // 128)) if chunk != "1,1,1" else np.zeros((1, 1, voxels), np.uint8)
    with h5py.File(place.folder / "a.h5", "w") as file:
        file.create_dataset("raw", data=image).attrs["resolution"] = (40.0, 4.0, 4.0)
    (place.folder / "bench.cfg").write_text(CFG.format(folder=place.folder, chunk=chunk, inner=inner))


def nothing(place: Place, count: int, theirs: str = "nothing") -> tuple[float, float]:
    configure(place, count, "1,1,1", "1,1,1")
    place.make_queues()
    place.cpu(place.lchunk("enqueue", "--module", MODULES[0], "Marks", "--queue", place.ours))
    place.cpu(place.peer("send", theirs, place.theirs, str(count), str(place.folder)))
    return place.cpu(place.work(count)), place.cpu(place.peer("work", place.theirs, "600", str(count)))


def small_file(place: Place, count: int) -> tuple[float, float]:
    return nothing(place, count, "small_file")


def downsample(place: Place, count: int) -> tuple[float, float]:
    configure(place, 128 * count, "64,128,128", "64,64,64")
    place.make_queues()
    place.cpu(place.lchunk("run", "Ingest", "--local-scheduler", "--no-lock"))
    place.cpu(place.lchunk("enqueue", "Downsample", "--of", "image", "--queue", place.ours))
    place.cpu(place.peer("send", "downsample", place.theirs, str(count), str(place.folder)))
    return place.cpu(place.work(count)), place.cpu(place.peer("work", place.theirs, "600", str(count)))


def executions(place: Place) -> tuple[int, int]:
    """How often a task of three leases is done by two workers."""
    configure(place, 1, "1,1,1", "1,1,1")
    with (place.folder / "bench.cfg").open("a") as cfg:
        cfg.write(f"[Slow]\nnotes = {place.folder}/notes\n")
    place.make_queues()
    place.cpu(place.lchunk("enqueue", "--module", MODULES[1], "Slow", "--queue", place.ours))
    place.cpu(place.peer("send", "slow", place.theirs, "1", str(place.folder)))
    counts = []
    for words in (place.work(0, "--visibility", "2", "--exit-when-empty"), place.peer("work", place.theirs, "2", "1")):
        workers = [place.start(words) for _ in range(2)]
        for worker in workers:
            try:
                worker.wait(timeout=40)
            except subprocess.TimeoutExpired:  # it waits for a task that was done by the other
                worker.kill()
                worker.wait()
        notes = place.folder / "notes"
        counts.append(len(notes.read_text().splitlines()))
        notes.unlink()
    return counts[0], counts[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds, number = parser.parse_args().rounds, 0
    held = True
    with ExitStack() as stack:
        variables = {"folder": {}, "sqs": stack.enter_context(sqs_server("strict"))}

        def at(kind: str, measure: Callable[[Place], object]) -> object:
            nonlocal number
            number += 1
            folder = Path(tempfile.mkdtemp(prefix="lchunk-scaleout-"))
            try:
                return measure(Place(folder, kind, number, variables[kind]))
            finally:
                shutil.rmtree(folder, ignore_errors=True)

        print(f"{'':24} {'lchunk':>10} {'igneous':>10} {'ratio':>7}   CPU ms per task, without the start", flush=True)
        for kind in variables:
            for task, many in ((nothing, 1024), (small_file, 1024), (downsample, 128)):
                pairs = []
                for _ in range(rounds):
                    short = at(kind, lambda place, task=task: task(place, FEW))
                    long = at(kind, lambda place, task=task, many=many: task(place, many))
                    pairs.append([(b - a) / (many - FEW) * 1000 for a, b in zip(short, long, strict=True)])
                ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
                ratio = statistics.median(mine / other for mine, other in pairs)
                held &= ratio <= 1
                print(
                    f"{task.__name__.replace('_', ' ') + ', ' + kind:24} {ours:10.2f} {theirs:10.2f} {ratio:7.2f}",
                    flush=True,
                )
        for kind in variables:
            print(f"a task of three leases, two workers, {kind}: done {at(kind, executions)} times (lchunk, igneous)")
    print(f"{'holds' if held else 'FAILS'}: at most igneous' CPU time per task")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
