"""A job whose bucket fails in the middle: it ends right, or in one clear line, and the next run completes it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Said, lchunk
from tests.conftest import files_of
from tests.faults.bucket_killing import objects_of, service, set_options
from tests.pipelines.disk_job import made_on_disk
from tests.servers import free_port, set_variables
from tests.volumes.faulty_proxy import Fault, proxy

KINDS = ("500", "503", "truncated", "slow", "reset", "lost")
STORE = """
[Store]
{endpoint} = {url}
anonymous = gs://lchunk
read_seconds = 0.4
connect_seconds = 1
patience_seconds = {patience}
"""
SILENCE = 0.6


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image, a cfg, and all that the job makes on a disk."""
    return made_on_disk(tmp_path_factory.mktemp("job"), (16, 20, 12))


@pytest.fixture(scope="module", params=["s3", "gs"])
def upstream(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, str]]:
    """The scheme of a service, its option in `[Store]`, and the URL of a server."""
    with service(request.param) as store:
        option = f"{'s3' if request.param == 's3' else 'gcs'}_endpoint"
        yield request.param, option, store[option]


def run(job: Path, folder: Path, root: str, option: str, url: str, *, patience: float = 20) -> Said:
    """Run the job in a bucket."""
    text = (job / "luigi.cfg").read_text().replace(f"root = {job}/out", f"root = {root}")
    (folder / "luigi.cfg").write_text(text + STORE.format(endpoint=option, url=url, patience=patience))
    return lchunk(folder, "run", "MeshManifest")


def assert_whole(job: Path, root: str, option: str, url: str) -> None:
    """The bucket holds what the disk holds; asked of the server itself."""
    set_options("Store", anonymous="gs://lchunk", **{option: url})
    made, wanted = objects_of(root), files_of(job / "out")
    assert {key for key in {*made, *wanted} if made.get(key) != wanted.get(key)} == set()


def test_each_kind_of_failure_in_turn_changes_nothing(
    job: Path, tmp_path: Path, upstream: tuple[str, str, str]
) -> None:
    scheme, option, server = upstream
    failed: Counter[str] = Counter()

    def fault(number: int, method: str) -> str:
        kind = KINDS[number // 7 % len(KINDS)] if number % 7 == 0 else ""
        failed[kind] += 1
        return kind

    root = f"{scheme}://lchunk/in-turn/out"
    with proxy(server, fault, silence=SILENCE) as url:
        said = run(job, tmp_path, root, option, url)
    assert said.code == 0, said.err
    assert all(failed[kind] >= 3 for kind in KINDS), failed
    assert_whole(job, root, option, server)


def away_after(count: int) -> tuple[Fault, threading.Event]:
    """A server that hangs up on each request after so many, and what is set when that begins."""
    gone = threading.Event()

    def fault(number: int, method: str) -> str:
        if number > count:
            gone.set()
        return "reset" if number > count else ""

    return fault, gone


def test_a_server_that_goes_away_for_some_seconds_is_waited_for(
    job: Path, tmp_path: Path, upstream: tuple[str, str, str]
) -> None:
    scheme, option, server = upstream
    port, (fault, gone) = free_port(), away_after(300)
    root, said = f"{scheme}://lchunk/away/out", []
    url = f"http://127.0.0.1:{port}"
    with proxy(server, fault, port=port):
        worker = threading.Thread(target=lambda: said.append(run(job, tmp_path, root, option, url)))
        worker.start()
        assert gone.wait(60)
    time.sleep(2.5)  # nothing listens
    assert worker.is_alive()
    with proxy(server, lambda number, method: "", port=port):
        worker.join(120)
    assert said[0].code == 0, said[0].err
    assert_whole(job, root, option, server)


def test_a_server_that_stays_away_is_one_line_and_the_next_run_completes_the_job(
    job: Path, tmp_path: Path, upstream: tuple[str, str, str]
) -> None:
    scheme, option, server = upstream
    fault, gone = away_after(300)
    root = f"{scheme}://lchunk/stays-away/out"
    with proxy(server, fault) as url:
        said = run(job, tmp_path, root, option, url, patience=0.5)
    assert gone.is_set()
    assert said.code != 0
    assert f"the server of {scheme}://lchunk must answer, got" in said.last, said.err
    assert "Traceback" not in said.err
    said = run(job, tmp_path, root, option, server)
    assert said.code == 0, said.err
    assert_whole(job, root, option, server)
