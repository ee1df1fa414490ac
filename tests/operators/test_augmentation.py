"""Test-time augmentation: every flip is undone, and affinity channels are where they belong."""

from itertools import chain, combinations

import numpy as np
import pytest
import torch

from lchunk.geometry.bbox import Bbox
from lchunk.operators.augmentation import AUGMENTATIONS, augmented
from lchunk.operators.inference import Net, host_net, infer
from lchunk.operators.lattice import Lattice
from lchunk.operators.nets import cpu_net

SUBSETS = list(chain.from_iterable(combinations(AUGMENTATIONS, n) for n in range(1, 5)))


def likeness(patches: np.ndarray) -> np.ndarray:
    """True affinities x, y, z of each patch, from the similarity of two voxels; and the image itself.

    An edge has the same value for every flip of the patch; in the first plane there is no edge.
    """
    image = patches[:, 0]
    answer = np.zeros((len(image), 4, *image.shape[1:]), np.float32)
    for channel, axis in ((0, 3), (1, 2), (2, 1)):
        here = [slice(None)] * 4
        before = [slice(None)] * 4
        here[axis], before[axis] = slice(1, None), slice(0, -1)
        both = np.minimum(image[tuple(here)], image[tuple(before)])
        answer[(slice(None), channel, *here[1:])] = both if channel < 2 else both / 2
    answer[:, 3] = image
    return answer


def directed(patches: np.ndarray) -> np.ndarray:
    """Affinities x, y, z that depend on the orientation: the difference to the voxel before."""
    image = patches[:, 0]
    return np.stack([np.abs(image - np.roll(image, 1, axis)) * (axis != 1) for axis in (3, 2, 1)], axis=1)


def flip(voxels: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.ascontiguousarray(np.flip(voxels, axes))


PATCHES = np.random.default_rng(0).integers(0, 256, (2, 1, 5, 6, 6)).astype(np.float32) / 256
"""Of few bits, so that sums of sixteen are exact."""


@pytest.mark.parametrize("names", SUBSETS)
def test_what_an_edge_has_does_not_change_by_turning_it(names: tuple[str, ...]) -> None:
    mean = augmented(likeness, names, flip=flip, affinities=True)(PATCHES)
    assert np.array_equal(mean, likeness(PATCHES))


@pytest.mark.parametrize("names", SUBSETS)
def test_a_map_of_voxels_comes_back(names: tuple[str, ...]) -> None:
    mean = augmented(lambda patches: patches * 0.5, names, flip=flip, affinities=False)(PATCHES)
    assert np.array_equal(mean, PATCHES * np.float32(0.5))


def test_each_variant_is_the_net_on_the_patch_turned_over() -> None:
    for name, axis in (("z", 2), ("y", 3), ("x", 4)):
        mean = augmented(directed, (name,), flip=flip, affinities=True)(PATCHES)
        turned = np.flip(directed(np.ascontiguousarray(np.flip(PATCHES, axis))), axis)
        plain = directed(PATCHES)
        channel = {"z": 2, "y": 1, "x": 0}[name]
        for other in {0, 1, 2} - {channel}:
            assert np.allclose(mean[:, other], (plain[:, other] + turned[:, other]) / 2)
        inner = np.moveaxis(mean[:, channel], axis - 1, 0)[1:]
        expected = (
            np.moveaxis(plain[:, channel], axis - 1, 0)[1:] + np.moveaxis(turned[:, channel], axis - 1, 0)[:-1]
        ) / 2
        assert np.allclose(inner, expected)


def test_the_transpose_swaps_x_and_y() -> None:
    mean = augmented(directed, ("xy",), flip=flip, affinities=True)(PATCHES)
    swapped = directed(np.ascontiguousarray(PATCHES.swapaxes(-1, -2))).swapaxes(-1, -2)
    assert np.allclose(mean, (directed(PATCHES) + swapped[:, [1, 0, 2]]) / 2)


def test_numpy_and_torch_agree_over_a_lattice() -> None:
    lattice = Lattice(Bbox.of((0, 0, 0), (9, 14, 15)), (5, 8, 8), (3, 6, 6), (1, 2, 2))
    image = np.random.default_rng(0).integers(1, 256, lattice.reach(lattice.bounds).shape).astype(np.uint8)

    def run(net: Net) -> np.ndarray:
        return infer(image, lattice.reach(lattice.bounds), lattice.bounds, lattice=lattice, net=net, channels=4)

    def in_torch(patches: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(likeness(patches.numpy()))

    mean = augmented(in_torch, AUGMENTATIONS, flip=lambda v, a: v.flip(a) if a else v.contiguous(), affinities=True)
    assert np.array_equal(run(host_net(likeness, AUGMENTATIONS, affinities=True)), run(cpu_net(mean, None)))


def test_too_few_affinities_are_refused_before_they_are_flipped() -> None:
    with pytest.raises(ValueError, match="affinities must have three channels x, y, z to be flipped, got 2"):
        augmented(lambda patches: likeness(patches)[:, :2], ("z", "xy"), flip=flip, affinities=True)(PATCHES)


def test_an_unknown_augmentation_is_refused() -> None:
    with pytest.raises(ValueError, match="augment must be of z, y, x, xy, got 'q'"):
        augmented(likeness, ("q",), flip=flip, affinities=True)
