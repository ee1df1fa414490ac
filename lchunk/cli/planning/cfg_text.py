"""The text of a cfg: the first one for an image, and one with other values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lchunk.cli.planning.shapes import Plan
from lchunk.tasks.parameters import number_text
from lchunk.volumes.volume import Volume, VoxelSize

Values = Mapping[tuple[str, str], str]
"""Values of a cfg by section and key."""

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
# with larger chunks, fewer patches are computed twice; `lchunk plan` says what a shape costs, and the memory it takes
chunk_shape = {inference_chunk}
device = auto

[Segmentation]
# merge fragments while 1 - their mean affinity is below this: a higher threshold merges more
threshold = 0.5
# segments of fewer voxels follow their strongest edge, in rounds; 0 leaves them
min_voxels = 1000

[Downsample]
# voxels of a mip in one voxel of the next, z,y,x
factor = {factor}
# coarser levels, until the volume fits on a screen
mips = {mips}

[Thumbnail]
# a small picture of this layer, at this mip: `lchunk run Thumbnail`
of = affinities
mip = {mips}
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


def first_text(
    planned: Plan, volume: Volume, image: str, root: str, voxel_size: VoxelSize, *, size_note: str = "",
    intensity: str = "", model: str = "", weights: str = "",
) -> str:  # fmt: skip
    """The text of the first cfg of an image.

    Args:
        planned: the shapes.
        volume: the image, opened.
        image: its URL.
        root: folder of all results.
        voxel_size: nanometres zyx.
        size_note: where the voxel size comes from.
        intensity: the section `[Ingest]`, if the image needs one.
        model: the net; empty: none yet.
        weights: its weights.
    """
    net = IDENTITY
    if model:
        net = NET.format(
            model=escaped(model), weights=f"weights = {escaped(weights)}" if weights else "# weights = net.pt"
        )
    return TEXT.format(
        root=escaped(root), image=escaped(image), size_note=size_note, shape="x".join(map(str, volume.bounds.shape)),
        dtype=volume.dtype, voxel_size=numbers(voxel_size), chunk_shape=numbers(planned.chunk_shape),
        inner_chunk=numbers(planned.inner_chunk), inference=net, intensity=intensity,
        input_patch=numbers(planned.input_patch), output_patch=numbers(planned.output_patch),
        overlap=numbers(planned.overlap), inference_chunk=numbers(planned.inference_chunk),
        factor=numbers(planned.factor), mips=planned.mips,
    )  # fmt: skip


def with_values(text: str, values: Values) -> str:
    """A cfg with other values; its comments and its order are kept.

    Args:
        text: the cfg.
        values: as they are written into the file, with `%` as `%%`. A key that is absent is added to its section, and
            an absent section at the end.

    >>> values = {("A", "b"): "2", ("A", "c"): "3", ("C", "d"): "4"}
    >>> print(with_values("[A]\\n# why\\nb = 1  # one\\n\\n[B]\\n", values))
    [A]
    # why
    b = 2  # one
    c = 3
    <BLANKLINE>
    [B]
    <BLANKLINE>
    [C]
    d = 4
    <BLANKLINE>
    """
    lines = text.splitlines()
    for (section, key), value in values.items():
        _set(lines, section, key, value)
    return "\n".join(lines) + "\n"


def _set(lines: list[str], section: str, key: str, value: str) -> None:
    headers = [number for number, line in enumerate(lines) if re.match(r"\[[^]]+\]", line)]
    start = next((number for number in headers if lines[number].startswith(f"[{section}]")), None)
    if start is None:
        lines += [*([""] if lines and lines[-1] else []), f"[{section}]", f"{key} = {value}"]
        return
    stop = next((number for number in headers if number > start), len(lines))
    names = {key, key.replace("_", "-")}
    for number in range(start + 1, stop):
        found = re.match(r"([^\s#;=:][^=:]*?)\s*[=:]", lines[number])
        if found and found[1] in names:
            comment = re.search(r"\s+[#;](\s.*)?$", lines[number])
            below = number + 1
            while below < stop and re.match(r"\s+\S", lines[below]):
                below += 1  # the value went on in indented lines
            lines[number:below] = [f"{key} = {value}{comment[0] if comment else ''}"]
            return
    last = max(number for number in range(start, stop) if lines[number].strip())
    lines.insert(last + 1, f"{key} = {value}")


def escaped(text: str) -> str:
    """A text as a value in a cfg.

    Raises:
        ValueError: a cfg cannot hold it.
    """
    if "\n" in text or re.search(r"\s[#;](\s|$)|^[\"'`“]", text):
        raise ValueError(
            f"a path in a cfg must have no line break, no separate # or ;, and no quote at its start, got {text!r}; "
            "rename it"
        )
    return text.replace("%", "%%")


def numbers(values: Any) -> str:
    """Numbers as a value in a cfg."""
    return ",".join(map(number_text, values))
