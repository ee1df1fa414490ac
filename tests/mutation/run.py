"""Mutants of the code that must never be wrong, and which of them the tests kill.

Each mutant (https://cosmic-ray.readthedocs.io) is a copy of the working tree with one change; the tests of its module
run against it until the first fails. A survivor is a change that no test noticed. `equivalent.txt` lists those that
change nothing that anybody could notice, a line `MODULE: FUNCTION: NEW LINE  ## REASON` each; they do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from mutants import Mutant, mutants_of, read

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
STAGE_TESTS = tuple(f"tests/tasks/test_{name}.py" for name in ("recipe_checks", "stage", "recipes"))
WORKER_TESTS = tuple(f"tests/workers/test_{name}.py" for name in ("whose_fault", "worker"))
TARGETS: dict[str, dict[str, tuple[str, ...]]] = {
    "recipe": {
        "lchunk/recipe.py": ("tests/test_recipe.py", *STAGE_TESTS),
        "lchunk/tasks/recipes.py": STAGE_TESTS,
    },
    "targets": {"lchunk/targets.py": ("tests/test_targets.py",)},
    "store": dict.fromkeys(
        ("lchunk/volumes/store.py", "lchunk/volumes/file_store.py"), ("tests/volumes/test_store.py",)
    ),
    "stage": {
        "lchunk/tasks/making.py": ("tests/tasks/test_making.py", "tests/tasks/test_failing_chunks.py"),
        "lchunk/tasks/jobs.py": ("tests/tasks/test_jobs.py", "tests/tasks/test_making.py"),
        **{
            f"lchunk/tasks/{name}.py": ("tests/tasks/test_stage_parts.py", "tests/tasks/test_wiring.py", *STAGE_TESTS)
            for name in ("wiring", "running", "stage")
        },
    },
    "workers": {
        "lchunk/workers/lease.py": ("tests/workers/test_lease.py",),
        "lchunk/workers/messages.py": ("tests/workers/test_messages.py",),
        "lchunk/workers/gate.py": ("tests/workers/test_gate.py", "tests/workers/test_messages.py"),
        "lchunk/workers/stopping.py": ("tests/workers/test_stopping.py",),
        "lchunk/workers/terms.py": ("tests/workers/test_terms.py", *WORKER_TESTS),
        "lchunk/tasks/verdicts.py": ("tests/tasks/test_verdicts.py", *WORKER_TESTS[:1]),
        "lchunk/workers/health.py": ("tests/workers/test_health.py", *WORKER_TESTS[:1]),
        "lchunk/workers/attempt.py": ("tests/workers/test_attempt.py", *WORKER_TESTS),
        "lchunk/workers/worker.py": ("tests/workers/test_worker_loop.py", *WORKER_TESTS),
        "lchunk/workers/patience.py": ("tests/workers/test_patience.py",),
        **{
            f"lchunk/workers/{name}.py": ("tests/workers/test_keeper.py", "tests/workers/test_enqueue.py")
            for name in ("routes", "ready", "enqueue")
        },
        "lchunk/workers/folder_queue.py": (
            "tests/workers/test_folder_queue.py",
            "tests/workers/test_queues.py",
            "-k",
            "Folder or folder",
        ),
        "lchunk/workers/sqs.py": ("tests/workers/test_sqs.py", "tests/workers/test_queues.py", "-k", "not Folder"),
    },
}
# the large packages were imported before pytest could look at them, which it warns of
IMPORTED_ALREADY = "ignore::pytest.PytestAssertRewriteWarning"
PYTEST = ("-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-W", IMPORTED_ALREADY)
LOWEST_SHARE = 0.9
LEAST_SECONDS, TIMES_AS_LONG = 20.0, 5.0
"""Tests that take longer than both, the second times those of the code as it is, count as failed."""
LONGEST_SECONDS = 600.0
SHOWN = 4000
"""Characters of what failing tests print."""


class Copy:
    """A copy of the working tree, and a process that runs tests in it."""

    def __init__(self, folder: Path) -> None:
        ignored = shutil.ignore_patterns(".git", ".venv", "data", "__pycache__", ".*_cache")
        shutil.copytree(ROOT, folder, ignore=ignored)
        self.folder = folder
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(folder), "LCHUNK_KILLS": "1"}
        self.tests = subprocess.Popen(
            [ROOT / ".venv/bin/python", HERE / "forking.py"],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def passes(self, tests: tuple[str, ...], seconds: float) -> bool:
        """Whether tests pass in time."""
        assert self.tests.stdin is not None
        assert self.tests.stdout is not None
        there = [word for word in tests if not word.endswith(".py") or (self.folder / word).exists()]
        arguments = [*PYTEST, f"--basetemp={self.folder}-temporary", *there]
        print(json.dumps({"arguments": arguments, "seconds": seconds}), file=self.tests.stdin, flush=True)
        return int(self.tests.stdout.readline()) == 0

    def survives(self, mutant: Mutant, source: str, tests: tuple[str, ...], seconds: float) -> bool:
        """Whether tests pass with a mutant."""
        (self.folder / mutant.module).write_text(mutant.code(source))
        try:
            return self.passes(tests, seconds)
        finally:
            (self.folder / mutant.module).write_text(source)


def main() -> None:
    """Run the mutants of some targets, and say how many were killed."""
    parser = argparse.ArgumentParser(
        prog="scripts/mutate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="run N mutants of each target; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--only", default="", metavar="TEXT", help="only modules whose path contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="mutants at one time; default: %(default)s")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.targets if name not in TARGETS]
    if unknown:
        parser.error(f"a target must be one of {', '.join(TARGETS)}, got {unknown[0]}")
    with tempfile.TemporaryDirectory(prefix="lchunk-mutants-") as folder:
        copies = [Copy(Path(folder) / str(number)) for number in range(arguments.jobs)]
        held = [
            run(name, {module: tests for module, tests in TARGETS[name].items() if arguments.only in module}, copies,
                arguments.sample, arguments.seed)
            for name in arguments.targets or TARGETS
        ]  # fmt: skip
        for copy in copies:
            copy.tests.terminate()
            copy.tests.wait()
    sys.exit(0 if all(held) else 1)


def run(name: str, modules: dict[str, tuple[str, ...]], copies: list[Copy], sample: int, seed: int) -> bool:
    """Run the mutants of one target. Returns whether enough of them were killed."""
    limits = {tests: _limit(copies[0], tests) for tests in set(modules.values())}
    sources = read(ROOT, tuple(modules))
    mutants = [mutant for module, source in sources.items() for mutant in mutants_of(module, source)]
    reasons = equivalents()
    named = {change.partition(":")[0] for change in reasons}
    left_out = {one for one in mutants if one.module in named and one.name(sources[one.module]) in reasons}
    wanted = [mutant for mutant in mutants if mutant not in left_out]
    if sample:
        wanted = random.Random(seed).sample(wanted, min(sample, len(wanted)))
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def survives(mutant: Mutant) -> bool:
        copy, tests = free.get(), modules[mutant.module]
        try:
            return copy.survives(mutant, sources[mutant.module], tests, limits[tests])
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        survived = [mutant for mutant, alive in zip(wanted, pool.map(survives, wanted), strict=True) if alive]
    for mutant in sorted(survived, key=lambda mutant: (mutant.module, mutant.place)):
        source = sources[mutant.module]
        print("\n".join([f"survived at line {mutant.place[0]}: {mutant.name(source)}", *mutant.diff(source), ""]))
    killed = len(wanted) - len(survived)
    share = killed / len(wanted) if wanted else 1.0
    print(
        f"{name}: {killed} of {len(wanted)} mutants killed, {share:.0%}, at least {LOWEST_SHARE:.0%} wanted; "
        f"{len(mutants)} in all, {len(left_out)} of which change nothing that anybody could notice",
        flush=True,
    )
    return share >= LOWEST_SHARE


def _limit(copy: Copy, tests: tuple[str, ...]) -> float:
    """Seconds that tests may take, of the code as it is, which must pass."""
    began = time.monotonic()
    if not copy.passes(tests, LONGEST_SECONDS):
        printed = (copy.folder / "printed.txt").read_text()[-SHOWN:]
        raise SystemExit(f"tests of unchanged code must pass, got failures in {' '.join(tests)}:\n{printed}")
    return max(LEAST_SECONDS, TIMES_AS_LONG * (time.monotonic() - began))


def equivalents() -> dict[str, str]:
    """Reasons by mutant."""
    path = HERE / "equivalent.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.split("  ## ", 1) for line in lines if "  ## " in line)
    return {change.strip(): reason.strip() for change, reason in pairs}


if __name__ == "__main__":
    main()
