"""The parts of a dataset's folder: layers, mips, records, meshes and skeletons, as their own files describe them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.recipe import FILES
from lchunk.volumes import complete_rows
from lchunk.volumes.checksum import checksum, refuse_other
from lchunk.volumes.chunk_files import Recipe
from lchunk.volumes.chunked_graph import METADATA
from lchunk.volumes.documents import read_json
from lchunk.volumes.info_folder import index_key, recipe_in
from lchunk.volumes.label_ranges import labels_with_prefix
from lchunk.volumes.layer import open_layer
from lchunk.volumes.mesh_containers import Container
from lchunk.volumes.meshes import ORDER, MeshFolder
from lchunk.volumes.multires_meshes import MULTIRES
from lchunk.volumes.packed_shards import decode_shard, packed_sharding
from lchunk.volumes.precomputed import VOLUME, read_checksums
from lchunk.volumes.skeleton_folders import SKELETONS, SkeletonFolder
from lchunk.volumes.store import Store
from lchunk.volumes.tables import DOCUMENT, INFO, TABLE

MIP = re.compile(r"(?P<name>.+)/(?P<mip>\d+)/zarr\.json")
PROPERTIES = "neuroglancer_segment_properties"
_FORMATS = {form.suffix: form for form in (TABLE, DOCUMENT, INFO)}
_AT_ONCE = 1 << 26
"""Bytes of a file that are read together."""
NOT_READ = ("logs/", f"{complete_rows.FOLDER}/")
"""Folders on which no content depends."""


@dataclass(frozen=True)
class Part:
    """A layer, a mip, or a folder of records or meshes, with the functions to read it.

    Args:
        path: its folder.
        recipe: its recipe.
        grid: its chunks; None for a folder with one file of each kind.
        keys: returns the files of a chunk.
        read: reads a whole file of a chunk; raises ValueError or FileNotFoundError.
        metadata: files that are not chunks.
        recipe_key: the one of them that holds the recipe: without it, the folder is no part.
        in_chunks: whether it misses the chunks that it does not have. A mesh folder may hold the meshes of a few
            segments, and none of the pieces that others are made from.
    """

    path: str
    recipe: Recipe
    grid: Grid | None
    keys: Callable[[Triple], list[str]]
    read: Callable[[Triple | None, str], Any]
    metadata: frozenset[str]
    recipe_key: str
    in_chunks: bool = True


def keys_of(store: Store) -> list[str]:
    """The files of a dataset's folder, sorted, except those of `NOT_READ`."""
    return [key for key in sorted(store.list("")) if not key.startswith(NOT_READ)]


def is_of(path: str, source: str) -> bool:
    """Whether a part is what a recipe calls a source: stages that read coarser mips name the layer alone.

    >>> is_of("image/3", "image"), is_of("image", "image"), is_of("image_thumbnail", "image")
    (True, True, False)
    """
    return re.fullmatch(re.escape(source) + r"(/\d+)?", path) is not None


def parts_of(store: Store, keys: list[str]) -> Iterator[Part]:
    """The parts of a dataset's folder.

    Args:
        store: the dataset's folder.
        keys: its files, see `keys_of`.
    """
    for key in keys:
        if match := MIP.fullmatch(key):
            yield _voxels(store, match["name"], int(match["mip"]))
        elif key.endswith("/layer.json"):
            yield _records(store, key.removesuffix("/layer.json"))
        elif key.endswith("/info"):
            info = read_json(store, key) or {}
            if info.get("@type") == PROPERTIES:
                continue  # of the folder whose recipe is in layer.json
            if info.get("@type") in (VOLUME, MULTIRES):
                yield from _checksummed(store, key, info)
            elif info.get("@type") == SKELETONS:
                yield from _skeletons(store, key.removesuffix("/info"), info)
            else:
                yield from _meshes(store, key.removesuffix("/info"), info, keys)
        elif key.endswith(f"/{METADATA}"):
            yield from _checksummed(store, key, read_json(store, key) or {})


def _voxels(store: Store, name: str, mip: int) -> Part:
    layer = open_layer(store, name, mip)

    def read(index: Triple | None, key: str) -> None:
        if index is not None:
            layer.read(layer.grid.chunk(index))

    own = f"{layer.path}/zarr.json"
    metadata = frozenset({f"{name}/zarr.json", own})
    return Part(name if mip == 0 else layer.path, layer.recipe() or {}, layer.grid, layer.keys, read, metadata, own)


