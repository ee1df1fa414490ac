"""Finding out which chunks of a grid of a million are missing, in a bucket: requests and memory."""

from __future__ import annotations

import bisect
import json
import os
import resource
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.volumes.chunk_files import missing
from lchunk.volumes.records import RecordLayer
from lchunk.volumes.store import open_store
from lchunk.volumes.tables import DOCUMENT
from tests.servers import AWS, served

SIDE = 100
ABSENT = (57, 3, 99)
MOST_REQUESTS, MOST_MIB = 1100, 500


class Names(BaseHTTPRequestHandler):
    """Answers requests for lists of S3 (ListObjectsV2) from names in memory."""

    protocol_version = "HTTP/1.1"
    names: ClassVar[list[str]] = []
    requests = 0

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        Names.requests += 1
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        last = max(query.get("start-after", ""), query.get("continuation-token", ""), key=len)
        place = bisect.bisect_left(self.names, prefix) if last < prefix else bisect.bisect_right(self.names, last)
        found: list[tuple[str, bool]] = []
        while place < len(self.names) and self.names[place].startswith(prefix) and len(found) <= 1000:
            name = self.names[place]
            folder, slash, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if slash:
                name = f"{prefix}{folder}/"
                place = bisect.bisect_left(self.names, f"{prefix}{folder}0")  # "0" follows "/"
            else:
                place += 1
            found.append((name, bool(slash)))
        more, found = len(found) > 1000, found[:1000]
        self.answer(found, f"{found[-1][0]}~" if more and found[-1][1] else found[-1][0] if more else "")

    def answer(self, found: list[tuple[str, bool]], following: str) -> None:
        stamp = "2026-01-01T00:00:00.000Z"
        entries = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            if folder
            else f"<Contents><Key>{escape(name)}</Key><LastModified>{stamp}</LastModified><Size>9</Size></Contents>"
            for name, folder in found
        )
        token = f"<NextContinuationToken>{escape(following)}</NextContinuationToken>" if following else ""
        state = f"<IsTruncated>{str(bool(following)).lower()}</IsTruncated>{token}"
        body = f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{state}{entries}</ListBucketResult>'
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


def list_a_million() -> bool:
    """Print requests, time and memory of a process that looks for missing chunks. Returns whether the limits hold."""
    sides = [str(number) for number in range(SIDE)]
    names = (f"root/marks/c/{z}/{y}/{x}.json" for z in sides for y in sides for x in sides)
    absent = "root/marks/c/{}/{}/{}.json".format(*ABSENT)
    Names.names = sorted(name for name in names if name != absent)
    with served(Names) as url:
        environment = os.environ | AWS | {"AWS_ENDPOINT_URL": url, "PYTHONPATH": str(Path.cwd())}
        command = [sys.executable, "-m", "benchmarks.storage.listing"]
        printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    found = json.loads(printed)
    held = Names.requests <= MOST_REQUESTS and found["memory"] <= MOST_MIB and found["missing"] == [list(ABSENT)]
    print(
        f"a grid of {SIDE**3} chunks: {Names.requests} requests, {found['cpu']:.1f} CPU s, {found['wall']:.1f} s, "
        f"{found['memory']:.0f} MiB; {'holds' if held else 'FAILS'}: at most {MOST_REQUESTS} requests, {MOST_MIB} MiB, "
        "and the one chunk that is missing is found"
    )
    return held


def main() -> None:
    bounds = Bbox.of((0, 0, 0), (SIDE,) * 3)
    files = RecordLayer(open_store("s3://bench/root"), "marks", Grid(bounds, (1, 1, 1)), DOCUMENT)
    before = time.perf_counter()
    found = list(missing(files, bounds))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {"missing": found, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss / 1024}
    print(json.dumps(figures | {"wall": time.perf_counter() - before}))


if __name__ == "__main__":
    main()
