"""An image that has a shape and no voxels, so that a plan can be made before the image exists."""

from __future__ import annotations

import json
from pathlib import Path

from lchunk.geometry.bbox import Triple


def write_empty_image(folder: Path, shape: Triple) -> str:
    """Write the metadata of a zarr array of uint8 into a new folder, without a chunk. Returns its path.

    Args:
        folder: the folder.
        shape: voxels zyx.
    """
    folder.mkdir()
    document = {
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [64, 64, 64]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0, "codecs": [{"name": "bytes"}], "attributes": {},
    }  # fmt: skip
    (folder / "zarr.json").write_text(json.dumps(document))
    return str(folder)
