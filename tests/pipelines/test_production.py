"""The pipeline of tasks/production.py on real EM, with small patches and the sample's net; on a queue, with a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from configparser import ConfigParser
from pathlib import Path

import h5py
import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import open_store
from lchunk.workers.address import open_queue
from tests.conftest import write_hdf5
from tests.faults.whole_job import whole_files
from tests.servers import start_lchunk

REPOSITORY = Path(__file__).parent.parent.parent
BOUNDS = Bbox((0, 0, 0), (16, 144, 144))
"""Three by three chunks."""
COARSE = (2, 8, 8)
"""Voxels in a voxel of a mask."""
SMALL = {
    "Dataset": {"chunk_shape": "16,48,48", "inner_chunk": "8,24,24"},
    "Inference": {
        "model": f"{REPOSITORY}/sample/affinity_net.py", "weights": f"{REPOSITORY}/sample/affinity_net.pt",
        "net_channels": "3", "myelin_threshold": "1", "input_patch": "16,40,40", "output_patch": "12,32,32",
        "overlap": "4,8,8", "chunk_shape": "16,48,48", "inner_chunk": "8,24,24", "batch": "2", "device": "cpu",
    },
    "Downsample": {"mips": "6", "pass_mips": "4"},
    "Mesh": {"mip": "1"},
}  # fmt: skip
"""What a small volume and another net need in place of the values of the cfg."""
PRODUCTION = ("--module", "tasks.production", "Production")
Sections = dict[str, dict[str, str]]


def masks() -> tuple[np.ndarray, np.ndarray]:
    """Where the image and where the result is erased: one whole chunk each, and spots."""
    rng = np.random.default_rng(0)
    before, after = (rng.random((2, 8, 18, 18)) < 0.1).astype(np.uint8)
    before[:, :10, :10] = 1
    after[:, 12:, 12:] = 1
    return before, after


class Production:
    """Commands with the cfg of the pipeline, in a folder with the inputs; each root has a copy of the cfg."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        before, after = masks()
        size = tuple(10 * factor for factor in COARSE)
        with h5py.File(f"{REPOSITORY}/sample/fib25.h5") as file:
            image = file["volumes/raw"][BOUNDS.slices()]
        (folder / "levels/0").mkdir(parents=True)
        for z, section in enumerate(image):
            levels = np.bincount(section.ravel(), minlength=256).tolist()
            (folder / f"levels/0/{z}").write_text(json.dumps({"levels": levels}))
        self.image = write_hdf5(folder / "image.h5", "raw", image, (10, 10, 10), (0, 0, 0))
        self.before = write_hdf5(folder / "masks.h5", "before", before, size, (0, 0, 0))
        self.after = write_hdf5(folder / "masks.h5", "after", after, size, (0, 0, 0))

    def configure(self, root: str, **changes: dict[str, str]) -> None:
        """Write the cfg of a root: that of the pipeline, with values for the small volume, and others."""
        cfg = ConfigParser()
        cfg.read(REPOSITORY / "tasks/production.cfg")
        inputs: Sections = {
            "Dataset": {"root": f"{self.folder}/{root}"},
            "Ingest": {"external": self.image},
            "SectionLevels": {"external": f"{self.folder}/levels/0"},
            "Inference": {"input_mask": self.before, "output_mask": self.after},
        }
        for sections in (SMALL, inputs):
            for section, knobs in sections.items():
                assert set(knobs) <= set(cfg[section])  # otherwise the cfg leaves out what a user has to change
                cfg[section].update(knobs)
        cfg.read_dict(changes)
        with open(self.folder / f"{root}.cfg", "w") as file:
            cfg.write(file)

    def start(self, root: str, log: str, *words: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "PYTHONPATH": str(REPOSITORY), "LUIGI_CONFIG_PATH": f"{self.folder}/{root}.cfg", "OMP_NUM_THREADS": "1"
        }  # fmt: skip
        return start_lchunk(self.folder, log, words, environment)

    def run(self, root: str, *words: str) -> None:
        """Run a command that must succeed."""
        code = self.start(root, "run.log", *words).wait(timeout=300)
        assert code == 0, (self.folder / "run.log").read_text()[-3000:]

    def voxels(self, root: str, layer: str, mip: int = 0) -> np.ndarray:
        opened = open_layer(open_store(f"{self.folder}/{root}"), layer, mip)
        return opened.read(opened.bounds)

    def chunks(self, root: str) -> int:
        """How many chunk files of affinities there are."""
        return len([path for path in self.folder.glob(f"{root}/affinities/0/c/**/*") if path.is_file()])


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Production:
    """The whole job in one process, into the root `whole`."""
    made = Production(tmp_path_factory.mktemp("production"))
    made.configure("whole")
    made.run("whole", "run", *PRODUCTION)
    return made


