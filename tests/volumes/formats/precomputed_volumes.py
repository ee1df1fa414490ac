"""Precomputed volumes that cloud-volume and tensorstore write, for tests."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorstore
from cloudvolume import CloudVolume

from lchunk.geometry.bbox import Bbox
from tests.servers import served
from tests.volumes.formats.arrays import VOXELS

OFFSET = (-10, 3, 70)
"""First voxel, zyx."""
SIZE = (40.0, 4.5, 4.0)
BOUNDS = Bbox.of(OFFSET, VOXELS.shape)
CHUNK = (4, 16, 16)
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 1,
    "minishard_bits": 1,
    "shard_bits": 2,
    "hash": "identity",
}
LABELS = VOXELS.astype(np.uint64) // 8 + np.uint64(2**40)


def write_cloud_volume(
    folder: Path, voxels: npt.NDArray[Any], encoding: str = "raw", *, compress: Any = False, **more: Any
) -> str:
    """Write ([c], z, y, x) voxels with cloud-volume. Returns the folder."""
    xyzc = np.moveaxis(voxels, 0, -1) if voxels.ndim == 4 else voxels[..., None]
    xyzc = np.ascontiguousarray(xyzc.transpose(2, 1, 0, 3))
    info = CloudVolume.create_new_info(
        num_channels=xyzc.shape[3], layer_type="segmentation" if voxels.dtype.itemsize > 2 else "image",
        data_type=voxels.dtype.name, encoding=encoding, resolution=list(SIZE[::-1]), voxel_offset=list(OFFSET[::-1]),
        volume_size=xyzc.shape[:3], chunk_size=list(CHUNK[::-1]), **more,
    )  # fmt: skip
    volume = CloudVolume(f"precomputed://file://{folder}", info=info, compress=compress, progress=False)
    volume.commit_info()
    volume[...] = xyzc
    return str(folder)


def write_tensorstore(
    folder: Path, voxels: npt.NDArray[Any], encoding: str = "raw", sharding: dict[str, Any] | None = None
) -> str:
    """Write ([c], z, y, x) voxels with tensorstore. Returns the folder."""
    czyx = voxels if voxels.ndim == 4 else voxels[None]
    packing = {"compressed_segmentation_block_size": [8, 8, 8]} if encoding == "compressed_segmentation" else {}
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "multiscale_metadata": {
            "type": "segmentation" if voxels.dtype.itemsize > 2 else "image", "data_type": voxels.dtype.name,
            "num_channels": len(czyx),
        },
        "scale_metadata": {
            "size": czyx.shape[:0:-1], "voxel_offset": OFFSET[::-1], "resolution": SIZE[::-1], "encoding": encoding,
            "chunk_size": CHUNK[::-1], "key": "s0",
        } | packing | ({"sharding": sharding} if sharding else {}),
    }  # fmt: skip
    store = tensorstore.open(spec, create=True).result()
    store.write(czyx.transpose()).result()
    return str(folder)


def by_tensorstore(folder: Path, scale: int = 0) -> npt.NDArray[Any]:
    """Voxels as tensorstore reads them, (c, z, y, x)."""
    spec = {
        "driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": f"{folder}/"}, "scale_index": scale,
    }  # fmt: skip
    return np.asarray(tensorstore.open(spec).result().read().result()).transpose()


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """A test needs no log."""


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """The files of a folder behind http on this machine."""
    with served(functools.partial(_Quiet, directory=str(folder))) as url:
        yield url
