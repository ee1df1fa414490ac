"""A net over an image that fits in memory, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.operators.backends import NetFile
from lchunk.operators.inference import infer
from lchunk.operators.lattice import Lattice


def predict(
    image: npt.NDArray[Any],
    model: str = "",
    weights: str = "",
    *,
    framework: str = "pytorch",
    channels: int = 3,
    input_patch: Triple = (20, 256, 256),
    output_patch: Triple | None = None,
    overlap: Triple = (4, 64, 64),
    bump: str = "wu",
    augment: Sequence[str] = (),
    affinities: bool = True,
    device: str = "auto",
    autocast: str = "none",
    batch: int = 1,
    dtype: npt.DTypeLike = np.float32,
) -> npt.NDArray[Any]:
    """Compute a net patch by patch, and blend the patches; the voxels are those of the stage `Inference`.

    Args:
        image: (z, y, x), integers are divided by their type's maximum.
        model: path of the model file; none for the identity net.
        weights: path of its weights.
        framework: "pytorch", "general", "onnx" or "identity".
        channels: channels that the net returns.
        input_patch: voxels that the net sees, zyx.
        output_patch: voxels in the patch's middle that are used, zyx; default: all.
        overlap: voxels that neighbouring output patches share, zyx.
        bump: how overlapping patches are weighed: "wu", "zung" or "constant".
        augment: mean over flips and the transpose, some of "z", "y", "x", "xy".
        affinities: whether the first three channels are affinities, which a flip moves and a transpose swaps.
        device: "cpu", "cuda", "cuda:1", or "auto".
        autocast: "none", "tf32", "bfloat16" or "float16".
        batch: patches at once.
        dtype: float32; or an integer type, which holds values in [0, 1] times its maximum.

    Returns:
        (channel, z, y, x).

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: the image is not (z, y, x), the patches do not fit each other, or the net breaks its contract.

    >>> image = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    >>> patch = {"input_patch": (2, 4, 4), "overlap": (1, 2, 2)}
    >>> same = predict(image, framework="identity", channels=1, dtype=np.uint8, affinities=False, **patch)
    >>> np.array_equal(same[0], image)
    True
    """
    if image.ndim != 3:
        raise ValueError(f"image must be (z, y, x), got shape {image.shape}; pick one channel first")
    bounds = Bbox.of((0, 0, 0), triple(image.shape))
    lattice = Lattice(bounds, input_patch, output_patch or input_patch, overlap, bump)
    file = NetFile(framework, model, weights, device, autocast, tuple(augment), affinities)
    seen = lattice.reach(bounds)
    padded = np.pad(image, [(a - b, c - d) for a, b, c, d in zip(
        bounds.start, seen.start, seen.stop, bounds.stop, strict=True)])  # fmt: skip
    return infer(
        padded, seen, bounds, lattice=lattice, net=file.open(lattice, channels), channels=channels, dtype=dtype,
        batch=batch,
    )  # fmt: skip
