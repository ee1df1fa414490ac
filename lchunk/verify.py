"""Reads all files of a dataset's folder, to find those that are missing, damaged, foreign or mixed.

A run only checks whether a chunk's file exists. This module reads each file. It needs no cfg: a layer knows its grid.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.recipe import FILES, digest
from lchunk.volumes import complete_rows
from lchunk.volumes.checksum import refuse_damaged
from lchunk.volumes.chunk_files import Recipe, is_external
from lchunk.volumes.documents import read_json
from lchunk.volumes.info_folder import index_key, recipe_in
from lchunk.volumes.layer import external_of, open_layer
from lchunk.volumes.layer_metadata import image_is_whole, rewrite_image
from lchunk.volumes.meshes import MeshFolder
from lchunk.volumes.precomputed import VOLUME, read_checksums
from lchunk.volumes.store import Store
from lchunk.volumes.tables import DOCUMENT, TABLE

_MIP = re.compile(r"(?P<name>.+)/(?P<mip>\d+)/zarr\.json")
_FORMATS = {form.suffix: form for form in (TABLE, DOCUMENT)}
NOT_READ = ("logs/", f"{complete_rows.FOLDER}/")
"""Folders on which no content depends."""


class Fault(Enum):
    """What can be wrong with a file."""

    MISSING = "missing"
    DAMAGED = "damaged"
    FOREIGN = "foreign"
    MIXED = "mixed"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Args:
        fault: the kind of fault.
        key: key of the file, or of the layer.
        reason: the message for the user.
        remove: files of a damaged chunk, to remove so that the next run makes them again.
        rewrite: writes metadata again that follows from other files.
    """

    fault: Fault
    key: str
    reason: str
    remove: tuple[str, ...] = ()
    rewrite: Callable[[], None] | None = None


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
    """

    path: str
    recipe: Recipe
    grid: Grid | None
    keys: Callable[[Triple], list[str]]
    read: Callable[[Triple | None, str], Any]
    metadata: frozenset[str]


def verify(store: Store, layer: str = "", progress: Callable[[int], None] = lambda files: None) -> Iterator[Finding]:
    """Read all files of a dataset, or of one layer.

    Args:
        store: the dataset's folder.
        layer: a folder in it, with all folders below; empty: every layer.
        progress: called with the number of files read so far.

    Raises:
        FileNotFoundError: there is no layer, or no such layer.
    """
    everything = [key for key in sorted(store.list("")) if not key.startswith(NOT_READ)]
    keys = [key for key in everything if not layer or key.startswith(f"{layer}/")]
    parts = list(_parts(store, everything))
    digests = {part.path: digest(part.recipe) for part in parts}
    parts = [part for part in parts if not layer or f"{part.path}/".startswith(f"{layer}/")]
    if not parts:
        what = f"layer {layer}" if layer else "a layer"
        raise FileNotFoundError(f"{store.url} must hold {what}, but does not; check the spelling of the name")
    expected: set[str] = set()
    yield from _images(store, keys)
    for part in parts:
        yield from _mixed(part, digests)
        expected |= part.metadata
        for finding in _chunks(store, part, keys, expected):
            yield finding
            progress(len(expected))
        progress(len(expected))
    for key in keys:
        if key not in expected:
            yield Finding(Fault.FOREIGN, key, "no layer has such a file: lchunk did not write it, and never reads it")


def _chunks(store: Store, part: Part, keys: list[str], expected: set[str]) -> Iterator[Finding]:
    """Read all chunks of a part, and add their files to `expected`."""
    own: list[tuple[Triple | None, list[str]]]
    if part.grid is None:
        files = [key for key in keys if key.rsplit("/", 1)[0] == part.path and key not in part.metadata]
        own = [(None, [key]) for key in files]
    else:
        own = [(index, part.keys(index)) for index in part.grid]
    present = set(keys)
    for index, files in own:
        where = part.grid.chunk(index) if part.grid is not None and index is not None else ""
        for key in files:
            expected.add(key)
            if key not in present:
                yield Finding(Fault.MISSING, key, f"the chunk {where} is not made yet, or its file is empty")
                continue
            try:
                for more in part.read(index, key) or ():
                    expected.add(more)
            except Exception as error:  # any error of a reader means that the file cannot be used
                yield Finding(Fault.DAMAGED, key, f"{type(error).__name__}: {error}", tuple(files))


def _mixed(part: Part, digests: dict[str, str]) -> Iterator[Finding]:
    """Find a part that was made from other sources than those that exist now."""
    if not part.recipe.get("stage"):
        yield Finding(Fault.MIXED, part.path, "it has no recipe: another program, or an older lchunk, made it")
        return
    for source, made_from in part.recipe.get("reads", {}).items():
        # a stage that reads coarser mips keeps the digest of theirs
        mips = re.compile(re.escape(source) + r"(/\d+)?")
        now = [recipe for path, recipe in digests.items() if mips.fullmatch(path)]
        if now and not is_external(made_from) and made_from not in now:
            yield Finding(
                Fault.MIXED, part.path, f"it was made from another {source} than the one that is there now: "
                f"recipe {made_from}, and now {' or '.join(now)}"
            )  # fmt: skip


def _parts(store: Store, keys: list[str]) -> Iterator[Part]:
    for key in keys:
        if match := _MIP.fullmatch(key):
            yield _voxels(store, match["name"], int(match["mip"]))
        elif key.endswith("/layer.json"):
            yield _records(store, key.removesuffix("/layer.json"))
        elif key.endswith("/info"):
            info = read_json(store, key) or {}
            described = _exported if info.get("@type") == VOLUME else _meshes
            yield from described(store, key.removesuffix("/info"), info, keys)


def _voxels(store: Store, name: str, mip: int) -> Part:
    layer = open_layer(store, name, mip)

    def read(index: Triple | None, key: str) -> None:
        if index is not None:
            layer.read(layer.grid.chunk(index))

    metadata = frozenset({f"{name}/zarr.json", f"{layer.path}/zarr.json"})
    return Part(name if mip == 0 else layer.path, layer.recipe() or {}, layer.grid, layer.keys, read, metadata)


def _images(store: Store, keys: list[str]) -> Iterator[Finding]:
    """Check the metadata of images, which other programs read."""
    mips: dict[str, list[int]] = {}
    for match in filter(None, map(_MIP.fullmatch, keys)):
        mips.setdefault(match["name"], []).append(int(match["mip"]))
    for name, numbers in mips.items():
        layers = [open_layer(store, name, number) for number in sorted(numbers)]
        whole = not layers[0].mip or (layers[0].mip == 1 and external_of(layers[0]))
        if whole and not image_is_whole(layers):
            yield Finding(
                Fault.DAMAGED, f"{name}/zarr.json", "it is not what lchunk writes for the mips of the layer",
                rewrite=partial(rewrite_image, layers),
            )  # fmt: skip


def _records(store: Store, path: str) -> Part:
    recipe: Recipe = (read_json(store, f"{path}/layer.json") or {}).get("recipe", {})

    def read(index: Triple | None, key: str) -> Iterator[str]:
        suffix = f".{key.rsplit('.', 1)[-1]}"
        if suffix not in _FORMATS:
            raise ValueError(f"it must end in {' or '.join(_FORMATS)}")
        content = _FORMATS[suffix].decode(io.BytesIO(store.get(key)))
        for column in content if isinstance(content, Mapping) else ():
            content[column]  # a table reads and checks a column on access
        return _manifests(store, path, content)

    def keys(index: Triple) -> list[str]:
        name = "/".join(("c", *map(str, index)))
        return [f"{path}/{name}{suffix}"]

    grid = _grid(recipe)
    suffix = DOCUMENT.suffix if any(k.endswith(DOCUMENT.suffix) for k in store.list(f"{path}/c")) else TABLE.suffix
    return Part(path, recipe, grid, keys, read, frozenset({f"{path}/layer.json"}))


def _manifests(store: Store, path: str, content: Any) -> Iterator[str]:
    """The manifests that a document of MeshManifest lists: each must exist, and name fragments that exist.

    Raises:
        FileNotFoundError: a file does not exist; it is raised after the last manifest.
    """
    if not path.endswith("/manifest") or "labels" not in content:
        return
    folder, absent = path.rsplit("/", 1)[0], []
    for label in content["labels"]:
        key = f"{folder}/{label}:0"
        yield key
        manifest = read_json(store, key)
        if manifest is None:
            absent.append(key)
            continue
        absent += [name for name in manifest["fragments"] if not store.exists(f"{folder}/{name}")]
    if absent:
        raise FileNotFoundError(f"{len(absent)} files that it lists do not exist, the first {absent[0]}")


def _exported(store: Store, path: str, info: Mapping[str, Any], keys: list[str]) -> Iterator[Part]:
    recipe = recipe_in(info)
    grid = _grid(recipe)
    if grid is None:
        return

    def read(index: Triple | None, key: str) -> Iterator[str]:
        written = read_checksums(store, key)
        yield from (f"{path}/{name}" for name in written)
        for name, number in written.items():
            refuse_damaged(store.get(f"{path}/{name}"), number)

    def lists(index: Triple) -> list[str]:
        return [index_key(path, index)]

    yield Part(path, recipe, grid, lists, read, frozenset({f"{path}/info"}))


def _meshes(store: Store, path: str, info: Mapping[str, Any], keys: list[str]) -> Iterator[Part]:
    recipe = recipe_in(info)
    grid = _grid(recipe)
    if grid is None:
        return
    folder = MeshFolder(store, path, grid, (1.0, 1.0, 1.0), info.get("mip", 0))  # no voxel size is needed to read
    spatial = frozenset(key for key in keys if key.startswith(f"{path}/") and key.endswith(".spatial"))

    def read(index: Triple | None, key: str) -> Iterator[str]:
        bbox = grid.chunk(index or (0, 0, 0))
        (own,) = folder.records(bbox)
        yield from (folder.fragment_key(label, bbox) for label in own["labels"])
        for label, written in zip(own["labels"], own["checksums"], strict=True):
            folder.check_fragment(label, bbox, written)

    yield Part(path, recipe, grid, folder.keys, read, spatial | {f"{path}/info"})


def _grid(recipe: Recipe) -> Grid | None:
    """The chunks of a layer; None if it is not divided into chunks."""
    if FILES not in recipe:
        return None
    return Grid(Bbox.parse(recipe["bounds"]), triple(recipe[FILES]["chunk_shape"]))
