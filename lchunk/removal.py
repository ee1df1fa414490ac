"""Removes layers, or chunks of one, and what was made from them; the next run of their stages makes them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lchunk.geometry.bbox import Bbox
from lchunk.parts import Part, is_of, keys_of, parts_of
from lchunk.volumes.layer import mips_in, open_layer
from lchunk.volumes.layer_metadata import rewrite_image
from lchunk.volumes.parallel import parallel
from lchunk.volumes.store import Store


@dataclass(frozen=True)
class Removal:
    """Files of one part of a dataset, to be removed.

    Args:
        path: the folder of the layer, mip, level or meshes.
        chunks: files of chunks.
        metadata: the other files, among them the recipe; empty if the layer stays.
    """

    path: str
    chunks: tuple[str, ...]
    metadata: tuple[str, ...] = ()

    @property
    def files(self) -> int:
        """The number of files."""
        return len(self.chunks) + len(self.metadata)


def removals(store: Store, layer: str, region: Bbox | None = None, *, downstream: bool = False) -> list[Removal]:
    """What is to be removed; what was made from a layer comes before it.

    Args:
        store: the dataset's folder.
        layer: a folder in it, with all folders below.
        region: only the chunks of this box, in the layer's voxels; None: the whole layer.
        downstream: also all layers that were made from it, as their recipes say. They are whole layers also if a region
            is given, because segments and their names depend on chunks far away.

    Raises:
        FileNotFoundError: there is no such layer.
        ValueError: the region is not made of whole chunks, or the folder is not divided into chunks.
    """
    keys = keys_of(store)
    parts = {part.path: part for part in parts_of(store, keys)}
    own = [path for path in parts if f"{path}/".startswith(f"{layer}/")]
    if not layer or not own:
        raise FileNotFoundError(
            f"{store.url} must hold the layer {layer or '(no name)'}, but holds {', '.join(sorted(parts)) or 'none'}; "
            "name one of these"
        )
    if region is not None:
        chunks = _of_region(parts.get(layer), layer, region, keys)
        return [*_whole(_made_from([layer], parts) if downstream else [], parts, keys), chunks]
    return _whole([*(_made_from(own, parts) if downstream else []), *reversed(own)], parts, keys)


def remove(store: Store, found: Sequence[Removal], progress: Callable[[int], None] = lambda files: None) -> None:
    """Remove files. A kill leaves layers that miss chunks, never chunks without the recipe that they were made with.

    Args:
        store: the dataset's folder.
        found: what to remove, in this order.
        progress: called with the number of files removed so far.
    """
    done = 0
    for removal in found:
        for files in (removal.chunks, removal.metadata):
            for _ in parallel(store.remove, files, store.connections, "remove"):
                done += 1
                progress(done)
        if removal.metadata:
            store.prune(removal.path)
    for name in sorted({removal.path.rpartition("/")[0] for removal in found if removal.metadata}):
        if name and store.exists(f"{name}/zarr.json"):
            _mips_left(store, name)


def _mips_left(store: Store, name: str) -> None:
    """Let the metadata of an image list the mips that are left; remove it if none is."""
    layers = [open_layer(store, name, mip) for mip in mips_in(store, name)]
    if layers:
        rewrite_image(layers)
    else:
        store.remove(f"{name}/zarr.json")
        store.prune(name)


def _made_from(own: Sequence[str], parts: dict[str, Part]) -> list[str]:
    """The parts that were made from some, or from what was made from them; those that were found last are first."""
    found, new = list(own), list(own)
    while new:
        new = [
            path
            for path, part in parts.items()
            if path not in found and any(is_of(one, source) for source in part.recipe.get("reads", {}) for one in new)
        ]
        found += new
    return list(reversed(found[len(own) :]))


def _whole(order: Sequence[str], parts: dict[str, Part], keys: Sequence[str]) -> list[Removal]:
    """All files of parts: those in their folders, except those in the folders of other parts below."""
    owner: dict[str, list[str]] = {path: [] for path in order}
    metadata = {key for path in order for key in parts[path].metadata}
    for key in keys:
        path = _owner_of(key, parts)
        if path in owner:
            owner[path].append(key)
    return [
        Removal(path, tuple(key for key in own if key not in metadata), tuple(key for key in own if key in metadata))
        for path, own in owner.items()
    ]


def _owner_of(key: str, parts: dict[str, Part]) -> str:
    """The part whose folder, or one of whose files, a key is; empty if it is of none."""
    folder = key
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        if folder in parts:
            return folder
    return ""


def _of_region(part: Part | None, layer: str, region: Bbox, keys: Sequence[str]) -> Removal:
    if part is None or part.grid is None:
        raise ValueError(f"a region must be of a layer that is divided into chunks, got {layer}; leave --region out")
    if not part.grid.aligned(region):
        raise ValueError(
            f"region must be whole chunks of {part.grid.chunk_shape} over {part.grid.bounds}, got {region}; "
            "`lchunk status` shows the layers"
        )
    wanted = {key for index in part.grid.meeting(region) for key in part.keys(index)}
    return Removal(layer, tuple(key for key in keys if key in wanted))
