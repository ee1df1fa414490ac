"""Open volumes of every format by their URL."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from lchunk.volumes.formats import suffixes
from lchunk.volumes.formats.opened import OpenedVolume
from lchunk.volumes.formats.options import Options, split_url
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError, readable
from lchunk.volumes.formats.zarr_metadata import is_zarr
from lchunk.volumes.place import Place, on_disk, place_of
from lchunk.volumes.store import SCHEMES, scheme_of

_HDF5 = re.compile(r"(?P<file>.+\.(?:h5|hdf|hdf5|he5|ims|mat|nc))(?::(?P<dataset>.*))?", re.IGNORECASE)
_ON_DISK = (*suffixes.TIFF, *suffixes.PNG, *suffixes.JPEG, *suffixes.NPY, *suffixes.NRRD)
_KNOWN = (
    "zarr, OME-Zarr, N5, precomputed, HDF5 (file.h5:/dataset), TIFF, NRRD, NPY, or a folder of TIFF, PNG or JPEG "
    "sections"
)


def open_volume(url: str, name: str = "image") -> OpenedVolume:
    """Open a volume for reading, in any supported format.

    Args:
        url: a path or `file://…`; `file.h5:/dataset` for HDF5; for zarr, OME-Zarr, N5 and precomputed volumes also
            `s3://…`, `gs://…` and `https://…`, optionally after `precomputed://`. Options for what the file does not
            contain follow after `#` (`lchunk.volumes.formats.options`).
        name: name of the volume in messages, such as "image".

    Raises:
        AbsentVoxelsError: the file does not exist, or does not contain the dataset.
        RefusedVolumeError: the format is unknown, the file cannot be read, or it is ambiguous.
        ImportError: the package that reads the format is not installed.
    """
    place, options = split_url(url)
    if not place:
        raise RefusedVolumeError(f"{name} must be the path or the URL of a volume, got {url!r}; name one")
    scheme = scheme_of(place)
    if scheme in ("precomputed", "graphene"):
        return _open_precomputed(url, place, options, name)
    if scheme in SCHEMES:
        return _open_elsewhere(url, place, options, name)
    if scheme not in ("", "file"):
        raise RefusedVolumeError(
            f"a volume must be a path, file://…, s3://…, gs://… or https://…, got {url}; copy it to a disk first"
        )
    if scheme:
        place = unquote(place[len("file://") :])
    path = Path(place)
    hdf5_url = _HDF5.fullmatch(place)
    if hdf5_url and not path.is_dir():
        file = Path(hdf5_url["file"])
        _require(file, url, name)
        _refuse_idle(options, url, "order", "gaps", "palette", "mip")
        from lchunk.volumes.formats.hdf5 import open_hdf5  # noqa: PLC0415

        return open_hdf5(url, file, hdf5_url["dataset"] or "", options)
    _require(path, url, name)
    if _is_precomputed(path):
        return _open_precomputed(url, str(path), options, name)
    _refuse_idle(options, url, "mip")
    with readable(url, "a volume that can be read", "copy or export it again"):
        return _open_folder(url, path, options) if path.is_dir() else _open_file(url, path, options)


def volumes_in(url: str) -> list[str]:
    """The URLs of the volumes in a file: all of an HDF5 file whose URL names no dataset, otherwise the URL itself.

    Args:
        url: as for `open_volume`.

    Raises:
        RefusedVolumeError: the HDF5 file cannot be read.
    """
    place, _ = split_url(url)
    file = Path(place.removeprefix("file://"))
    if not _HDF5.fullmatch(str(file)) or not file.is_file():
        return [url]
    from lchunk.volumes.formats.hdf5 import volumes_of  # noqa: PLC0415

    return [f"{place}:{dataset}{url[len(place) :]}" for dataset in volumes_of(file)] or [url]


def _require(path: Path, url: str, name: str) -> None:
    if not path.exists():
        raise AbsentVoxelsError(f"{name} must exist, got {url}, which does not; correct its path")


def _open_elsewhere(url: str, place: str, options: Options, name: str) -> OpenedVolume:
    """Open a volume in a bucket or on a web server. Only formats that consist of many small files can be read there."""
    try:
        folder = place_of(place)
    except ValueError as error:
        raise RefusedVolumeError(str(error)) from error
    with readable(url, "a volume that can be read", "copy or export it again"):
        chunked = open_chunked(url, folder, options)
        if chunked is not None:
            return chunked
        described = (folder / "info").exists()
    if described:
        return _open_precomputed(url, place, options, name)
    if _HDF5.fullmatch(place) or place.lower().endswith(_ON_DISK):
        raise RefusedVolumeError(
            f"{name} must be zarr, OME-Zarr, N5 or precomputed if it is not on a disk, got {url}; "
            "copy it to a disk first"
        )
    raise AbsentVoxelsError(
        f"{name} must be zarr, OME-Zarr, N5 or precomputed if it is not on a disk, got no zarr.json, .zarray, "
        f".zgroup, info or {suffixes.N5} in {url}; correct its URL, or copy it to a disk first"
    )


def _refuse_idle(options: Options, url: str, *names: str) -> None:
    """Raise an error if one of these options is given; they do not apply to the format."""
    for name in names:
        if getattr(options, name):
            raise RefusedVolumeError(
                f"{name} must be left out for this format, got it in {url}; "
                "order and gaps are for folders of sections, palette for pictures, mip for precomputed volumes"
            )


# a reader is imported when its format is found, so that commands that open no volume start faster


def open_chunked(url: str, folder: Place, options: Options) -> OpenedVolume | None:
    """Open a folder of chunk files in any store; None if the folder is neither zarr nor N5."""
    if is_zarr(folder):
        from lchunk.volumes.formats.zarr_arrays import open_zarr  # noqa: PLC0415

        _refuse_idle(options, url, "order", "gaps", "palette")
        return open_zarr(url, folder, options)
    if (folder / suffixes.N5).exists():
        from lchunk.volumes.formats.n5 import open_n5  # noqa: PLC0415

        _refuse_idle(options, url, "order", "gaps", "palette")
        return open_n5(url, folder, options)
    return None


def _open_folder(url: str, path: Path, options: Options) -> OpenedVolume:
    chunked = open_chunked(url, on_disk(path), options)
    if chunked is not None:
        return chunked
    if suffixes.section_files(path):
        from lchunk.volumes.formats.sections import open_sections  # noqa: PLC0415

        return open_sections(url, path, options)
    inside = sorted(name for name in os.listdir(path) if not name.startswith("."))
    raise AbsentVoxelsError(
        f"the folder {url} must hold TIFF, PNG or JPEG sections, a zarr or an N5 volume, got "
        f"{', '.join(inside[:8]) or 'nothing'}; correct its path"
    )


def _is_precomputed(path: Path) -> bool:
    return (path / "info").is_file() and not is_zarr(on_disk(path)) and not (path / suffixes.N5).exists()


def _open_precomputed(url: str, place: str, options: Options, name: str) -> OpenedVolume:
    from lchunk.volumes.formats.precomputed import open_precomputed  # noqa: PLC0415

    _refuse_idle(options, url, "order", "gaps", "palette")
    return open_precomputed(url, place, options, name)


def _open_file(url: str, path: Path, options: Options) -> OpenedVolume:
    suffix = path.suffix.lower()
    picture = suffix in suffixes.TIFF + suffixes.PNG + suffixes.JPEG
    _refuse_idle(options, url, "order", "gaps", *(() if picture else ("palette",)))
    if suffix in suffixes.TIFF:
        from lchunk.volumes.formats.tiff import open_tiff  # noqa: PLC0415

        return open_tiff(url, path, options)
    if suffix in suffixes.PNG + suffixes.JPEG:
        from lchunk.volumes.formats.sections import open_picture_volume  # noqa: PLC0415

        return open_picture_volume(url, path, options)
    if suffix in suffixes.NPY:
        from lchunk.volumes.formats.npy import open_npy  # noqa: PLC0415

        return open_npy(url, path, options)
    if suffix in suffixes.NRRD:
        from lchunk.volumes.formats.nrrd_files import open_nrrd  # noqa: PLC0415

        return open_nrrd(url, path, options)
    raise RefusedVolumeError(f"a volume must be {_KNOWN}, got {url}; convert it")
