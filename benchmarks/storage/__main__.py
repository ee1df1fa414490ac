"""Run it: scripts/bench storage [--shape 128 1024 1024] [--rounds 3] [--only image write s3].

Writes and reads an image (uint8), labels (uint64) and affinities (uint8, three channels), on a disk and in a bucket of
an S3 server on loopback, with lchunk, zarr-python, tensorstore (both zarr v3) and cloud-volume (precomputed). Then it
lists the chunks of a grid of a million in a bucket.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import boto3
import numpy as np

from benchmarks.harness import Contestant, Measure, measure, scratch_folder
from benchmarks.storage.listing import list_a_million
from benchmarks.synthetic import Shape
from tests.servers import sqs_server

HERE = Path(__file__).parent
KINDS, OPERATIONS, PLACES = ("image", "labels", "affinities"), ("write", "read"), ("disk", "s3")
PROGRAMS = ("lchunk", "zarr", "tensorstore", "cloud-volume")
LEAST = {"disk": {"cloud-volume": 1.0, "zarr": 0.9, "tensorstore": 0.8}, "s3": {"cloud-volume": 1.0, "zarr": 0.9}}
"""Limits: lchunk's MB per CPU second, as a multiple of those of the others."""
BUCKET = "bench"


@dataclass
class Row:
    """The runs of one program.

    Args:
        runs: each of them.
        requests: to the server, of one run; 0 on a disk.
        stored: bytes of all files or objects of the volume.
    """

    runs: list[Measure]
    requests: int
    stored: int

    def speed(self, megabytes: float) -> list[float]:
        """MB per CPU second of each run."""
        return [megabytes / run.cpu for run in self.runs]


class Bench:
    """The places of the benchmark.

    Args:
        folder: a scratch folder.
        environment: variables that send programs to the server.
        log: the server's log, with a line per request.
    """

    def __init__(self, folder: Path, environment: dict[str, str], log: Path) -> None:
        self.folder = folder
        self.environment = environment
        self.log = log
        names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
        credentials = {name: environment[variable] for name, variable in names.items()}
        self.s3 = boto3.client(
            "s3", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name="us-east-1", **credentials
        )
        self.s3.create_bucket(Bucket=BUCKET)
        secrets = folder / ".cloudvolume/secrets"  # where cloud-volume looks for credentials
        secrets.mkdir(parents=True)
        found = {name: text for name, text in environment.items() if name.startswith("AWS_ACC") or "SECRET" in name}
        (secrets / "aws-secret.json").write_text(json.dumps(found))

    def url(self, program: str, place: str) -> str:
        return f"s3://{BUCKET}/{program}" if place == "s3" else str(self.folder / program)

    def objects(self, program: str, kind: str) -> Iterator[tuple[str, int]]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{program}/{kind}/")
        yield from ((entry["Key"], entry["Size"]) for page in pages for entry in page.get("Contents", []))

    def clear(self, program: str, kind: str, place: str) -> None:
        if place == "disk":
            shutil.rmtree(self.folder / program / kind, ignore_errors=True)
            return
        for key, _ in list(self.objects(program, kind)):
            self.s3.delete_object(Bucket=BUCKET, Key=key)

    def stored(self, program: str, kind: str, place: str) -> int:
        if place == "s3":
            return sum(size for _, size in self.objects(program, kind))
        return sum(path.stat().st_size for path in (self.folder / program / kind).rglob("*") if path.is_file())

    def contestant(self, program: str, kind: str, operation: str, place: str) -> Contestant:
        python = sys.executable if program == "lchunk" else str(HERE / ".venv/bin/python")
        file = str(self.folder / f"{kind}.npy")
        command = [python, str(HERE / "contestant.py"), program, kind, operation, file, self.url(program, place)]
        own = {
            "HOME": str(self.folder),
            "PYTHONPATH": str(Path.cwd()) if program == "lchunk" else "",
            # boto3's additional checksums, which lchunk never asks for
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }
        return Contestant(program, command, environment=self.environment | own)

    def run(self, kind: str, operation: str, place: str, rounds: int) -> dict[str, Row]:
        """Run all programs in turn; once more before, unmeasured."""
        rows = {program: Row([], 0, 0) for program in PROGRAMS}
        for number, (program, row) in product(range(rounds + 1), rows.items()):
            if operation == "write":
                self.clear(program, kind, place)
            before = self.requests()
            found = measure(self.contestant(program, kind, operation, place))
            row.requests = self.requests() - before
            if number:
                row.runs.append(found)
            else:
                row.stored = self.stored(program, kind, place)
        return rows

    def requests(self) -> int:
        """Requests that the server has answered."""
        return self.log.read_bytes().count(b" HTTP/1.1")


def report(rows: dict[str, Row], megabytes: float, place: str) -> bool:
    """Print a table, and a line per limit. Returns whether all hold."""
    for program, row in rows.items():
        cpu, wall, memory = (
            statistics.median(getattr(run, name) for run in row.runs) for name in ("cpu", "wall", "memory")
        )
        speed = statistics.median(row.speed(megabytes))
        print(
            f"  {program:13} {speed:8.0f} {cpu:8.2f} {wall:8.2f} {memory:8.0f} "
            f"{row.requests:9} {row.stored / 1e6:9.1f}",
            flush=True,
        )
    held = True
    for peer, least in LEAST[place].items():
        pairs = zip(rows["lchunk"].speed(1), rows[peer].speed(1), strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        held &= ratio >= least
        print(f"  {'holds' if ratio >= least else 'FAILS'}: MB per CPU s of {peer}'s: {ratio:.2f}, at least {least:g}")
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=[128, 1024, 1024], help="voxels zyx; multiples of 64")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", default=[], choices=[*KINDS, *OPERATIONS, *PLACES, "list"], help="leave out others"
    )
    arguments = parser.parse_args()
    folder = scratch_folder()
    held, wanted = True, arguments.only
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        environment = stack.enter_context(sqs_server("clock", log=folder / "log"))
        bench = Bench(folder, environment, folder / "log")
        for kind in (kind for kind in KINDS if _is_wanted(kind, wanted, KINDS) and wanted != ["list"]):
            write_volume(folder / f"{kind}.npy", kind, tuple(arguments.shape))
            megabytes = np.load(folder / f"{kind}.npy", mmap_mode="r").nbytes / 1e6
            for place, operation in product(PLACES, OPERATIONS):
                if not (_is_wanted(place, wanted, PLACES) and _is_wanted(operation, wanted, OPERATIONS)):
                    continue
                title = f"{operation} {kind}, {place}"
                print(f"{title:15} MB/CPU s    CPU s   wall s      MiB  requests MB stored")
                held &= report(bench.run(kind, operation, place, arguments.rounds), megabytes, place)
            (folder / f"{kind}.npy").unlink()
    if not wanted or "list" in wanted:
        held &= list_a_million()
    sys.exit(0 if held else 1)


def _is_wanted(name: str, wanted: list[str], names: tuple[str, ...]) -> bool:
    return name in wanted or not set(wanted) & set(names)


def write_volume(path: Path, kind: str, shape: Shape) -> None:
    """Write the voxels of a volume in a process of their own, so that its memory does not count."""
    subprocess.run([sys.executable, "-m", "benchmarks.storage.volumes", kind, str(path), *map(str, shape)], check=True)


if __name__ == "__main__":
    main()
