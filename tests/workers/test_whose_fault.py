"""Faults of the machine, of the worker and of the task: what becomes of the messages, and of the worker."""

from __future__ import annotations

import errno
import gc
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from luigi.configuration import LuigiConfigParser

from lchunk.workers import lease as lease_module
from lchunk.workers import worker as worker_module
from lchunk.workers.enqueue import send
from lchunk.workers.folder_queue import FolderQueue
from lchunk.workers.lease import Lease
from lchunk.workers.messages import STAGES, TaskMessage
from lchunk.workers.queue import Message
from lchunk.workers.ready import Job
from lchunk.workers.routes import Routes
from lchunk.workers.stopping import Stopping
from lchunk.workers.worker import Outcome, Terms, Worker
from tests.workers.clocks import Clock
from tests.workers.scripted import ScriptedQueue
from tests.workers.stages_that_fail import Failing

pytestmark = pytest.mark.usefixtures("configured")
MODULE = "tests.workers.stages_that_fail"
TERMS = Terms(visibility=60, wait=0, back_off=0, exit_when_empty=True, modules=(STAGES, MODULE))
REGIONS = [f"{4 * z}-{4 * z + 4}_0-4_0-4" for z in range(16)]
FIRST = REGIONS[0]


def body(region: str = FIRST, **fields: Any) -> str:
    message = TaskMessage.of(Failing(region=region), {})
    return replace(message, **fields).body


def work(queue: Any, **terms: object) -> Worker:
    worker = Worker(queue, replace(TERMS, **terms), Stopping(1))
    worker.work()
    return worker


def fail(configured: Callable[..., None], kind: str, *regions: str) -> None:
    configured("Failing", how=",".join(f"{region}:{kind}" for region in regions))


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_a_transient_failure_comes_again_and_does_not_count(kind: str, configured: Callable[..., None]) -> None:
    fail(configured, kind, *REGIONS)
    queue = ScriptedQueue(*map(body, REGIONS))
    worker = work(queue)
    assert worker.tally == {Outcome.DELAYED: len(REGIONS)}
    assert not worker.ended_itself
    again = [TaskMessage.parse(text) for text in queue.sent]
    assert {(message.failures, message.returns) for message in again} == {(0, 1)}
    assert not queue.letters
    fail(configured, kind)
    assert work(ScriptedQueue(*queue.sent)).tally == {Outcome.MADE: len(REGIONS)}


def test_a_machine_that_fails_where_others_succeed_ends_its_worker(
    configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "others_succeed", lambda since: True)
    fail(configured, "disk", *REGIONS)
    queue = ScriptedQueue(*map(body, REGIONS))
    worker = work(queue)
    assert worker.tally == {Outcome.DELAYED: 3}
    assert worker.ended_because.startswith("3 tasks failed in a row for a fault of this machine (disk failed)")
    assert len(queue.sent) == 3
    assert {TaskMessage.parse(text).failures for text in queue.sent} == {0}


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_chunk_that_fails_on_every_machine_ends_no_worker(
    kind: str, configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "others_succeed", lambda since: True)
    fail(configured, kind, FIRST)
    for _ in range(2):
        worker = work(ScriptedQueue(*[body()] * 8, body(REGIONS[1]), *[body()] * 8))
        assert worker.tally[Outcome.DELAYED] == 16
        assert not worker.ended_itself


def test_a_device_that_fails_ends_the_worker_and_gives_back(configured: Callable[..., None]) -> None:
    fail(configured, "device", FIRST)
    queue = ScriptedQueue(body(), body(REGIONS[1]))
    worker = work(queue)
    assert worker.tally == {Outcome.DELAYED: 1}
    assert worker.ended_itself
    assert TaskMessage.parse(queue.sent[0]).failures == 0


