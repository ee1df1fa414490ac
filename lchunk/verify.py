"""Reads all files of a dataset's folder, to find those that are missing, damaged, foreign or mixed.

A run only checks whether a chunk's file exists. This module reads each file. It needs no cfg: a layer knows its grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial

from lchunk.geometry.bbox import Triple
from lchunk.parts import MIP, Part, is_of, keys_of, parts_of
from lchunk.recipe import digest
from lchunk.volumes.chunk_files import is_external
from lchunk.volumes.layer import external_of, open_layer
from lchunk.volumes.layer_metadata import image_is_whole, rewrite_image
from lchunk.volumes.store import Store


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


def verify(store: Store, layer: str = "", progress: Callable[[int], None] = lambda files: None) -> Iterator[Finding]:
    """Read all files of a dataset, or of one layer.

    Args:
        store: the dataset's folder.
        layer: a folder in it, with all folders below; empty: every layer.
        progress: called with the number of files read so far.

    Raises:
        FileNotFoundError: there is no layer, or no such layer.
    """
    everything = keys_of(store)
    keys = [key for key in everything if not layer or key.startswith(f"{layer}/")]
    parts = list(parts_of(store, everything))
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
        own = [(index, part.keys(index)) for index in part.grid] if part.in_chunks else []
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
        now = [recipe for path, recipe in digests.items() if is_of(path, source)]
        if now and not is_external(made_from) and made_from not in now:
            yield Finding(
                Fault.MIXED, part.path, f"it was made from another {source} than the one that is there now: "
                f"recipe {made_from}, and now {' or '.join(now)}"
            )  # fmt: skip


def _images(store: Store, keys: list[str]) -> Iterator[Finding]:
    """Check the metadata of images, which other programs read."""
    mips: dict[str, list[int]] = {}
    for match in filter(None, map(MIP.fullmatch, keys)):
        mips.setdefault(match["name"], []).append(int(match["mip"]))
    for name, numbers in mips.items():
        layers = [open_layer(store, name, number) for number in sorted(numbers)]
        whole = not layers[0].mip or (layers[0].mip == 1 and external_of(layers[0]))
        if whole and not image_is_whole(layers):
            yield Finding(
                Fault.DAMAGED, f"{name}/zarr.json", "it is not what lchunk writes for the mips of the layer",
                rewrite=partial(rewrite_image, layers),
            )  # fmt: skip
