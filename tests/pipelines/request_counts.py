"""The requests that reach a server of objects, counted by what they do.

`python -m tests.pipelines.request_counts` runs the identity job in a bucket of S3, for volumes of 8 and of 27 chunks,
and prints how many requests were made for the files of each layer.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cli.commands import start
from tests.conftest import write_identity_job
from tests.faults.bucket_killing import service
from tests.servers import AWS
from tests.volumes.faulty_proxy import proxy


@contextlib.contextmanager
def counting_proxy(upstream: str) -> Iterator[tuple[str, list[str]]]:
    """Run a proxy that fails nowhere; gives its URL, and the list to which it adds each request."""
    asked: list[str] = []
    with proxy(upstream, lambda number, method: "", asked=asked) as url:
        yield url, asked


def counted_requests(asked: Iterable[str], folder: str) -> Counter[tuple[str, str]]:
    """Count requests by the first folder in the dataset's folder, and by kind: get, head, put, list, delete, other.

    Args:
        asked: requests as `GET /path`.
        folder: the dataset's folder in the bucket.

    >>> counted_requests(["GET /b/out/image/0/zarr.json", "GET /b?list-type=2&prefix=out%2Fimage%2F"], "out")
    Counter({('image', 'get'): 1, ('image', 'list'): 1})
    """
    return Counter(_of_request(request, folder) for request in asked)


def _of_request(request: str, folder: str) -> tuple[str, str]:
    method, _, target = request.partition(" ")
    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    key = (query.get("prefix") or query.get("name") or [unquote(parts.path)])[0]
    _, found, inside = f"/{key.lstrip('/')}/".partition(f"/{folder}/")
    layer = inside.strip("/").partition("/")[0] if found else ""
    return layer or "no layer named", _kind(method, parts.path, query)


def _kind(method: str, path: str, query: dict[str, list[str]]) -> str:
    if "uploads" in query and method == "GET":
        return "list uploads"
    if method == "GET" and ("list-type" in query or path.endswith("/o")):
        return "list"
    if method == "GET" and "/storage/v1/b/" in path and query.get("alt") != ["media"]:
        return "head"
    if method in ("PUT", "POST", "PATCH"):
        return "put"
    return method.lower()


def table_of(counts: Counter[tuple[str, str]]) -> list[str]:
    """Lines of a table: a row per layer, a column per kind."""
    kinds = sorted({kind for _, kind in counts})
    layers = sorted({layer for layer, _ in counts})
    rows = [["", *kinds], *([layer, *(str(counts[layer, kind]) for kind in kinds)] for layer in layers)]
    rows.append(["together", *(str(sum(counts[layer, kind] for layer in layers)) for kind in kinds)])
    return [f"  {row[0]:20}" + "".join(f"{cell:>14}" for cell in row[1:]) for row in rows]


def requests_of_job(folder: Path, side: int) -> Counter[tuple[str, str]]:
    """Run a job in a bucket in one process, and count its requests by layer and kind.

    Args:
        folder: for the image and the cfg.
        side: of the volume; a chunk has 16.
    """
    write_identity_job(folder, (side, side, side), (0, 0, 0))
    cfg = folder / "luigi.cfg"
    with service("s3") as store, counting_proxy(store["s3_endpoint"]) as (url, asked):
        text = cfg.read_text().replace(f"root = {folder}/out", "root = s3://lchunk/out")
        cfg.write_text(f"{text}\n[Store]\ns3_endpoint = {url}\n")
        said = start(folder, "lchunk.cli", ("run", "MeshManifest"), {}, timeout=3600)
        assert said.code == 0, said.err
    return counted_requests(asked, "out")


def main() -> None:
    os.environ.update(AWS)
    with tempfile.TemporaryDirectory(prefix="lchunk-requests-") as small, tempfile.TemporaryDirectory() as large:
        few, many = requests_of_job(Path(small), 32), requests_of_job(Path(large), 48)
    for chunks, counts in ((8, few), (27, many)):
        sys.stdout.write("\n".join([f"{chunks} chunks: {counts.total()} requests", *table_of(counts), ""]))


if __name__ == "__main__":
    main()
