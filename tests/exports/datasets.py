"""A small dataset to export: an image, labels and affinities, each with several chunk files and an unusual offset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.layer import Layer
from lchunk.volumes.store import open_store

START = (-10, 200, 300)
SHAPE = (20, 24, 33)
SIZE = (40.0, 8.0, 4.0)
ODD = Bbox((-7, 203, 311), (6, 222, 330))
"""A box whose faces are inside chunks and inside inner chunks."""


@dataclass(frozen=True)
class Made:
    """A layer and its voxels."""

    layer: Layer
    voxels: npt.NDArray[Any]

    def part(self, box: Bbox) -> npt.NDArray[Any]:
        """The voxels of a box."""
        return self.voxels[(..., *box.slices(self.layer.bounds.start))]


def write_layer(layer: Layer, voxels: npt.NDArray[Any], stage: str) -> Made:
    layer.create({"stage": stage})
    for index in layer.grid:
        chunk = layer.grid.chunk(index)
        layer.write(chunk, voxels[(..., *chunk.slices(layer.bounds.start))])
    return Made(layer, voxels)


def blank_layer(folder: Path, name: str, dtype: str, **more: Any) -> Layer:
    return Layer(
        open_store(str(folder)), name, Bbox.of(START, SHAPE), SIZE, np.dtype(dtype), (8, 16, 16), (4, 8, 8), **more
    )


def make_dataset(folder: Path) -> dict[str, Made]:
    """Layers by name; `image/1` is a coarser mip."""
    draw = np.random.default_rng(0)
    image = blank_layer(folder, "image", "uint8")
    labels = draw.integers(0, 9, (5, 6, 9)).astype(np.uint64) * 1000
    labels = labels.repeat(4, 0).repeat(4, 1).repeat(4, 2)[..., : SHAPE[2]]
    coarse = image.coarser((1, 2, 2))
    return {
        "image": write_layer(image, draw.integers(0, 256, SHAPE).astype(np.uint8), "Ingest"),
        "image/1": write_layer(coarse, draw.integers(0, 256, coarse.bounds.shape).astype(np.uint8), "Downsample"),
        "segmentation": write_layer(
            blank_layer(folder, "segmentation", "uint64", labels=True), labels, "Segmentation"
        ),
        "affinities": write_layer(
            blank_layer(folder, "affinities", "float32", channels=3), draw.random((3, *SHAPE)).astype(np.float32),
            "Inference",
        ),
    }  # fmt: skip
