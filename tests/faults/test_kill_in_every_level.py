"""kill -9 in every stage, and in every level of every tree: the next run ends with the very same bytes."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

from lchunk.tasks import Absorb, Agglomeration, ComponentUnion, ContingencySums, LevelSums
from tests.faults.forked_job import configure_run, end_of, run_in_child, write_image
from tests.faults.whole_job import whole_files

SHAPE = (20, 36, 34)
MOST = 100


def folder_of(key: str) -> str:
    """The folder of a layer, a mip or a level."""
    return re.split(r"/c/|/[^/]*$", key)[0]


def kill_in_new_folders(root: Path, known: Path) -> None:
    """Let this process kill itself when it writes to a folder for the first time, before the file appears or after it.

    Args:
        root: the dataset's folder.
        known: a file that lists the folders where a process was killed before.
    """
    rename, folders = os.replace, set(known.read_text().split())

    def replace(partial: str, path: str) -> None:
        folder = folder_of(os.path.relpath(path, root))
        if folder in folders:
            rename(partial, path)
            return
        with known.open("a") as file:
            file.write(f"{folder}\n")
        if len(folders) % 2:
            rename(partial, path)
        os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace  # type: ignore[assignment]


def test_a_kill_in_each_level_is_mended(configure: Callable[..., None], tmp_path: Path) -> None:
    write_image(tmp_path, SHAPE)
    configure("Segmentation", min_voxels=30, threshold=0.3)
    configure_run(configure, tmp_path, tmp_path / "undisturbed")
    assert end_of(run_in_child()) == 0
    root, known = tmp_path / "killed", tmp_path / "known"
    known.touch()
    configure_run(configure, tmp_path, root)
    ends = []
    while not ends or ends[-1] == -signal.SIGKILL:
        ends.append(end_of(run_in_child(before=lambda: kill_in_new_folders(root, known))))
        assert len(ends) < MOST
    assert ends[-1] == 0
    assert whole_files(root) == whole_files(tmp_path / "undisturbed")

    killed = known.read_text().split()
    assert len(killed) == len(set(killed)) == len(ends) - 1
    for tree, names in ((Agglomeration, "segmentation"), (ComponentUnion, "components")):
        levels = range(tree().top + 1)
        assert len(levels) > 4
        assert {f"{tree.layer}/{n}" for n in levels} | {f"{names}/names/{n}" for n in levels} <= set(killed)
    absorbing = {f"segmentation/{folder}/{n}" for folder in ("absorb", "absorbed") for n in range(Absorb().top + 1)}
    assert absorbing <= set(killed)
    for sums in (ContingencySums, LevelSums):
        assert {f"{sums.layer}/{n}" for n in range(1, sums().top + 1)} <= set(killed)
    assert {"image/1", "image/2", "segmentation/1", "segmentation/2", "evaluation", "section_levels"} <= set(killed)
    objects = ("mesh", "mesh_multires", "mesh_multires/index", "skeleton_fragments", "skeletons", "properties")
    assert {"cable_lengths"} | {f"segmentation/{folder}" for folder in objects} <= set(killed)
