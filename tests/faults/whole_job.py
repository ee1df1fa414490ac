"""A small dataset and a pipeline of all stages, for tests that kill its processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import luigi
import numpy as np

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.tasks import (
    CleftEvaluation,
    Downsample,
    Evaluation,
    MeshManifest,
    MultiResMesh,
    SegmentProperties,
    ThresholdCurve,
)
from lchunk.volumes.store import PARTIAL
from tests.conftest import files_of, smooth_affinities, write_hdf5
from tests.workers.stages import Noted

OFFSET = (-10, 200, 300)
SIDE = 16
"""Side of a chunk; no side of the volume is a multiple of it."""
NET = """
import numpy as np
from scipy.ndimage import uniform_filter


class PatchInferencer:
    \"\"\"A net of one fixed layer: what is dark in small and in large cubes is a membrane.\"\"\"

    def __init__(self, weight_file, output_patch_mask):
        pass

    def __call__(self, patch):
        (image,) = patch[0].astype(np.float64)
        cubes = [uniform_filter(image, size, mode="nearest") for size in (3, 5)]
        channels = [image + cubes[0], cubes[0] + cubes[1], image + cubes[1]]
        return (1 / (1 + np.exp(8 - 8 * np.stack(channels))))[None].astype(np.float32)
"""
CFG = """
[Dataset]
root = {root}
image = {folder}/image.h5:/raw
ground_truth = {folder}/image.h5:/truth
chunk_shape = 16,16,16
inner_chunk = 8,8,8
[Inference]
framework = general
model = {folder}/net.py
input_patch = 10,12,14
output_patch = 8,8,10
overlap = 2,2,2
contrast = true
precision = float32
[Segmentation]
threshold = {threshold}
[LocalComponents]
of = segmentation
connectivity = 6
[Downsample]
factor = 2,2,2
[MultiResMesh]
shard_bits = 1
[SkeletonMerge]
shard_bits = 1
dust = 20
[Noted]
runs = {root}-runs
poison = {poison}
[core]
autoload_range = false
"""


class WholeJob(luigi.WrapperTask):
    """All stages, and a stage of another module for all chunks except the last one, which is poison."""

    def requires(self) -> Iterator[luigi.Task]:
        yield from (MeshManifest(prefix=str(digit)) for digit in range(1, 10))
        yield from (Downsample(of=layer) for layer in ("image", "affinities", "segmentation"))
        yield from (Evaluation(), ThresholdCurve(), CleftEvaluation(), MultiResMesh(), SegmentProperties(cable=True))
        grid = Noted().grid
        yield from (Noted(region=str(grid.chunk(index))) for index in list(grid)[:-1])


def write_inputs(folder: Path, shape: Triple) -> None:
    """Write an image with true labels, and a net."""
    image = np.rint(smooth_affinities(shape, 0)[0] * 255).astype(np.uint8)
    write_hdf5(folder / "image.h5", "raw", image, (40, 4, 4), OFFSET)
    write_hdf5(folder / "image.h5", "truth", (image // 64 + 1).astype(np.uint64), (40, 4, 4), OFFSET)
    (folder / "net.py").write_text(NET)


def write_cfg(folder: Path, shape: Triple, place: Path, root: Path, threshold: float = 0.7) -> None:
    """Write the luigi.cfg of a process that works in one folder on the inputs in another folder."""
    place.mkdir(parents=True, exist_ok=True)
    text = CFG.format(folder=folder, root=root, threshold=threshold, poison=poisoned(shape))
    (place / "luigi.cfg").write_text(text)


def poisoned(shape: Triple) -> str:
    """The region of the last chunk."""
    volume = Bbox.of(OFFSET, shape)
    start = [low + (side - 1) // SIDE * SIDE for low, side in zip(OFFSET, shape, strict=True)]
    return str(Bbox((start[0], start[1], start[2]), volume.stop))


def whole_files(root: Path) -> dict[str, bytes]:
    """Every file under a root, except logs and files that a killed process did not complete."""
    return {key: body for key, body in files_of(root).items() if not key.endswith(PARTIAL)}
