"""How long each chunk took, and which machine made it, from all lines of all logs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.chunk_logs import all_entries, is_chunk
from lchunk.geometry.grid import Grid
from lchunk.status.chunks import index_at
from lchunk.status.facts import LayerFacts
from lchunk.volumes.store import Store

MOST_HOSTS = (1 << 16) - 1
"""Machines that are told apart; a chunk of another one has none."""


class Hosts:
    """Names of machines, each with a number from 1; 0 is an unknown one."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The number of a name."""
        if len(self.numbers) >= MOST_HOSTS:
            return self.numbers.get(name, 0)
        return self.numbers.setdefault(name, len(self.numbers) + 1)


class Made:
    """What logs say about the chunks of a grid; of a chunk that was made again, the last line that is read counts.

    Args:
        grid: the chunks.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.seconds: npt.NDArray[np.float32] = np.zeros(grid.counts, np.float32)
        """(z, y, x) of the grid, of all steps; 0 where it is not known."""
        self.hosts: npt.NDArray[np.uint16] = np.zeros(grid.counts, np.uint16)
        """(z, y, x) of the grid, numbers of `Hosts`."""

    def add(self, entry: dict[str, Any], host: int) -> None:
        """Add the line of a chunk; a box that is not of the grid is left out."""
        index = index_at(self.grid, str(entry.get("bbox")))
        if index is not None:
            self.seconds[index] = max(sum(entry["seconds"].values()), 1e-3)
            self.hosts[index] = host


def made_chunks(store: Store, layers: Iterable[LayerFacts], hosts: Hosts) -> dict[str, Made]:
    """What all logs say, by folder of logs.

    Args:
        store: the dataset's folder.
        layers: its layers; coarser mips that are made together share a folder, and a grid.
        hosts: names of machines; they are added to.
    """
    made = {facts.layer.log_folder: Made(facts.layer.grid) for facts in layers}
    for name, entry in all_entries(store):
        if entry is not None and name.folder in made and is_chunk(entry):
            made[name.folder].add(entry, hosts.number(name.process.rpartition("-")[0]))
    return made
