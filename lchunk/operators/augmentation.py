"""Test-time augmentation: predict flipped copies of a patch, flip each prediction back, and take the mean.

An affinity joins a voxel to the one before it. After a flip, "before" is "after": the edge between voxels p - 1 and p
is at p - 1 of the prediction that is flipped back, so that channel moves by one voxel. The first plane of a patch then
has no prediction from flipped patches; there the mean is over the others. A transpose of y and x swaps their channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

AUGMENTATIONS = ("z", "y", "x", "xy")
"""Flips of an axis, and the transpose of y and x."""

_AXES = {"z": -3, "y": -2, "x": -1}
_CHANNELS = {"x": 0, "y": 1, "z": 2}

Array = Any
"""An array of numpy or of torch: both have the few methods used here."""


def augmented(
    predict: Callable[[Array], Array],
    augmentations: Sequence[str],
    *,
    flip: Callable[[Array, tuple[int, ...]], Array],
    affinities: bool,
) -> Callable[[Array], Array]:
    """A net that answers with the mean over every combination of augmentations.

    Args:
        predict: (batch, channel, z, y, x) to the same, float32.
        augmentations: names from `AUGMENTATIONS`; empty: the net is returned as it is.
        flip: copies an array and flips it along some axes; numpy's or torch's.
        affinities: whether the first three channels join x, y, z neighbours; else every channel is a map of voxels.

    Raises:
        ValueError: an augmentation is unknown.
    """
    unknown = [name for name in augmentations if name not in AUGMENTATIONS]
    if unknown:
        raise ValueError(f"augment must be of {', '.join(AUGMENTATIONS)}, got {unknown[0]!r}")
    names = [name for name in AUGMENTATIONS if name in augmentations]
    if not names:
        return predict
    variants = [
        [name for name, on in zip(names, chosen, strict=True) if on] for chosen in product((0, 1), repeat=len(names))
    ]

    def mean(patches: Array) -> Array:
        total = predict(patches) * 1
        if affinities and total.shape[1] < 3:
            raise ValueError(
                f"affinities must have three channels x, y, z to be flipped, got {total.shape[1]}; "
                "check the model file, or predict a probability"
            )
        for variant in variants[1:]:
            flipped = tuple(_AXES[name] for name in variant if name in _AXES)
            turned = flip(patches, flipped) if flipped else patches
            if "xy" in variant:
                turned = flip(turned.swapaxes(-1, -2), ())
            answer = predict(turned)
            if "xy" in variant:
                answer = answer.swapaxes(-1, -2)
            if flipped:
                answer = flip(answer, flipped)
            _add(total, answer, [name for name in variant if name in _AXES], "xy" in variant, affinities)
        total /= len(variants)
        if affinities:
            for name in names:
                if name in _AXES:
                    total[_first(_CHANNELS[name], name)] *= 2  # half of the variants have an answer there
        return total

    return mean


def _add(total: Array, answer: Array, flipped: list[str], swapped: bool, affinities: bool) -> None:
    """Add a prediction that is flipped back, with its channels where they belong."""
    if not affinities:
        total += answer
        return
    source = {0: 1, 1: 0} if swapped else {}
    for channel in range(total.shape[1]):
        here, there = (
            [slice(None), slice(channel, channel + 1)],
            [slice(None), slice(source.get(channel, channel), source.get(channel, channel) + 1)],
        )
        for name in ("z", "y", "x"):
            moved = name in flipped and _CHANNELS[name] == channel
            here.append(slice(1, None) if moved else slice(None))
            there.append(slice(0, -1) if moved else slice(None))
        total[tuple(here)] += answer[tuple(there)]


def _first(channel: int, name: str) -> tuple[Any, ...]:
    """The first plane of an affinity channel along its own axis."""
    return (slice(None), channel, *(0 if name == axis else slice(None) for axis in ("z", "y", "x")))
