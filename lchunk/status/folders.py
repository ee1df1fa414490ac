"""The parts of a dataset's folder, found without listing their chunks: what `lchunk.parts` finds in a whole listing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.parts import MIP, NOT_READ, Part, is_of, parts_of
from lchunk.scored import short
from lchunk.volumes.chunked_graph import METADATA
from lchunk.volumes.layer import Layer, open_layer
from lchunk.volumes.parallel import parallel
from lchunk.volumes.store import Store

logger = logging.getLogger(__name__)

CHUNKS = "c"
"""The folder of the chunk files of a layer."""
DEEPEST = 8
"""Folders in one another that are looked into."""


@dataclass(frozen=True)
class Followed:
    """A part of a dataset, and where its logs are.

    Args:
        part: the part.
        store: the dataset's folder.
        grid: its chunks in the voxels in which its stage makes them: for coarser mips, voxels of the mip that is read.
        log_folder: the folder of its lines, below `logs/`.
        voxels: shape, type and voxel size; empty if it does not hold voxels.
    """

    part: Part
    store: Store
    grid: Grid
    log_folder: str
    voxels: str = ""

    @property
    def stage(self) -> str:
        """The name of the stage that made it; empty if another program did."""
        return str(self.part.recipe.get("stage", ""))

    @property
    def of_shards(self) -> bool:
        """Whether its chunks are shards of labels, which are numbered along x, and not boxes of voxels."""
        return self.part.grid is not None and not self.voxels and self.grid.chunk_shape == (1, 1, 1)

    def keys(self, index: Triple) -> list[str]:
        """The files of a chunk; see `Listed`."""
        return self.part.keys(index)


def followed(store: Store) -> list[Followed]:
    """The parts of a dataset's folder, those that others were made from first.

    Raises:
        FileNotFoundError: there is none.
    """
    parts = {part.path: part for key in _metadata(store, "") for part in _own(store, key)}
    if not parts:
        raise FileNotFoundError(f"a dataset's folder must hold a layer, got none in {store.url}; run a stage first")
    heights: dict[str, int] = {}
    ordered = sorted(parts, key=lambda path: (_height(parts, path, heights), _natural(path)))
    return [_followed(store, parts[path]) for path in ordered if parts[path].in_chunks]


def _own(store: Store, key: str) -> list[Part]:
    """The part that a file describes; none, with a warning, if another program wrote it."""
    try:
        return list(parts_of(store, [key]))
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("%s is not shown: %s", key, error)
        return []


def _metadata(store: Store, folder: str, deep: int = 0) -> Iterator[str]:
    """The files that describe layers, below a folder. Folders of chunks and of mesh fragments are not listed."""
    names = ("zarr.json", "layer.json", "info", METADATA)
    inside = f"{folder}/" if folder else ""
    found = parallel(store.exists, [f"{inside}{name}" for name in names], store.connections, "exists")
    there = {name for name, exists in zip(names, found, strict=True) if exists} if folder else set()
    yield from (f"{inside}{name}" for name in there)
    if MIP.fullmatch(f"{inside}zarr.json") and "zarr.json" in there:
        return
    if deep == DEEPEST:  # a link to a folder above would have no end
        return
    folders = ("manifest",) if there & {"info", METADATA} else store.folders(folder)
    for name in folders:
        hidden = name.startswith(".") or f"{inside}{name}/" in NOT_READ
        if not hidden and not (there and name == CHUNKS):
            yield from _metadata(store, f"{inside}{name}", deep + 1)


def _height(parts: dict[str, Part], path: str, heights: dict[str, int]) -> int:
    """How many parts lie between this one and the first: one more than those that it was made from.

    Args:
        parts: all parts, by path.
        path: the part.
        heights: those that are known; they are added to.
    """
    if path not in heights:
        heights[path] = 0  # ends a circle, which names of segments at two levels of a tree may form
        (name, mip), reads = _name_and_mip(path), parts[path].recipe.get("reads", {})
        sources = [other for other in parts if other != path and any(is_of(other, source) for source in reads)]
        below = [other for other in sources if _name_and_mip(other)[0] != name or _name_and_mip(other)[1] < mip]
        heights[path] = 1 + max((_height(parts, other, heights) for other in below), default=0)
    return heights[path]


def _name_and_mip(path: str) -> tuple[str, int]:
    """A path without its last number, and that number; 0 if there is none."""
    name, _, last = path.rpartition("/")
    return (name, int(last)) if name and last.isdecimal() else (path, 0)


def _natural(path: str) -> list[tuple[bool, int, str]]:
    return [(word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in path.split("/")]


def _followed(store: Store, part: Part) -> Followed:
    match = MIP.fullmatch(part.recipe_key)
    if match is None:
        return Followed(part, store, part.grid or _single(part), part.path)
    layer = open_layer(store, match["name"], int(match["mip"]))
    text = _described(layer)
    if not layer.mip:
        return Followed(part, store, layer.grid, part.path, text)
    first, grid = _pass_of(store, layer)
    return Followed(part, store, grid, f"{layer.name}-mips/{first}", text)


def _single(part: Part) -> Grid:
    """The grid of a folder that is one chunk: the whole volume."""
    bounds = Bbox.parse(part.recipe.get("dataset", {}).get("bounds", "0-1_0-1_0-1"))
    return Grid(bounds, bounds.shape)


def _pass_of(store: Store, layer: Layer) -> tuple[int, Grid]:
    """The mip that a coarser one was made from, by the folder of its logs, and its grid in voxels of that mip."""
    passes = [int(name) for name in store.folders(f"logs/{layer.name}-mips") if name.isdecimal()]
    first = max((number for number in passes if number < layer.mip), default=0)
    if first or store.exists(f"{layer.name}/0/zarr.json"):
        source = open_layer(store, layer.name, first)
        factor, bounds = source.factor, source.bounds
    else:  # of an external volume, of which the layer knows the first voxel, but the last one only to a whole voxel
        factor = (1, 1, 1)
        shape = triple(side * times for side, times in zip(layer.bounds.shape, layer.factor, strict=True))
        bounds = Bbox.of(layer.first_voxel, shape)
    ratio = (own // fine for own, fine in zip(layer.factor, factor, strict=True))
    return first, Grid(bounds, triple(side * times for side, times in zip(layer.chunk_shape, ratio, strict=True)))


def _described(layer: Layer) -> str:
    channels = (layer.channels,) if layer.channels else ()
    shape = "x".join(map(str, (*channels, *layer.bounds.shape)))
    return f"{shape} {layer.dtype} {'x'.join(map(short, layer.voxel_size))} nm"
