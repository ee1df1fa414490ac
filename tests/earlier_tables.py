"""Tables as earlier versions wrote them, which later versions must read."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping

import numpy as np
from numcodecs import Shuffle, Zstd


def earlier_table(columns: Mapping[str, np.ndarray]) -> bytes:
    """A zip of columns, each shuffled and one zstd frame."""
    kinds = {name: {"dtype": column.dtype.str, "shape": column.shape} for name, column in columns.items()}
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("columns.json", json.dumps(kinds))
        for name, column in columns.items():
            if column.size:
                plain = np.ascontiguousarray(column)
                shuffled = plain if plain.itemsize == 1 else Shuffle(plain.itemsize).encode(plain)
                archive.writestr(name, Zstd(level=1).encode(shuffled))
    return body.getvalue()
