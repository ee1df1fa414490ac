"""A bucket that cannot be reached or used is one line, long before the patience with a failing server is over."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import REPOSITORY
from tests.conftest import write_identity_job
from tests.servers import AWS, free_port, sqs_server

LONGEST = 50
"""Seconds, of all commands side by side; the patience is 60."""
UNREACHED = "the server of s3://b must answer, got none"
ABSENT = "the bucket s3://b must exist, and does not; create it, or correct the URL"
COMMANDS = {"new": ("new", "{}://b/a.zarr", "--cfg", "new.cfg"), "status": ("status",), "run": ("run", "MeshManifest")}


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that never takes a connection, as behind a firewall."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):  # the queue is full
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def environment_of(home: Path, more: dict[str, str]) -> dict[str, str]:
    """Variables without any credentials but those that are given."""
    clouds = ("AWS_", "GOOGLE_", "STORAGE_", "LUIGI_")
    usual = {name: text for name, text in os.environ.items() if not name.startswith(clouds)}
    own = {
        "PYTHONPATH": str(REPOSITORY), "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", "NO_GCE_CHECK": "true",
        "CLOUDSDK_CONFIG": str(home), "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    return usual | own | more


def start(folder: Path, scheme: str, command: str, variables: dict[str, str]) -> subprocess.Popen[str]:
    """Start a command in a folder of its own, whose cfg has its root in the bucket `b`."""
    place = folder / f"{len(list(folder.iterdir()))}"
    place.mkdir()
    cfg = (folder / "luigi.cfg").read_text().replace(f"root = {folder}/out", f"root = {scheme}://b/out")
    (place / "luigi.cfg").write_text(cfg)
    line = [sys.executable, "-m", "lchunk.cli", *(word.format(scheme) for word in COMMANDS[command])]
    return subprocess.Popen(
        line, cwd=place, env=environment_of(place, variables), text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_first_contact_that_fails_is_one_line_and_soon(tmp_path: Path, silent: str) -> None:
    write_identity_job(tmp_path, (20, 24, 24), (0, 0, 0))
    refused = f"http://127.0.0.1:{free_port()}"
    with sqs_server("clock") as moto:
        cases = [
            ("s3", "new run", AWS | {"AWS_ENDPOINT_URL_S3": refused}, UNREACHED),
            ("s3", "status run", AWS | {"AWS_ENDPOINT_URL_S3": "http://storage.invalid"}, UNREACHED),
            ("s3", "new", AWS | {"AWS_ENDPOINT_URL_S3": silent}, UNREACHED),
            ("s3", "status run", {"AWS_ENDPOINT_URL_S3": refused}, "credentials of AWS must be given"),
            ("s3", "new status run", moto, ABSENT),
            ("gs", "status", {}, "credentials of Google must be given"),
            ("gs", "new", {"STORAGE_EMULATOR_HOST": refused}, UNREACHED.replace("s3", "gs")),
        ]
        until = time.monotonic() + LONGEST
        started = [
            (start(tmp_path, scheme, command, variables), message)
            for scheme, commands, variables, message in cases
            for command in commands.split()
        ]
        try:
            for process, message in started:
                said = process.communicate(timeout=max(0, until - time.monotonic()))[1].strip()
                assert process.returncode > 0, (process.args, said)
                assert message in said.splitlines()[-1], (process.args, said)
                assert said.count("\n") == 0, (process.args, said)
        finally:
            for process, _ in started:
                process.kill()
                process.communicate()
