"""A layer of 12 chunks, of which some exist, with logs and records of failures, counted by hand."""

from __future__ import annotations

import json
import time

import numpy as np

from lchunk.failures import Failure, keep_failure
from lchunk.geometry.bbox import Bbox
from lchunk.volumes.layer import Layer
from lchunk.volumes.store import Store

DONE = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1)]
"""Chunks that exist: 6 of 12, of which 3 are of 128 voxels, and 3 at the end along y of 64."""
FAILED = (2, 1, 0)
SCRIPT = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
"""An error that an unsafe page would run."""
VOXELS = 3 * 128 + 3 * 64
SPEED = VOXELS / 1200
"""Voxels per second: those of the last hour, since the first of them was begun 20 minutes ago."""


def layer_of(store: Store) -> Layer:
    """(3, 2, 2) chunks of 4x8x4 voxels; the last ones along y are 4 voxels long."""
    bounds = Bbox.of((-4, 0, 8), (12, 12, 8))
    return Layer(store, "affinities", bounds, (40.0, 4.0, 4.0), np.dtype("uint8"), (4, 8, 4), (4, 4, 4))


def write_layer(store: Store) -> Layer:
    """The layer with its logs: a line per chunk, by two processes on one machine, and one of long ago on another."""
    layer, now = layer_of(store), time.time()
    layer.create({"stage": "Inference", "reads": {}})
    lines: dict[str, list[str]] = {}
    for number, index in enumerate(DONE):
        bbox = layer.grid.chunk(index)
        layer.write(bbox, np.ones(bbox.shape, np.uint8))
        process, ended = ("gpu-1-7", now - 1000) if number < 5 else ("gpu-1-8", now - 1)
        entry = {"bbox": str(bbox), "ended": ended, "seconds": {"read": 50.0, "compute": 150.0 if number < 5 else 0.0}}
        lines.setdefault(process, []).append(_line(entry, bbox))
    first = layer.grid.chunk((0, 0, 0))
    old = {"bbox": str(first), "ended": now - 5000, "seconds": {"compute": 9.0}}
    lines["cpu-9"] = [_line(old, first), _line({"bbox": str(first), "seconds": {"compute": 9.0}}, first)]
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    for process, own in lines.items():
        store.append(f"logs/affinities/{day}-{process}.jsonl", "".join(own).encode())
    store.flush()
    return layer


def _line(entry: dict[str, object], bbox: Bbox) -> str:
    return json.dumps({"stage": "Inference", "voxels": bbox.size, "device": "cpu"} | entry) + "\n"


def write_failures(store: Store, layer: Layer) -> None:
    """Of a chunk that is missing, of one that was made later, and of a region that was refused before its chunks."""
    box, made = str(layer.grid.chunk(FAILED)), layer.grid.chunk((1, 1, 1))
    region = f"{layer.grid.chunk((2, 0, 0)).start[0]}-8_0-12_8-16"
    keep_failure(
        store,
        Failure(
            "Inference", "affinities", region, f"1 of 4 failed: {SCRIPT}", tuple(layer.keys(FAILED)),
            (box, str(made)), f"lchunk run Inference --region={region}", f"Traceback\n{SCRIPT}", "2026-01-31 10:00:00",
        ),
    )  # fmt: skip
    keep_failure(
        store,
        Failure("Inference", "affinities", str(made), "was full", tuple(layer.keys((1, 1, 1))), (str(made),)),
    )
    keep_failure(
        store,
        Failure(
            "Inference", "affinities", "whole", "refused", tuple(layer.keys((1, 0, 1))), when="2026-01-30 09:00:00"
        ),
    )
