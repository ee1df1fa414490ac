"""A layer of voxels: one mip of an OME-Zarr 0.5 image, whose chunks are zarr v3 shards.

Array index = voxel - bounds.start. `layer_metadata` defines the metadata, `shards` reads the bytes of a chunk file.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.chunk_files import Recipe, absent_chunk, is_external
from lchunk.volumes.documents import read_json
from lchunk.volumes.layer_metadata import (
    array_document,
    canonical,
    compressor_name,
    document_of,
    list_in_image,
)
from lchunk.volumes.parallel import parallel
from lchunk.volumes.shards import ShardForm, pack_shard, read_shard
from lchunk.volumes.step_parts import ENCODE, Part
from lchunk.volumes.store import Store
from lchunk.volumes.volume import VoxelSize, padded


@dataclass(frozen=True)
class Layer:
    """One mip of a layer.

    Args:
        store: where the layer's folder is.
        name: the folder.
        bounds: voxels of this mip.
        voxel_size: nanometres of this mip, zyx.
        dtype: type of a voxel.
        chunk_shape: voxels of a chunk file (shard).
        inner_chunk: voxels that a viewer reads at once; divides `chunk_shape`.
        channels: 0 for (z, y, x), else the length of the first axis.
        labels: whether voxels are labels of objects, which have a mode but no mean.
        mip: 0 is the finest.
        factor: voxels of mip 0 in one voxel, along each axis.
        origin: first voxel of mip 0, exact where `bounds.start` had to be rounded down.
    """

    store: Store
    name: str
    bounds: Bbox
    voxel_size: VoxelSize
    dtype: np.dtype[Any]
    chunk_shape: Triple
    inner_chunk: Triple
    channels: int = 0
    labels: bool = False
    mip: int = 0
    factor: Triple = (1, 1, 1)
    origin: Triple | None = None

    @property
    def url(self) -> str:
        return f"{self.store.url}/{self.name}"

    @property
    def path(self) -> str:
        return f"{self.name}/{self.mip}"

    @functools.cached_property
    def grid(self) -> Grid:
        return Grid(self.bounds, self.chunk_shape)

    @property
    def first_voxel(self) -> Triple:
        """The first voxel, in voxels of mip 0."""
        return self.bounds.start if self.origin is None else self.origin

    @property
    def corner(self) -> VoxelSize:
        """Position of the low corner of the first voxel, nanometres zyx."""
        sides = zip(self.first_voxel, self.voxel_size, self.factor, strict=True)
        z, y, x = (voxel * size / factor for voxel, size, factor in sides)
        return z, y, x

    @functools.cached_property
    def form(self) -> ShardForm:
        """How its chunk files are divided and compressed."""
        return ShardForm(self.dtype, self.channels, self.chunk_shape, self.inner_chunk, compressor_name(self.dtype))

    def fingerprint(self) -> str:
        """A digest of its recipe: chunks of the same recipe are the same, wherever and whenever they are made."""
        recipe = json.dumps(self.recipe(), sort_keys=True)
        return f"recipe {hashlib.sha256(recipe.encode()).hexdigest()[:16]}"

    def keys(self, index: Triple) -> list[str]:
        channel = ("0",) if self.channels else ()
        return ["/".join((self.path, "c", *channel, *map(str, index)))]

    def coarser(self, factor: Triple) -> Layer:
        """The next mip: its voxels cover `factor` voxels of this one, and its chunk files cover the same boxes."""
        total = triple(a * b for a, b in zip(self.factor, factor, strict=True))
        start = triple(o // f for o, f in zip(self.first_voxel, total, strict=True))
        shape = triple(-(-size // f) for size, f in zip(self.bounds.shape, factor, strict=True))
        chunk = triple(side // f for side, f in zip(self.chunk_shape, factor, strict=True))
        inner = triple(i if c % i == 0 else c for i, c in zip(self.inner_chunk, chunk, strict=True))
        z, y, x = (size * f for size, f in zip(self.voxel_size, factor, strict=True))
        return replace(
            self, bounds=Bbox.of(start, shape), voxel_size=(z, y, x), chunk_shape=chunk, inner_chunk=inner,
            mip=self.mip + 1, factor=total, origin=self.first_voxel,
        )  # fmt: skip

    def recipe(self) -> Recipe | None:
        document = document_of(self)
        if document is None:
            return None
        recipe: Recipe = document.get("attributes", {}).get("lchunk", {}).get("recipe", {})
        return recipe

    def create(self, recipe: Recipe) -> Recipe:
        stored = self.recipe()
        if stored is None:
            if self.store.create(f"{self.path}/zarr.json", array_document(self, recipe)):
                stored = recipe
            else:
                stored = self.recipe() or {}
        if stored == recipe:
            list_in_image(self, recipe)
        return stored

    def replace_recipe(self, recipe: Recipe) -> None:
        """Let another recipe stand for the files that are there: only where they are what it would make."""
        self.store.put(f"{self.path}/zarr.json", array_document(self, recipe))
        list_in_image(self, recipe)

    def write(self, bbox: Bbox, content: npt.NDArray[Any]) -> None:
        """Write one chunk file in one atomic step, even if all voxels are 0.

        Raises:
            ValueError: the box is not a chunk of the grid, or the voxels have another shape or type.
        """
        index = self.grid.index_of(bbox)
        shape = self._shape(bbox)
        if content.shape != shape or content.dtype != self.dtype:
            raise ValueError(
                f"a chunk of layer {self.name} must be {self.dtype} of shape {shape}, "
                f"got {content.dtype} of shape {content.shape}"
            )
        _refuse_changed(replace(self, voxel_size=(1, 1, 1), origin=None))
        (key,) = self.keys(index)
        with Part(ENCODE):
            packed = pack_shard(self.form, content)
        self.store.put(key, packed)

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> npt.NDArray[Any]:
        """Voxels of a box; see `Volume.read`. A damaged chunk file is an error that names the file."""
        inside = bbox.clipped(self.bounds)
        voxels: npt.NDArray[Any] = np.empty(self._shape(inside), self.dtype)

        def copy(index: Triple) -> None:
            chunk, (key,) = self.grid.chunk(index), self.keys(index)
            part = chunk.clipped(inside)
            here = Bbox.of(triple(a - b for a, b in zip(part.start, chunk.start, strict=True)), part.shape)
            into = voxels[(..., *part.slices(inside.start))]
            try:
                read_shard(self.store, key, self.form, here, into)
            except FileNotFoundError as error:
                if not fill_missing:
                    raise absent_chunk(self, index, bbox) from error
                into[...] = 0
            except (ValueError, RuntimeError) as error:
                raise ValueError(
                    f"{self.store.url}/{key} must be a whole chunk file, but {error}; remove it and run its stage "
                    "again: lchunk verify finds such files, and removes them with --remove"
                ) from error

        for _ in parallel(copy, self.grid.meeting(inside), self.store.connections):
            pass
        return padded(voxels, inside, bbox)

    def _shape(self, bbox: Bbox) -> tuple[int, ...]:
        return (self.channels, *bbox.shape) if self.channels else bbox.shape


@functools.lru_cache(maxsize=64)
def _refuse_changed(layer: Layer) -> None:
    """Raise an error unless the metadata of a mip is what lchunk writes; looked at once by a process.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it differs.
    """
    document = document_of(layer)
    where = f"{layer.store.url}/{layer.path}/zarr.json"
    if document is None:
        raise FileNotFoundError(f"{where} must exist, and does not; create the layer first")
    if canonical(document) != canonical(array_document(layer, {})):
        raise ValueError(
            f"{where} must be as lchunk writes it, but another program or another version changed it; remove the "
            "layer, or write to another one with --STAGE-layer-name"
        )


def layer_names(store: Store) -> list[str]:
    """Names of the layers of voxels in a dataset's folder.

    Raises:
        FileNotFoundError: there is no layer.
    """
    names = [name for name in store.folders() if next(mips_in(store, name), None) is not None]
    if not names:
        raise FileNotFoundError(f"a dataset's folder must hold a layer, got none in {store.url}; run a stage first")
    return names


def mips_in(store: Store, name: str) -> Iterator[int]:
    """The mips of a layer, the finest first; they begin with 1 if mip 0 is an external volume."""
    mip = 0 if store.exists(f"{name}/0/zarr.json") else 1
    while mip == 0 or store.exists(f"{name}/{mip}/zarr.json"):
        yield mip
        mip += 1


def external_of(layer: Layer) -> str:
    """The external volume that the first coarser mip of a layer was made from, and its fingerprint; empty if none.

    Args:
        layer: mip 1.
    """
    source = str((layer.recipe() or {}).get("reads", {}).get(layer.name, ""))
    return source if is_external(source) else ""


def open_layer(store: Store, name: str, mip: int = 0) -> Layer:
    """Open a mip of a layer.

    Raises:
        FileNotFoundError: there is no such layer, or it has no such mip.
        ValueError: the array is not lchunk's.
    """
    array = read_json(store, f"{name}/{mip}/zarr.json")
    if array is None:
        there = store.exists(f"{name}/zarr.json")
        what = f"mip {mip} of layer {name} in {store.url}" if there else f"layer {name} in {store.url}"
        if there and mip == 0 and list(islice(mips_in(store, name), 1)):
            volume = external_of(open_layer(store, name, 1))
            if volume:
                raise FileNotFoundError(f"{what} must exist, and is the volume {volume}; use mip 1, or that volume")
        raise FileNotFoundError(f"{what} must exist, and does not; run the stage that makes it first")
    own = array.get("attributes", {}).get("lchunk", {})
    if "voxel_offset" not in own:
        raise ValueError(
            f"{store.url}/{name}/{mip} must be an array of lchunk, but its zarr.json has no attributes of lchunk"
        )
    factor, origin, shape = triple(own["factor"]), triple(own["voxel_offset"]), array["shape"]
    z, y, x = own["voxel_size"]
    return Layer(
        store=store,
        name=name,
        bounds=Bbox.of(triple(o // f for o, f in zip(origin, factor, strict=True)), shape[-3:]),
        voxel_size=(z, y, x),
        dtype=np.dtype(array["data_type"]),
        chunk_shape=triple(array["chunk_grid"]["configuration"]["chunk_shape"][-3:]),
        inner_chunk=triple(array["codecs"][0]["configuration"]["chunk_shape"][-3:]),
        channels=shape[0] if len(shape) == 4 else 0,
        labels=own["labels"],
        mip=mip,
        factor=factor,
        origin=origin,
    )
