"""scripts/quickstart looks at the folder that it has made, wherever that is; its commands are stand-ins here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import REPOSITORY

LCHUNK = """#!/bin/sh
echo "$@, ${AWS_ENDPOINT_URL_S3-none}, ${STORAGE_EMULATOR_HOST-none}"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with the script, in which set-up does nothing and lchunk prints its arguments and variables."""
    for name, text in (
        ("scripts/quickstart", (REPOSITORY / "scripts/quickstart").read_text()),
        ("scripts/setup", "#!/bin/sh\n"),
        (".venv/bin/lchunk", LCHUNK),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "looked"),
    [
        ("", "status data/quickstart, none, none"),
        ("--workers 2 --Dataset-root s3://b/q", "status s3://b/q, none, none"),
        ("--Dataset-root=s3://b/q --Store-s3-endpoint=http://h:1", "status s3://b/q, http://h:1, none"),
        ("--Store-gcs-endpoint http://h:2 --Dataset-root gs://b/q", "status gs://b/q, none, http://h:2"),
    ],
)
def test_it_lists_what_it_has_made_where_it_was_told_to(clone: Path, words: str, looked: str) -> None:
    usual = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "STORAGE_"))}
    command = [str(clone / "scripts/quickstart"), *words.split()]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=usual).stdout.splitlines()
    run = " ".join(["run Quickstart --module tasks.quickstart", *words.split()])
    assert said[0] == f"{run}, none, none"
    assert looked in said
    root = looked.split()[1].rstrip(",")
    assert said[-1] == f"look at it: .venv/bin/lchunk view {root}"
