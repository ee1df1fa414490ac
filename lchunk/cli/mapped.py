"""Maps of chunks for the viewer: which chunks of each layer are done, failed or missing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.status.chunks import DONE, FAILED, States
from lchunk.status.facts import Facts, LayerFacts, facts_of
from lchunk.viewer.elsewhere import shown_as
from lchunk.viewer.shown import Shown
from lchunk.viewer.zarr_view import ZarrView
from lchunk.volumes.store import Store
from lchunk.volumes.volume import VoxelSize, padded

AFRESH_SECONDS = 10.0
"""Age of the states after which they are looked up again."""
COLOURS = {DONE: "#2e9e5b", FAILED: "#d62728"}
"""Of chunks that are done, and that failed; missing ones have none."""


@dataclass
class Watched:
    """The progress of a dataset, looked up again once it is old.

    Args:
        store: the dataset's folder.
        facts: what was found last.
    """

    store: Store
    facts: Facts
    _looked: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def states(self, path: str) -> States | None:
        """The states of the chunks of a layer; None if it is gone."""
        with self._lock:
            if time.monotonic() - self._looked > AFRESH_SECONDS:
                self.facts = facts_of(self.store)
                self._looked = time.monotonic()
        return next((layer.states for layer in self.facts.layers if layer.layer.part.path == path), None)


@dataclass(frozen=True)
class ChunkMap:
    """A volume with a voxel per chunk: its state.

    Args:
        watched: the progress.
        path: the layer.
        grid: its chunks.
        unit: sides of a voxel of the grid, in nanometres.
    """

    watched: Watched
    path: str
    grid: Grid
    unit: VoxelSize

    @property
    def url(self) -> str:
        """A name for messages."""
        return f"the chunks of {self.path} in {self.watched.store.url}"

    @property
    def bounds(self) -> Bbox:
        """From 0 to the number of chunks along each axis."""
        return Bbox.of((0, 0, 0), self.grid.counts)

    @property
    def voxel_size(self) -> VoxelSize:
        """The sides of a chunk in nanometres."""
        z, y, x = (side * size for side, size in zip(self.grid.chunk_shape, self.unit, strict=True))
        return z, y, x

    @cached_property
    def corner(self) -> VoxelSize:
        """Where the first chunk begins, in nanometres."""
        z, y, x = (start * size for start, size in zip(self.grid.bounds.start, self.unit, strict=True))
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a state."""
        return np.dtype(np.uint8)

    @property
    def channels(self) -> int:
        """No axis of channels."""
        return 0

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> npt.NDArray[Any]:
        """The states of some chunks; 0 outside the grid, and for a layer that was removed or made anew."""
        states = self.watched.states(self.path)
        if states is None or states.shape != self.grid.counts:
            states = np.zeros(self.grid.counts, np.uint8)
        inside = bbox.clipped(self.bounds)
        return padded(states[inside.slices()], inside, bbox)

    def fingerprint(self) -> str:
        """It changes whenever anything does."""
        return str(time.time_ns())


def maps_of(store: Store) -> Iterator[tuple[Shown, ZarrView]]:
    """A map of each layer of a dataset of which chunks are missing now.

    Coarser mips, and levels of trees above the first, have none.

    Raises:
        FileNotFoundError: there is no layer.
    """
    facts = facts_of(store)
    watched = Watched(store, facts)
    for layer in facts.layers:
        size, grid, path = _voxel_size(layer), layer.layer.grid, layer.layer.part.path
        name, _, last = path.rpartition("/")
        if size is None or layer.complete or (last.isdecimal() and int(last) > 0 and name):
            continue
        own = ChunkMap(watched, path, grid, size)
        view = ZarrView(own, own.voxel_size, labels=True, corner=own.corner)
        title = f"chunks of {name if last.isdecimal() and name else path}".replace("/", " ")
        yield replace(shown_as(title, view), stage=title, colours=COLOURS), view


def _voxel_size(layer: LayerFacts) -> VoxelSize | None:
    """That of the grid, in nanometres; None if the layer's recipe tells none, or the grid is of coarser voxels."""
    dataset = layer.layer.part.recipe.get("dataset", {})
    try:
        z, y, x = map(float, str(dataset.get("voxel_size", "")).split(","))
        same = Bbox.parse(str(dataset.get("bounds", ""))) == layer.layer.grid.bounds
    except ValueError:
        return None
    return (z, y, x) if same else None
