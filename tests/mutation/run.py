"""Mutants of the code that must never be wrong, and which of them the tests kill: see scripts/mutate.

cosmic-ray makes the mutants (https://cosmic-ray.readthedocs.io); each runs against the tests of its target, in a copy
of the working tree. A survivor is a change that no test noticed. `equivalent.txt` lists those that change nothing that
anybody could notice, each with the reason; they do not count.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkerOutcome, WorkItem, WorkResult

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TARGETS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "recipe": (
        ("lchunk/recipe.py", "lchunk/tasks/recipes.py"),
        ("tests/tasks/test_recipes.py", "tests/tasks/test_stage.py", "tests/test_recipe.py"),
    ),
    "targets": (("lchunk/targets.py",), ("tests/tasks/test_stage.py", "tests/test_targets.py")),
    "store": (
        ("lchunk/volumes/store.py", "lchunk/volumes/file_store.py"),
        ("tests/volumes/test_store.py",),
    ),
    "stage": (
        tuple(f"lchunk/tasks/{name}.py" for name in ("stage", "wiring", "running", "jobs", "making")),
        ("tests/tasks/test_making.py", "tests/tasks/test_stage.py", "tests/tasks/test_recipes.py"),
    ),
    "workers": (
        tuple(f"lchunk/workers/{path.name}" for path in sorted((ROOT / "lchunk/workers").glob("*.py"))),
        ("tests/workers",),
    ),
}
LOWEST_SHARE = 0.9
TIMEOUT_SECONDS = 180.0
# types are not looked at when code runs
OPERATORS_LEFT_OUT = ("core/ReplaceBinaryOperator_BitOr", "core/ExceptionReplacer")


def main() -> None:
    """Run the mutants of some targets, and say how many were killed."""
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="run N mutants of each target; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.targets if name not in TARGETS]
    if unknown:
        parser.error(f"a target must be one of {', '.join(TARGETS)}, got {unknown[0]}")
    with tempfile.TemporaryDirectory(prefix="lchunk-mutants-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "data", "__pycache__"))
        (copy / ".venv").symlink_to(ROOT / ".venv")
        held = [run(name, copy, arguments.sample, arguments.seed) for name in arguments.targets or TARGETS]
    sys.exit(0 if all(held) else 1)


def run(name: str, copy: Path, sample: int, seed: int) -> bool:
    """Run the mutants of one target. Returns whether enough of them were killed."""
    modules, tests = TARGETS[name]
    there = [test for test in tests if (copy / test).exists()]
    session = copy / f"{name}.sqlite"
    config = copy / f"{name}.toml"
    config.write_text(_config(modules, there))
    _cosmic_ray(copy, "init", config, session)
    with use_db(str(session), WorkDB.Mode.open) as work:
        _leave_out(work, sample, seed)
    _cosmic_ray(copy, "baseline", config)
    _cosmic_ray(copy, "exec", config, session)
    with use_db(str(session), WorkDB.Mode.open) as work:
        return _report(name, work)


def _config(modules: tuple[str, ...], tests: list[str]) -> str:
    paths = ", ".join(f'"{module}"' for module in modules)
    environment = "env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=. LCHUNK_KILLS=1"
    return (
        f"[cosmic-ray]\nmodule-path = [{paths}]\ntimeout = {TIMEOUT_SECONDS}\nexcluded-modules = []\n"
        f'test-command = "{environment} .venv/bin/python -m pytest -x -q -n 0 -p no:cacheprovider {" ".join(tests)}"\n'
        '[cosmic-ray.distributor]\nname = "local"\n'
    )


def _cosmic_ray(copy: Path, *words: object) -> None:
    subprocess.run([str(Path(sys.executable).parent / "cosmic-ray"), *map(str, words)], cwd=copy, check=True)


def _leave_out(work: WorkDB, sample: int, seed: int) -> None:
    """Mark as skipped what is not to be run."""
    items = sorted(work.work_items, key=_place)
    wanted = [item for item in items if not item.mutations[0].operator_name.startswith(OPERATORS_LEFT_OUT)]
    if sample:
        wanted = random.Random(seed).sample(wanted, min(sample, len(wanted)))
    kept = {item.job_id for item in wanted}
    for item in items:
        if item.job_id not in kept:
            work.set_result(item.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


def _report(name: str, work: WorkDB) -> bool:
    killed, survived = 0, []
    for item, result in work.completed_work_items:
        if result.worker_outcome is WorkerOutcome.SKIPPED:
            continue
        if result.is_killed:
            killed += 1
        else:
            survived.append((item, result.diff or ""))
    reasons = _equivalent()
    for item, diff in sorted(survived, key=lambda entry: _place(entry[0])):
        reason = reasons.get(_change(item, diff), "")
        print(f"survived: {_change(item, diff)}{'  # ' + reason if reason else ''}\n{diff}\n")
    counted = [change for item, diff in survived if (change := _change(item, diff)) not in reasons]
    total = killed + len(counted)
    share = killed / max(total, 1)
    print(
        f"{name}: {killed} of {total} mutants killed, {share:.0%}, at least {LOWEST_SHARE:.0%} wanted; "
        f"{len(survived) - len(counted)} more change nothing that anybody could notice"
    )
    return share >= LOWEST_SHARE


def _place(item: WorkItem) -> tuple[str, tuple[int, int], str, int]:
    mutation = item.mutations[0]
    return str(mutation.module_path), mutation.start_pos, mutation.operator_name, mutation.occurrence


def _change(item: WorkItem, diff: str) -> str:
    """What a mutant is called in `equivalent.txt`: its module, and the line that it makes."""
    lines = [line[1:].strip() for line in diff.splitlines() if line.startswith("+") and not line.startswith("+++")]
    return f"{item.mutations[0].module_path}: {' '.join(lines)}"


def _equivalent() -> dict[str, str]:
    """Reasons by mutant: a line `MODULE: NEW LINE  ## REASON` each."""
    path = HERE / "equivalent.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.split("  ## ", 1) for line in lines if "  ## " in line)
    return {change.strip(): reason.strip() for change, reason in pairs}


if __name__ == "__main__":
    main()