def _records(store: Store, path: str) -> Part:
    recipe: Recipe = (read_json(store, f"{path}/layer.json") or {}).get("recipe", {})

    def read(index: Triple | None, key: str) -> Iterator[str]:
        _, dot, end = key.rpartition("/")[2].rpartition(".")
        suffix = dot + end if dot else ""
        if suffix not in _FORMATS or not (suffix or key.endswith("/info")):
            raise ValueError(f"it must end in {' or '.join(filter(None, _FORMATS))}")
        content = _FORMATS[suffix].decode(io.BytesIO(store.get(key)))
        for column in content if isinstance(content, Mapping) else ():
            content[column]  # a table reads and checks a column on access
        return _manifests(store, path, content)

    def keys(index: Triple) -> list[str]:
        name = "/".join(("c", *map(str, index)))
        return [f"{path}/{name}{suffix}"]

    grid = _grid(recipe)
    first = next(iter(store.list(f"{path}/c")), "")  # all files of a layer have one format
    suffix = DOCUMENT.suffix if first.endswith(DOCUMENT.suffix) else TABLE.suffix
    own = f"{path}/layer.json"
    return Part(path, recipe, grid, keys, read, frozenset({own}), own)


def _manifests(store: Store, path: str, content: Any) -> Iterator[str]:
    """The meshes and manifests of the labels that a document of MeshManifest lists.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a mesh is damaged. Both are raised after the last label.
    """
    if not path.endswith("/manifest") or "labels" not in content:
        return
    folder, absent, damaged = path.rsplit("/", 1)[0], [], []
    for label, written in zip(content["labels"], content["checksums"], strict=True):
        key = f"{folder}/{label}:0"
        manifest = read_json(store, key)
        meshes = [f"{folder}/{name}" for name in manifest["fragments"]] if manifest else []
        yield from (key, *meshes)
        absent += [name for name in (key, *meshes) if not store.exists(name)]
        damaged += [name for name in meshes if name not in absent and checksum(store.get(name)) != written]
    if absent:
        raise FileNotFoundError(f"{len(absent)} files that it lists do not exist, the first {absent[0]}")
    if damaged:
        raise ValueError(f"{len(damaged)} meshes that it lists are not those that were written, the first {damaged[0]}")


def _checksummed(store: Store, own: str, info: Mapping[str, Any]) -> Iterator[Part]:
    """A folder for other programs, in which a last file of each chunk has the checksums of its files.

    Args:
        store: the dataset's folder.
        own: the file that describes the folder.
        info: its content, with the recipe.
    """
    path = own.rpartition("/")[0]
    recipe = recipe_in(info)
    grid = _grid(recipe)
    if grid is None:
        return

    def read(index: Triple | None, key: str) -> Iterator[str]:
        written = read_checksums(store, key)
        yield from (f"{path}/{name}" for name in written)
        for name, number in written.items():
            _refuse_damaged_file(store, f"{path}/{name}", number)

    def lists(index: Triple) -> list[str]:
        return [index_key(path, index)]

    yield Part(path, recipe, grid, lists, read, frozenset({own}), own)


def _refuse_damaged_file(store: Store, key: str, expected: int) -> None:
    """Raise an error if a file, which may be larger than the memory, differs from what was written.

    Raises:
        FileNotFoundError: there is no such file.
        ChecksumError: it differs.
    """
    size, number = store.size(key), 0
    for start in range(0, size, _AT_ONCE):
        number = checksum(store.get(key, start, min(start + _AT_ONCE, size)), number)
    refuse_other(number, expected, size)


def _meshes(store: Store, path: str, info: Mapping[str, Any], keys: list[str]) -> Iterator[Part]:
    recipe = recipe_in(info)
    grid = _grid(recipe)
    if grid is None:
        return
    folder = MeshFolder(store, path, grid, (1.0, 1.0, 1.0), info.get("mip", 0))  # no voxel size is needed to read
    spatial = frozenset(key for key in keys if key.startswith(f"{path}/") and key.endswith(".spatial"))

    def read(index: Triple | None, key: str) -> None:
        container = Container(store, key, ORDER)
        for _ in container.bodies(container.entries(labels_with_prefix(""))):
            pass

    own = f"{path}/info"
    pieces = next(iter(store.list(f"{path}/c")), None) is not None
    yield Part(path, recipe, grid, folder.keys, read, spatial | {own}, own, in_chunks=pieces)


def _skeletons(store: Store, path: str, info: Mapping[str, Any]) -> Iterator[Part]:
    recipe = recipe_in(info)
    grid = _grid(recipe)
    if grid is None:
        return

    def read(index: Triple | None, key: str) -> None:
        for _ in decode_shard(store.get(key)):
            pass

    own = f"{path}/info"
    folder = SkeletonFolder(store, path, packed_sharding(info["sharding"]["shard_bits"]))
    yield Part(path, recipe, grid, folder.keys, read, frozenset({own}), own)


def _grid(recipe: Recipe) -> Grid | None:
    """The chunks of a layer; None if it is not divided into chunks."""
    if FILES not in recipe:
        return None
    return Grid(Bbox.parse(recipe["bounds"]), triple(recipe[FILES]["chunk_shape"]))
