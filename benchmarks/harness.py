"""Measures commands in turn, for several rounds, as whole processes; prints medians, ratios and limits."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Contestant:
    """A command; `prepare` runs before each round, unmeasured."""

    name: str
    command: list[str]
    prepare: Callable[[], None] = lambda: None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bar:
    """A ratio of medians that must not be above its limit."""

    what: str
    column: str
    ours: str
    theirs: str
    limit: float


@dataclass(frozen=True)
class Measure:
    """One run: CPU seconds of the process and its children, wall seconds, peak MiB of the largest process.

    A process that ends with a line `measured {"cpu": …, "wall": …, "memory": …}` measured itself.
    """

    cpu: float
    wall: float
    memory: float


Runs = dict[str, list[Measure]]


def lchunk(name: str, stage: str, folder: Path, cfg: str) -> Contestant:
    """A stage and everything that it needs, in one process, into `folder/out`, which is removed before each round.

    Args:
        name: name of the contestant.
        stage: class of `lchunk.tasks`.
        folder: where the run's cfg and its layers go.
        cfg: sections of the stages, without the dataset's root.
    """
    root = f"[Dataset]\nroot = {folder}/out\n"
    (folder / "bench.cfg").write_text(f"{root}{cfg}\n[core]\nlocal_scheduler = false\nautoload_range = false\n")
    return Contestant(
        name,
        [sys.executable, "-m", "luigi", "--module", "lchunk.tasks", stage, "--no-lock", "--local-scheduler"],
        lambda: shutil.rmtree(folder / "out", ignore_errors=True),
        {"LUIGI_CONFIG_PATH": str(folder / "bench.cfg")},
    )


def measure(contestant: Contestant) -> Measure:
    """Run a command once.

    Raises:
        RuntimeError: it failed; the end of its output is in the message.
    """
    contestant.prepare()
    environment = os.environ | contestant.environment
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise the modules of a checkout are compiled each time
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(contestant.command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read().decode()
        if process.returncode:
            raise RuntimeError(f"{contestant.name} failed:\n{printed[-2000:]}")
    *_, last = ["", *printed.strip().splitlines()]
    if last.startswith("measured "):
        return Measure(**json.loads(last.removeprefix("measured ")))
    return Measure(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def race(contestants: list[Contestant], rounds: int) -> Runs:
    """Run all contestants in turn, and print the table."""
    runs: Runs = {contestant.name: [] for contestant in contestants}
    for contestant in contestants:
        measure(contestant)  # once unmeasured: files into memory, compiled code into its cache
    for number in range(rounds):
        for contestant in contestants:
            runs[contestant.name].append(measure(contestant))
            print(
                f"round {number + 1}/{rounds} {contestant.name}: {runs[contestant.name][-1].cpu:.2f} CPU s", flush=True
            )
    medians = {name: _median(measures) for name, measures in runs.items()}
    first = contestants[-1].name
    print(f"\n{'':32} {'CPU s':>8} {'wall s':>8} {'MiB':>8}   ratios to {first}")
    for name, m in medians.items():
        peer = medians[first]
        ratios = f"{m.cpu / peer.cpu:.2f} CPU, {m.wall / peer.wall:.2f} wall, {m.memory / peer.memory:.2f} memory"
        print(f"{name:32} {m.cpu:8.2f} {m.wall:8.2f} {m.memory:8.0f}   {ratios}")
    print()
    return runs


def hold(bars: list[Bar], runs: Runs) -> bool:
    """Print one line per bar. Returns whether every bar holds."""
    held = [_holds(bar, runs) for bar in bars]
    return all(held)


def _median(measures: list[Measure]) -> Measure:
    return Measure(*(statistics.median(getattr(m, name) for m in measures) for name in ("cpu", "wall", "memory")))


def _holds(bar: Bar, runs: Runs) -> bool:
    pairs = zip(runs[bar.ours], runs[bar.theirs], strict=True)
    ratio = statistics.median(getattr(ours, bar.column) / getattr(theirs, bar.column) for ours, theirs in pairs)
    holds = ratio <= bar.limit
    print(f"{'holds' if holds else 'FAILS'}: {bar.what}: {ratio:.2f}, at most {bar.limit:g}")
    return holds


def scratch_folder() -> Path:
    """A temporary folder for a benchmark's data."""
    return Path(tempfile.mkdtemp(prefix="lchunk-bench-"))
