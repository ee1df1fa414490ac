"""Removes layers, or chunks of one, and what was made from them; the next run of their stages makes them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from graphlib import TopologicalSorter

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.regions import whole_chunks
from lchunk.parts import Part, is_of, keys_of, parts_of
from lchunk.volumes.layer import open_layer
from lchunk.volumes.layer_metadata import rewrite_image
from lchunk.volumes.parallel import parallel
from lchunk.volumes.store import Store


@dataclass(frozen=True)
class Removal:
    """Files of one part of a dataset, to be removed.

    Args:
        path: the folder of the layer, mip, level or meshes.
        groups: the files, group after group, so that the rest can be made again after a kill: first those by which a
            chunk is complete; then what was made with them, as meshes of segments, and other metadata; last the recipe.
        whole: whether the part goes; False if some of its chunks do.
        left: for a coarser mip, the mips that its image has afterwards.
    """

    path: str
    groups: tuple[tuple[str, ...], ...]
    whole: bool = True
    left: tuple[int, ...] | None = None

    @property
    def files(self) -> int:
        """The number of files."""
        return sum(map(len, self.groups))


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
        return [*_whole(_made_from([layer], parts) if downstream else set(), parts, keys), chunks]
    return _whole({*own, *(_made_from(own, parts) if downstream else ())}, parts, keys)


def remove(store: Store, found: Sequence[Removal], progress: Callable[[int], None] = lambda files: None) -> None:
    """Remove files. A kill leaves layers that miss chunks, never chunks without the recipe that they were made with.

    Args:
        store: the dataset's folder.
        found: what to remove, in this order.
        progress: called with the number of files removed so far.
    """
    done = 0
    for removal in found:
        for group in removal.groups:
            for _ in parallel(store.remove, group, store.connections, "remove"):
                done += 1
                progress(done)
        if removal.left is not None:
            _list_mips(store, removal.path.rpartition("/")[0], removal.left)
        if removal.whole:
            store.prune(removal.path)


def _list_mips(store: Store, name: str, left: Sequence[int]) -> None:
    """Let the metadata of an image list the mips that are left; remove it if none is."""
    if left:
        rewrite_image([open_layer(store, name, mip) for mip in left])
    else:
        store.remove(f"{name}/zarr.json")


def _made_from(own: Sequence[str], parts: dict[str, Part]) -> set[str]:
    """The other parts that were made from some, or from what was made from them."""
    found, new = set(own), set(own)
    while new:
        new = {path for path in parts if path not in found and any(_reads(path, one, parts) for one in new)}
        found |= new
    return found.difference(own)


def _reads(path: str, other: str, parts: dict[str, Part]) -> bool:
    """Whether a part was made from another one; of mips of one image, a coarser one may be made from each finer one."""
    if not any(is_of(other, source) for source in parts[path].recipe.get("reads", {})):
        return False
    return _image_of(path, parts) != _image_of(other, parts) or _mip_of(other, parts) < _mip_of(path, parts)


def _image_of(path: str, parts: dict[str, Part]) -> str:
    """The layer that a mip belongs to; of other parts, their own path."""
    name = path.rpartition("/")[0]
    return name if f"{name}/zarr.json" in parts[path].metadata else path


def _mip_of(path: str, parts: dict[str, Part]) -> int:
    return 0 if _image_of(path, parts) == path else int(path.rpartition("/")[2])


def _whole(going: Set[str], parts: dict[str, Part], keys: Sequence[str]) -> list[Removal]:
    """All files of parts, those that were made from others first; not those in the folders of other parts below."""
    owned: dict[str, list[str]] = {path: [] for path in going}
    for key in keys:
        path = _owner_of(key, parts)
        if path in owned:
            owned[path].append(key)
    sources = {path: [other for other in sorted(going) if _reads(path, other, parts)] for path in sorted(going)}
    order = reversed(list(TopologicalSorter(sources).static_order()))
    return [Removal(path, _in_groups(parts[path], owned[path]), left=_left(path, parts, going)) for path in order]


def _in_groups(part: Part, own: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    grid = part.grid
    chunks = {key for index in grid for key in part.keys(index)} if grid is not None else {*own} - part.metadata
    others = (key for key in own if key not in chunks and key != part.recipe_key)
    return tuple(key for key in own if key in chunks), tuple(others), (part.recipe_key,)


def _left(path: str, parts: dict[str, Part], going: Set[str]) -> tuple[int, ...] | None:
    """The mips that an image has without those that go; None if the part is no coarser mip, or the image goes."""
    image = _image_of(path, parts)
    if image in (path, *going):
        return None
    stay = (other for other in parts if _image_of(other, parts) == image and other not in going)
    return tuple(sorted(_mip_of(other, parts) for other in stay))


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
    wanted = {key for index in part.grid.meeting(whole_chunks(region, part.grid)) for key in part.keys(index)}
    return Removal(layer, (tuple(key for key in keys if key in wanted),), whole=False)
