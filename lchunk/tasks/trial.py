"""Try a stage on an image in memory: for tests of stages of one's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import luigi
import numpy as np
import numpy.typing as npt
from luigi.configuration import LuigiConfigParser
from luigi.task_register import Register

from lchunk.geometry.bbox import Triple
from lchunk.tasks.stage import Stage
from lchunk.volumes.volume import Volume


def chunked(stage: type[Stage], image: npt.NDArray[np.uint8], chunk_shape: Triple, **knobs: Any) -> npt.NDArray[Any]:
    """The voxels that a stage makes from an image, chunk by chunk, in a folder that is removed afterwards.

    The cfg has no influence: knobs that are not given have their defaults.

    Args:
        stage: a stage of voxels that reads `image`, or is made from it.
        image: (z, y, x) uint8.
        chunk_shape: voxels of a chunk, zyx; the image's shape makes it whole, in one chunk.
        knobs: of the stage.

    Returns:
        (z, y, x) or (channel, z, y, x).

    Raises:
        ValueError: the knobs or the image are refused.
        RuntimeError: a chunk failed; Luigi has logged why.
    """
    with tempfile.TemporaryDirectory() as folder, _own_cfg() as cfg:
        np.save(Path(folder, "image.npy"), image)
        shape = ",".join(map(str, chunk_shape))
        options = {"root": f"{folder}/out", "image": f"{folder}/image.npy", "voxel_size": "1,1,1"}
        for name, value in {**options, "chunk_shape": shape, "inner_chunk": shape}.items():
            cfg.set("Dataset", name, value)
        task = stage(**knobs)
        task.complete()  # raises what Luigi would only log
        if not luigi.build([task], local_scheduler=True, log_level="WARNING"):
            raise RuntimeError(f"{task} must make every chunk, got failures; the lines above say why")
        return cast(Volume, task.files()).read(task.bounds)


@contextmanager
def _own_cfg() -> Iterator[LuigiConfigParser]:
    """An empty cfg, in place of the one that Luigi has read."""
    parser: Any = LuigiConfigParser
    kept, parser._instance = parser._instance, LuigiConfigParser()
    Register.clear_instance_cache()
    try:
        yield parser._instance
    finally:
        parser._instance = kept
        Register.clear_instance_cache()
