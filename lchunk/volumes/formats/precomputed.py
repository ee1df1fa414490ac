"""Read Neuroglancer's precomputed volumes on a disk, in a bucket or on a web server.

The format: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.md. An `info` file
lists the scales (mips). The chunks of a scale are single files, or are stored in shards. The format orders axes
x, y, z; this module converts them to z, y, x.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.formats.axes import arrange
from lchunk.volumes.formats.opened import OpenedVolume, opened
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import Placement, overruled, size_of, start_of
from lchunk.volumes.formats.precomputed_chunks import Chunks
from lchunk.volumes.formats.precomputed_codecs import ENCODINGS, require_codec
from lchunk.volumes.formats.precomputed_folder import Folder, unpacked
from lchunk.volumes.formats.precomputed_scale import Scale, sharding_of
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError, readable
from lchunk.volumes.place import on_disk, place_of
from lchunk.volumes.store import SCHEMES, scheme_of

INFO = "info"
_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
_VOLUME = "neuroglancer_multiscale_volume"


def open_precomputed(url: str, place: str, options: Options, name: str) -> OpenedVolume:
    """Open one mip of a precomputed volume: the first scale of its `info`, or the one that `#mip=N` selects, from 0.

    Args:
        url: the URL as the user wrote it.
        place: the URL without its options: a folder, or `precomputed://` before a folder, `file://`, `gs://`, `s3://`,
            `http://` or `https://`.
        options: the options of the URL.
        name: name of the volume in messages, such as "image".

    Raises:
        AbsentVoxelsError: the folder does not exist, or has no info.
        RefusedVolumeError: the info does not describe a volume, or lchunk cannot read this volume.
        ImportError: the package for the encoding is not installed.
    """
    folder = _folder(url, place, name)
    info = _info(folder, url, name)
    with readable(f"{url}/{INFO}", "a whole info of a precomputed volume", "correct it"):
        scale = _scale(info, _chosen(info, options, url), url)
    if scale.encoding not in ENCODINGS:
        raise RefusedVolumeError(
            f"the encoding of {url} must be one of {', '.join(ENCODINGS)}, got {scale.encoding}; "
            "write the volume again in one of them"
        )
    require_codec(scale.encoding)
    chunks = Chunks(folder, scale)
    header = folder.place / INFO if folder.place.path is None else folder.find(INFO)
    return opened(
        url,
        options,
        arrange("czyx", (scale.channels, *scale.grid.bounds.shape), options, url),
        overruled(Placement(scale.voxel_size, scale.grid.bounds.start, placed=True), options),
        dtype=scale.dtype,
        cut=chunks.cut,
        files=lambda: [header, *chunks.local_files()] if header is not None else [],
        header=header,
    )


def _folder(url: str, place: str, name: str) -> Folder:
    """The folder that a URL names, on a disk, in a bucket or on a web server."""
    inner = re.sub(r"precomputed://", "", place, count=1, flags=re.IGNORECASE).rstrip("/")
    kind = scheme_of(inner) or "file"
    if kind in SCHEMES:
        if "://" in inner[len(kind) + 3 :]:
            raise RefusedVolumeError(
                f"a URL must name a bucket, got {url}; write {kind}://bucket/folder, and the server in [Store] "
                "s3_endpoint or gcs_endpoint"
            )
        try:
            return Folder(place_of(inner))
        except ValueError as error:
            raise RefusedVolumeError(str(error)) from error
    if kind != "file":
        graphene = "a graphene volume changes while people edit it: save the segmentation at one time, as precomputed"
        places = ", ".join(f"{each}://…" for each in ("file", *SCHEMES))
        raise RefusedVolumeError(
            f"a precomputed volume must be a path or {places}, got {url}; "
            + (graphene if "graphene" in kind else "copy it to a disk first")
        )
    path = Path(unquote(inner[len("file://") :]) if scheme_of(inner) else inner)
    if not path.is_dir():
        raise AbsentVoxelsError(f"{name} must be an existing folder, got {url}; correct its path")
    return Folder(on_disk(path))


def _info_body(folder: Folder, url: str, name: str) -> bytes:
    with readable(f"{url}/{INFO}", "a file that can be read", "copy it again"):
        stored = folder.get(INFO)
    if stored is None:
        raise AbsentVoxelsError(f"{name} must be a precomputed volume with an info file, got none in {url}; correct it")
    with readable(stored.name, "a whole file", "copy it again"):
        return unpacked(stored)


def _info(folder: Folder, url: str, name: str) -> Mapping[str, Any]:
    """Read the info of a volume. Refuse the info of meshes, skeletons and annotations, and redirects."""
    body = _info_body(folder, url, name)
    with readable(f"{url}/{INFO}", "a JSON object", "copy it again"):
        info = json.loads(body)
        if not isinstance(info, dict):
            raise RefusedVolumeError(f"{url}/{INFO} must be a JSON object, got {type(info).__name__}; copy it again")
    if info.get("redirect"):
        raise RefusedVolumeError(
            f"{url} must be the volume itself, got a redirect; open precomputed://{info['redirect']}"
        )
    if "app" in info or "graph" in info or "data_dir" in info:
        raise RefusedVolumeError(
            f"{url} must be a precomputed volume, got a graphene one, which changes while people edit it; save the "
            "segmentation at one time, as precomputed"
        )
    if info.get("@type", _VOLUME) != _VOLUME or not info.get("scales"):
        raise RefusedVolumeError(
            f"{url}/{INFO} must describe a volume, got {info.get('@type', 'one without scales')}; give the folder of "
            "an image or of a segmentation"
        )
    return info


def _chosen(info: Mapping[str, Any], options: Options, url: str) -> Mapping[str, Any]:
    scales, mip = info["scales"], options.mip or 0
    if mip >= len(scales):
        listed = ", ".join(f"{n}: {each.get('size')} of {each.get('resolution')} nm" for n, each in enumerate(scales))
        raise RefusedVolumeError(
            f"mip must be below the number of mips of {url}, {len(scales)}, got {mip}; its mips are (x, y, z) "
            f"{listed[:300]}"
        )
    scale: Mapping[str, Any] = scales[mip]
    return scale


def _scale(info: Mapping[str, Any], scale: Mapping[str, Any], url: str) -> Scale:
    if str(info.get("data_type")).lower() not in _TYPES:
        raise RefusedVolumeError(
            f"the type of {url} must be one of {', '.join(_TYPES)}, got {info.get('data_type')}; convert it"
        )
    shape, chunk = _zyx(scale["size"]), _zyx(scale["chunk_sizes"][0])
    channels = int(info.get("num_channels", 1))
    if min(*shape, *chunk, channels) < 1:
        raise RefusedVolumeError(
            f"{url} must have voxels along each axis of the volume and of its chunks, got size {scale['size']}, chunk "
            f"{scale['chunk_sizes'][0]} and {channels} channels; correct its info"
        )
    start = start_of(list(reversed(scale.get("voxel_offset", (0, 0, 0)))), url)
    block = _zyx(scale.get("compressed_segmentation_block_size", (8, 8, 8)))
    sharding = scale.get("sharding")
    return Scale(
        key=str(scale["key"]).strip("/"),
        grid=Grid(Bbox.of(start, shape), chunk),
        voxel_size=size_of(list(reversed(scale["resolution"])), 1.0, url),
        dtype=np.dtype(str(info["data_type"]).lower()),
        channels=channels,
        encoding=str(scale["encoding"]).lower(),
        block=block,
        sharding=None if sharding is None else sharding_of(sharding, url),
    )


def _zyx(xyz: Any) -> Triple:
    return triple(int(number) for number in reversed(xyz))
