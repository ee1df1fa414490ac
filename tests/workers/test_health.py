"""A machine is sick if it fails at several tasks in a row while others succeed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lchunk.chunk_logs import log_key
from lchunk.tasks.progress import process_name
from lchunk.tasks.verdicts import DISK_FULL, GPU_MEMORY, NETWORK
from lchunk.volumes.store import FileStore
from lchunk.workers.health import Health, others_succeed


def health(*, others: bool = True) -> Health:
    return Health(3, lambda since: others)


def fail(machine: Health, *tasks: str, fault: str = DISK_FULL) -> Health:
    for task in tasks:
        machine.failed((task, ""), fault)
    return machine


def test_three_tasks_in_a_row_make_a_machine_sick_if_others_succeed() -> None:
    assert fail(health(), "a", "b").sickness() == ""
    said = fail(fail(health(), "a", "b"), "c", fault=GPU_MEMORY).sickness()
    assert said == (
        "3 tasks failed in a row for a fault of this machine (disk full, GPU out of memory), and others succeeded"
    )
    assert fail(health(others=False), "a", "b", "c").sickness() == ""


def test_one_task_that_fails_everywhere_makes_no_machine_sick() -> None:
    assert fail(health(), *["poison"] * 20).sickness() == ""


@pytest.mark.parametrize("fault", [NETWORK, ""])
def test_what_is_not_of_the_machine_makes_it_not_sick(fault: str) -> None:
    assert fail(health(), "a", "b", "c", fault=fault).sickness() == ""


def test_a_success_between_failures_clears_them() -> None:
    machine = fail(health(), "a", "b")
    machine.succeeded()
    assert fail(machine, "c").sickness() == ""


def test_others_count_from_the_first_failure_of_the_row() -> None:
    asked: list[float] = []
    machine = Health(2, lambda since: bool(asked.append(since)))
    fail(machine, "a")
    machine.succeeded()
    before = time.time()
    fail(machine, "b")
    after = time.time()
    fail(machine, "c").sickness()
    assert before <= asked[0] <= after


@pytest.mark.parametrize(
    ("process", "ago", "expected"),
    [("other-1", 0, True), ("other-1", 100, False), (process_name(), 0, False)],
    ids=["of another process", "of long ago", "of this process"],
)
def test_others_succeed_if_their_logs_say_so(
    process: str, ago: float, expected: bool, tmp_path: Path, configure: Callable[..., None]
) -> None:
    configure("Dataset", root=tmp_path)
    assert not others_succeed(0)
    line = {"stage": "A", "bbox": "0-1_0-1_0-1", "voxels": 1, "seconds": {"read": 0.1}, "ended": time.time() - ago}
    FileStore(tmp_path).append(log_key("a", process), f"{json.dumps(line)}\n".encode())
    assert others_succeed(time.time() - 10) is expected
