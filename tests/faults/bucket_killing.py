"""Kill -9 over a whole job whose root is in a bucket: does it end with the bytes of a job on a disk?

`python -m tests.faults.bucket_killing s3|gs KILLS SEED [late]` starts a server of objects, and lets one process make a
small dataset on a disk. Then a process makes it in the bucket. It is killed at a random instant of its work, and
another one goes on where it was, until one comes to the end; then the job begins anew in another root, until all kills
are done. Each root must have the bytes of the one on the disk, and `lchunk verify` must find nothing in it. With
`late`, no process is killed before the meshes are complete, so that all kills fall into what is written in shards.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import luigi
from luigi.configuration import get_config
from luigi.task_register import Register

from lchunk.tasks import dataset as dataset_module
from lchunk.verify import verify
from lchunk.volumes.store import open_store
from tests.conftest import files_of
from tests.faults.forked_job import configure_run, end_of, meshes, objects, run_in_child, run_job, write_image
from tests.faults.request_notes import count_requests, note_requests, open_requests
from tests.servers import AWS, gcs_server, sqs_server
from tests.volumes.conftest import make_bucket

MOST_REQUESTS = 150
"""That a process makes before it is killed: its instant falls into work, however quick the machine is."""
LONGEST_LAG = 0.02
"""Seconds."""


@dataclass
class Figures:
    """What happened, in all jobs.

    Attributes:
        killed: kills by the requests that they hit.
        jobs: that came to their end.
        objects: of each root.
        requests: of all processes.
    """

    killed: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    objects: int = 0
    requests: int = 0


@contextlib.contextmanager
def service(scheme: str) -> Iterator[dict[str, str]]:
    """A server of objects with the bucket `lchunk`. Gives what `[Store]` says of it."""
    if scheme == "s3":
        with sqs_server("clock") as moto:
            make_bucket(moto["AWS_ENDPOINT_URL"])
            yield {"s3_endpoint": moto["AWS_ENDPOINT_URL"]}
    else:
        with gcs_server() as url:
            yield {"gcs_endpoint": url, "anonymous": "gs://lchunk"}


def set_options(section: str, **options: Any) -> None:
    """Set options of the cfg of this process, and those that it forks."""
    for name, value in options.items():
        get_config().set(section, name, str(value))
    Register.clear_instance_cache()
    dataset_module._geometry.cache_clear()


def objects_of(root: str) -> dict[str, bytes]:
    """Every object of a root but the logs."""
    dataset_module.Dataset()  # tells the stores of [Store]
    store = open_store(root)
    return {key: store.get(key) for key in store.list("") if not key.startswith("logs/")}


def nothing() -> list[luigi.Task]:
    """No task."""
    return []


def kill_in_bucket(
    folder: Path,
    scheme: str,
    shape: tuple[int, int, int],
    kills: int,
    chance: random.Random,
    *,
    undisturbed: Callable[[], list[luigi.Task]] = nothing,
) -> Figures:
    """Make jobs until so many kills hit a process at work, after some undisturbed tasks.

    What must hold of each job is asserted.
    """
    write_image(folder, shape)
    configure_run(set_options, folder, folder / "out")
    assert run_job(objects)
    expected, figures = files_of(folder / "out"), Figures()
    figures.objects = len(expected)
    with service(scheme) as store:
        set_options("Store", **store)
        while figures.killed.total() < kills:
            root = f"{scheme}://lchunk/{uuid.uuid4().hex}/out"
            configure_run(set_options, folder, root)
            assert end_of(run_in_child(undisturbed)) == 0
            kill_until_complete(root, folder / "requests", figures, kills, chance)
            figures.jobs += 1
            made = objects_of(root)
            differing = {key for key in {*made, *expected} if made.get(key) != expected.get(key)}
            assert not differing, (root, sorted(differing))
            assert list(verify(open_store(root))) == []
    return figures


def kill_until_complete(root: str, notes: Path, figures: Figures, kills: int, chance: random.Random) -> None:
    """Kill one process of a job after the other, until one comes to the end before its instant, or none is left."""
    while True:
        notes.write_bytes(b"")
        child = run_in_child(objects, partial(note_requests, notes, root))
        last = figures.killed.total() == kills
        if not last:
            wanted = chance.randint(1, MOST_REQUESTS)
            while is_running(child) and count_requests(notes) < wanted:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, LONGEST_LAG))
            os.kill(child, signal.SIGKILL)
        code = end_of(child)
        figures.requests += count_requests(notes)
        if code == 0:
            return
        assert (code, last) == (-signal.SIGKILL, False)
        figures.killed[open_requests(notes, root)] += 1


def is_running(child: int) -> bool:
    """Whether a process has not ended; its end can still be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def main() -> None:
    os.environ.update(AWS)
    scheme, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    began = time.monotonic()
    first = meshes if len(sys.argv) > 4 else nothing
    with tempfile.TemporaryDirectory(prefix="lchunk-killing-") as folder:
        figures = kill_in_bucket(Path(folder), scheme, (24, 32, 36), kills, random.Random(seed), undisturbed=first)
    lines = [
        f"{figures.killed.total()} kills in {figures.jobs} jobs of {figures.objects} objects, "
        f"{time.monotonic() - began:.0f} seconds, {figures.requests} requests",
        *(f"{count:>5}  {what}" for what, count in figures.killed.most_common()),
    ]
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