def test_a_worker_without_a_package_gives_back_and_ends(configured: Callable[..., None]) -> None:
    fail(configured, "torch", *REGIONS)
    queue = ScriptedQueue(*map(body, REGIONS))
    worker = work(queue)
    assert worker.tally == {Outcome.UNFIT: 5}
    assert worker.ended_itself
    assert not queue.letters


def test_a_task_that_exits_does_not_end_the_worker(configured: Callable[..., None]) -> None:
    fail(configured, "exit", FIRST)
    worker = work(ScriptedQueue(body(), body(REGIONS[1])))
    assert worker.tally == {Outcome.FAILED: 1, Outcome.MADE: 1}


def test_a_knob_that_no_worker_can_do_is_final_at_once() -> None:
    queue = ScriptedQueue(TaskMessage.of(Failing(region=FIRST, value=0), {}).body, body())
    assert work(queue).tally == {Outcome.BURIED: 1, Outcome.MADE: 1}
    assert "value must be 1 to 9, got 0" in queue.letters[0].error


def broken_cfg(configured: Callable[..., None], tmp_path: Path) -> None:
    configured("Dataset", image=f"{tmp_path}/elsewhere.h5:/raw")


def other_bounds(configured: Callable[..., None], tmp_path: Path) -> None:
    configured("Dataset", bounds="0-32_0-4_0-4")


def other_root(configured: Callable[..., None], tmp_path: Path) -> None:
    configured("Dataset", root=tmp_path / "mine")


def torn_cfg(configured: Callable[..., None], tmp_path: Path) -> None:
    configured("Dataset", voxel_size="four")


def no_module(configured: Callable[..., None], tmp_path: Path) -> tuple[str, ...]:
    return (STAGES,)


@pytest.mark.parametrize("breaking", [broken_cfg, other_bounds, other_root, torn_cfg, no_module])
def test_a_broken_worker_buries_none_of_many_good_messages(
    breaking: Callable[..., tuple[str, ...] | None], configured: Callable[..., None], tmp_path: Path,
    cfg: LuigiConfigParser,
) -> None:  # fmt: skip
    queue = FolderQueue(tmp_path / "queue")
    queue.create(60)
    send(Routes(queue), Job.of(Failing()).ready, {})
    sound = {name: dict(cfg.items(name)) for name in cfg.sections()}
    modules = breaking(configured, tmp_path) or TERMS.modules
    for _ in range(3):  # it is started again and again
        worker = work(queue, modules=modules, max_tasks=100)
        assert worker.ended_itself
        assert worker.tally == {Outcome.UNFIT: 5}
    for name in cfg.sections():
        for option in list(cfg.options(name)):
            cfg.remove_option(name, option)
        configured(name, **sound[name])
    assert queue.counts().dead == 0
    assert work(queue).tally == {Outcome.MADE: len(REGIONS)}
    assert Failing().complete()


def test_a_worker_of_an_older_version_gives_back() -> None:
    newer = json.loads(body())
    queue = ScriptedQueue(
        json.dumps(newer | {"priority": 3}),
        json.dumps(newer | {"family": "NotYetThere"}),
        json.dumps(newer | {"params": newer["params"] | {"new_knob": "1"}}),
        json.dumps(newer | {"options": {"Failing_new_knob": "1"}}),
        json.dumps(newer | {"module": f"{MODULE}.new"}),
    )
    worker = work(queue)
    assert worker.tally == {Outcome.UNFIT: 5}
    assert not queue.letters
    assert [json.loads(text).get("priority") for text in queue.sent] == [3, None, None, None, None]


