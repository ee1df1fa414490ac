"""A job whose bucket fails in the middle: it ends right, or in one clear line, and the next run completes it.

`python -m tests.faults.bucket_away s3 20` does it with a server that is away for longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.bucket_away import BEFORE, BucketJob, away_after, reason_of
from tests.faults.bucket_killing import service
from tests.pipelines.disk_job import made_on_disk
from tests.servers import set_variables
from tests.volumes.faulty_proxy import proxy

KINDS = ("500", "503", "truncated", "slow", "reset", "lost")
SILENCE = 0.6


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image, a cfg, and all that the job makes on a disk."""
    return made_on_disk(tmp_path_factory.mktemp("job"), (16, 20, 12))


@pytest.fixture(scope="module", params=["s3", "gs"])
def job(request: pytest.FixtureRequest, made: Path) -> Iterator[BucketJob]:
    with service(request.param) as store:
        yield BucketJob(made, request.param, next(iter(store.values())))


def test_each_kind_of_failure_in_turn_changes_nothing(job: BucketJob, tmp_path: Path) -> None:
    failed: Counter[str] = Counter()

    def fault(number: int, method: str) -> str:
        kind = KINDS[number // 7 % len(KINDS)] if number % 7 == 0 else ""
        failed[kind] += 1
        return kind

    root = job.root("in-turn")
    with proxy(job.server, fault, silence=SILENCE) as url:
        said = job.run(tmp_path, root, url)
    assert said.code == 0, said.err
    assert all(failed[kind] >= 3 for kind in KINDS), failed
    job.assert_whole(root)


def test_a_server_that_is_away_for_some_seconds_is_waited_for(job: BucketJob, tmp_path: Path) -> None:
    root = job.root("away")
    said = job.run_while_away(tmp_path, root, 3, patience=10)
    assert said.code == 0, said.err
    job.assert_whole(root)


def test_a_server_that_is_away_longer_than_the_patience_is_one_line_and_the_next_run_completes_the_job(
    job: BucketJob, tmp_path: Path
) -> None:
    fault, gone = away_after(BEFORE)
    root = job.root("stays-away")
    with proxy(job.server, fault) as url:
        said = job.run(tmp_path, root, url, patience=0.5)
    assert gone.is_set()
    assert reason_of(said, job.scheme)
    said = job.run(tmp_path, root)
    assert said.code == 0, said.err
    job.assert_whole(root)
