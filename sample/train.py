"""Train the sample's affinity net: python sample/train.py VOLUME.h5 --exclude 0-96_0-160_0-160.

VOLUME holds `volumes/raw` (z, y, x) uint8 and `volumes/labels/neuron_ids` (z, y, x), dense.
The boxes named by --exclude are never used for training, so that a threshold and scores from there are valid.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
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
SAVE_SECONDS = 180.0
"""Between two checkpoints."""


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


def zoom_each(channels: npt.NDArray[np.float32], patch: int) -> npt.NDArray[np.float32]:
    """Channels (c, z, y, x) of a cube of another size, blended to `patch` voxels a side."""
    blended = functional.interpolate(
        torch.from_numpy(channels.copy())[None], (patch, patch, patch), mode="trilinear", align_corners=False
    )
    return blended[0].numpy()


def turn(array: npt.NDArray[np.generic], axes: tuple[int, ...], flips: tuple[int, ...]) -> npt.NDArray[np.generic]:
    """One of the 48 rotations and reflections of a cube."""
    return np.ascontiguousarray(np.flip(array.transpose(axes), flips))


def distort(rng: np.random.Generator, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Random blur, contrast, brightness, gamma and noise; image in [0, 1] before and after."""
    if rng.random() < 0.3:
        image = gaussian_filter(image, rng.uniform(0.3, 1.0))
    image = (image - 0.5) * rng.uniform(0.7, 1.3) + 0.5 + rng.uniform(-0.15, 0.15)
    image = np.clip(image, 0, 1) ** rng.uniform(0.7, 1.4)
    image = image + rng.normal(0, rng.uniform(0, 0.06), image.shape)
    return np.clip(image, 0, 1).astype(np.float32)


