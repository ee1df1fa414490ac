"""The formats that an export can write, and what each can hold. The import is fast, for the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from lchunk.exports.source import Exported

_TIFF_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_HDF5 = re.compile(r"(?P<file>.+\.(?:h5|hdf|hdf5))(?::(?P<dataset>.*))?", re.IGNORECASE)


def _is_n5_dataset(folder: Path) -> bool:
    file = folder / "attributes.json"
    return file.is_file() and '"dimensions"' in file.read_text()


def _is_zarr_array(folder: Path) -> bool:
    return (folder / ".zarray").is_file()


def _is_ome_zarr(folder: Path) -> bool:
    """Whether a folder is an image of one level and nothing else. An export has no labels and no other levels."""
    return {entry.name for entry in folder.iterdir()} == {".zgroup", ".zattrs", "0"} and _is_zarr_array(folder / "0")


def _only_sections(suffix: str) -> Callable[[Path], bool]:
    """Return a check that a folder holds only sections with this suffix."""
    return lambda folder: all(entry.suffix == suffix and entry.is_file() for entry in folder.iterdir())


@dataclass(frozen=True)
class Format:
    """What a format can hold.

    Args:
        name: value of `--format`.
        suffixes: suffixes of the output's name; empty if only `--format` selects the format.
        dtypes: voxel types that other programs read from this format; None for every type.
        channels: whether it can hold volumes with channels.
        voxel_size: whether it stores the voxel size.
        offset: whether it stores the position of the first voxel.
        table: whether it is a table with a row per segment, instead of voxels.
        replaceable: whether a folder looks like an export of this format, so that `--overwrite` may remove it; None
            for formats that are a single file.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    dtypes: tuple[str, ...] | None = None
    channels: bool = True
    voxel_size: bool = True
    offset: bool = True
    table: bool = False
    replaceable: Callable[[Path], bool] | None = None

    def can_hold(self, dtype: np.dtype[np.generic]) -> bool:
        """Whether voxels of this type can be written."""
        return self.dtypes is None or dtype.name in self.dtypes


FORMATS = {
    form.name: form
    for form in (
        Format("hdf5", (".h5", ".hdf", ".hdf5")),
        Format("tiff", (".tif", ".tiff"), _TIFF_TYPES, offset=False),
        Format(
            "tiff-sections", (), _TIFF_TYPES, channels=False, voxel_size=False, offset=False,
            replaceable=_only_sections(".tif"),
        ),
        Format(
            "png", (), ("uint8", "uint16"), channels=False, voxel_size=False, offset=False,
            replaceable=_only_sections(".png"),
        ),
        Format("nrrd", (".nrrd",)),
        Format("npy", (".npy",), voxel_size=False, offset=False),
        Format("n5", (".n5",), replaceable=_is_n5_dataset),
        # before zarr, because .ome.zarr also ends with .zarr
        Format("ome-zarr", (".ome.zarr",), replaceable=_is_ome_zarr),
        Format("zarr", (".zarr",), replaceable=_is_zarr_array),
        Format("csv", (".csv",), table=True),
        Format("parquet", (".parquet",), table=True),
    )
}  # fmt: skip
"""The formats by name."""
CONTAINERS = ("n5", "ome-zarr", "zarr")
"""Formats whose volumes can be inside a container of several volumes: `a.zarr/volumes/raw`."""


@dataclass(frozen=True)
class Target:
    """Where an export is written.

    Args:
        path: the file or folder.
        format: the format of the output.
        dataset: path of the dataset in an HDF5 file; empty for `default_dataset`.
        groups: folders above `path` that are groups of the same zarr or N5 container, outermost first.
    """

    path: Path
    format: Format
    dataset: str = ""
    groups: tuple[Path, ...] = ()


def parse_target(out: str, format_name: str = "") -> Target:
    """Parse an output as the user wrote it.

    Args:
        out: a path, or `file.h5:/dataset`.
        format_name: a key of `FORMATS`; if empty, the suffix of `out` selects the format.

    Raises:
        ValueError: `out` is not on a disk, or its suffix is unknown and no format is given.

    >>> parse_target("a.h5:/volumes/raw").dataset, parse_target("a.zarr/raw").groups
    ('/volumes/raw', (PosixPath('a.zarr'),))
    """
    if re.match(r"[a-z][a-z0-9+.-]*://", out, re.IGNORECASE):
        raise ValueError(f"the output must be a path on a disk, got {out}; export to a disk and copy it from there")
    hdf5 = _HDF5.fullmatch(out)
    if hdf5 and format_name in ("", "hdf5"):
        dataset = (hdf5["dataset"] or "").strip("/")
        return Target(Path(hdf5["file"]), FORMATS["hdf5"], f"/{dataset}" if dataset else "")
    path = Path(out)
    if format_name:
        form = FORMATS[format_name]
    else:
        found = _by_suffix(path.name) or next((f for part in path.parts[:-1] if (f := _container(part))), None)
        if found is None:
            known = ", ".join(suffix for form in FORMATS.values() for suffix in form.suffixes)
            raise ValueError(
                f"the output must end with one of {known}, or have a --format, got {out}; for a folder of sections "
                "add --format png or --format tiff-sections"
            )
        form = found
    if not path.name:
        raise ValueError(f"the output must have a name, got {out}; write a file or a new folder")
    return Target(path, form, groups=_groups(path) if form.name in CONTAINERS else ())


def _by_suffix(name: str) -> Format | None:
    return next((form for form in FORMATS.values() if form.suffixes and name.lower().endswith(form.suffixes)), None)


def _container(name: str) -> Format | None:
    form = _by_suffix(name)
    return FORMATS["zarr" if form.name == "ome-zarr" else form.name] if form and form.name in CONTAINERS else None


def _groups(path: Path) -> tuple[Path, ...]:
    above = [*reversed(path.parents)]
    first = next((place for place, folder in enumerate(above) if _container(folder.name)), len(above))
    return tuple(above[first:])


def default_dataset(layer: Exported) -> str:
    """The HDF5 dataset in which CREMI's files store such a layer."""
    if layer.labels:
        return "/volumes/labels/" + ("neuron_ids" if layer.name == "segmentation" else layer.name)
    return "/volumes/" + ("raw" if layer.name == "image" else layer.name)
