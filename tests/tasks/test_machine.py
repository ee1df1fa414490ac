"""The state of a machine in a line, and why processes died."""

from __future__ import annotations

import signal
import socket
import tempfile
from pathlib import Path

import pytest

from lchunk.tasks import machine
from lchunk.tasks.machine import CRASHED, TERMINATED, fault_of_exit, machine_text
from lchunk.tasks.verdicts import KILLED, MEMORY


def test_a_machine_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "information").write_text("Model: \t NVIDIA H200\nIRQ: 7\n")
    monkeypatch.setattr(machine, "GPUS", tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    text = machine_text([str(tmp_path), str(tmp_path), "s3://bucket/a"])
    host, gpus, memory, scratch, folder = text.split(", ")
    assert (host, gpus) == (f"host {socket.gethostname()}", "2 x NVIDIA H200 (CUDA_VISIBLE_DEVICES=1)")
    assert memory.endswith(" of memory free")
    assert (scratch.partition(" free in ")[2], folder.partition(" free in ")[2]) == (
        tempfile.gettempdir(),
        str(tmp_path),
    )


@pytest.mark.parametrize(
    ("code", "kills", "fault", "why"),
    [
        (-signal.SIGKILL, 8, MEMORY, "was killed by the memory limit of its container or job"),
        (-signal.SIGKILL, 7, KILLED, "was killed by SIGKILL, as the kernel does when the machine is out of memory"),
        (-signal.SIGTERM, 8, TERMINATED, "was ended by SIGTERM"),
        (-signal.SIGILL, 7, CRASHED, "crashed: SIGILL"),
        (-99, 7, CRASHED, "crashed: signal 99"),
        (3, 7, CRASHED, "ended with code 3"),
    ],
)
def test_deaths_are_told_apart(code: int, kills: int, fault: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_killed_before", 7)
    monkeypatch.setattr(machine, "kills_in_groups", lambda: kills)
    assert fault_of_exit(code) == (fault, why)
    if fault == MEMORY:  # the next one was not killed by the limit
        assert fault_of_exit(code)[0] == KILLED
