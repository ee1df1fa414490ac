"""Train the sample's affinity net: python sample/train.py VOLUME.h5 --exclude 0-96_0-160_0-160.

VOLUME holds `volumes/raw` (z, y, x) uint8 and `volumes/labels/neuron_ids` (z, y, x), dense.
The boxes named by --exclude are never used for training, so that a threshold and scores from there are valid.
"""

import argparse
import math
import time
from pathlib import Path

import affinity_net
import h5py
import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Crop = tuple[slice, slice, slice]


def random_crop(rng: np.random.Generator, shape: tuple[int, ...], side: int, excluded: list[Crop]) -> Crop:
    """A cube of `side` voxels a side that meets none of the excluded boxes."""
    while True:
        start = [int(rng.integers(0, size - side + 1)) for size in shape]
        crop = tuple(slice(low, low + side) for low in start)
        if not any(
            all(c.start < e.stop and e.start < c.stop for c, e in zip(crop, box, strict=True)) for box in excluded
        ):
            return crop[0], crop[1], crop[2]


def zoom(
    image: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], patch: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """A cube of another size as one of `patch` voxels a side: the image blended, labels those of the nearest voxel."""
    smooth = functional.interpolate(
        torch.from_numpy(image.copy())[None, None], (patch, patch, patch), mode="trilinear", align_corners=False
    )
    nearest = ((np.arange(patch) + 0.5) * image.shape[0] / patch).astype(int)
    return smooth[0, 0].numpy(), labels[np.ix_(nearest, nearest, nearest)]


def turn(rng: np.random.Generator, *arrays: npt.NDArray[np.generic]) -> list[npt.NDArray[np.generic]]:
    """One of the 48 rotations and reflections of a cube, the same for every array."""
    axes = tuple(int(axis) for axis in rng.permutation(3))
    flips = tuple(axis for axis in range(3) if rng.random() < 0.5)
    return [np.ascontiguousarray(np.flip(array.transpose(axes), flips)) for array in arrays]


def distort(rng: np.random.Generator, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Random blur, contrast, brightness, gamma and noise; image in [0, 1] before and after."""
    if rng.random() < 0.3:
        image = gaussian_filter(image, rng.uniform(0.3, 1.0))
    image = (image - 0.5) * rng.uniform(0.7, 1.3) + 0.5 + rng.uniform(-0.15, 0.15)
    image = np.clip(image, 0, 1) ** rng.uniform(0.7, 1.4)
    image = image + rng.normal(0, rng.uniform(0, 0.06), image.shape)
    return np.clip(image, 0, 1).astype(np.float32)


def affinities(labels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Targets (channel, z, y, x), and 1 where an edge lies inside the patch.

    A membrane is made two voxels thick: a voxel that touches another body has no affinity to its neighbours.
    """
    inner = np.ones(labels.shape, bool)
    for axis in range(3):
        low = [slice(None)] * 3
        high = [slice(None)] * 3
        low[axis], high[axis] = slice(0, -1), slice(1, None)
        same = labels[tuple(low)] == labels[tuple(high)]
        inner[tuple(low)] &= same
        inner[tuple(high)] &= same
    target = np.zeros((len(affinity_net.OFFSETS), *labels.shape), np.float32)
    valid = np.zeros_like(target)
    for channel, offset in enumerate(affinity_net.OFFSETS):
        here = tuple(slice(step, None) for step in offset)
        there = tuple(slice(0, size - step) for step, size in zip(offset, labels.shape, strict=True))
        target[(channel, *here)] = (labels[here] == labels[there]) & inner[here] & inner[there]
        valid[(channel, *here)] = 1
    return target, valid


def loss_of(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Cross entropy; in each channel the edges to join and the edges to cut weigh the same."""
    axes = (0, 2, 3, 4)
    joined = (target * valid).sum(axes, keepdim=True)
    every = valid.sum(axes, keepdim=True)
    share = (joined / every).clamp(0.1, 0.9)
    weight = valid * torch.where(target > 0, 0.5 / share, 0.5 / (1 - share))
    losses = functional.binary_cross_entropy_with_logits(logits.float(), target, weight, reduction="none")
    return losses.sum() / every.sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("volume", type=Path, help="HDF5 file with volumes/raw and volumes/labels/neuron_ids")
    parser.add_argument("--exclude", nargs="+", required=True, help="boxes never seen, z0-z1_y0-y1_x0-x1 in voxels")
    parser.add_argument("--minutes", type=float, default=75, help="wall time; the learning rate falls to 0 at its end")
    parser.add_argument("--patch", type=int, default=48, help="voxels a side")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, default=Path(__file__).with_name("affinity_net.pt"))
    arguments = parser.parse_args()

    with h5py.File(arguments.volume) as file:
        image = file["volumes/raw"][:].astype(np.float32) / 255
        labels = file["volumes/labels/neuron_ids"][:].astype(np.int64)
    excluded = [tuple(slice(*map(int, side.split("-"))) for side in box.split("_")) for box in arguments.exclude]
    rng = np.random.default_rng(arguments.seed)
    torch.manual_seed(arguments.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = affinity_net.AffinityNet().to(device, memory_format=torch.channels_last_3d)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.999), use_buffers=True)
    optimizer = torch.optim.AdamW(net.parameters(), lr=arguments.rate, weight_decay=1e-3)
    print(f"{sum(p.numel() for p in net.parameters()):,} parameters on {device}", flush=True)

    start, step, recent = time.monotonic(), 0, math.nan
    while (done := (time.monotonic() - start) / (60 * arguments.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = arguments.rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * done))
        images, targets, valids = [], [], []
        for _ in range(arguments.batch):
            crop = random_crop(rng, image.shape, round(arguments.patch * rng.uniform(0.85, 1.2)), excluded)
            turned_image, turned_labels = turn(rng, *zoom(image[crop], labels[crop], arguments.patch))
            target, valid = affinities(turned_labels)
            images.append(distort(rng, turned_image)[None])
            targets.append(target)
            valids.append(valid)
        batch = torch.from_numpy(np.stack(images)).to(device, memory_format=torch.channels_last_3d)
        with torch.autocast(device, torch.bfloat16):
            logits = net(affinity_net.pre_process(batch))
        loss = loss_of(
            logits, torch.from_numpy(np.stack(targets)).to(device), torch.from_numpy(np.stack(valids)).to(device)
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average.update_parameters(net)
        step += 1
        recent = loss.item() if step == 1 else 0.98 * recent + 0.02 * loss.item()
        if step % 50 == 0:
            print(f"step {step}  loss {recent:.4f}  {100 * done:.0f} % of the time", flush=True)
    state = {name: values.cpu().contiguous() for name, values in average.module.state_dict().items()}
    torch.save({"state_dict": state}, arguments.weights)
    print(f"{step} steps, loss {recent:.4f}, weights in {arguments.weights}")


if __name__ == "__main__":
    main()
