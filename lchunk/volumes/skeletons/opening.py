"""Find and read the files of skeletons that a URL names.

neuron.swc#unit=um      one skeleton                 folder#unit=nm     a folder of SWC, or of NML
traced.nml              several                      folder             precomputed skeletons, where it has `info`
nodes.csv#unit=voxels#edges=edges.csv                several
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lchunk.volumes.formats.fingerprints import fingerprint
from lchunk.volumes.formats.options import split_options
from lchunk.volumes.formats.units import nanometers
from lchunk.volumes.place import Place, place_of
from lchunk.volumes.skeletons.nml import read_nml
from lchunk.volumes.skeletons.node_tables import read_table
from lchunk.volumes.skeletons.precomputed import precomputed_info, read_precomputed
from lchunk.volumes.skeletons.swc import read_swc
from lchunk.volumes.skeletons.trees import Gathered, Skeletons, joined
from lchunk.volumes.volume import VoxelSize

VOXELS = "voxels"
ORIGIN = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class SkeletonFiles:
    """The files of skeletons that a URL names.

    Args:
        url: the URL, with its options.
        files: a file of one or several skeletons each, in the order of their names.
        info: the info of precomputed skeletons; None for other formats.
        edges: the table of edges; None if there is none.
        unit: in place of the files': "voxels", or a unit of length; empty if it is not given.
        offset: is added to each place, zyx in the files' unit.
    """

    url: str
    files: tuple[Place, ...]
    info: Place | None = None
    edges: Place | None = None
    unit: str = ""
    offset: VoxelSize = ORIGIN

    def fingerprint(self) -> str:
        """A short text that changes with the files."""
        return fingerprint([*self.files, *filter(None, (self.info, self.edges))])

    def read(self, voxel_size: VoxelSize) -> Skeletons:
        """Read all skeletons. Each is checked: numbers, edges, cycles.

        Args:
            voxel_size: nanometres of a voxel of the dataset, for places in voxels.

        Raises:
            FileNotFoundError: a file is absent.
            ValueError: a file cannot be parsed, its skeletons are no trees, or it does not tell its unit.
        """
        read = self._reader()
        parts = []
        for file in self.files:
            found = read(file)
            parts.append(found.skeletons(self._scale(found, voxel_size), self.offset))
        skeletons = joined(parts)
        if not len(skeletons.nodes):
            raise ValueError(f"skeletons must have nodes, got none in {self.url}; name another file")
        return skeletons

    def _reader(self) -> Callable[[Place], Gathered]:
        """The function that reads a file of this format."""
        suffix = _suffix(self.files[0])
        several = len(self.files) > 1
        if self.info is not None:
            info = precomputed_info(_body(self.info), str(self.info))
            return lambda file: read_precomputed(_body(file), str(file), file.name, info)
        if suffix == ".swc":
            return lambda file: read_swc(_text(file), str(file), file.name[: -len(suffix)])
        if suffix == ".csv":
            edges = None if self.edges is None else (_text(self.edges), str(self.edges))
            return lambda file: read_table(_text(file), str(file), edges)

        def read(file: Place) -> Gathered:
            found = read_nml(_body(file), str(file))
            if several:
                found.names = [f"{file.name[: -len(suffix)]}/{name}" for name in found.names]
            return found

        return read

    def _scale(self, found: Gathered, voxel_size: VoxelSize) -> VoxelSize:
        """Nanometres zyx of a file's unit."""
        if self.unit == VOXELS or (not self.unit and found.scale == ()):
            return voxel_size
        if self.unit:
            length = nanometers(self.unit) or math.nan
            return (length, length, length)
        if not found.scale and found.nodes:
            raise ValueError(
                f"skeletons must tell the unit of their places, got none in {found.file}; write it after the URL: "
                "#unit=nm, #unit=um or #unit=voxels"
            )
        return found.scale or voxel_size


def find_skeletons(url: str) -> SkeletonFiles:
    """Find the files of skeletons; they are not read yet.

    Args:
        url: a path, or a URL of a bucket or a web server, of a .swc, .nml or .csv file, or of a folder. Options follow
            after `#`: `unit`, `offset`, and `edges` for a table.

    Raises:
        FileNotFoundError: there are no such files.
        ValueError: an option is wrong, or the folder has several formats.
    """
    if not url:
        raise ValueError("skeletons must be the URL of true skeletons, got nothing; set it in [Dataset]")
    path, options = split_options(url, _KINDS)
    edges = options.pop("edges", None)
    place = place_of(path.removeprefix("precomputed://"))
    if _suffix(place) not in READ:
        return _of_folder(url, place, options)
    for file in (place, *([place_of(edges)] if edges else [])):
        if not file.exists():
            raise FileNotFoundError(f"skeletons must exist, got {file}, which does not; correct the path")
    if edges and _suffix(place) != ".csv":
        raise ValueError(f"edges must be left out unless nodes are in a .csv table, got it in {url}; remove it")
    return SkeletonFiles(url, (place,), edges=place_of(edges) if edges else None, **options)


READ = (".swc", ".nml", ".csv")
"""Suffixes of files that are read."""


def _of_folder(url: str, folder: Place, options: dict[str, Any]) -> SkeletonFiles:
    start = f"{folder.key}/" if folder.key else ""
    try:
        names = sorted(key.removeprefix(start) for key in folder.store.list(folder.key))
    except io.UnsupportedOperation as error:
        raise ValueError(
            f"a folder of skeletons must be on a disk or in a bucket, got {folder}, which cannot be listed; name one "
            f"file, {', '.join(READ)}"
        ) from error
    files = [folder / name for name in names if "/" not in name]
    info = next((file for file in files if file.name == "info"), None)
    if info is not None:
        described = precomputed_info(info.document() or b"", str(info))
        found = [file for file in files if described.holds(file.name)]
        if 0 < len(found) < described.least_files:
            raise FileNotFoundError(
                f"{folder} must have all {described.least_files} shards, got {len(found)}; lchunk run SkeletonMerge "
                "makes what is missing"
            )
    else:
        found = [file for file in files if _suffix(file) in (".swc", ".nml")]
    if not found:
        raise FileNotFoundError(
            f"skeletons must be a .swc, .nml or .csv file, or a folder of .swc, .nml or precomputed skeletons, got "
            f"{folder}, which has none; correct the path"
        )
    if info is None and len({_suffix(file) for file in found}) > 1:
        raise ValueError(f"a folder of skeletons must have one format, got .swc and .nml in {folder}; name one file")
    return SkeletonFiles(url, tuple(found), info=info, **options)


def _suffix(file: Place) -> str:
    return file.name[-4:].lower()


def _body(file: Place) -> bytes:
    body = file.body()
    if body is None:
        raise FileNotFoundError(f"skeletons must exist, got {file}, which does not; correct the path")
    return body


def _text(file: Place) -> str:
    try:
        return _body(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} must be text in UTF-8, got an error: {error}; save it as UTF-8") from error


def _unit(text: str) -> str:
    if text != VOXELS and nanometers(text) is None:
        raise ValueError(text)
    return text


def _offset(text: str) -> VoxelSize:
    z, y, x = map(float, text.split(","))
    if not all(map(math.isfinite, (z, y, x))):
        raise ValueError(text)
    return z, y, x


_KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "unit": ("voxels, or a unit of length such as nm or um", _unit),
    "offset": ("three numbers z,y,x in the files' unit", _offset),
    "edges": ("a .csv table", str),
}
