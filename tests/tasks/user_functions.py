"""Functions on chunks as users write them, for `Apply`; and their neighbours that cannot work."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import ndimage
from skimage import filters, morphology
from skimage.filters import rank

from lchunk.geometry.bbox import Bbox

Voxels = np.ndarray[Any, Any]


def smooth(image: Voxels, sigma: float = 1.0) -> Voxels:
    """Needs a halo of 4 sigma."""
    return filters.gaussian(image, sigma, preserve_range=True)


def clean(image: Voxels) -> Voxels:
    """Needs a halo of 2: one voxel for each of two steps."""
    return morphology.closing(image, morphology.ball(1))


def contrast(image: Voxels, radius: int) -> Voxels:
    """Needs a halo of the radius."""
    return rank.gradient(image, morphology.ball(radius))


def blur(image: Voxels) -> torch.Tensor:
    """Returns one voxel less on every side, so that it needs a halo of 1 that is 0 outside the volume."""
    voxels = torch.from_numpy(image).float()[None, None]
    with torch.no_grad():
        return torch.nn.functional.conv3d(voxels, torch.arange(27.0).reshape(1, 1, 3, 3, 3))[0, 0]


def weighed(image: Voxels, affinities: Voxels) -> Voxels:
    """Two inputs, with channels and without."""
    return image * affinities.mean(axis=0, dtype=np.float32)


def gradients(image: Voxels) -> Voxels:
    """Three channels. Needs a halo of 1."""
    return np.stack([ndimage.sobel(image.astype(np.float32), axis) for axis in range(3)])


def place(image: Voxels, bbox: Bbox) -> Voxels:
    """The coordinates of each voxel."""
    return np.stack(np.meshgrid(*map(np.arange, bbox.start, bbox.stop), indexing="ij")).astype(np.int32)


def nearly(image: Voxels) -> Voxels:
    """Depends on all voxels, but hardly; without a value where the image is 0."""
    return np.where(image == 0, np.nan, image + 1e-6 * image.mean())


def in_place(image: Voxels) -> Voxels:
    image //= 2
    return image


def labelled(image: Voxels) -> Voxels:
    """Labels from 1 in each chunk: not those of the whole volume."""
    return ndimage.label(image > 170)[0].astype(np.uint64)


def raises(image: Voxels) -> Voxels:
    return _inner(image)


def _inner(image: Voxels) -> Voxels:
    return np.convolve(image, image)


def exits(image: Voxels) -> Voxels:
    raise SystemExit(0)


def raises_on_white(image: Voxels) -> Voxels:
    if image.max() == 255 and image.min() == 255:
        raise LookupError("all white")
    return image


def cropped(image: Voxels) -> Voxels:
    return image[:, 1:-1, 1:-1]


def nothing(image: Voxels) -> None:
    return None


def brighter(image: Voxels) -> Voxels:
    """Does not fit into uint8 where the image is 255."""
    return image.astype(np.int64) + (image == 255)


_seen = [1]


def by_the_brightest_so_far(image: Voxels) -> Voxels:
    """Depends on the chunks before."""
    _seen.append(int(image.max()))
    return (image / np.float64(max(_seen)) * 255).astype(np.uint8)


def noisy(image: Voxels) -> Voxels:
    return image + np.random.default_rng().integers(0, 2, image.shape, np.uint8)
