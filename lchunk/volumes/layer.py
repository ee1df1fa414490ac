"""A layer of voxels: one level of an OME-Zarr 0.5 image, whose chunks are zarr v3 shards.

Layout and half-voxel conventions: https://ngff.openmicroscopy.org/0.5. Array index = voxel - bounds.start.
"""

from __future__ import annotations

import contextlib
import functools
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import BloscCodec, ShardingCodecIndexLocation, ZstdCodec
from zarr.errors import ContainsArrayError

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.chunk_files import Recipe, require
from lchunk.volumes.store import Store
from lchunk.volumes.volume import VoxelSize, padded
from lchunk.volumes.zarr_store import ZarrStore


@dataclass(frozen=True)
class Layer:
    """One mip of a layer.

    Args:
        store: where the layer's folder is.
        name: the folder.
        bounds: voxels of this mip.
        voxel_size: nanometres of this mip, zyx.
        dtype: type of a voxel.
        channels: 0 for (z, y, x), else the length of the first axis.
        chunk_shape: voxels of a chunk file (shard).
        inner_chunk: voxels that a viewer reads at once; divides `chunk_shape`.
        mip: 0 is the finest.
        factor: voxels of mip 0 in one voxel, an axis.
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
    def corner(self) -> VoxelSize:
        """Position of the low corner of the first voxel, nanometres zyx."""
        origin = self.bounds.start if self.origin is None else self.origin
        z, y, x = (o * size / f for o, size, f in zip(origin, self.voxel_size, self.factor, strict=True))
        return z, y, x

    def keys(self, index: Triple) -> list[str]:
        channel = ("0",) if self.channels else ()
        return ["/".join((self.path, "c", *channel, *map(str, index)))]

    def coarser(self, factor: Triple) -> Layer:
        """The next mip: `factor` voxels of this one in one of its own, chunk files of the same extent."""
        total = triple(a * b for a, b in zip(self.factor, factor, strict=True))
        origin = self.bounds.start if self.origin is None else self.origin
        start = triple(o // f for o, f in zip(origin, total, strict=True))
        shape = triple(-(-size // f) for size, f in zip(self.bounds.shape, factor, strict=True))
        chunk = triple(side // f for side, f in zip(self.chunk_shape, factor, strict=True))
        inner = triple(i if c % i == 0 else c for i, c in zip(self.inner_chunk, chunk, strict=True))
        z, y, x = (size * f for size, f in zip(self.voxel_size, factor, strict=True))
        return replace(
            self, bounds=Bbox.of(start, shape), voxel_size=(z, y, x), chunk_shape=chunk, inner_chunk=inner,
            mip=self.mip + 1, factor=total, origin=origin,
        )  # fmt: skip

    def recipe(self) -> Recipe | None:
        if self.mip == 0:
            group = _json(self.store, f"{self.name}/zarr.json")
            return None if group is None else group["attributes"]["lchunk"]["recipe"]
        array = _json(self.store, f"{self.path}/zarr.json")
        return None if array is None else array["attributes"]["lchunk"]["recipe"]

    def create(self, recipe: Recipe) -> None:
        """Write the array's metadata, then the group's, which lists it; what is there already stays."""
        if not self.store.exists(f"{self.path}/zarr.json"):
            self._create_array({} if self.mip == 0 else {"lchunk": {"recipe": recipe}})
        group_key = f"{self.name}/zarr.json"
        group = _json(self.store, group_key)
        if group is None:
            origin = self.bounds.start if self.origin is None else self.origin
            own = {"voxel_offset": list(origin), "voxel_size": list(self.voxel_size), "recipe": recipe}
            ome = {"version": "0.5", "multiscales": [{"name": self.name, "axes": self._axes(), "datasets": []}]}
            group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, "lchunk": own}}
        datasets = group["attributes"]["ome"]["multiscales"][0]["datasets"]
        if str(self.mip) not in [dataset["path"] for dataset in datasets]:
            # mips that were removed by hand are not listed again
            datasets[:] = [d for d in datasets if self.store.exists(f"{self.name}/{d['path']}/zarr.json")]
            datasets.append(self._dataset())
            datasets.sort(key=lambda dataset: int(dataset["path"]))
            self.store.put(group_key, json.dumps(group, indent=2).encode())

    def write(self, bbox: Bbox, content: npt.NDArray[Any]) -> None:
        """Write one chunk file, in one atomic step; a chunk of zeros too.

        Raises:
            ValueError: the box is no chunk of the grid, or the voxels do not fit it.
        """
        self.grid.index_of(bbox)
        shape = (self.channels, *bbox.shape) if self.channels else bbox.shape
        if content.shape != shape or content.dtype != self.dtype:
            raise ValueError(
                f"a chunk of layer {self.name} must be {self.dtype} of shape {shape}, "
                f"got {content.dtype} of shape {content.shape}"
            )
        # zarr forgets this setting when an array is opened: without it a chunk of zeros leaves no file
        array = self._array(write_once=True).with_config({"write_empty_chunks": True})
        array[(..., *bbox.slices(self.bounds.start))] = content

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> npt.NDArray[Any]:
        inside = bbox.clipped(self.bounds)
        if not inside.size:
            shape = (self.channels, *inside.shape) if self.channels else inside.shape
            return padded(np.zeros(shape, self.dtype), inside, bbox)
        if not fill_missing:
            require(self, inside)
        try:
            voxels = self._cut(inside)
        except (ValueError, RuntimeError, OSError) as error:
            broken = self._first_broken(inside)
            message = f"{broken} must be a whole chunk file, got {error}; remove it and run its stage again"
            raise ValueError(message) from error
        return padded(voxels, inside, bbox)

    def _cut(self, inside: Bbox) -> npt.NDArray[Any]:
        return np.asarray(self._array()[(..., *inside.slices(self.bounds.start))])

    def _first_broken(self, inside: Bbox) -> str:
        """The file that cannot be read."""
        for index in self.grid.meeting(inside):
            try:
                self._cut(self.grid.chunk(index).clipped(inside))
            except (ValueError, RuntimeError, OSError):
                return f"{self.store.url}/{self.keys(index)[0]}"
        return self.url

    def _array(self, *, write_once: bool = False) -> zarr.Array[Any]:
        return _opened(replace(self, voxel_size=(1, 1, 1), origin=None), write_once)

    def _create_array(self, attributes: dict[str, Any]) -> None:
        channels = (self.channels,) if self.channels else ()
        # another worker may be first: it writes the same
        with contextlib.suppress(ContainsArrayError):
            zarr.create_array(
                ZarrStore(self.store, self.path),
                shape=(*channels, *self.bounds.shape),
                shards={
                    "shape": (*channels, *self.chunk_shape),
                    "index_location": ShardingCodecIndexLocation.start,
                },
                chunks=(*channels, *self.inner_chunk),
                dtype=self.dtype,
                compressors=_compressor(self.dtype),
                fill_value=0,
                dimension_names=[axis["name"] for axis in self._axes()],
                attributes=attributes,
                zarr_format=3,
            )

    def _axes(self) -> list[dict[str, str]]:
        channel = [{"name": "c", "type": "channel"}] if self.channels else []
        return channel + [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]

    def _dataset(self) -> dict[str, Any]:
        centre = [corner + size / 2 for corner, size in zip(self.corner, self.voxel_size, strict=True)]
        scale, translation = list(self.voxel_size), centre
        if self.channels:
            scale, translation = [1.0, *scale], [0.5, *translation]
        transformations = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": translation}]
        return {"path": str(self.mip), "coordinateTransformations": transformations}


@functools.lru_cache(maxsize=64)
def _opened(layer: Layer, write_once: bool) -> zarr.Array[Any]:
    """The array of a mip; opening it takes as long as a small chunk does. A layer of another form is another key."""
    return zarr.open_array(ZarrStore(layer.store, layer.path, write_once=write_once), mode="r+", zarr_format=3)


def layer_names(store: Store) -> list[str]:
    """Names of the layers of voxels in a dataset's folder.

    Raises:
        FileNotFoundError: there is none.
    """
    names = [name for name in store.folders() if store.exists(f"{name}/0/zarr.json")]
    if not names:
        raise FileNotFoundError(f"a dataset's folder must hold a layer, got none in {store.url}; run a stage first")
    return names


def open_layer(store: Store, name: str, mip: int = 0) -> Layer:
    """A layer that is there.

    Raises:
        FileNotFoundError: there is no such layer, or it has no such mip.
    """
    group = _json(store, f"{name}/zarr.json")
    array = _json(store, f"{name}/{mip}/zarr.json")
    if group is None or array is None:
        what = f"layer {name} in {store.url}" if group is None else f"mip {mip} of layer {name} in {store.url}"
        raise FileNotFoundError(f"{what} must be there; run the stage that makes it first")
    own = group["attributes"]["lchunk"]
    datasets = {dataset["path"]: dataset for dataset in group["attributes"]["ome"]["multiscales"][0]["datasets"]}
    scale = datasets[str(mip)]["coordinateTransformations"][0]["scale"][-3:]
    factor = triple(round(size / base) for size, base in zip(scale, own["voxel_size"], strict=True))
    origin = triple(own["voxel_offset"])
    shape = array["shape"]
    inner = array["codecs"][0]["configuration"]["chunk_shape"]
    return Layer(
        store=store,
        name=name,
        bounds=Bbox.of(triple(o // f for o, f in zip(origin, factor, strict=True)), shape[-3:]),
        voxel_size=tuple(scale),
        dtype=np.dtype(array["data_type"]),
        chunk_shape=triple(array["chunk_grid"]["configuration"]["chunk_shape"][-3:]),
        inner_chunk=triple(inner[-3:]),
        channels=shape[0] if len(shape) == 4 else 0,
        mip=mip,
        factor=factor,
        origin=origin,
    )


def _json(store: Store, key: str) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(store.get(key))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return document


def _compressor(dtype: np.dtype[Any]) -> ZstdCodec | BloscCodec:
    """What packs best: zstd for labels and bytes, bit-shuffled lz4 for floats."""
    if dtype.kind == "f":
        return BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")
    return ZstdCodec(level=3)