def spoil(
    rng: np.random.Generator, image: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Defects of sections: one or two that are missing, or dark, or all from some section on shifted by some voxels."""
    image, labels = image.copy(), labels.copy()
    z = int(rng.integers(4, len(image) - 4))
    kind = rng.integers(3)
    if kind == 0:
        image[z : z + int(rng.integers(1, 3))] = 0
    elif kind == 1:
        image[z : z + int(rng.integers(1, 4))] *= rng.uniform(0.3, 0.7)
    else:
        by = tuple(int(step) for step in rng.integers(-3, 4, 2))
        image[z:] = np.roll(image[z:], by, (1, 2))
        labels[z:] = np.roll(labels[z:], by, (1, 2))
    return image, labels


def shapes(labels: npt.NDArray[np.int64], sigma: float = 5.0) -> npt.NDArray[np.float32]:
    """Local shape descriptors (10, z, y, x) at every second voxel.

    Sheridan et al. 2023, doi:10.1038/s41592-022-01711-z. Of a voxel's body within a Gaussian window: the share of the
    window, the mean offset, the variances, and the correlations of the axes, all moved to about [0, 1].
    """
    half = labels[::2, ::2, ::2]
    places = np.stack(np.meshgrid(*map(np.arange, half.shape), indexing="ij")).astype(np.float32)
    found = np.zeros((10, *half.shape), np.float32)
    for label in np.unique(half):
        mask = half == label
        own = mask.astype(np.float32)
        size = gaussian_filter(own, sigma, mode="constant")
        mean = np.stack([gaussian_filter(own * p, sigma, mode="constant") for p in places]) / np.maximum(size, 1e-6)
        rows = [size, *(0.5 + (m - p) / (2 * sigma) for m, p in zip(mean, places, strict=True))]
        pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
        spread = {
            (a, b): gaussian_filter(own * places[a] * places[b], sigma, mode="constant") / np.maximum(size, 1e-6)
            - mean[a] * mean[b]
            for a, b in pairs
        }
        for a, b in pairs:
            scale = sigma**2 if a == b else 2 * np.sqrt(np.maximum(spread[a, a] * spread[b, b], 1e-3))
            rows.append(spread[a, b] / scale + 0.5 * (a != b))
        for row, values in enumerate(rows):
            found[row][mask] = values[mask]
    return np.clip(found, 0, 1.5)


def affinities(
    labels: npt.NDArray[np.int64], membrane: int = 2
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Targets (channel, z, y, x), and 1 where an edge lies inside the patch.

    Args:
        labels: bodies.
        membrane: 2: a voxel that touches another body has no affinity to its neighbours; 1: it has to its own body's.
    """
    inner = np.ones(labels.shape, bool)
    for axis in range(3) if membrane > 1 else ():
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


def turned_teacher(
    teacher: npt.NDArray[np.float32], axes: tuple[int, ...], flips: tuple[int, ...]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Affinities (x, y, z) of a cube after a turn, and 1 where they are known: a flip moves an edge by one voxel."""
    by_axis = teacher[::-1]
    turned = np.stack([by_axis[axes[new]].transpose(axes) for new in range(3)])
    known = np.ones_like(turned)
    for axis in flips:
        turned = np.flip(turned, axis + 1).copy()
        turned[axis] = np.roll(turned[axis], 1, axis)
        first = [slice(None)] * 3
        first[axis] = slice(0, 1)
        known[(axis, *first)] = 0
    return np.ascontiguousarray(turned[::-1]), np.ascontiguousarray(known[::-1])


def loss_of(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Cross entropy; in each channel the edges to join and the edges to cut weigh the same."""
    axes = (0, 2, 3, 4)
    joined = (target * valid).sum(axes, keepdim=True)
    every = valid.sum(axes, keepdim=True)
    share = (joined / every).clamp(0.1, 0.9)
    weight = valid * torch.where(target > 0, 0.5 / share, 0.5 / (1 - share))
    losses = functional.binary_cross_entropy_with_logits(logits.float(), target, weight, reduction="none")
    return losses.sum() / every.sum()


def taught_loss(logits: torch.Tensor, told: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the affinities x, y, z with a teacher's, without the teacher's own entropy."""
    own = logits[:, : len(affinity_net.NEAREST)].float() / affinity_net.TEMPERATURE
    losses = functional.binary_cross_entropy_with_logits(own, told, known, reduction="none")
    least = functional.binary_cross_entropy(told.clamp(1e-4, 1 - 1e-4), told, known, reduction="none")
    return (losses - least).sum() / known.sum()


@dataclass
class Volume:
    """What is learned from: image and bodies, and the affinities of a teacher or None."""

    image: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    teacher: npt.NDArray[np.float32] | None

    def patch(self, rng: np.random.Generator, arguments: argparse.Namespace) -> Iterator[npt.NDArray[np.float32]]:
        """An image, its targets, which are valid; a teacher's affinities, which are known; shape descriptors."""
        side = round(arguments.patch * rng.uniform(0.85, 1.2))
        crop = random_crop(rng, self.image.shape, side, arguments.excluded)
        axes = tuple(int(axis) for axis in rng.permutation(3))
        flips = tuple(axis for axis in range(3) if rng.random() < 0.5)
        image, labels = zoom(self.image[crop], self.labels[crop], arguments.patch)
        if rng.random() < arguments.defects:
            image, labels = spoil(rng, image, labels)
        image, labels = turn(image, axes, flips), turn(labels, axes, flips)
        yield distort(rng, image)[None]
        yield from affinities(labels, arguments.membrane)
        if self.teacher is not None:
            told = zoom_each(self.teacher[(slice(None), *crop)], arguments.patch)
            yield from turned_teacher(told, axes, flips)
        if arguments.shapes:
            yield shapes(labels)


def read(arguments: argparse.Namespace) -> Volume:
    """The files that the command line names."""
    teacher = None
    if arguments.teacher:
        with h5py.File(arguments.teacher) as file:
            teacher = file["affinities"][:]
    with h5py.File(arguments.volume) as file:
        image, labels = file["volumes/raw"][:], file["volumes/labels/neuron_ids"][:]
    return Volume(image.astype(np.float32) / 255, labels.astype(np.int64), teacher)


class Training:
    """A net in training, with a running mean of its weights, that goes on from its checkpoint."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        torch.manual_seed(arguments.seed)
        self.arguments = arguments
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.net = affinity_net.AffinityNet().to(self.device, memory_format=torch.channels_last_3d)
        if arguments.start:
            deepest = getattr(self.net, "lift2", None)
            for part in deepest.parameters() if deepest is not None else ():
                torch.nn.init.zeros_(part)  # of weights without the deepest level, so that it begins as that net
            self.net.load_state_dict(torch.load(arguments.start, weights_only=True)["state_dict"], strict=False)
        self.head = torch.nn.Conv3d(self.net.head.in_channels, 10, 1).to(self.device)
        self.features: list[torch.Tensor] = []
        self.net.head.register_forward_pre_hook(lambda _, inputs: self.features.__setitem__(slice(None), inputs))
        self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(0.999), use_buffers=True)
        trained = [*self.net.parameters(), *(self.head.parameters() if arguments.shapes else ())]
        self.optimizer = torch.optim.AdamW(trained, lr=arguments.rate, weight_decay=1e-3)
        self.step = 0
        self.parts = {"net": self.net, "average": self.average, "optimizer": self.optimizer, "head": self.head}
        if arguments.resume.exists():
            known = torch.load(arguments.resume, weights_only=True)
            for name, part in self.parts.items():
                part.load_state_dict(known[name])
            self.step = known["step"]

    def save(self) -> None:
        """Write the checkpoint and the weights, each in one step."""
        state = {name: values.cpu().contiguous() for name, values in self.average.module.state_dict().items()}
        checkpoint = {name: part.state_dict() for name, part in self.parts.items()} | {"step": self.step}
        for path, content in ((self.arguments.resume, checkpoint), (self.arguments.weights, {"state_dict": state})):
            unfinished = path.with_suffix(".tmp")
            torch.save(content, unfinished)
            unfinished.replace(path)

    def learn(self, patches: list[list[npt.NDArray[np.float32]]]) -> dict[str, float]:
        """One step; returns its losses."""
        image, target, valid, *others = (
            torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*patches, strict=True)
        )
        with torch.autocast(self.device, torch.bfloat16):
            logits = self.net(affinity_net.pre_process(image.to(memory_format=torch.channels_last_3d)))
            shown = self.head(self.features[0][:, :, ::2, ::2, ::2]) if self.arguments.shapes else None
        losses = {"loss": loss_of(logits, target, valid)}
        total = losses["loss"]
        if self.arguments.teacher:
            losses["teacher"] = taught_loss(logits, others.pop(0), others.pop(0))
            total = total + self.arguments.teacher_weight * losses["teacher"]
        if shown is not None:
            losses["shapes"] = functional.mse_loss(torch.sigmoid(shown.float()) * 1.5, others.pop(0))
            total = total + self.arguments.shapes * losses["shapes"]
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        self.average.update_parameters(self.net)
        self.step += 1
        return {name: loss.item() for name, loss in losses.items()}

    def set_rate(self) -> None:
        """The learning rate rises for 100 steps, and falls to 0 along a cosine."""
        rising = min(1.0, (self.step + 1) / 100)
        falling = 0.5 * (1 + math.cos(math.pi * self.step / self.arguments.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = self.arguments.rate * rising * falling


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("volume", type=Path, help="HDF5 file with volumes/raw and volumes/labels/neuron_ids")
    parser.add_argument("--exclude", nargs="+", required=True, help="boxes never seen, z0-z1_y0-y1_x0-x1 in voxels")
    parser.add_argument("--steps", type=int, default=20000, help="the learning rate falls to 0 at the end")
    parser.add_argument("--patch", type=int, default=48, help="voxels a side")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="weights to start from; layers that they lack start anew")
    parser.add_argument("--teacher", type=Path, help="HDF5 file whose `affinities` (3, z, y, x) are learned too")
    parser.add_argument("--teacher-weight", type=float, default=3.0)
    parser.add_argument("--membrane", type=int, choices=(1, 2), default=2, help="voxels between two bodies")
    parser.add_argument("--defects", type=float, default=0.0, help="share of patches with a defect of sections")
    parser.add_argument("--shapes", type=float, default=0.0, help="weight of local shape descriptors; 0: none")
    parser.add_argument("--resume", type=Path, required=True, help="checkpoint: read if it is there, and written")
    parser.add_argument("--weights", type=Path, required=True, help="where the weights go")
    arguments = parser.parse_args()
    arguments.excluded = [
        tuple(slice(*map(int, side.split("-"))) for side in box.split("_")) for box in arguments.exclude
    ]
    return arguments


def main() -> None:
    arguments = parsed()
    volume, training = read(arguments), Training(arguments)
    count = sum(part.numel() for part in training.net.parameters())
    print(f"{count:,} parameters on {training.device}, from step {training.step}", flush=True)
    began = saved = time.monotonic()
    recent: dict[str, float] = {}
    while training.step < arguments.steps:
        rng = np.random.default_rng((arguments.seed, training.step))
        training.set_rate()
        losses = training.learn([list(volume.patch(rng, arguments)) for _ in range(arguments.batch)])
        recent = {name: 0.98 * recent.get(name, loss) + 0.02 * loss for name, loss in losses.items()}
        if training.step % 50 == 0:
            text = "  ".join(f"{name} {loss:.4f}" for name, loss in recent.items())
            print(f"step {training.step} of {arguments.steps}  {text}  {time.monotonic() - began:.0f} s", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            training.save()
            saved = time.monotonic()
    training.save()
    print(f"{training.step} steps, weights in {arguments.weights}")


if __name__ == "__main__":
    main()
