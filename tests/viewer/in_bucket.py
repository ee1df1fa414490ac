"""Look whether a dataset in a bucket looks in Neuroglancer as the same dataset on a disk:

    python -m tests.viewer.in_bucket FOLDER

makes the dataset of `tests.viewer.aligned` in FOLDER, copies what the viewer shows of it to a bucket of moto,
draws both in Chromium by `lchunk view`, compares the pixels and counts the requests to the bucket. The pictures stay in
FOLDER. Chromium must be installed: apt-get install chromium.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from PIL import Image

from lchunk.viewer.chromium import chromium
from lchunk.volumes.parallel import parallel
from lchunk.volumes.store import open_store
from tests.servers import sqs_server
from tests.viewer.aligned import FEWEST, folder_of_line, make_dataset, viewer
from tests.viewer.pixels import PANEL, pixels_of
from tests.volumes.conftest import make_bucket
from tests.volumes.faulty_proxy import proxy

BUCKET = "s3://lchunk/mouse"
MOST = 3
"""Most requests to the bucket per request of the browser: the layer's mark, the size of a file, and its bytes."""
STATE = 120
"""Most requests to the bucket for the layers that exist and for the segments that are selected."""


def upload(root: Path, segments: set[str]) -> None:
    """Copy the layers of a dataset, of the meshes those of some segments, to the bucket."""
    store = open_store(BUCKET)
    files = [
        path
        for layer in ("image", "segmentation")
        for path in (root / layer).rglob("*")
        if path.is_file() and (":" not in path.name or path.name.partition(":")[0] in segments)
    ]
    for _ in parallel(lambda path: store.put(str(path.relative_to(root)), path.read_bytes()), files, 8, "uploads"):
        pass


async def draw(base: str) -> tuple[npt.NDArray[np.uint8], int]:
    """The pixels of the page below its toolbar, whose width varies, and how many files of the dataset it has loaded."""
    async with chromium() as page:
        await page.open(f"{base}/")
        pixels = pixels_of(await page.drawn())
        _, top, _, _ = await page.value(PANEL)
        return pixels[round(top) :], sum(urlsplit(url).path.startswith("/data/") for url in page.requests)


def compare(folder: Path) -> bool:
    """Draw and compare. Returns whether both pictures are equal, and the requests few."""
    root = folder / "seen"
    with viewer(folder, str(folder / "out")) as base, urllib.request.urlopen(f"{base}/state.json") as answer:
        layers = {layer["name"]: layer for layer in json.load(answer)["layers"]}
    requests: list[str] = []
    server = sqs_server("clock")  # moto, which has buckets too
    with server as variables, proxy(variables["AWS_ENDPOINT_URL"], lambda *_: "", asked=requests) as url:
        os.environ.update(variables | {"AWS_ENDPOINT_URL": url})
        make_bucket(url)
        upload(folder / "out", set(layers["segmentation"]["segments"]))
        download(root)
        requests.clear()
        with viewer(folder, BUCKET) as base:
            started = len(requests)
            bucket, files = asyncio.run(draw(base))
        with viewer(folder, str(root)) as base:
            disk, _ = asyncio.run(draw(base))
    for name, pixels in (("bucket", bucket), ("disk", disk)):
        Image.fromarray(pixels).save(folder / f"view-{name}.png")
    same = np.array_equal(bucket, disk) and len(np.unique(bucket.reshape(-1, 3), axis=0)) > FEWEST
    few = started <= STATE and len(requests) - started <= STATE + MOST * files
    methods = Counter(request.partition(" ")[0] for request in requests)
    kinds = ", ".join(f"{count} {method}" for method, count in sorted(methods.items()))
    sys.stdout.write(
        f"{'equal' if same else 'DIFFERENT'}; {started} requests at the start, {len(requests) - started} for the "
        f"{files} files that the browser loaded ({kinds}): {'few' if few else 'TOO MANY'}\n"
    )
    return same and few


def download(root: Path) -> None:
    """Copy the bucket to a folder: the dataset with which it is compared has no other meshes."""
    store, copy = open_store(BUCKET), open_store(str(root))
    for key in list(store.list("")):
        copy.put(key, store.get(key), durable=False)


def main() -> int:
    """Parse the command line. Returns 1 if the views differ."""
    folder = folder_of_line(__doc__)
    if not (folder / "out").exists():
        make_dataset(folder)
    return int(not compare(folder))


if __name__ == "__main__":
    sys.exit(main())
