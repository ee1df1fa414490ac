"""The wheel holds the package alone, with the files that it reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Paths in a wheel that is built from a copy of the repository, with tests, pipelines and the sample."""
    source = tmp_path_factory.mktemp("source")
    skip = shutil.ignore_patterns("__pycache__")
    for folder in ("lchunk", "tests", "tasks", "sample"):
        shutil.copytree(REPOSITORY / folder, source / folder, ignore=skip)
    for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / file, source)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "dist", "."],
        cwd=source, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (wheel,) = (source / "dist").glob("lchunk-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        return set(opened.namelist())


def test_every_file_of_the_package_is_in_it(names: set[str]) -> None:
    package = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "lchunk").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"lchunk/luigi.cfg", "lchunk/central.cfg", "lchunk/py.typed"} <= package
    assert package <= names


def test_nothing_else_is_in_it(names: set[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lchunk"}
    assert not [name for name in names if "test" in Path(name).name.split("_")]
