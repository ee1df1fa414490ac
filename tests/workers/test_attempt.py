"""One attempt at a task: its outcome, and whose fault a failure is."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import pytest

from lchunk.tasks.verdicts import Verdict
from lchunk.workers import attempt as attempt_module
from lchunk.workers.attempt import Attempt, Attempts, blame, failed
from tests.conftest import write_hdf5
from tests.workers.stages_that_fail import Failing

REGIONS = [f"{4 * z}-{4 * z + 4}_0-4_0-4" for z in range(8)]
FIRST = REGIONS[0]


class ManyForAttempts(luigi.WrapperTask):
    """All regions of a stage."""

    def requires(self) -> list[luigi.Task]:
        return [Failing(region=region) for region in REGIONS]


@pytest.fixture(autouse=True)
def configured(configure: Callable[..., None], tmp_path: Path) -> Iterator[Callable[..., None]]:
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros((32, 4, 4), np.uint8), (4, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=f"{tmp_path}/a.h5:/raw", chunk_shape="4,4,4", inner_chunk="4,4,4")
    yield configure
    Failing.arrays.clear()
    Failing.rehearsals.clear()


def fail(configured: Callable[..., None], **kinds: str) -> None:
    """Let the region with a number fail in a given way: `r3="disk"`."""
    configured("Failing", how=",".join(f"{REGIONS[int(name[1:])]}:{kind}" for name, kind in kinds.items()))


def test_a_task_is_made_once() -> None:
    attempts = Attempts()
    assert attempts.make(Failing(region=FIRST)) == Attempt(made=True)
    assert attempts.make(Failing(region=FIRST)) == Attempt(made=False)


def test_a_failure_is_kept_as_text(configured: Callable[..., None]) -> None:
    fail(configured, r0="bug")
    attempt = Attempts().make(Failing(region=FIRST))
    assert (attempt.made, attempt.verdict) == (True, Verdict.UNCLEAR)
    assert attempt.error.startswith("Traceback (most recent call last)")
    assert attempt.error.rstrip().endswith("ZeroDivisionError: a bug")


def test_of_a_long_text_the_end_is_kept() -> None:
    attempt = failed(ValueError("a" * 30_000 + "the end"))
    assert len(attempt.error) == 20_000
    assert attempt.error.rstrip().endswith("the end")


def test_of_many_failures_five_are_told_and_the_mildest_verdict_counts(configured: Callable[..., None]) -> None:
    fail(configured, **dict.fromkeys(("r0", "r1", "r2", "r3", "r4", "r5"), "bug"))
    attempt = Attempts().make(ManyForAttempts())
    assert (attempt.made, attempt.verdict) == (True, Verdict.UNCLEAR)
    assert attempt.error.count("ZeroDivisionError: a bug") == 5
    assert sum(f"Failing {region} in" in attempt.error for region in REGIONS[:6]) == 5
    fail(configured, r0="bug", r1="torch", r2="disk")
    assert Attempts().make(ManyForAttempts()).verdict is Verdict.TRANSIENT
    fail(configured, r0="bug", r1="torch")
    assert Attempts().make(ManyForAttempts()).verdict is Verdict.WORKER


def test_failures_are_heard_during_the_try_alone(configured: Callable[..., None]) -> None:
    def listeners() -> dict[Any, int]:
        return {event: len(heard) for event, heard in luigi.Task._event_callbacks.get(luigi.Task, {}).items()}

    before = sum(listeners().values())
    fail(configured, r0="bug")
    Attempts().make(ManyForAttempts())
    assert sum(listeners().values()) == before


def in_place_of_luigi(monkeypatch: pytest.MonkeyPatch, do: Callable[[luigi.Task], object]) -> list[dict[str, Any]]:
    """Let a test run the tasks instead of Luigi. Return the options that Luigi would have got."""
    asked: list[dict[str, Any]] = []

    def build(tasks: list[luigi.Task], **options: Any) -> None:
        asked.append(options)
        for task in tasks:
            do(task)

    monkeypatch.setattr(attempt_module.luigi, "build", build)
    monkeypatch.setattr(attempt_module, "retry", lambda *task: asked.append({"retried": task}))
    return asked


def test_a_process_that_died_is_the_machine_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(task: luigi.Task) -> None:
        task.trigger_event(luigi.Event.PROCESS_FAILURE, task, "the process died")

    in_place_of_luigi(monkeypatch, die)
    attempt = Attempts().make(ManyForAttempts())
    assert (attempt.made, attempt.verdict) == (True, Verdict.TRANSIENT)
    assert attempt.error.endswith("\nthe process died")


@pytest.mark.parametrize(("scheduler", "verdict"), [("", Verdict.UNCLEAR), ("host:82", Verdict.TRANSIENT)])
def test_a_task_that_did_not_run_may_be_with_another_worker(
    scheduler: str, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = in_place_of_luigi(monkeypatch, lambda _: None)
    task = ManyForAttempts()
    attempt = Attempts(scheduler).make(task)
    assert (attempt.made, attempt.verdict) == (True, verdict)
    assert "did not run, or wrote nothing, and is not complete" in attempt.error
    own, retried = {"local_scheduler": True}, {"retried": ("http://host:82", task.task_id)}
    central = {"local_scheduler": False, "scheduler_host": "host", "scheduler_port": 82}
    assert asked == ([retried, central] if scheduler else [own])


def test_a_scheduler_hears_of_each_task(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = in_place_of_luigi(monkeypatch, lambda task: task.run())
    assert Attempts("host:82").make(Failing(region=FIRST)) == Attempt(made=True)
    assert len(asked) == 2
    assert Failing.rehearsals == ["None"]


@pytest.mark.parametrize("address", ["host", "host:", ":82", "host:http"])
def test_a_scheduler_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ValueError, match="a scheduler must be HOST:PORT, got"):
        Attempts(address)


def test_a_stage_is_rehearsed_once_while_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_module, "REHEARSED", 2)
    attempts, counts = Attempts(), []
    for name, region in (("a", 0), ("a", 1), ("b", 0), ("a", 2), ("c", 0), ("c", 1), ("a", 3)):
        attempts.make(Failing(layer_name=name, region=REGIONS[region]))
        counts.append(len(Failing.rehearsals))
    assert counts == [1, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize(
    ("error", "without_task"),
    [(ZeroDivisionError(), Verdict.WORKER), (OSError(errno.EIO, "disk"), Verdict.TRANSIENT)],
)
def test_what_fails_before_there_is_a_task_is_the_worker_s_fault(error: Exception, without_task: Verdict) -> None:
    assert failed(error).verdict is without_task
    assert failed(error).made


class Raises:
    """A method that raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_: Any) -> Any:
        raise self.error


