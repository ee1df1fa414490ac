"""A small job on a disk, with which the same job in a bucket is compared."""

from __future__ import annotations

from pathlib import Path

from tests.cli.commands import lchunk
from tests.conftest import write_identity_job


def made_on_disk(folder: Path, shape: tuple[int, int, int]) -> Path:
    """Write an image and a cfg into a folder, run the whole job there, and return the folder."""
    write_identity_job(folder, shape, (-2, 10, 5))
    said = lchunk(folder, "run", "MeshManifest")
    assert said.code == 0, said.err
    return folder