def test_what_is_masked_costs_no_net_time_and_the_log_says_so(production: Production) -> None:
    (log,) = (production.folder / "whole/logs/affinities").iterdir()
    chunks = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(chunks) == 9
    skipped = {chunk["bbox"]: chunk["seconds"] for chunk in chunks if "skipped" in chunk}
    assert set(skipped) == {"0-16_0-48_0-48", "0-16_96-144_96-144"}
    computed = min(chunk["seconds"]["compute"] for chunk in chunks if "skipped" not in chunk)
    assert max(seconds["compute"] for seconds in skipped.values()) < computed
    voxels = production.voxels("whole", "affinities")
    assert not voxels[:, :, :48, :48].any()
    assert not voxels[:, :, 96:, 96:].any()
    assert 0.3 < (voxels > 0).mean() < 0.9


def test_one_pass_is_contrast_and_mask_then_the_net_then_a_mask(production: Production) -> None:
    contrast = {"lower": "0.0023", "upper": "0.01"}
    mask = {"of": "contrast", "mask": production.before, "inverse": "true"}
    net = {"of": "masked", "contrast": "false", "input_mask": "", "output_mask": ""}
    production.configure("steps", SectionLevels={"external": ""}, Contrast=contrast, Mask=mask, Inference=net)
    production.run("steps", "run", "Inference")
    mask = {"of": "affinities", "mask": production.after, "inverse": "true"}
    production.configure("last", Inference={"external": f"{production.folder}/steps/affinities"}, Mask=mask)
    production.run("last", "run", "Mask")
    assert np.array_equal(production.voxels("whole", "affinities"), production.voxels("last", "masked"))
    assert (production.voxels("steps", "affinities") != production.voxels("last", "masked")).any()


def test_mips_come_in_two_passes_and_the_thumbnail_is_one_of_them(production: Production) -> None:
    finest = production.voxels("whole", "affinities").astype(float)
    for mip in range(1, 5):
        side = 1 << mip
        means = finest.reshape(3, 16, 144 // side, side, 144 // side, side).mean((3, 5))
        assert np.array_equal(production.voxels("whole", "affinities", mip), np.floor(means + 1e-9))
    logs = production.folder / "whole/logs/affinities-mips"
    assert sorted(path.name for path in logs.iterdir()) == ["0", "4"]
    assert production.voxels("whole", "affinities", 6).shape == (3, 16, 3, 3)
    picture = production.voxels("whole", "affinities", 5)[2]
    assert np.array_equal(production.voxels("whole", "affinities_thumbnail"), picture)


def test_workers_on_a_queue_of_which_one_is_killed_write_the_same_bytes(production: Production) -> None:
    address = f"{production.folder}/queue"
    production.configure("queued")
    production.run("queued", "queue", "create", address)
    sender = production.start(
        "queued", "sender.log", "enqueue", *PRODUCTION, "--queue", address, "--until-done", "--every", "0.5"
    )
    workers = []
    work = ("queued", "workers.log", "work", "--queue", address, "--visibility", "3", "--back-off", "0.5")
    try:
        workers.append(production.start(*work))
        until = time.monotonic() + 120
        while production.chunks("queued") < 3 and time.monotonic() < until:
            time.sleep(0.02)
        workers[0].kill()
        assert workers[0].wait(timeout=60) == -signal.SIGKILL
        assert 3 <= production.chunks("queued") < 9
        workers.append(production.start(*work))
        assert sender.wait(timeout=240) == 0, (production.folder / "sender.log").read_text()[-3000:]
    finally:
        for process in (sender, *workers):
            process.terminate()
            process.wait(timeout=60)
    assert open_queue(address).counts().open == 0
    assert whole_files(production.folder / "queued") == whole_files(production.folder / "whole")


def test_only_the_segments_that_are_named_get_meshes(production: Production) -> None:
    production.configure("meshed", Inference={"external": f"{production.folder}/whole/affinities"})
    production.run("meshed", "run", "Segmentation")
    labels, sizes = np.unique(production.voxels("meshed", "segmentation"), return_counts=True)
    largest = labels[1:][np.argsort(sizes[1:])[-2:]].tolist()
    ids = ",".join(map(str, largest))
    production.run("meshed", "run", *PRODUCTION[:-1], "ProductionMeshes", "--Mesh-ids", ids)
    found = {path.name for path in (production.folder / "meshed/segmentation/mesh").glob("*:0")}
    assert found == {f"{label}:0" for label in largest}
