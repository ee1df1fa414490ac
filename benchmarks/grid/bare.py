"""Write the files of a grid, the way a worker writes them, and do nothing else."""

from __future__ import annotations

import json
import sys
from itertools import product

from lchunk.volumes.store import open_store
from lchunk.volumes.tables import DOCUMENT


def main() -> None:
    store, side = open_store(sys.argv[1]), int(sys.argv[2])
    log = {"stage": "Marks", "voxels": 1, "device": "cpu", "seconds": {"read": 0.0, "compute": 0.0, "write": 0.0}}
    for z, y, x in product(range(side), repeat=3):
        bbox = f"{z}-{z + 1}_{y}-{y + 1}_{x}-{x + 1}"
        store.put(f"marks/c/{z}/{y}/{x}.json", DOCUMENT.encode({"chunk": bbox}))
        store.append("logs/marks/bare.jsonl", f"{json.dumps(log | {'bbox': bbox})}\n".encode())


if __name__ == "__main__":
    main()
