"""A whole job in forked processes: nothing is imported there, so that kills fall into work."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import luigi
import numpy as np
from luigi.task_register import Register

from lchunk.tasks import (
    ConnectedComponents,
    Downsample,
    Evaluation,
    MeshManifest,
    MultiResMesh,
    SegmentProperties,
    SummedSegments,
)
from tests.conftest import smooth_affinities, write_hdf5

OFFSET = (-10, 200, 300)


def write_image(folder: Path, shape: tuple[int, int, int]) -> None:
    """An image with true labels."""
    image = np.rint(smooth_affinities(shape, 0)[0] * 255).astype(np.uint8)
    write_hdf5(folder / "a.h5", "raw", image, (40, 4, 4), OFFSET)
    write_hdf5(folder / "a.h5", "truth", (image // 64 + 1).astype(np.uint64), (40, 4, 4), OFFSET)


def configure_run(configure: Callable[..., None], folder: Path, root: Path | str) -> None:
    """Set the cfg of a job on the image of a folder."""
    configure(
        "Dataset", root=root, image=f"{folder}/a.h5:/raw", ground_truth=f"{folder}/a.h5:/truth", chunk_shape="16,16,16",
        inner_chunk="8,8,8",
    )  # fmt: skip
    configure(
        "Inference", framework="identity", input_patch="10,12,14", output_patch="8,8,10", overlap="2,2,2", contrast=True
    )
    configure("LocalComponents", of="segmentation", connectivity=6)
    configure("Downsample", factor="2,2,2", pass_mips=1)
    configure("MultiResMesh", shard_bits=1)
    configure("SkeletonMerge", shard_bits=1, dust=20)


def all_tasks() -> list[luigi.Task]:
    """Tasks that need nearly every stage."""
    return [
        *objects(), Downsample(of="image"), Downsample(of="segmentation"), Evaluation(), ConnectedComponents(),
    ]  # fmt: skip


def meshes() -> list[luigi.Task]:
    """From the image to meshes, and to the sizes of segments."""
    return [MeshManifest(), SummedSegments()]


def objects() -> list[luigi.Task]:
    """Meshes, those with levels of detail, and skeletons, with a list of segments and their lengths."""
    return [*meshes(), MultiResMesh(), SegmentProperties(cable=True)]


def run_job(tasks: Callable[[], list[luigi.Task]] = all_tasks) -> bool:
    """Run a job in this process. Returns whether it is complete."""
    Register.clear_instance_cache()
    return bool(luigi.build(tasks(), local_scheduler=True, log_level="CRITICAL"))


def run_in_child(tasks: Callable[[], list[luigi.Task]] = all_tasks, before: Callable[[], object] = os.getpid) -> int:
    """Start a job in a forked process, which makes a call before. Returns its id."""
    child = os.fork()
    if child:
        return child
    gc.freeze()  # what pytest holds need not be walked at each collection
    before()
    os._exit(0 if run_job(tasks) else 1)


def end_of(child: int) -> int:
    """The exit code of a forked process."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
