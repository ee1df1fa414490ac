"""Apply a net to a volume patch by patch, and blend the patches without a seam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.operators.affinities import as_float
from lchunk.operators.augmentation import augmented
from lchunk.operators.blending import Blender, HostBlender, Selection
from lchunk.operators.lattice import Lattice

Voxels = npt.NDArray[Any]


@dataclass(frozen=True)
class Net:
    """A net, wherever it runs.

    Args:
        predict: (batch, 1, z, y, x) of the image's type to (batch, channel, z, y, x), of the input or the output patch.
            The answer goes only to the blender, and must have `shape` and items; on the host it is float32, or uint16
            with the bits of bfloat16. The patches are a buffer that is filled again after the call.
        blender: makes the object that adds the answers up, on the host or on a device.
    """

    predict: Callable[[Voxels], Any]
    blender: Callable[[Lattice, Bbox, Selection, Voxels], Blender] = HostBlender


def infer(
    image: Voxels,
    image_bbox: Bbox,
    bbox: Bbox,
    *,
    lattice: Lattice,
    net: Net,
    channels: int,
    keep: Sequence[int] = (),
    myelin_threshold: float | None = None,
    dtype: npt.DTypeLike = np.float32,
    batch: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Voxels:
    """Predict the voxels of a box.

    Args:
        image: (z, y, x), integers are divided by their type's maximum.
        image_bbox: the box of the image; it must contain `lattice.reach(bbox)`.
        bbox: the box to predict.
        lattice: patches of the whole volume, so that the result is the same for every box.
        net: the net.
        channels: number of channels that the net must return.
        keep: channels to return, in this order; default: all.
        myelin_threshold: the other channels become 0 where the last one is above it; the last one is not returned.
        dtype: float32; or an integer type, which holds values in [0, 1] times its maximum, rounded to even, saturating.
        batch: patches per batch; the last batch is padded with zeros.
        progress: called with the number of patches that are done, and their total.

    Returns:
        (channel, z, y, x). Patches of zeros are not computed, and count as 0.

    Raises:
        ValueError: the net's output has another shape, or holds NaN or infinity; or a channel does not exist.
    """
    selection = Selection(channels, tuple(keep), myelin_threshold)
    output: Voxels = np.zeros((len(selection.kept), *bbox.shape), dtype)
    blender = net.blender(lattice, bbox, selection, output)
    buffer = np.zeros((batch, 1, *lattice.input_patch), image.dtype)
    waiting: list[Triple] = []
    layer = -1

    def predict() -> None:
        nonlocal layer
        buffer[len(waiting) :] = 0
        answers = net.predict(buffer)
        check_answer(tuple(answers.shape), batch, channels, lattice)
        for number, answer in zip(waiting, answers, strict=False):
            if number[0] != layer:
                layer = number[0]
                blender.finish(max(lattice.patch(number).start[0] - bbox.start[0], 0))
            blender.add(answer, number)
        waiting.clear()

    total = lattice.count(bbox)
    for done, (number, patch) in enumerate(lattice.meeting(bbox), start=1):
        voxels = image[patch.grown(lattice.crop).slices(image_bbox.start)]
        if voxels.any():
            buffer[len(waiting), 0] = voxels
            waiting.append(number)
        if waiting and (len(waiting) == batch or done == total):
            predict()
        progress(done, total)
    blender.finish(bbox.shape[0])
    return output


def check_answer(shape: tuple[int, ...], batch: int, channels: int, lattice: Lattice) -> None:
    """Raise ValueError unless a net's answer is (batch, channel, z, y, x) of the input or of the output patch."""
    inner, outer = (batch, channels, *lattice.output_patch), (batch, channels, *lattice.input_patch)
    if shape not in (inner, outer):
        either = f"{inner}" if inner == outer else f"{inner} or {outer}"
        raise ValueError(
            f"the net (or its post_process) must return (batch, channel, z, y, x) = {either}, got {shape}; "
            "check the model file, net_channels and output_patch"
        )


def host_net(
    predict: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    augmentations: Sequence[str] = (),
    *,
    affinities: bool = False,
) -> Net:
    """A net that takes and returns float32 arrays on the host."""

    def flip(voxels: Voxels, axes: tuple[int, ...]) -> Voxels:
        return np.ascontiguousarray(np.flip(voxels, axes))

    mean = augmented(predict, augmentations, flip=flip, affinities=affinities)
    floats = Floats()
    return Net(lambda patches: mean(floats(patches)))


class Floats:
    """Converts batches of patches to float32, always in the same array: a net is called many times."""

    def __init__(self) -> None:
        self.voxels: npt.NDArray[np.float32] = np.empty(0, np.float32)

    def __call__(self, patches: Voxels) -> npt.NDArray[np.float32]:
        if self.voxels.shape != patches.shape:
            self.voxels = np.empty(patches.shape, np.float32)
        return as_float(patches, self.voxels)


def identity_net(channels: int, crop: Triple = (0, 0, 0)) -> Net:
    """A net that returns the middle of its input in every channel: it shows what blending alone does to an image."""

    def predict(patches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        middle = tuple(slice(c, side - c) for c, side in zip(crop, patches.shape[2:], strict=True))
        return np.repeat(patches[(slice(None), slice(None), *middle)], channels, axis=1)

    return host_net(predict)
