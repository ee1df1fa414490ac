"""A first look at an image: its shape and voxel size, and the cfg that suits it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lchunk.cli.intensity import intensity_section
from lchunk.cli.planning.cfg_text import first_text, numbers
from lchunk.cli.planning.shapes import Budget, plan
from lchunk.cli.triples import voxel_size_of
from lchunk.geometry.bbox import Triple
from lchunk.tasks.memory import free_memory
from lchunk.tasks.places import RootParameter
from lchunk.volumes.formats import open_volume
from lchunk.volumes.store import open_store
from lchunk.volumes.volume import Volume, VoxelSize

MOST_MEMORY = 4 << 30
"""Most memory in bytes for a chunk of inference, because several processes may share the machine."""


@dataclass(frozen=True)
class Wanted:
    """What a user says about an image that has no cfg yet; empty: nothing.

    Args:
        image: path or URL.
        voxel_size: z,y,x nanometres, as text.
        intensity_range: the intensities that become 0 and 255, as text.
        root: folder for all results.
        model: the net.
        weights: its weights.
        patch: voxels that the net sees.
    """

    image: str
    voxel_size: str = ""
    intensity_range: str = ""
    root: str = "out"
    model: str = ""
    weights: str = ""
    patch: Triple | None = None


@dataclass(frozen=True)
class Look:
    """An image, opened.

    Args:
        volume: the image.
        voxel_size: nanometres zyx.
        note: where the voxel size comes from.
        text: the cfg that suits it.
    """

    volume: Volume
    voxel_size: VoxelSize
    note: str
    text: str


def look_at(wanted: Wanted) -> Look:
    """Open an image, and make a cfg for it.

    Raises:
        FileNotFoundError: the image, the net or its weights do not exist.
        ValueError: the image cannot be used, or a value is missing or wrong.
    """
    volume = open_volume(in_place(wanted.image))
    if not volume.bounds.size:
        raise ValueError(f"the image must have voxels, got {volume.bounds.shape} (zyx) in {wanted.image}")
    if volume.channels:
        raise ValueError(
            f"the image must be (z, y, x), got {volume.channels} channels in {wanted.image}; pick one channel first"
        )
    voxel_size, note = _voxel_size(volume, wanted.voxel_size)
    refuse_wrong_files(wanted)
    planned = plan(volume.bounds, voxel_size, Budget(usual_memory()), wanted.patch)
    text = first_text(
        planned, volume, in_place(wanted.image), wanted.root, voxel_size, size_note=note,
        intensity=intensity_section(volume, wanted.intensity_range), model=in_place(wanted.model),
        weights=in_place(wanted.weights),
    )  # fmt: skip
    return Look(volume, voxel_size, note, text)


def usual_memory() -> int:
    """Bytes for a chunk of inference if the user gives none: half of what is free, at most 4 GiB."""
    free, _ = free_memory(0, "cpu")
    return min(free // 2, MOST_MEMORY)


def _voxel_size(volume: Volume, given: str) -> tuple[VoxelSize, str]:
    """The voxel size, and a note on where it comes from."""
    own = volume.voxel_size
    if given:
        size = voxel_size_of(given)
        return size, f"; the image says {numbers(own)}" if own and own != size else ""
    if own is None:
        raise ValueError(
            f"the voxel size must be given if the image has none, got none for {volume.url}; "
            "add --voxel-size Z,Y,X in nanometres, such as --voxel-size 40,4,4"
        )
    return own, "; those of the image"


def refuse_wrong_files(wanted: Wanted) -> None:
    """Raise an error if the net, its weights or the folder of the results cannot be used.

    Raises:
        FileNotFoundError: the net or its weights do not exist.
        ValueError: weights are given without a net, or the folder is not a path.
    """
    for option, path in (("--model", wanted.model), ("--weights", wanted.weights)):
        if path and "://" not in path and not Path(path).expanduser().is_file():
            raise FileNotFoundError(f"{option} must be a file, got {path}, which does not exist; correct its path")
    if wanted.weights and not wanted.model:
        raise ValueError(f"--weights must come with a net, got {wanted.weights} alone; add --model FILE")
    open_store(RootParameter().parse(wanted.root))


def in_place(url: str) -> str:
    """An absolute path, which is valid in every folder; a URL is not changed."""
    if "://" in url or not url:
        return url
    return os.path.abspath(os.path.expanduser(url)) + ("/" if url.endswith("/") else "")
