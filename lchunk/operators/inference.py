"""A net over a volume, patch by patch, blended without a seam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.operators.affinities import as_float
from lchunk.operators.lattice import Lattice

Voxels = npt.NDArray[np.float32]


class Net(Protocol):
    """(batch, 1, z, y, x) float32 in [0, 1] to (batch, channel, z, y, x) float32, of the input or the output patch."""

    def __call__(self, patches: Voxels) -> Voxels:
        """Predict."""


def infer(
    image: npt.NDArray[Any],
    image_bbox: Bbox,
    bbox: Bbox,
    *,
    lattice: Lattice,
    net: Net,
    channels: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Voxels:
    """Predict the voxels of a box.

    Args:
        image: (z, y, x), integers are divided by their type's maximum.
        image_bbox: where the image lies; at least `lattice.reach(bbox)`.
        bbox: what to predict.
        lattice: patches of the whole volume: they make the result the same for every box.
        net: the net.
        channels: what the net must return.
        progress: told the patches done, and their number.

    Returns:
        (channel, z, y, x). Patches of zeros are not computed, and count as 0.

    Raises:
        ValueError: the net's output does not fit.
    """
    blended = np.zeros((channels, *bbox.shape), np.float32)
    patches = list(lattice.meeting(bbox))
    for done, ((k, j, i), patch) in enumerate(patches, start=1):
        seen = as_float(image[patch.grown(lattice.crop).slices(image_bbox.start)])
        if seen.any():
            prediction = output_patch(net(seen[None, None]), channels, lattice)
            part = patch.clipped(bbox)
            z, y, x = part.slices(patch.start)
            wz, wy, wx = (w[n, s] for w, n, s in zip(lattice.weights, (k, j, i), (z, y, x), strict=True))
            weight = wz[:, None, None] * wy[:, None] * wx
            blended[(slice(None), *part.slices(bbox.start))] += prediction[:, z, y, x] * weight
        progress(done, len(patches))
    return blended


def output_patch(prediction: Voxels, channels: int, lattice: Lattice) -> Voxels:
    """The middle of a net's answer to one patch, (channel, z, y, x).

    Raises:
        ValueError: its shape is not (1, channel, z, y, x) of the input or of the output patch.
    """
    inner, outer = (1, channels, *lattice.output_patch), (1, channels, *lattice.input_patch)
    patch: Voxels = prediction[0]
    if prediction.shape == inner:
        return patch
    if prediction.shape != outer:
        raise ValueError(
            f"the net must return (batch, channel, z, y, x) = {inner} or {outer}, got {prediction.shape}; "
            "check the net's file, channels and output_patch"
        )
    z, y, x = (slice(c, c + side) for c, side in zip(lattice.crop, lattice.output_patch, strict=True))
    return patch[:, z, y, x]


def identity_net(channels: int, crop: Triple) -> Net:
    """A net that returns its input's middle in every channel: what blending leaves of it is what blending does."""

    def predict(patches: Voxels) -> Voxels:
        middle = tuple(slice(c, side - c) for c, side in zip(crop, patches.shape[2:], strict=True))
        return np.repeat(patches[(slice(None), slice(None), *middle)], channels, axis=1)

    return predict
