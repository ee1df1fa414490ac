"""Histograms of sections as a folder of JSON files, one per section: the form of igneous and chunkflow."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.volumes.documents import read_json
from lchunk.volumes.level_files import KEY, encode_levels
from lchunk.volumes.parallel import parallel
from lchunk.volumes.place import Place, place_of
from lchunk.volumes.records import RecordLayer
from lchunk.volumes.store import Store
from lchunk.volumes.tables import TABLE

LAYER, STAGE = "section_levels", "SectionLevels"
"""The usual name of the layer, and the stage that writes it, which its recipe names."""


def holds_levels(store: Store, layer: str) -> bool:
    """Whether a layer holds histograms of sections, or would hold them, by its usual name."""
    document = read_json(store, f"{layer}/layer.json")
    return layer == LAYER if document is None else document.get("recipe", {}).get("stage") == STAGE


def read_levels(store: Store, layer: str) -> tuple[int, npt.NDArray[Any]]:
    """The number of the first section, and the counts (z, 256) of all sections.

    Raises:
        FileNotFoundError: the layer is absent or not complete.
        ValueError: its file is damaged.
    """
    document = read_json(store, f"{layer}/layer.json")
    if document is None:
        raise FileNotFoundError(f"{store.url} must have a layer {layer}, got none; lchunk run {STAGE} makes it")
    bounds = Bbox.parse(document["recipe"]["dataset"]["bounds"])
    (table,) = RecordLayer(store, layer, Grid(bounds, bounds.shape), TABLE, "table").records(bounds)
    return bounds.start[0], table[KEY]


def write_levels(first: int, levels: npt.NDArray[Any], url: str, *, overwrite: bool) -> None:
    """Write the file of each section in one atomic step; files that hold the same bytes already are left as they are.

    Args:
        first: number of the first section.
        levels: (z, 256) counts.
        url: path or URL of the folder.
        overwrite: whether files with other levels may be replaced.

    Raises:
        FileExistsError: a section has other levels there, and `overwrite` is off; nothing was written.
        io.UnsupportedOperation: the folder is on a web server.
    """
    folder = place_of(url)
    files = {folder / str(z): encode_levels(row) for z, row in enumerate(levels, first)}
    threads = folder.store.connections
    there = dict(zip(files, parallel(Place.body, files, threads, "levels"), strict=True))
    other = [file for file, body in there.items() if body not in (None, files[file])]
    if other and not overwrite:
        raise FileExistsError(
            f"the output must be new, or hold the same levels, got others in {other[0]}; write to another folder, or "
            "add --overwrite"
        )

    def write(file: Place) -> None:
        file.store.put(file.key, files[file])

    for _ in parallel(write, (file for file in files if there[file] != files[file]), threads, "levels"):
        pass
