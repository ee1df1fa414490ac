"""Run it: scripts/bench grid [--sides 10 22 47 100] [--folder /dev/shm].

For each grid: send it, make half of it, kill the worker with -9, make the rest, and run it again when it is complete,
with and without what is known about its rows; and write the same files without lchunk.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from lchunk.volumes.store import PARTIAL

CFG = """
[Dataset]
root = {folder}/out
image = {folder}/a.h5:/raw
chunk_shape = 1,1,1
inner_chunk = 1,1,1
[core]
autoload_range = false
"""
STAGE = ["--module", "benchmarks.grid.stages", "Marks"]
VISIBILITY = 5
SETTLED = 2.1
"""Seconds after which the time of a folder says whether it has changed."""
MOST_MILLISECONDS, MOST_MIB, MOST_RERUN, MOST_KNOWN = 0.12, 200, 10, 2


@dataclass(frozen=True)
class Run:
    """CPU seconds and peak MiB of a process."""

    cpu: float
    memory: float


@dataclass(frozen=True)
class Row:
    """A grid's runs."""

    chunks: int
    messages: int
    runs: dict[str, Run]

    @property
    def milliseconds(self) -> float:
        """CPU time per chunk, without that of writing the files."""
        ours = self.runs["enqueue"].cpu + self.runs["killed"].cpu + self.runs["work"].cpu
        return (ours - self.runs["bare"].cpu) / self.chunks * 1000

    @property
    def memory(self) -> float:
        return max(run.memory for name, run in self.runs.items() if name != "bare")


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"LUIGI_CONFIG_PATH": str(folder / "grid.cfg"), "PYTHONPATH": str(Path.cwd())}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", *words], cwd=folder, env=environment, stdout=log, stderr=log)


def end(process: subprocess.Popen[bytes]) -> Run:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def done(folder: Path, *words: str) -> Run:
    process = start(folder, *words)
    run = end(process)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{(folder / 'log').read_text()[-2000:]}")
    return run


def files(folder: Path) -> int:
    every = (name for _, _, names in os.walk(folder / "out/marks/c") for name in names)
    return sum(not name.endswith(PARTIAL) for name in every)


def measure(side: int, folder: Path) -> Row:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("raw", shape=(side,) * 3, dtype=np.uint8).attrs["resolution"] = (4.0, 4.0, 4.0)
    (folder / "grid.cfg").write_text(CFG.format(folder=folder))
    queue, runs = f"{folder}/queue", {}
    done(folder, "lchunk.cli", "queue", "create", queue)
    runs["enqueue"] = done(folder, "lchunk.cli", "enqueue", *STAGE, "--queue", queue)
    messages = len(os.listdir(folder / "queue/messages"))
    work = ["lchunk.cli", "work", "--queue", queue, "--module", STAGE[1], "--visibility", str(VISIBILITY)]
    worker = start(folder, *work)
    while files(folder) < side**3 / 2:
        time.sleep(side**3 / 1e5)
    worker.kill()
    runs["killed"] = end(worker)
    runs["work"] = done(folder, *work, "--exit-when-empty")
    time.sleep(SETTLED)
    again = ["lchunk.cli", "run", *STAGE, "--local-scheduler", "--no-lock"]
    runs["recheck"] = done(folder, *again, "--recheck")
    done(folder, *again)
    runs["again"] = done(folder, *again)
    if files(folder) != side**3:
        raise RuntimeError(f"{side**3} files must be there, got {files(folder)}")
    shutil.rmtree(folder / "out")
    runs["bare"] = done(folder, "benchmarks.grid.bare", f"{folder}/out", str(side))
    return Row(side**3, messages, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[10, 22, 47, 100], help="chunks on each axis")
    parser.add_argument("--folder", default=None, help="folder of the data; /dev/shm excludes the disk's own time")
    arguments = parser.parse_args()
    print(
        f"{'chunks':>9} {'messages':>8}   CPU s: send, work, files alone, recheck, again  ms per chunk peak MiB",
        flush=True,
    )
    held = True
    for side in arguments.sides:
        folder = Path(tempfile.mkdtemp(prefix="lchunk-grid-", dir=arguments.folder))
        try:
            row = measure(side, folder)
        finally:
            shutil.rmtree(folder)
        runs = row.runs
        work = runs["killed"].cpu + runs["work"].cpu
        seconds = f"{runs['enqueue'].cpu:8.2f} {work:8.2f} {runs['bare'].cpu:8.2f} "
        seconds += f"{runs['recheck'].cpu:8.2f} {runs['again'].cpu:8.2f}"
        print(f"{row.chunks:9} {row.messages:8} {seconds} {row.milliseconds:14.3f} {row.memory:9.0f}", flush=True)
        if side == max(arguments.sides):
            held = row.milliseconds <= MOST_MILLISECONDS and row.memory <= MOST_MIB
            held = held and runs["recheck"].cpu <= MOST_RERUN and runs["again"].cpu <= MOST_KNOWN
    rerun = f"{MOST_RERUN} s of CPU to look at all files again, {MOST_KNOWN} s to run it again"
    bars = f"{MOST_MILLISECONDS} ms of CPU a chunk, {MOST_MIB} MiB, {rerun}"
    print(f"{'holds' if held else 'FAILS'}: of the largest, at most {bars}")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
