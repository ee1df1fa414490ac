"""Reads the logs that chunkflow leaves: a JSON file for each task.

    {"timer": {"cutout": 69.0, "inference": 535.3, "save": 71.7}, "bbox": "z0-z1_y0-y1_x0-x1", "compute_device": "…"}

`timer` has the seconds of each operator. A task under an empty mask has no `compute_device`. If there is no `bbox`, the
name of the file is the box of the task.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from lchunk.chunk_logs import LogName
from lchunk.geometry.bbox import Triple
from lchunk.volumes.parallel import parallel
from lchunk.volumes.store import Store

STAGE = "chunkflow"
"""Name under which the tasks of chunkflow are added up."""
SUFFIX = ".json"
_BOX = re.compile(r"(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)(\.json)?$")


def chunkflow_entries(
    store: Store, folder: str, shape: Triple | None
) -> Iterator[tuple[LogName, dict[str, Any] | None]]:
    """Each log of a folder and of those below it in the form of a line of lchunk's logs; None for what is none.

    Args:
        store: holds the logs.
        folder: their folder.
        shape: voxels zyx of a task; None: those of its box.
    """
    keys = sorted(key for key in store.list(folder, empty=True) if key.endswith(SUFFIX))
    for key, body in zip(keys, parallel(partial(_body, store), keys, store.connections, "logs"), strict=True):
        try:
            yield LogName(STAGE, "", STAGE), _entry(json.loads(body), key, shape)
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            yield LogName(STAGE, "", STAGE), None


def _body(store: Store, key: str) -> bytes:
    return store.get(key)


def _entry(content: dict[str, Any], key: str, shape: Triple | None) -> dict[str, Any]:
    """The line of a task.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: the file is not a log of chunkflow.
    """
    seconds = {str(operator): float(spent) for operator, spent in content["timer"].items()}
    if not seconds or not all(0 <= spent < math.inf for spent in seconds.values()):
        raise ValueError("timer must have the seconds of each operator")
    bbox = str(content.get("bbox") or key.rpartition("/")[2])
    entry: dict[str, Any] = {"stage": STAGE, "bbox": bbox, "voxels": _voxels(bbox, shape), "seconds": seconds}
    if "compute_device" in content:
        return entry | {"device": str(content["compute_device"])}
    return entry | {"skipped": "the mask is empty"}


def _voxels(bbox: str, shape: Triple | None) -> int:
    """Voxels of a task.

    >>> _voxels("0-3_16384-16492_86294-88342_121142-123190.json", None) == 108 * 2048 * 2048
    True
    """
    if shape is not None:
        return math.prod(shape)
    found = _BOX.search(bbox)
    if found is None:
        raise ValueError("bbox must be z0-z1_y0-y1_x0-x1")
    z0, z1, y0, y1, x0, x1 = map(int, found.groups()[:6])
    return (z1 - z0) * (y1 - y0) * (x1 - x0)
