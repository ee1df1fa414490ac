"""`lchunk status` as a command: a run that fails, --json, --watch, and mistakes on its line."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lchunk.cli import codes
from lchunk.cli.watching import fitted
from lchunk.volumes.store import FileStore
from tests.cli.commands import REPOSITORY, lchunk
from tests.conftest import write_identity_job
from tests.status.made_layer import write_layer


def test_failed_chunks_are_counted_and_their_commands_make_them(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (48, 16, 16), (0, 0, 0))
    assert lchunk(tmp_path, "run", "Ingest").code == 0
    torn = tmp_path / "out/image/0/c/1/0/0"
    whole = torn.read_bytes()
    torn.write_bytes(b"torn")
    said = lchunk(tmp_path, "run", "LocalFragments", "--Inference-batch", "2")
    assert said.code == codes.FAILED
    content = json.loads(lchunk(tmp_path, "status", "--json").out)
    layers = {layer["layer"]: layer for layer in content["layers"]}
    affinities = layers["affinities"]
    made = len(list((tmp_path / "out/affinities").rglob("c/*/*/*/*")))
    assert (affinities["chunks"], affinities["done"]) == (3, made)
    assert affinities["failed"] == 3 - made > 0
    assert layers["image"]["done"] == 3
    assert affinities["last_chunk"] is None or affinities["mvoxels_per_second"] > 0
    for failure in content["failures"]:
        assert failure["stage"] == "Inference"
        assert "Traceback (most recent call last)" in failure["traceback"]
        assert failure["command"] == f"lchunk run Inference --region={failure['region']} --Inference-batch=2"
        assert f"run it again: {failure['command']}" in lchunk(tmp_path, "status").out
    named = {box for failure in content["failures"] for box in failure["chunks"]}
    assert len(named) == affinities["failed"]
    torn.write_bytes(whole)
    for failure in content["failures"]:
        again = lchunk(tmp_path, *shlex.split(failure["command"])[1:])
        assert again.code == 0, again.err
    after = json.loads(lchunk(tmp_path, "status", "--json").out)
    assert (after["failed"], after["missing"], after["failures"]) == (0, 0, [])


def test_watch_looks_again_and_ends_with_0_on_an_interrupt(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    write_layer(store)
    command = [sys.executable, "-m", "lchunk.cli", "status", str(tmp_path), "--watch", "0.2", "--json"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["done"] == 6
        store.remove("affinities/0/c/0/0/0")
        seen = [json.loads(process.stdout.readline())["done"] for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert seen[-1] == 5


def test_watch_says_when_it_looks_again(tmp_path: Path) -> None:
    write_layer(FileStore(tmp_path))
    command = [sys.executable, "-m", "lchunk.cli", "status", str(tmp_path), "--watch"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        last = next(line for line in lines if "again every" in line)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert last.endswith("again every 10 s; Ctrl-C ends\n")


def test_a_terminal_shows_what_fits_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "6")
    monkeypatch.setenv("LINES", "5")
    assert fitted(["long line", "two\nlines", "more"]) == ["long l", "two", "lines"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--viewer", "http://127.0.0.1:1"), "--viewer must be given with --html, got http://127.0.0.1:1 alone"),
        (("--html", "a.html", "--viewer", "javascript:alert(1)"), "--viewer must be the address that `lchunk view`"),
        (("--watch", "0"), "must be seconds above 0, got '0'"),
        (("--watch", "inf"), "must be seconds above 0, got 'inf'"),
        (("--watch", "often"), "must be seconds above 0, got 'often'"),
        (("--html", "luigi.cfg"), "--html must be a new file, or a page that `lchunk status` wrote, got luigi.cfg"),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    write_layer(FileStore(tmp_path / "out"))
    (tmp_path / "luigi.cfg").write_text("[Dataset]\nroot = out\n")
    said = lchunk(tmp_path, "status", *words)
    assert said.code in (codes.REFUSED, codes.USAGE)
    assert message in said.last
    assert (tmp_path / "luigi.cfg").read_text() == "[Dataset]\nroot = out\n"
    assert not (tmp_path / "a.html").exists()
