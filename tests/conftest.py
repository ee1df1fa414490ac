"""Every test has a cfg of its own, and Luigi forgets between tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import luigi
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from luigi.configuration import LuigiConfigParser
from luigi.task_register import Register
from scipy.ndimage import gaussian_filter

from lchunk.scored import CLEFTS, CURVE, FILES, SEGMENTS
from lchunk.tasks import dataset as dataset_module
from lchunk.tasks import loaded_nets
from lchunk.volumes.documents import encode_document, encode_json

settings.register_profile("lchunk", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("lchunk")

DATA = Path(os.environ.get("LCHUNK_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
"""Real EM whose licences keep it out of this repository."""


def pytest_collection_finish() -> None:
    """Let the many collections of jobs walk only what tests make, and not pytest and its items too."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def cfg(monkeypatch: pytest.MonkeyPatch) -> Iterator[LuigiConfigParser]:
    """An empty cfg instead of ./luigi.cfg, and no cached task or geometry of another test."""
    fresh = LuigiConfigParser()
    monkeypatch.setattr(LuigiConfigParser, "_instance", fresh)
    Register.clear_instance_cache()
    dataset_module._geometry.cache_clear()
    loaded_nets.memory_of.cache_clear()
    loaded_nets.loaded.cache_clear()
    yield fresh
    Register.clear_instance_cache()


@pytest.fixture
def configure(cfg: LuigiConfigParser) -> Callable[..., None]:
    """Sets options of a section of the cfg."""

    def set_options(section: str, **options: Any) -> None:
        for name, value in options.items():
            cfg.set(section, name, str(value))
        Register.clear_instance_cache()
        dataset_module._geometry.cache_clear()

    return set_options


def build(*tasks: luigi.Task) -> bool:
    """Run tasks and everything that they need in this process."""
    Register.clear_instance_cache()
    return bool(luigi.build(list(tasks), local_scheduler=True, log_level="WARNING"))


def write_hdf5(path: Path, name: str, voxels: npt.NDArray[Any], voxel_size: Any, offset: Any) -> str:
    """A CREMI-like dataset; `offset` in voxels. Returns its URL."""
    with h5py.File(path, "a") as file:
        node = file.create_dataset(name, data=voxels)
        node.attrs["resolution"] = np.array(voxel_size, float)
        node.attrs["offset"] = np.array(offset, float) * voxel_size
    return f"{path}:/{name}"


def smooth_affinities(shape: tuple[int, int, int], seed: int, sigma: float = 1.5) -> npt.NDArray[np.float32]:
    """(3, z, y, x) affinities in [0, 1] that resemble a net's, with hardly any ties."""
    noise = np.random.default_rng(seed).random((3, *shape))
    smooth = np.stack([gaussian_filter(channel, sigma) for channel in noise])
    return ((smooth - smooth.min()) / (smooth.max() - smooth.min())).astype(np.float32)


def same_partition(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    """Whether two label arrays are equal up to the names of labels other than 0."""
    if not np.array_equal(one == 0, other == 0):
        return False
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def write_scores(root: Path, stage: str, content: Any) -> None:
    """Scores in a dataset's folder, as a stage writes them, of a truth that the recipe does not tell."""
    folder = {SEGMENTS: "evaluation", CLEFTS: "cleft_evaluation", CURVE: "threshold_curve"}[stage]
    (root / folder).mkdir()
    (root / folder / "layer.json").write_bytes(encode_json({"recipe": {"stage": stage}}))
    (root / folder / FILES[stage]).write_bytes(encode_document(content))


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, except the logs, which hold times."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if path.relative_to(folder).parts[0] != "logs"
    }


IDENTITY_JOB = """
[Dataset]
root = {folder}/out
image = {folder}/a.h5:/raw
chunk_shape = 16,16,16
inner_chunk = 8,8,8
[Inference]
framework = identity
input_patch = 10,12,14
output_patch = 8,8,10
overlap = 2,2,2
[core]
autoload_range = false
"""


def write_identity_job(folder: Path, shape: tuple[int, int, int], offset: tuple[int, int, int], more: str = "") -> None:
    """An image and a luigi.cfg for a whole job by the identity net; `more` is appended to the section `core`."""
    image = np.rint(smooth_affinities(shape, 0)[0] * 255).astype(np.uint8)
    write_hdf5(folder / "a.h5", "raw", image, (40, 4, 4), offset)
    (folder / "luigi.cfg").write_text(IDENTITY_JOB.format(folder=folder) + more)