def test_a_failure_of_a_stage_with_the_sender_s_recipe_is_not_clear() -> None:
    Failing().prepare()
    assert blame(Failing(region=FIRST)) is Verdict.UNCLEAR
    assert blame(ManyForAttempts()) is Verdict.UNCLEAR


def test_a_layer_that_is_absent_or_of_another_recipe_is_the_worker_s_fault() -> None:
    assert blame(Failing(region=FIRST)) is Verdict.WORKER
    Failing(value=2).prepare()
    assert blame(Failing(region=FIRST)) is Verdict.WORKER


@pytest.mark.parametrize("method", ["recipe", "validate"])
@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (KeyError("model"), Verdict.WORKER),
        (PermissionError(errno.EACCES, "no"), Verdict.WORKER),
        (OSError(errno.ESTALE, "stale"), Verdict.TRANSIENT),
        (ValueError("device must be cpu"), Verdict.WORKER),
    ],
)
def test_a_stage_that_cannot_be_checked_is_the_worker_s_fault_or_the_machine_s(
    method: str, error: Exception, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing().prepare()
    monkeypatch.setattr(Failing, method, Raises(error))
    assert blame(Failing(region=FIRST)) is verdict


def test_knobs_that_are_refused_under_the_sender_s_recipe_are_the_task_s_own_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Failing().prepare()
    assert blame(Failing(region="0-3_0-4_0-4")) is Verdict.FINAL
    monkeypatch.setattr(Failing, "validate", Raises(ValueError("value must be 1 to 9, got 1")))
    assert blame(Failing(region=FIRST)) is Verdict.FINAL
