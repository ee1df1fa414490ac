"""Measures on parts of the image: how well its voxels and those of the net compress, and how fast the net is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.tasks.inference import Inference
from lchunk.tasks.ingest import Ingest
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.memory import memory_taken
from lchunk.tasks.stage import Stage
from lchunk.volumes.layer import Layer
from lchunk.volumes.volume import padded

IMAGE_BOXES = 24
"""Most inner chunks of the image that are compressed."""
NET_BOXES = 12
"""Most boxes that the net predicts: inner chunks, or parts of them."""
NOISE_PATCHES = 3
"""Patches of noise whose memory is measured: it differs by a fifth from one to the next."""
LEAST_SIDE = 16
"""Voxels along each axis of the smallest box that the net predicts."""


@dataclass
class Packed:
    """Bytes of voxels, and of the same voxels compressed."""

    voxels: int = 0
    stored: int = 0

    def add(self, layer: Layer, content: npt.NDArray[Any]) -> None:
        """Compress the voxels of an inner chunk, or of a part of one at the end of the volume."""
        form = layer.form
        whole, (z, y, x) = form.scratch(), content.shape[-3:]
        whole[..., :z, :y, :x] = content
        self.voxels += content.nbytes
        self.stored += form.pack(whole, np.empty(form.most_packed, np.uint8))

    @property
    def ratio(self) -> float | None:
        """Bytes of a compressed voxel, divided by those of a voxel; None if nothing was compressed."""
        return self.stored / self.voxels if self.voxels else None


@dataclass
class Sample:
    """What was measured.

    Args:
        image: voxels of the image's layer.
        output: voxels of the net's layer.
        seconds: that the net took, with the blending of its patches.
        patches: that it predicted in this time.
        device: where it ran.
        working: bytes that the net and its batches take on the host, after a first patch.
    """

    image: Packed = field(default_factory=Packed)
    output: Packed = field(default_factory=Packed)
    seconds: float = 0.0
    patches: int = 0
    device: str = ""
    working: int = 0

    @property
    def seconds_per_patch(self) -> float | None:
        """None if no patch was predicted."""
        return self.seconds / self.patches if self.patches else None


def sampled(inference: Inference, seconds: float, *, readable: bool) -> Sample:
    """Measure.

    Args:
        inference: the net's stage, for the whole volume.
        seconds: that the net may take.
        readable: whether the image has voxels; else the net predicts noise, and nothing is compressed.
    """
    found = Sample(device=inference.computed_on, patches=1)
    started = time.monotonic()
    _noise(inference, found)  # the first patch is slower, and takes memory that the process keeps
    times = NOISE_PATCHES if NOISE_PATCHES * found.seconds * inference.batch < seconds / 3 else 1
    found.working = int(median(memory_taken(lambda: _noise(inference, found)) for _ in range(times)))
    if not readable:
        return found
    # also where the net sees a layer that is made from the image, and may not exist yet
    ingest = Ingest(root=inference.root)
    if not ingest.external:
        for box in _boxes(ingest.bounds, ingest.inner_chunk, IMAGE_BOXES):
            found.image.add(ingest.voxels, _image(ingest, box))
    _predict(inference, ingest, found, seconds - (time.monotonic() - started))
    return found


def _predict(inference: Inference, ingest: Stage, found: Sample, left: float) -> None:
    """Predict parts of the image, as long as the time allows it, and compress them."""
    per_patch = found.seconds
    shape = _affordable(inference, left / per_patch)
    for box in _boxes(inference.bounds, shape, NET_BOXES):
        patches = inference.lattice.count(box)
        if patches * per_patch > left:
            continue
        image = _image(ingest, inference.lattice.reach(box))
        start = time.perf_counter()
        voxels = inference.compute_chunk(Chunk(box, inference.bounds), image)
        took = time.perf_counter() - start
        left -= took
        if not found.output.voxels:
            found.seconds, found.patches = 0.0, 0
        found.output.add(inference.voxels, voxels)
        found.seconds, found.patches = found.seconds + took, found.patches + patches


def _affordable(inference: Inference, patches: float) -> Triple:
    """The shape of an inner chunk, or of a part of one if that takes too many patches."""
    shape, bounds = inference.inner_chunk, inference.bounds
    while max(shape) > LEAST_SIDE:
        start = triple(
            low + max(size - side, 0) // 2 for low, size, side in zip(bounds.start, bounds.shape, shape, strict=True)
        )
        if inference.lattice.count(Bbox.of(start, shape)) <= patches:
            break
        longest = shape.index(max(shape))
        shape = triple(-(-side // 2) if axis == longest else side for axis, side in enumerate(shape))
    return shape


def _noise(inference: Inference, found: Sample) -> None:
    """Predict one patch of noise, and keep the seconds that it took."""
    first = inference.bounds.start
    box = Bbox(first, triple(start + 1 for start in first))
    reach = inference.lattice.reach(box)
    noise = np.random.default_rng(0).integers(1, 256, reach.shape, np.uint8)
    start = time.perf_counter()
    inference.compute_chunk(Chunk(box, inference.bounds), noise)
    found.seconds = (time.perf_counter() - start) / inference.batch


def _image(ingest: Stage, bbox: Bbox) -> npt.NDArray[Any]:
    """Voxels as the image's layer will hold them; 0 outside the volume."""
    inside = bbox.clipped(ingest.bounds)
    voxels = (
        ingest.external_volume.read(inside) if ingest.external else ingest.compute_chunk(Chunk(inside, ingest.bounds))
    )
    return padded(voxels, inside, bbox)


def _boxes(bounds: Bbox, shape: Triple, most: int) -> Iterator[Bbox]:
    """Some inner chunks of a volume, the same ones each time."""
    grid = Grid(bounds, shape)
    for number in Random(0).sample(range(len(grid)), min(len(grid), most)):
        z, y, x = (int(place) for place in np.unravel_index(number, grid.counts))
        yield grid.chunk((z, y, x))
