"""`lchunk new`: look at an image, and write a cfg for it."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from lchunk.chunk_logs import amount
from lchunk.cli.intensity import intensity_section
from lchunk.cli.plan import Plan, plan
from lchunk.cli.triples import counts_of, voxel_size_of
from lchunk.tasks.memory import free_memory
from lchunk.tasks.parameters import number_text
from lchunk.tasks.places import RootParameter
from lchunk.volumes.formats import open_volume
from lchunk.volumes.store import open_store
from lchunk.volumes.volume import Volume, VoxelSize

CFG = "luigi.cfg"
"""The cfg that Luigi finds in the current folder."""
MOST_MEMORY = 4 << 30
"""Most memory in bytes for a chunk of inference, because several processes may share the machine."""

TEXT = """\
# A dataset of lchunk. `lchunk run STAGE --help` explains every knob; each stage has a section of its own.

[Dataset]
# folder of everything that is made
root = {root}
# {shape} voxels, {dtype}
image = {image}
# nanometres z,y,x{size_note}
voxel_size = {voxel_size}
# true labels, for `lchunk run Evaluation`
# ground_truth = truth.h5:/volumes/labels/neuron_ids
# voxels of a chunk file, z,y,x
chunk_shape = {chunk_shape}
# voxels that a viewer reads at once
inner_chunk = {inner_chunk}
{intensity}
[Inference]
{inference}
# voxels that the net sees, and those in the middle whose output is used
input_patch = {input_patch}
output_patch = {output_patch}
# voxels that neighbouring output patches share
overlap = {overlap}
# with larger chunks, fewer patches are computed twice; a chunk of this shape takes about {memory} without the net
chunk_shape = {inference_chunk}
device = auto

[Segmentation]
# merge fragments while 1 - their mean affinity is below this: a higher threshold merges more
threshold = 0.5

[Downsample]
# voxels of a mip in one voxel of the next, z,y,x
factor = {factor}
# coarser levels, until the volume fits on a screen
mips = {mips}
"""
IDENTITY = """\
# your net: set `model` and `weights`, and remove `framework`. Until then, the image itself is used as affinities:
# all stages run, but the segmentation is bad
framework = identity
# model = net.py
# weights = net.pt"""
NET = """\
# the net: a Python file with InstantiatedModel, TorchScript or ONNX; and its weights, if the file has none
model = {model}
{weights}"""