def test_a_worker_with_other_knobs_is_refused_and_says_why(
    configured: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    Failing().prepare()
    queue = ScriptedQueue(TaskMessage.of(Failing(region=FIRST, value=3), {}).body)
    assert work(queue).tally == {Outcome.UNFIT: 1}
    assert "value is '1' there, '3' in this run" in caplog.text


def test_a_success_between_failures_clears_them(configured: Callable[..., None]) -> None:
    bad, good = [*REGIONS[:4], *REGIONS[5:9]], REGIONS[4]
    fail(configured, "bug", *bad)
    order = [*REGIONS[:4], good, *REGIONS[5:9]]
    worker = work(ScriptedQueue(*map(body, order)), in_a_row=5)
    assert worker.tally == {Outcome.FAILED: 8, Outcome.MADE: 1}
    assert not worker.ended_itself


@pytest.mark.parametrize("kind", ["bug", "disk", "torch"])
def test_a_message_is_sent_again_before_it_is_deleted(kind: str, configured: Callable[..., None]) -> None:
    fail(configured, kind, FIRST)
    queue = ScriptedQueue(body())
    work(queue)
    assert queue.answers == ["send", "delete"]


def test_a_message_that_cannot_be_sent_again_is_kept(configured: Callable[..., None]) -> None:
    fail(configured, "bug", FIRST)
    queue = ScriptedQueue(body(), body(REGIONS[1]))
    queue.failing = {"send"}
    assert work(queue).tally == {Outcome.UNANSWERED: 1, Outcome.MADE: 1}
    assert queue.answers == ["send", "delete"]  # the second is of the next message


def test_waits_grow_with_returns_and_with_failures(configured: Callable[..., None]) -> None:
    for kind, count in (("torch", "returns"), ("bug", "failures")):
        fail(configured, kind, FIRST)
        waits = []
        for number in (0, 2):
            queue = ScriptedQueue(body(**{count: number}))
            work(queue, back_off=0.001)
            waits += queue.delays
        assert waits[0] < waits[1] <= 0.004


def test_what_no_worker_can_do_is_given_up_after_many_returns(configured: Callable[..., None]) -> None:
    fail(configured, "torch", FIRST)
    queue = ScriptedQueue(body(returns=22, since=5))
    assert work(queue).tally == {Outcome.UNFIT: 1}
    (again,) = queue.sent
    queue = ScriptedQueue(again)
    assert work(queue).tally == {Outcome.BURIED: 1}
    (letter,) = queue.letters
    assert letter.error.startswith("returned 24 times in ")
    assert "no worker could do it; last error:" in letter.error
    assert "No module named 'torch'" in letter.error
    assert TaskMessage.parse(letter.body) == TaskMessage.parse(body())  # its counts restart when it is sent again


@pytest.mark.parametrize(("returns", "hours", "buried"), [(23, 25, True), (22, 25, False), (500, 23, False)])
def test_what_looks_transient_is_given_up_after_a_day(
    returns: int, hours: float, buried: bool, configured: Callable[..., None]
) -> None:
    fail(configured, "disk", FIRST)
    queue = ScriptedQueue(body(returns=returns, since=int(time.time() - 3600 * hours)))
    assert work(queue).tally == {Outcome.BURIED if buried else Outcome.DELAYED: 1}


@pytest.mark.parametrize(
    ("kind", "starved", "others", "buried"),
    [("memory", 5, True, True), ("memory", 4, True, False), ("memory", 5, False, False), ("disk", 5, True, False)],
)
def test_a_chunk_for_which_no_memory_is_enough_is_given_up_while_others_are_made(
    kind: str, starved: int, *, others: bool, buried: bool, configured: Callable[..., None]
) -> None:
    fail(configured, kind, FIRST)
    messages = [body(REGIONS[1])] if others else []
    queue = ScriptedQueue(*messages, body(returns=starved, since=int(time.time()) - 1, starved=starved))
    assert work(queue).tally[Outcome.BURIED if buried else Outcome.DELAYED] == 1
    if buried:
        (letter,) = queue.letters
        assert letter.error.startswith(
            "out of memory 6 times, while other chunks were made: it needs a worker with more"
        )
        assert TaskMessage.parse(letter.body) == TaskMessage.parse(body())
    else:
        (again,) = map(TaskMessage.parse, queue.sent)
        assert again.starved == starved + (kind == "memory")


def test_nothing_is_kept_of_a_failure(configured: Callable[..., None]) -> None:
    regions = REGIONS[:8]
    fail(configured, "bug", *regions)
    queue = ScriptedQueue(*map(body, regions))
    worker = work(queue, in_a_row=100)
    assert worker.tally == {Outcome.FAILED: 8}
    assert len(Failing.arrays) == 8
    gc.collect()
    assert [array() for array in Failing.arrays] == [None] * 8


def test_a_queue_that_is_out_of_reach_for_a_while_ends_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = ScriptedQueue(ConnectionError("gone"), OSError(errno.ESTALE, "stale"), body())
    worker = Worker(queue, TERMS, Stopping(1))
    pauses = no_pauses(worker, monkeypatch)
    assert worker.work() == {Outcome.MADE: 1}
    assert len(pauses) == 2
    assert 0 < pauses[0] < pauses[1]


def test_a_queue_that_stays_out_of_reach_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(ScriptedQueue(ConnectionError("gone")), replace(TERMS, outage=0), Stopping(1))
    no_pauses(worker, monkeypatch)
    with pytest.raises(ConnectionError, match="gone"):
        worker.work()


def test_a_queue_that_does_not_exist_ends_the_worker_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must exist"):
        work(FolderQueue(tmp_path / "none"))


def no_pauses(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(worker.stopping.requested, "wait", pauses.append)
    return pauses


def test_a_worker_slows_down_while_its_machine_fails(
    configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(configured, "disk", *REGIONS[:3])
    worker = Worker(ScriptedQueue(*map(body, REGIONS[:5])), replace(TERMS, back_off=10), Stopping(1))
    pauses = no_pauses(worker, monkeypatch)
    worker.work()
    assert len(pauses) == 3
    assert pauses[0] <= 10 < pauses[2] <= 30


def test_a_lease_ends_by_the_clock_where_nothing_could_renew_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(lease_module, "time", clock)
    busy = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(busy.wait)  # as if a call never lets another thread run
        with Lease(ScriptedQueue(), Message("a", "receipt", 1), 30, pool) as lease:
            held = []
            for seconds in (0, 29, 2):
                clock.now += seconds
                held.append(lease.held)
        busy.set()
    assert held == [True, True, False]


def test_what_is_done_after_its_lease_ended_is_left_to_its_new_holder(
    configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(configured, "bug", REGIONS[1])
    monkeypatch.setattr(Lease, "held", property(lambda lease: time.monotonic() + 1000 < lease.ends))
    queue = ScriptedQueue(body(), body(REGIONS[1]))
    assert work(queue).tally == {Outcome.LOST: 2}
    assert queue.answers == []


def test_what_came_too_often_is_given_up_before_anything_is_tried() -> None:
    for text in (body(module="none.such"), body(), "[" * 100_000):
        queue = ScriptedQueue(text, receives=11)
        assert work(queue).tally == {Outcome.BURIED: 1}
        assert "delivered 11 times, and every worker died before" in queue.letters[0].error
    assert not Failing(region=FIRST).complete()


def test_a_stage_is_rehearsed_once_by_a_worker_and_never_by_the_sender(tmp_path: Path) -> None:
    queue = FolderQueue(tmp_path / "queue")
    queue.create(60)
    send(Routes(queue), Job.of(Failing()).ready, {})
    assert Failing.rehearsals == []
    assert work(queue).tally == {Outcome.MADE: len(REGIONS)}
    assert Failing.rehearsals == ["None"]


def test_a_worker_with_too_little_memory_gives_back(configured: Callable[..., None]) -> None:
    configured("Failing", rehearsed="a chunk of Failing must fit in the memory of the host, 1 GB, got 2 GB")
    queue = ScriptedQueue(*map(body, REGIONS))
    worker = work(queue)
    assert worker.tally == {Outcome.UNFIT: 5}
    assert worker.ended_itself
    assert Failing.arrays == []
