"""A server of objects that is away for some seconds in the middle of a whole job.

`python -m tests.faults.bucket_away s3|gs SECONDS` runs a job on a disk, and then in a bucket whose server refuses all
connections for so many seconds, twice: with a patience of three times as long, the run must end right; with a quarter,
it must end in one clear line, and the next run must complete the job. Each has the bytes of the job on the disk.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cli.commands import Said, lchunk
from tests.conftest import files_of
from tests.faults.bucket_killing import objects_of, service, set_options
from tests.pipelines.disk_job import made_on_disk
from tests.servers import AWS, free_port
from tests.volumes.faulty_proxy import Fault, proxy

STORE = """
[Store]
{endpoint} = {url}
anonymous = gs://lchunk
read_seconds = 0.4
connect_seconds = 1
patience_seconds = {patience}
"""
BEFORE = 100
"""Requests that the server answers before it goes away."""


@dataclass(frozen=True)
class BucketJob:
    """A job that was made on a disk, and is made again in the bucket `lchunk` of a server.

    Args:
        made: folder of the job on the disk.
        scheme: `s3` or `gs`.
        server: URL of the server.
    """

    made: Path
    scheme: str
    server: str

    @property
    def option(self) -> str:
        return "s3_endpoint" if self.scheme == "s3" else "gcs_endpoint"

    def root(self, name: str) -> str:
        return f"{self.scheme}://lchunk/{name}/out"

    def run(self, folder: Path, root: str, url: str = "", *, patience: float = 20) -> Said:
        """Run the job by a cfg in a folder, over another URL of the server where one is given."""
        text = (self.made / "luigi.cfg").read_text().replace(f"root = {self.made}/out", f"root = {root}")
        store = STORE.format(endpoint=self.option, url=url or self.server, patience=patience)
        (folder / "luigi.cfg").write_text(text + store)
        return lchunk(folder, "run", "MeshManifest")

    def assert_whole(self, root: str) -> None:
        """The bucket holds what the disk holds; asked of the server itself."""
        set_options("Store", anonymous="gs://lchunk", **{self.option: self.server})
        made, wanted = objects_of(root), files_of(self.made / "out")
        assert {key for key in {*made, *wanted} if made.get(key) != wanted.get(key)} == set()

    def run_while_away(self, folder: Path, root: str, seconds: float, patience: float) -> Said:
        """Run the job over a server that goes away after some requests, and is back after some seconds."""
        port, (fault, gone), said = free_port(), away_after(BEFORE), []
        url = f"http://127.0.0.1:{port}"
        with proxy(self.server, fault, port=port):
            worker = threading.Thread(target=lambda: said.append(self.run(folder, root, url, patience=patience)))
            worker.start()
            assert gone.wait(60)
        time.sleep(seconds)  # nothing listens
        with proxy(self.server, lambda number, method: "", port=port):
            worker.join(240)
        return said[0]


def away_after(count: int) -> tuple[Fault, threading.Event]:
    """A server that hangs up on each request after so many, and what is set when that begins."""
    gone = threading.Event()

    def fault(number: int, method: str) -> str:
        if number > count:
            gone.set()
        return "reset" if number > count else ""

    return fault, gone


def reason_of(said: Said, scheme: str) -> str:
    """The last error of a run that gave up. Each error is one line that says which server failed."""
    assert said.code != 0
    errors = [line for line in said.err.splitlines() if line.startswith("lchunk: Error: ")]
    assert errors, said.err
    assert all(f"the server of {scheme}://lchunk must answer, got" in line for line in errors), said.err
    assert "Traceback" not in said.err
    return errors[-1]


def main() -> None:
    os.environ.update(AWS)
    scheme, seconds = sys.argv[1], float(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="lchunk-away-") as name, service(scheme) as store:
        folder = Path(name)
        job = BucketJob(made_on_disk(folder, (16, 20, 12)), scheme, next(iter(store.values())))
        for patience in (3 * seconds, seconds / 4):
            root, place = job.root(f"patience-{patience:g}"), folder / f"{patience:g}"
            place.mkdir()
            began = time.monotonic()
            said = job.run_while_away(place, root, seconds, patience)
            took = time.monotonic() - began
            if patience > seconds:
                assert said.code == 0, said.err
                end = "complete"
            else:
                end = f"code {said.code}, {reason_of(said, scheme)!r}; complete after the next run"
                assert job.run(place, root).code == 0
            job.assert_whole(root)
            sys.stdout.write(f"{scheme}, away {seconds:g} s, patience {patience:g} s: {took:.0f} s, {end}\n")


if __name__ == "__main__":
    main()
