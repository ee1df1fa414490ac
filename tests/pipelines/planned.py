"""Volumes of different shapes and patches: what `lchunk plan` says of a run, and what the run leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr

from tests.cli.commands import lchunk
from tests.conftest import write_hdf5

SAMPLE = Path(__file__).parent.parent.parent / "sample"
CFG = """
[Dataset]
root = out
image = image.h5:/raw
chunk_shape = {image_chunk}
inner_chunk = {inner_chunk}
max_blocks = {max_blocks}

[Inference]
framework = {framework}
model = {folder}/net.py
{weights}
input_patch = {input_patch}
output_patch = {output_patch}
overlap = {overlap}
chunk_shape = {chunk_shape}
precision = {precision}
"""
GENERAL = """
import numpy as np

CROP = {crop}

class PatchInferencer:
    '''How similar a voxel is to its neighbours; writes down each patch that it is given.'''

    def __init__(self, weights, mask):
        pass

    def __call__(self, patches):
        with open({calls!r}, "a") as file:
            file.write("." * len(patches))
        middle = patches[(..., *(slice(c, n - c) for c, n in zip(CROP, patches.shape[2:])))]
        return np.concatenate([1 - abs(middle - np.roll(middle, 1, axis)) for axis in (4, 3, 2)], axis=1)
"""
TRAINED = """
from pathlib import Path

_source = Path({net!r})
exec(compile(_source.read_text(), _source, "exec"))
_prepared = pre_process

def pre_process(patches):
    with open({calls!r}, "a") as file:
        file.write("." * len(patches))
    return _prepared(patches)
"""


@dataclass(frozen=True)
class Case:
    """A volume and how it is predicted; shapes are voxels zyx.

    Args:
        volume: the sample, or a mosaic of it, has this shape.
        voxel_size: nanometres zyx.
        input_patch, output_patch, overlap, chunk_shape: knobs of `Inference`.
        inner_chunk: voxels that a viewer reads at once.
        image_chunk: shape of the image's chunks.
        trained: the sample's net; else a net that is fast on large volumes.
        precision: type of the affinities.
        max_blocks: blocks of several chunks, if there are more chunks.
        offset: first voxel.
    """

    volume: tuple[int, int, int]
    voxel_size: tuple[float, float, float]
    input_patch: tuple[int, int, int]
    output_patch: tuple[int, int, int]
    overlap: tuple[int, int, int]
    chunk_shape: tuple[int, int, int]
    inner_chunk: tuple[int, int, int] = (32, 64, 64)
    image_chunk: tuple[int, int, int] = (64, 128, 128)
    trained: bool = False
    precision: str = "uint8"
    max_blocks: int = 250
    offset: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class Left:
    """What a run left.

    Args:
        files: chunk files of a layer.
        voxels: bytes of its voxels.
        stored: bytes of its chunk files.
        patches: that the net was given, without the rehearsal before the first chunk.
        memory: peak bytes of a chunk of the net, beyond those of the process before.
    """

    files: dict[str, int]
    voxels: dict[str, int]
    stored: dict[str, int]
    patches: int
    memory: int


def mosaic(shape: tuple[int, int, int]) -> np.ndarray:
    """The sample, mirrored at its faces as often as a shape needs."""
    with h5py.File(SAMPLE / "fib25.h5") as file:
        voxels = file["volumes/raw"][:]
    for axis in range(3):
        voxels = np.concatenate([voxels, np.flip(voxels, axis)], axis)
    times = [-(-side // part) for side, part in zip(shape, voxels.shape, strict=True)]
    return np.tile(voxels, times)[tuple(map(slice, shape))]


def prepare(folder: Path, case: Case) -> None:
    """Write the image, the net and the cfg of a case."""
    write_hdf5(folder / "image.h5", "raw", mosaic(case.volume), case.voxel_size, case.offset)
    crop = [(outer - inner) // 2 for outer, inner in zip(case.input_patch, case.output_patch, strict=True)]
    net, calls = str(SAMPLE / "affinity_net.py"), str(folder / "calls")
    source = TRAINED.format(net=net, calls=calls) if case.trained else GENERAL.format(crop=crop, calls=calls)
    (folder / "net.py").write_text(source)
    shapes = ("input_patch", "output_patch", "overlap", "chunk_shape", "inner_chunk", "image_chunk")
    text = CFG.format(
        folder=folder, framework="pytorch" if case.trained else "general", precision=case.precision,
        weights=f"weights = {SAMPLE}/affinity_net.pt\ndevice = cpu" if case.trained else "", max_blocks=case.max_blocks,
        **{name: ",".join(map(str, getattr(case, name))) for name in shapes},
    )  # fmt: skip
    (folder / "luigi.cfg").write_text(text)


def plan_of(folder: Path, *words: str) -> dict[str, Any]:
    """What `lchunk plan` says of the cfg in a folder."""
    said = lchunk(folder, "plan", "--json", "--until", "Inference", *words)
    assert said.code == 0, said.err
    plan: dict[str, Any] = json.loads(said.out)
    return plan


def run(folder: Path) -> Left:
    """Run the net in a process of its own, after the image is there, and look at what it left."""
    for stage in ("Ingest", "Inference"):
        (folder / "calls").unlink(missing_ok=True)
        said = lchunk(folder, "run", stage)
        assert said.code == 0, said.err
    layers = {layer: folder / "out" / layer / "0" for layer in ("image", "affinities")}
    chunks = {layer: [path for path in place.rglob("c/**/*") if path.is_file()] for layer, place in layers.items()}
    arrays = {layer: zarr.open_array(place, mode="r") for layer, place in layers.items()}
    memory = [entry["memory"] for entry in _log(folder / "out/logs/affinities") if "memory" in entry]
    return Left(
        {layer: len(files) for layer, files in chunks.items()},
        {layer: array.size * array.dtype.itemsize for layer, array in arrays.items()},
        {layer: sum(path.stat().st_size for path in files) for layer, files in chunks.items()},
        (folder / "calls").stat().st_size - 1,
        max(entry["peak"] - entry["before"] for entry in memory),
    )  # fmt: skip


def _log(folder: Path) -> Iterator[dict[str, Any]]:
    for path in folder.glob("*.jsonl"):
        yield from map(json.loads, path.read_text().splitlines())
