"""Compiled code is cached on disk, and is never used after one of its sources has changed."""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numba
import pytest

from lchunk import operators
from lchunk.operators import compiled

CALLEE = "from lchunk.operators.compiled import njit\nSCALE = {scale}\n@njit\ndef scaled(n):\n    return n * SCALE\n"
CALLER = (
    "from lchunk.operators.compiled import njit\nfrom lchunk.operators.callee import SCALE, scaled\n"
    "@njit\ndef total(n):\n    return scaled(n) + SCALE\n"
)
SHOW = "from lchunk.operators.caller import total; print(total(10), sum(total.stats.cache_hits.values()))"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of lchunk with a compiled function that uses another module's function and constant."""
    here = Path(operators.__file__).parent
    to = tmp_path / "copy/lchunk"
    for floor in ("operators", "geometry"):
        shutil.copytree(here.parent / floor, to / floor, ignore=shutil.ignore_patterns("__pycache__"))
    (to / "__init__.py").touch()
    (to / "operators/callee.py").write_text(CALLEE.format(scale=3))
    (to / "operators/caller.py").write_text(CALLER)
    return to


def start(package: Path, **environment: str) -> subprocess.Popen[str]:
    outside = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    return subprocess.Popen(
        [sys.executable, "-c", SHOW], stdout=subprocess.PIPE, text=True, cwd=package.parent,
        env=outside | {"PYTHONPATH": str(package.parent)} | environment,
    )  # fmt: skip


def shown(process: subprocess.Popen[str]) -> list[int]:
    out, _ = process.communicate()
    assert process.returncode == 0
    return [int(number) for number in out.split()]


def test_a_constant_changed_in_another_module_is_seen(package: Path) -> None:
    assert shown(start(package)) == [33, 0]
    assert shown(start(package)) == [33, 1]  # from the disk
    callee = package / "operators/callee.py"
    before = callee.stat()
    callee.write_text(CALLEE.format(scale=7))
    os.utime(callee, ns=(before.st_atime_ns, before.st_mtime_ns))  # as some checkouts and images do
    assert shown(start(package)) == [77, 0]


def test_two_processes_may_fill_one_cache(package: Path, tmp_path: Path) -> None:
    both = [start(package, NUMBA_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2)]
    assert [shown(process)[0] for process in both] == [33, 33]
    assert shown(start(package, NUMBA_CACHE_DIR=str(tmp_path / "cache"))) == [33, 1]


def test_the_users_own_cache_folder_is_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "base"))
    folder = compiled.cache_folder.__wrapped__()
    assert folder is not None
    assert folder.parent == tmp_path / "base"
    assert folder.is_dir()


def test_the_next_place_is_taken_where_one_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file where a folder must be stops root too, as a read-only disk does."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "__pycache__").touch()
    (tmp_path / "file").touch()
    monkeypatch.setattr(compiled, "SOURCES", (sources,))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    folder = compiled.cache_folder.__wrapped__()
    assert folder is not None
    assert folder.parent == tmp_path / "home/lchunk"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert compiled.cache_folder.__wrapped__() is None


def test_functions_are_compiled_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "cache_folder", lambda: None)

    @compiled.njit
    def twice(n: int) -> int:
        return 2 * n

    assert twice(21) == 42
    assert twice.stats.cache_path is None


def test_folders_of_older_sources_go_once_nobody_uses_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = time.time() - 10 * compiled.UNUSED
    for number in range(compiled.KEPT + 3):
        folder = tmp_path / f"{compiled.FOLDER}{number}"
        folder.mkdir()
        (folder / "code").touch()
        os.utime(folder, (old + number, old + number))
    os.utime(tmp_path / f"{compiled.FOLDER}0")  # a process has just begun to use it
    (tmp_path / "numba_of_others").mkdir()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    folder = compiled.cache_folder.__wrapped__()
    assert folder is not None
    left = {path.name.removeprefix(compiled.FOLDER) for path in tmp_path.iterdir()}
    assert left == {folder.name.removeprefix(compiled.FOLDER), "0", "6", "5", "numba_of_others"}


def test_other_packages_keep_their_own_cache() -> None:
    before = numba.config.CACHE_DIR

    @compiled.njit
    def ours(n: int) -> int:
        return n

    @numba.njit(cache=True)
    def theirs(n: int) -> int:
        return n

    assert before == numba.config.CACHE_DIR
    assert compiled.FOLDER in ours.stats.cache_path
    assert compiled.FOLDER not in theirs.stats.cache_path


def test_every_compiled_function_is_kept_in_the_folder() -> None:
    modules = [importlib.import_module(f"lchunk.operators.{m.name}") for m in pkgutil.iter_modules(operators.__path__)]
    functions = {f for module in modules for f in vars(module).values() if isinstance(f, compiled.Compiled)}
    assert len(functions) > 20
    folder = str(compiled.cache_folder())
    assert [f for f in functions if not f.stats.cache_path.startswith(folder)] == []
