"""Layers never mix: creation is a race that one wins, and files that change are noticed."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import luigi
import numpy as np
import pytest
from luigi.task_register import Register

from lchunk.geometry.bbox import Bbox
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Ingest
from lchunk.tasks import recipes as recipes_module
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.reads import Reads
from lchunk.tasks.recipes import OF_EVERY_STAGE
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import DOCUMENT
from tests.conftest import build, write_hdf5

IMAGE = np.random.default_rng(0).integers(1, 255, (8, 16, 16)).astype(np.uint8)


class CutForTest(Stage):
    """Voxels above a threshold."""

    reads = (Reads(Ingest),)
    layer = "cut"

    threshold: float = luigi.FloatParameter(default=0.5, description="share of white")

    def compute(self, image: np.ndarray) -> np.ndarray:
        return np.where(image > 255 * self.threshold, image, 0).astype(np.uint8)


class CopiedForTest(Stage):
    """Voxels of another stage."""

    reads = (Reads(CutForTest),)
    layer = "copied"

    def compute(self, cut: np.ndarray) -> np.ndarray:
        return cut


class NotesForTest(Stage):
    """A record for each chunk."""

    layer = "notes"
    format = DOCUMENT

    text: str = luigi.Parameter(default="a", description="what is noted")

    def compute_chunk(self, chunk: Chunk) -> dict[str, str]:
        return {"text": self.text}


class FileForTest(Stage):
    """Voxels that a file decides."""

    layer = "from_file"

    file: str = luigi.Parameter(description="its name", significant=False)

    def ingredients(self) -> dict[str, str]:
        return {self.file: Path(self.file).read_text()}

    def compute_chunk(self, chunk: Chunk) -> np.ndarray:
        voxels = np.full(chunk.bbox.shape, int(Path(self.file).read_text()), np.uint8)
        for hook in hooks:
            hook(chunk)
        return voxels


hooks: list[Callable[[Chunk], None]] = []


@pytest.fixture
def root(tmp_path: Path, configure: Callable[..., None]) -> Path:
    hooks.clear()
    image = write_hdf5(tmp_path / "image.h5", "raw", IMAGE, (40, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=image, chunk_shape="4,8,8", inner_chunk="4,4,4")
    return tmp_path / "out"


def test_the_parameters_that_are_no_knobs_are_those_of_the_base() -> None:
    assert set(OF_EVERY_STAGE) == {name for name, _ in Stage.get_params()}


def start(which: str, value: Any, root: str, barrier: Any, results: Any) -> None:
    """Prepare a layer, in a process that begins with others at one moment."""
    Register.clear_instance_cache()
    stage = {"voxels": CutForTest, "records": NotesForTest}[which]
    knob = {"voxels": "threshold", "records": "text"}[which]
    task = stage(root=root, **{knob: value})
    task.recipe()
    barrier.wait()
    try:
        task.prepare()
        results.put((value, task.files().recipe()["knobs"][knob]))
    except RecipeMismatchError:
        results.put((value, None))


@pytest.mark.parametrize("which", ["voxels", "records"])
def test_of_two_first_workers_with_other_knobs_one_is_refused(root: Path, which: str) -> None:
    context = multiprocessing.get_context("fork")
    values = (0.2, 0.8) if which == "voxels" else ("a", "b")
    for round_ in range(20):
        barrier, results = context.Barrier(2), context.Queue()
        folder = str(root / str(round_))
        workers = [context.Process(target=start, args=(which, value, folder, barrier, results)) for value in values]
        for worker in workers:
            worker.start()
        found = [results.get(timeout=60) for _ in workers]
        for worker in workers:
            worker.join()
        ready = [(value, stored) for value, stored in found if stored is not None]
        assert len(ready) == 1, found
        assert ready[0][1] == str(ready[0][0])


def test_a_file_that_changes_between_two_runs_is_named(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("3")
    assert build(FileForTest(file=str(file)))
    file.write_text("4")
    Register.clear_instance_cache()  # another run
    with pytest.raises(RecipeMismatchError, match=r"net\.py was 3, and is now 4"):
        FileForTest(file=str(file)).complete()


@pytest.mark.parametrize("max_blocks", [100, 1])
def test_a_file_that_changes_under_a_run_is_never_mixed(
    root: Path, tmp_path: Path, configure: Callable[..., None], max_blocks: int
) -> None:
    configure("Dataset", max_blocks=max_blocks)
    file = tmp_path / "net.py"
    file.write_text("3")
    seen: list[Chunk] = []

    def change_at_the_third(chunk: Chunk) -> None:  # Luigi makes chunks in any order
        seen.append(chunk)
        if len(seen) == 3:
            file.write_text("4")

    hooks.append(change_at_the_third)
    assert not build(FileForTest(file=str(file)))
    layer = FileForTest(file=str(file)).voxels
    there = [index for index in layer.grid if layer.store.exists(layer.keys(index)[0])]
    assert 0 < len(there) < len(layer.grid)
    assert {int(layer.read(layer.grid.chunk(index)).max()) for index in there} == {3}
    hooks.clear()
    file.write_text("3")
    assert build(FileForTest(file=str(file)))
    assert (layer.read(layer.bounds) == 3).all()


def test_a_process_that_runs_for_long_looks_at_files_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes_module, "COMPARE_SECONDS", 0.0)
    file = tmp_path / "net.py"
    file.write_text("3")
    stage = FileForTest(file=str(file))
    stage.prepare()
    file.write_text("4")
    with pytest.raises(RecipeMismatchError, match="was 3, and is now 4"):
        stage.prepare()


def test_an_external_volume_that_is_written_again_is_noticed(
    root: Path, tmp_path: Path, configure: Callable[..., None]
) -> None:
    configure("Ingest", external=f"{tmp_path}/image.h5:/raw")
    assert build(CutForTest())
    (root / "cut/0/c/0/0/0").unlink()
    with h5py.File(tmp_path / "image.h5", "a") as file:
        file["raw"][:4] = 9
    os.utime(tmp_path / "image.h5", (1, 1))
    Register.clear_instance_cache()
    with pytest.raises(RecipeMismatchError, match=r"image\.h5"):
        CutForTest().complete()


def test_knobs_that_differ_in_the_last_bit_differ(root: Path) -> None:
    assert build(CutForTest(threshold=0.12345678901234566))
    with pytest.raises(RecipeMismatchError, match="threshold"):
        CutForTest(threshold=0.12345678901234568).complete()


def test_voxel_sizes_are_compared_in_full(root: Path, configure: Callable[..., None]) -> None:
    assert build(CutForTest())
    configure("Dataset", voxel_size="40.00001,4,4")
    with pytest.raises(RecipeMismatchError, match="voxel-size"):
        CutForTest().complete()


def test_the_advice_to_remove_is_a_command_that_works(tmp_path: Path, configure: Callable[..., None]) -> None:
    odd = tmp_path / "a b;touch c'"
    odd.mkdir()
    image = write_hdf5(tmp_path / "image.h5", "raw", IMAGE, (40, 4, 4), (0, 0, 0))
    configure("Dataset", root=odd / "out", image=image, chunk_shape="4,8,8", inner_chunk="4,4,4")
    assert build(CutForTest())
    with pytest.raises(RecipeMismatchError) as error:
        CutForTest(threshold=0.25).complete()
    line = next(line for line in str(error.value).splitlines() if "rm -r" in line)
    command = line[line.index("rm -r") :]
    assert shlex.split(command) == ["rm", "-r", f"{odd}/out/cut"]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert not (odd / "out/cut").exists()
    assert (odd / "out/image").exists()
    assert not (tmp_path / "c'").exists()


def test_a_layer_of_an_unknown_maker_is_refused(root: Path) -> None:
    (root / "cut/0").mkdir(parents=True)
    (root / "cut/0/zarr.json").write_text('{"zarr_format": 3, "node_type": "array", "attributes": {}}')
    with pytest.raises(RecipeMismatchError, match="another program or version"):
        CutForTest().complete()


def test_importing_the_stages_leaves_other_people_s_tasks_alone() -> None:
    code = (
        "import luigi; before = {k: dict(v) for k, v in luigi.Task._event_callbacks.items()};"
        "import lchunk.tasks, lchunk.workers.worker;"
        "after = {k: dict(v) for k, v in luigi.Task._event_callbacks.items() if k.__name__ != 'Stage'};"
        "assert before == after, (before, after)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_whole_layers_of_this_recipe_are_read(root: Path) -> None:
    assert build(CutForTest(layer_name="other", threshold=0.25))
    layer = CutForTest(layer_name="other", threshold=0.25).voxels
    assert np.array_equal(layer.read(Bbox((0, 0, 0), (8, 16, 16))), np.where(IMAGE > 63.75, IMAGE, 0))


def test_only_knobs_that_change_the_result_are_in_the_recipe(root: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("3")
    assert FileForTest(file=str(tmp_path / "net.py")).recipe()["knobs"] == {}
    assert CutForTest(layer_name="other").recipe()["knobs"] == {"threshold": "0.5"}


def test_whether_absent_chunks_of_an_external_volume_are_zeros_is_in_the_recipe(
    root: Path, tmp_path: Path, configure: Callable[..., None]
) -> None:
    url = f"{tmp_path}/image.h5:/raw"
    sources = []
    for fill in (False, True):
        configure("Ingest", external=url, fill_missing=fill)
        sources.append(CutForTest().recipe()["reads"]["image"])
    assert sources[0].startswith(f"{url}: ")
    assert sources[1] == sources[0].replace(url, f"{url} with absent chunks as 0", 1)


def test_absent_chunks_are_zeros_only_where_the_stage_has_that_choice(
    root: Path, tmp_path: Path, configure: Callable[..., None]
) -> None:
    url = f"{tmp_path}/image.h5:/raw"
    configure("CutForTest", external=url)
    assert CopiedForTest().recipe()["reads"]["cut"].startswith(f"{url}: ")


def test_records_have_no_inner_chunks(root: Path, configure: Callable[..., None]) -> None:
    configure("Dataset", inner_chunk="4,8,3")
    NotesForTest().check()
    assert NotesForTest().recipe()["files"] == {"chunk_shape": [4, 8, 8]}
