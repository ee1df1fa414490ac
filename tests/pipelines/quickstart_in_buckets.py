"""The README's quickstart with its folder in a bucket: the same bytes as on a disk?

`python -m tests.pipelines.quickstart_in_buckets [s3] [gs]` runs the pipeline of the quickstart, with its own cfg and
sample, on a disk, and then in a bucket of each service, by the commands of the README with the options that name the
bucket and its server. Every object except the logs must have the bytes of the file on the disk. It prints the seconds
of each run, and the requests that reached the server.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.cli.commands import REPOSITORY, Said, start
from tests.conftest import files_of
from tests.faults.bucket_killing import objects_of, service, set_options
from tests.pipelines.request_counts import counted_requests, counting_proxy, table_of
from tests.servers import AWS

PIPELINE = ("run", "Quickstart", "--module", "tasks.quickstart")
SERVER = {"s3": ("s3_endpoint", "AWS_ENDPOINT_URL_S3"), "gs": ("gcs_endpoint", "STORAGE_EMULATOR_HOST")}
"""Of each service: the option of `[Store]` that names its server, and the variable that its own library reads."""


def timed(state: Path, *words: str, **environment: str) -> tuple[Said, float]:
    """Run a command in the clone, as the README does. Returns what it said, and its seconds."""
    began = time.monotonic()
    said = start(REPOSITORY, "lchunk.cli", words, environment | {"XDG_STATE_HOME": str(state)}, timeout=3600)
    assert said.code == 0, said.err
    return said, time.monotonic() - began


def compare_with_bucket(scheme: str, folder: Path) -> list[str]:
    """Run the quickstart in a bucket, and compare it with the one on the disk.

    Args:
        scheme: `s3` or `gs`.
        folder: of the run on the disk, which is in its folder `out`.

    Returns:
        Lines of a report.

    Raises:
        AssertionError: a command fails, or an object differs.
    """
    root, (option, variable) = f"{scheme}://lchunk/quickstart", SERVER[scheme]
    named = option.replace("_", "-")
    with service(scheme) as store, counting_proxy(store[option]) as (url, asked):
        words = [*PIPELINE, "--Dataset-root", root, f"--Store-{named}", url]
        words += ["--Store-anonymous", "gs://lchunk"] if scheme == "gs" else []
        _, seconds = timed(folder, *words)
        requests = counted_requests(asked, "quickstart")
        asked.clear()
        timed(folder, *words)
        again = counted_requests(asked, "quickstart")
        set_options("Store", anonymous="gs://lchunk", **{option: store[option]})
        made, wanted = objects_of(root), files_of(folder / "out")
        differing = sorted(key for key in {*made, *wanted} if made.get(key) != wanted.get(key))
        assert not differing, differing
        here = {variable: store[option]}
        for command in ("scores", "verify"):
            there, _ = timed(folder, command, root, **here)
            local, _ = timed(folder, command, f"{folder}/out")
            assert there.out.replace(root, "") == local.out.replace(f"{folder}/out", "")
    return [
        f"{scheme}: {seconds:.0f} s, {len(made)} objects as on the disk, {requests.total()} requests",
        *table_of(requests),
        f"  the same command again: {again.total()} requests",
    ]


def main() -> None:
    os.environ.update(AWS)
    with tempfile.TemporaryDirectory(prefix="lchunk-quickstart-") as name:
        folder = Path(name)
        _, seconds = timed(folder, *PIPELINE, "--Dataset-root", f"{folder}/out")
        lines = [f"disk: {seconds:.0f} s, {len(files_of(folder / 'out'))} files"]
        for scheme in sys.argv[1:] or list(SERVER):
            lines += compare_with_bucket(scheme, folder)
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
