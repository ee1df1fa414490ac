"""Progress on a terminal: a line per stage, which counts chunks of all processes; no progress in a file."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lchunk.cli import layout
from lchunk.cli.layout import layout_notes
from lchunk.cli.progress import chunks_left
from lchunk.tasks import Ingest, LocalFragments
from lchunk.tasks.progress import chunk_listeners
from tests.cli.commands import REPOSITORY, lchunk
from tests.conftest import build, write_identity_job


def on_a_terminal(folder: Path, *words: str) -> str:
    """The output of a command on a terminal."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "XDG_STATE_HOME": str(folder), "TERM": "xterm"}
    environment |= {"COLUMNS": "140"}
    environment.pop("LUIGI_CONFIG_PATH", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "lchunk.cli", *words], cwd=folder, env=environment, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown.decode()
    return shown.decode()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_shows_each_stage_to_its_end(tmp_path: Path, workers: str) -> None:
    write_identity_job(tmp_path, (16, 32, 32), (0, 0, 0))
    shown = re.sub(r"\x1b\[[\d;?]*\w", "", on_a_terminal(tmp_path, "run", "LocalFragments", "--workers", workers))
    assert re.search(r"Ingest +\S+ 4/4", shown), shown
    assert re.search(r"Inference +\S+ 4/4", shown), shown
    assert re.search(r"LocalFragments +\S+ 12/12", shown), shown  # the whole job
    assert "INFO" not in shown


def test_a_file_shows_no_progress(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (16, 32, 32), (0, 0, 0))
    said = lchunk(tmp_path, "run", "Ingest")
    assert said.err == ""
    assert chunk_listeners == []


def test_only_what_is_missing_is_counted(tmp_path: Path, configure: Callable[..., None]) -> None:
    write_identity_job(tmp_path, (16, 32, 32), (0, 0, 0))
    knobs = {"root": tmp_path / "out", "image": f"{tmp_path}/a.h5:/raw", "chunk_shape": "16,16,16"}
    configure("Dataset", **knobs, inner_chunk="8,8,8")
    configure("Inference", framework="identity", input_patch="10,12,14", output_patch="8,8,10", overlap="2,2,2")
    task = LocalFragments()
    assert chunks_left(task) == {"Ingest": 4, "Inference": 4, "LocalFragments": 4}
    assert build(task)
    (tmp_path / "out/affinities/0/c/0/0/0/0").unlink()
    assert chunks_left(LocalFragments()) == {"Ingest": 0, "Inference": 1, "LocalFragments": 0}


def test_many_small_chunks_are_noted(
    tmp_path: Path, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_identity_job(tmp_path, (16, 32, 32), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=f"{tmp_path}/a.h5:/raw", chunk_shape="4,4,4", inner_chunk="4,4,4")
    assert list(layout_notes(Ingest())) == []
    monkeypatch.setattr(layout, "MANY", 200)
    (note,) = layout_notes(Ingest())
    assert note.startswith("Ingest makes 256 chunk files of 4x4x4 voxels, which are small; a larger --Ingest-chunk-sha")
