"""Which messages are sent, and when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import luigi
import numpy as np
import pytest

from lchunk.cli import parser
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Agglomeration, Downsample, Ingest, SegmentNames
from lchunk.workers.enqueue import DeadEndError, NotDrainedError, keep_fed, refuse_undrained, send, summary
from lchunk.workers.folder_queue import FolderQueue
from lchunk.workers.messages import STAGES, TaskMessage
from lchunk.workers.queue import Counts, Queue
from lchunk.workers.ready import Amount, Job, amounts, by_stage
from lchunk.workers.routes import Routes, parse_routes
from lchunk.workers.stopping import Stopping
from lchunk.workers.worker import Terms, Worker
from tests.conftest import build, write_hdf5
from tests.workers.stages import Noted, NotedTwice

FIRST = "0-4_0-4_0-4"


@pytest.fixture
def queue(tmp_path: Path, configure: Callable[..., None]) -> FolderQueue:
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros((16, 4, 4), np.uint8), (4, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=f"{tmp_path}/a.h5:/raw", chunk_shape="4,4,4", inner_chunk="4,4,4")
    configure("Noted", runs=tmp_path / "runs")
    queue = FolderQueue(tmp_path / "queue")
    queue.create(60)
    return queue


def work(queue: FolderQueue, most: int = 0) -> None:
    terms = Terms(
        visibility=5, wait=0, back_off=0, exit_when_empty=True, max_tasks=most, modules=(STAGES, "tests.workers.stages")
    )
    Worker(queue, terms, Stopping(1)).work()


def regions(tasks: list[luigi.Task]) -> list[str]:
    return [f"{task.task_family} {task.region}" for task in tasks]


def test_only_what_is_missing_and_ready_is_sent(queue: FolderQueue) -> None:
    job = Job.of(NotedTwice())
    assert regions(job.ready) == [f"Noted {4 * z}-{4 * z + 4}_0-4_0-4" for z in range(4)]
    assert job.waiting == 4
    assert build(Noted(region=FIRST), Noted(region="4-8_0-4_0-4"))
    job = Job.of(NotedTwice())
    # the first needs the second too, which is within its halo; the second needs the third
    assert regions(job.ready) == [f"NotedTwice {FIRST}", "Noted 8-12_0-4_0-4", "Noted 12-16_0-4_0-4"]
    assert job.waiting == 3
    assert build(NotedTwice())
    assert Job.of(NotedTwice()).done


def test_a_large_grid_is_sent_in_blocks(queue: FolderQueue, configure: Callable[..., None]) -> None:
    configure("Dataset", max_blocks=2)
    job = Job.of(Noted())
    assert regions(job.ready) == ["Noted 0-8_0-4_0-4", "Noted 8-16_0-4_0-4"]
    assert amounts(job.ready) == [Amount("Noted", 2, 4, None)]
    send(Routes(queue), job.ready, {})
    work(queue)
    assert Noted().complete()


def test_sending_fixes_the_recipe(queue: FolderQueue, configure: Callable[..., None]) -> None:
    send(Routes(queue), Job.of(Noted()).ready, {})
    assert build(Noted())
    send(Routes(queue), Job.of(NotedTwice()).ready, {})
    with pytest.raises(RecipeMismatchError, match="times is '2' there, '3' in this run"):
        NotedTwice(times=3).complete()


def test_sending_fixes_the_recipe_of_each_stage_of_a_layer(queue: FolderQueue, configure: Callable[..., None]) -> None:
    configure("Downsample", factor="1,2,2", mips=1)
    assert build(Ingest(region=FIRST))
    job = Job.of(Downsample(of="image"))
    assert {task.task_family for task in job.ready} == {"Ingest", "Downsample"}
    send(Routes(queue), job.ready, {})
    assert all(stage.files().recipe() is not None for stage in (Ingest(), Downsample(of="image")))


def test_the_passes_over_a_layer_are_stages_of_their_own(queue: FolderQueue, configure: Callable[..., None]) -> None:
    configure("Downsample", factor="2,1,1", mips=2, pass_mips=1)
    last = Downsample(of="image")
    first = last.pass_of(1)
    assert build(Ingest(), first.at(first.grid.chunk((0, 0, 0))), first.at(first.grid.chunk((1, 0, 0))))
    job = Job.of(last)
    assert [group[0].for_volume for group in by_stage(job.ready)] == [last, first]
    send(Routes(queue), job.ready, {})
    assert all(stage.files().recipe() is not None for stage in (first, last))
    work(queue)
    job = Job.of(last)
    assert regions(job.ready) == ["Downsample 4-8_0-4_0-4"]
    send(Routes(queue), job.ready, {})
    work(queue)
    assert last.complete()


def test_a_dry_run_sends_nothing(queue: FolderQueue, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["enqueue", "Noted", "--queue", queue.address, "--module", "tests.workers.stages", "--dry-run"]
    for more in ([], ["--until-done"]):
        arguments = parser().parse_args([*words, *more])
        arguments.rest = []
        assert arguments.run(arguments) == 0
        assert "dry run: nothing sent" in capsys.readouterr().out
    assert queue.counts().open == 0


def test_a_queue_that_is_not_drained_is_refused(queue: FolderQueue) -> None:
    refuse_undrained(Routes(queue))
    send(Routes(queue), Job.of(Noted()).ready, {})
    with pytest.raises(NotDrainedError, match=r"must be empty before more is sent, got 4 waiting messages.*--force"):
        refuse_undrained(Routes(queue))


def test_a_job_is_kept_fed_until_it_is_complete(queue: FolderQueue) -> None:
    rounds = []

    def meanwhile(seconds: float) -> bool:
        rounds.append(seconds)
        work(queue)
        return len(rounds) > 9

    keep_fed(Routes(queue), NotedTwice, {}, every=3, until_stopped=meanwhile)
    assert NotedTwice().complete()
    assert rounds == [3, 3]  # one a stage


def test_a_supervisor_that_was_killed_goes_on(queue: FolderQueue) -> None:
    keep_fed(Routes(queue), NotedTwice, {}, every=0, until_stopped=lambda _: True)
    work(queue, most=2)
    assert queue.counts().open == 2
    sent = []

    def meanwhile(_: float) -> bool:
        sent.append(queue.counts().open)
        work(queue, most=1)
        return len(sent) > 20

    keep_fed(Routes(queue), NotedTwice, {}, every=0, until_stopped=meanwhile)
    assert NotedTwice().complete()
    # the new one does not know the two that existed, but sends no second message for them
    assert sent[:2] == [2, 1]
    assert len((queue.folder.parent / "runs").read_text().splitlines()) == 2 * 4


def test_what_vanishes_on_the_way_is_sent_again(queue: FolderQueue) -> None:
    rounds = []

    def meanwhile(_: float) -> bool:
        rounds.append(queue.counts().open)
        if len(rounds) == 1:
            queue.purge()
        work(queue)
        return len(rounds) > 9

    keep_fed(Routes(queue), Noted, {}, every=0, until_stopped=meanwhile)
    assert Noted().complete()


def test_a_job_whose_rest_was_given_up_ends_with_the_way_out(
    queue: FolderQueue, configure: Callable[..., None]
) -> None:
    configure("Noted", poison=FIRST)

    def meanwhile(_: float) -> bool:
        work(queue)
        return False

    with pytest.raises(DeadEndError, match=r"1 messages were given up; see why with: lchunk queue dead"):
        keep_fed(Routes(queue), NotedTwice, {}, every=0, until_stopped=meanwhile)
    configure("Noted", poison="")
    assert NotedTwice(region="12-16_0-4_0-4").complete()
    queue.redrive()
    keep_fed(Routes(queue), NotedTwice, {}, every=0, until_stopped=meanwhile)
    assert NotedTwice().complete()


def test_a_stage_goes_to_the_queue_of_its_route(queue: FolderQueue, tmp_path: Path) -> None:
    big = FolderQueue(tmp_path / "big")
    big.create(60)
    routes = Routes(queue, {"NotedTwice": big})
    assert build(Noted(region=FIRST), Noted(region="4-8_0-4_0-4"))
    send(routes, Job.of(NotedTwice()).ready, {})
    assert families(queue) == ["Noted", "Noted"]
    assert families(big) == ["NotedTwice"]
    with pytest.raises(NotDrainedError, match="got 3 waiting messages"):
        refuse_undrained(routes)


def families(queue: FolderQueue) -> list[str]:
    return [TaskMessage.parse(path.read_text()).family for path in queue.messages.iterdir()]


def test_a_job_is_kept_fed_over_all_its_routes(queue: FolderQueue, tmp_path: Path) -> None:
    big = FolderQueue(tmp_path / "big")
    big.create(60)
    taken: list[str] = []

    def meanwhile(_: float) -> bool:
        taken.extend([*families(queue), *families(big)])
        work(queue)
        work(big)
        return len(taken) > 20

    keep_fed(Routes(queue, {"NotedTwice": big}), NotedTwice, {}, every=0, until_stopped=meanwhile)
    assert NotedTwice().complete()
    assert taken == ["Noted"] * 4 + ["NotedTwice"] * 4


def test_what_was_given_up_in_any_queue_ends_a_job(
    queue: FolderQueue, tmp_path: Path, configure: Callable[..., None]
) -> None:
    big = FolderQueue(tmp_path / "big")
    big.create(60)
    configure("Noted", poison=FIRST)

    def meanwhile(_: float) -> bool:
        work(big)
        return False

    with pytest.raises(DeadEndError, match=rf"lchunk queue dead {big.address}"):
        keep_fed(Routes(queue, {"Noted": big}), Noted, {}, every=0, until_stopped=meanwhile)


def test_two_routes_to_one_queue_count_it_once(queue: FolderQueue) -> None:
    again = FolderQueue(queue.folder)
    routes = Routes(queue, {"Noted": again, "NotedTwice": again})
    send(routes, Job.of(Noted()).ready, {})
    assert routes.counts().open == 4
    assert routes.addresses == queue.address


def folder_queue(address: str) -> Queue:
    return FolderQueue(Path(address))


def levels_of(stage: str) -> int | None:
    return {"Agglomeration": 9, "SegmentNames": 9}.get(stage)


def test_routes_are_given_as_stage_and_queue(queue: FolderQueue) -> None:
    stages = {"Noted", "NotedTwice"}
    routes = parse_routes(queue, ["Noted=/gpu/", "NotedTwice=/a=b/"], folder_queue, stages, levels_of)
    assert {stage: own.address for stage, own in routes.by_stage.items()} == {"Noted": "/gpu", "NotedTwice": "/a=b"}
    for word in ("Noted", "Noted=", "=gpu", "", "Noted:3", ":3=gpu"):
        with pytest.raises(ValueError, match=r"route must be STAGE=QUEUE or STAGE:LEVEL\+=QUEUE, got"):
            parse_routes(queue, [word], folder_queue, {"Noted"}, levels_of)
    with pytest.raises(ValueError, match="route must begin with the name of a stage, got 'Nothing'"):
        parse_routes(queue, ["Nothing=gpu"], folder_queue, {"Noted"}, levels_of)


@pytest.mark.parametrize("last_first", [False, True])
def test_the_most_specific_route_counts(queue: FolderQueue, configure: Callable[..., None], last_first: bool) -> None:
    configure("Dataset", chunk_shape="1,1,1", inner_chunk="1,1,1")  # levels 0 to 8
    words = ["Agglomeration=/any/", "Agglomeration:5+=/big/", "Agglomeration:7+=/bigger/", "Agglomeration:6=/six/"]
    words = words[::-1] if last_first else words
    routes = parse_routes(queue, words, folder_queue, {"Agglomeration", "SegmentNames"}, levels_of)
    taken = {level: routes.queue_of(Agglomeration(level=level)).address for level in (0, 4, 5, 6, 7, 8)}
    assert taken == {
        0: "/any", 4: "/any", 5: "/big", 6: "/six", 7: "/bigger", 8: "/bigger"
    }  # fmt: skip
    assert routes.queue_of(SegmentNames(level=8)) is queue
    assert routes.queue_of(Noted()) is queue
    assert {each.address for each in routes.queues} == {queue.address, "/any", "/big", "/bigger", "/six"}


def test_the_last_level_has_a_number_though_its_task_says_minus_one(queue: FolderQueue) -> None:
    routes = parse_routes(queue, ["Agglomeration:2+=/big/"], folder_queue, {"Agglomeration"}, lambda _: 2)
    assert Agglomeration().height == 2  # 4 chunks
    assert routes.queue_of(Agglomeration()).address == "/big"
    assert routes.queue_of(Agglomeration(level=1)) is queue


@pytest.mark.parametrize("levels", ["10", "10+", "", "+", "-1", "3-5", "x", "3++"])
def test_a_route_to_a_level_that_does_not_exist_is_refused(queue: FolderQueue, levels: str) -> None:
    with pytest.raises(ValueError, match="route must name a level of Agglomeration from 0 to 9, the last box of this"):
        parse_routes(queue, [f"Agglomeration:{levels}=/big/"], folder_queue, {"Agglomeration"}, levels_of)


def test_a_stage_without_levels_has_no_route_to_a_level(queue: FolderQueue) -> None:
    with pytest.raises(
        ValueError, match=r"must name a stage with levels before a colon, .* got Noted:3; write Noted=Q"
    ):
        parse_routes(queue, ["Noted:3=/big/"], folder_queue, {"Noted"}, levels_of)


def test_a_keeper_goes_on_when_its_queue_is_out_of_reach_for_a_while(
    queue: FolderQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = iter([False, True, True, *[False] * 20])
    counts = queue.counts
    monkeypatch.setattr(queue, "counts", lambda: out_of_reach() if next(away) else counts())

    def meanwhile(_: float) -> bool:
        work(FolderQueue(queue.folder))
        return False

    keep_fed(Routes(queue), Noted, {}, every=0, until_stopped=meanwhile)
    assert Noted().complete()
    with pytest.raises(ConnectionError, match="no network"):
        keep_fed(Routes(Away(queue.folder)), Noted, {}, every=0, until_stopped=meanwhile, outage=0)


def out_of_reach() -> Counts:
    raise ConnectionError("no network")


class Away(FolderQueue):
    """A queue that is unreachable."""

    def counts(self) -> Counts:
        return out_of_reach()


def test_an_estimate_follows_from_the_logs(queue: FolderQueue) -> None:
    logs = queue.folder.parent / "out/logs/noted"
    logs.mkdir(parents=True)
    (logs / "a.jsonl").write_text('{"voxels": 64, "seconds": {"compute": 1800, "write": 1800}}\n')
    (logs / "torn.jsonl").write_text('{"voxels": 64, "sec')
    (logs / "foreign.jsonl").write_text("[]")
    job = Job.of(Noted())
    (amount,) = amounts(job.ready)
    assert amount.seconds == 4 * 3600
    lines = list(summary(job, [amount], workers=2))
    assert "4 regions" in lines[0]
    assert "4.0 h of one worker" in lines[0]
    assert lines[1].startswith("in all 4.0 h of one worker, 2.0 h with 2 workers; SQS requests $")


def test_an_estimate_looks_at_two_hundred_chunks(queue: FolderQueue) -> None:
    logs = queue.folder.parent / "out/logs/noted"
    logs.mkdir(parents=True)
    seconds = [1] * 199 + [201] + [10**6]
    lines = [f'{{"voxels": 64, "seconds": {{"compute": {each}}}}}\n' for each in seconds]
    (logs / "a.jsonl").write_text("".join(lines))
    (amount,) = amounts(Job.of(Noted()).ready)
    assert amount.seconds == 4 * 2


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(59.94, "59.9 s"), (60, "1.0 min"), (3599, "60.0 min"), (3600, "1.0 h"), (9000, "2.5 h")],
)
def test_times_are_told_in_units_that_fit(queue: FolderQueue, seconds: float, told: str) -> None:
    lines = list(summary(Job(Noted()), [Amount("Noted", 1, 1, seconds)], workers=1))
    assert lines == [
        f"Noted                      1 regions          1 chunks  {told} of one worker",
        f"in all {told} of one worker; SQS requests $0.0000",
    ]


def test_what_is_not_known_is_not_told_and_what_waits_is(queue: FolderQueue) -> None:
    job = Job(Noted(), waiting=7)
    parts = [Amount("Noted", 10**6, 10**6, None), Amount("NotedTwice", 10**6, 10**6, 7200)]
    lines = list(summary(job, parts, workers=1))
    assert lines[0].endswith("no estimate before a chunk is made")
    assert lines[2:] == [
        "in all 2.0 h of one worker; SQS requests $6.4000",
        "7 regions wait for others",
    ]
    assert len(list(summary(Job(Noted()), parts[:1], workers=2))) == 1


def test_a_chunk_that_is_complete_is_nothing_to_do(queue: FolderQueue) -> None:
    assert build(Noted(region=FIRST))
    assert Job.of(Noted(region=FIRST)).done
