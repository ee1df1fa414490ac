"""A stage that only writes a file per chunk, so that the rest is the cost of handing out chunks."""

from __future__ import annotations

from typing import Any

from lchunk.tasks.jobs import Chunk
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import DOCUMENT


class Marks(Stage):
    """Writes `marks`, a small JSON file per chunk."""

    layer = "marks"
    format = DOCUMENT

    def compute_chunk(self, chunk: Chunk, *_: Any) -> Any:
        return {"chunk": str(chunk.bbox)}