def new(arguments: argparse.Namespace) -> None:
    """Look at an image, and write a cfg for it into the current folder. You can run the cfg without changes.

    The cfg is luigi.cfg, which `lchunk` finds by itself. If this file exists, the cfg is named after the image. Nothing
    is overwritten.
    """
    volume = open_volume(_in_place(arguments.image))
    if not volume.bounds.size:
        raise ValueError(f"the image must have voxels, got {volume.bounds.shape} (zyx) in {arguments.image}")
    if volume.channels:
        raise ValueError(
            f"the image must be (z, y, x), got {volume.channels} channels in {arguments.image}; pick one channel first"
        )
    voxel_size, note = _voxel_size(volume, arguments.voxel_size)
    path = _free_name(arguments.cfg, arguments.image)
    patch = counts_of("--patch", arguments.patch, "20,256,256") if arguments.patch else None
    refuse_wrong_files(arguments)
    memory, _ = free_memory(0, "cpu")
    planned = plan(volume.bounds, voxel_size, min(memory // 2, MOST_MEMORY), patch)
    text = cfg_text(arguments, volume, voxel_size, note, planned)
    with open(path, "x") as file:
        file.write(text)
    shape = "x".join(map(str, volume.bounds.shape))
    print(f"{arguments.image}: {shape} voxels zyx, {volume.dtype}, {_numbers(voxel_size)} nm{note}")
    print(f"wrote {path}")
    if found := re.search(r"^intensity_range = .*", text, re.MULTILINE):
        print(f"{volume.dtype} becomes uint8 by {found[0]}")
    before = "" if path.name == CFG else f"LUIGI_CONFIG_PATH={path} "
    print(f"next: {before}lchunk run MeshManifest")


def cfg_text(arguments: argparse.Namespace, volume: Volume, voxel_size: VoxelSize, note: str, planned: Plan) -> str:
    """The text of the cfg."""
    intensity = intensity_section(volume, arguments.intensity_range)
    net = IDENTITY
    if arguments.model:
        weights = f"weights = {_value(_in_place(arguments.weights))}" if arguments.weights else "# weights = net.pt"
        net = NET.format(model=_value(_in_place(arguments.model)), weights=weights)
    return TEXT.format(
        root=_value(arguments.root), image=_value(_in_place(arguments.image)), size_note=note,
        shape="x".join(map(str, volume.bounds.shape)), dtype=volume.dtype, voxel_size=_numbers(voxel_size),
        chunk_shape=_numbers(planned.chunk_shape), inner_chunk=_numbers(planned.inner_chunk), inference=net,
        intensity=intensity,
        input_patch=_numbers(planned.patch), output_patch=_numbers(planned.patch), overlap=_numbers(planned.overlap),
        inference_chunk=_numbers(planned.inference_chunk), factor=_numbers(planned.factor), mips=planned.mips,
        memory=amount(planned.memory),
    )  # fmt: skip


def _voxel_size(volume: Volume, given: str) -> tuple[VoxelSize, str]:
    """The voxel size, and a note on where it comes from."""
    own = volume.voxel_size
    if given:
        size = voxel_size_of(given)
        return size, f"; the image says {_numbers(own)}" if own and own != size else ""
    if own is None:
        raise ValueError(
            f"the voxel size must be given if the image has none, got none for {volume.url}; "
            "add --voxel-size Z,Y,X in nanometres, such as --voxel-size 40,4,4"
        )
    return own, "; those of the image"


def refuse_wrong_files(arguments: argparse.Namespace) -> None:
    """Raise an error if the net, its weights or the folder of the results cannot be used.

    Raises:
        FileNotFoundError: the net or its weights do not exist.
        ValueError: weights are given without a net, or the folder is not a path.
    """
    for option, path in (("--model", arguments.model), ("--weights", arguments.weights)):
        if path and "://" not in path and not Path(path).expanduser().is_file():
            raise FileNotFoundError(f"{option} must be a file, got {path}, which does not exist; correct its path")
    if arguments.weights and not arguments.model:
        raise ValueError(f"--weights must come with a net, got {arguments.weights} alone; add --model FILE")
    open_store(RootParameter().parse(arguments.root))


def _in_place(url: str) -> str:
    """An absolute path, which is valid in every folder; a URL is not changed."""
    if "://" in url or not url:
        return url
    return os.path.abspath(os.path.expanduser(url)) + ("/" if url.endswith("/") else "")


def _value(text: str) -> str:
    """A text as a value in a cfg."""
    if "\n" in text or re.search(r"\s[#;](\s|$)|^[\"'`“]", text):
        raise ValueError(
            f"a path in a cfg must have no line break, no separate # or ;, and no quote at its start, got {text!r}; "
            "rename it"
        )
    return text.replace("%", "%%")


def _free_name(asked: str, image: str) -> Path:
    if asked:
        names = [asked]
    else:
        stem = Path(re.split(r"\.(?:h5|hdf5?|zarr|n5|tiff?|nrrd|npy)\b", image.rstrip("/"))[0]).name or "dataset"
        names = [CFG, re.sub(r"[^\w.-]", "_", stem) + ".cfg"]
    free = [Path(name) for name in names if not Path(name).exists()]
    if not free:
        raise FileExistsError(
            f"the cfg must be a new file, got {' and '.join(names)}, which exist; give one with --cfg NAME"
        )
    return free[0]


def _numbers(numbers: Any) -> str:
    return ",".join(map(number_text, numbers))


def add_commands(commands: Any) -> None:
    """Add `new`."""
    command = commands.add_parser("new", description=new.__doc__)
    command.add_argument("image", help="path or URL: file.h5:/dataset, a TIFF stack, a folder of sections, OME-Zarr …")
    command.add_argument("--voxel-size", default="", metavar="Z,Y,X", help="nanometres; default: the image's own")
    command.add_argument(
        "--intensity-range", default="", metavar="LOW,HIGH",
        help="the intensities that become 0 and 255, for images that are not uint8: 1000,5000, or 0.1%%,99.9%% of all "
        "voxels, which reads the whole volume",
    )  # fmt: skip
    command.add_argument("--root", default="out", metavar="FOLDER", help="folder for all results; default: out")
    command.add_argument("--model", default="", metavar="FILE", help="your net, a path or URL; default: none yet")
    command.add_argument("--weights", default="", metavar="FILE", help="its weights")
    command.add_argument("--patch", default="", metavar="Z,Y,X", help="voxels that the net sees; default: the best fit")
    command.add_argument(
        "--cfg", default="", metavar="FILE", help="name of the cfg; default: luigi.cfg, if it does not exist"
    )
    command.set_defaults(run=new)
