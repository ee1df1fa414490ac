"""An output is complete or absent, whatever happens while it is written."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from lchunk.exports.formats import parse_target
from lchunk.exports.outputs import whole_or_nothing
from lchunk.exports.source import Source
from lchunk.exports.volumes import export_volume
from lchunk.geometry.bbox import Bbox
from tests.exports.datasets import SHAPE, START, Made
from tests.exports.readers import READERS


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_appears_at_the_end_and_nothing_else_stays(tmp_path: Path) -> None:
    with whole_or_nothing(tmp_path / "new/a.h5", replace=False) as path:
        path.write_text("whole")
        (path.parent / "scratch").write_text("more")
        assert names_in(tmp_path / "new") == [".a.h5.partial"]
    assert names_in(tmp_path / "new") == ["a.h5"]
    assert (tmp_path / "new/a.h5").read_text() == "whole"


@pytest.mark.parametrize("folder", [False, True])
def test_an_error_leaves_what_was_there(tmp_path: Path, folder: bool) -> None:
    (tmp_path / "a").mkdir() if folder else (tmp_path / "a").write_text("old")
    before = names_in(tmp_path)

    def fail() -> None:
        with whole_or_nothing(tmp_path / "a", replace=True) as path:
            path.write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert names_in(tmp_path) == before
    assert folder or (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("new", [False, True])
def test_files_and_folders_replace_each_other(tmp_path: Path, old: bool, new: bool) -> None:
    if old:
        (tmp_path / "a").mkdir()
        (tmp_path / "a/x").write_text("old")
    else:
        (tmp_path / "a").write_text("old")
    with whole_or_nothing(tmp_path / "a", replace=True) as path:
        if new:
            path.mkdir()
        (path / "y" if new else path).write_text("new")
    assert (tmp_path / ("a/y" if new else "a")).read_text() == "new"
    assert names_in(tmp_path) == ["a"]
    assert not (tmp_path / "a/x").exists()


def test_a_folder_that_a_kill_left_between_two_names_is_moved_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old").write_text("old")
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, "replace", lambda *_: os._exit(9))
        with whole_or_nothing(tmp_path / "a", replace=True) as path:
            path.mkdir()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert names_in(tmp_path) == [".a.partial"]
    with pytest.raises(FileExistsError, match="must be new"), whole_or_nothing(tmp_path / "a", replace=False):
        pass
    assert names_in(tmp_path) == ["a"]
    assert (tmp_path / "a/old").read_text() == "old"


def test_what_is_there_is_refused_before_and_after_the_work(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileExistsError, match="a, which already exists; remove it, or add --overwrite"):
        whole_or_nothing(tmp_path / "a", replace=False).__enter__()
    context = whole_or_nothing(tmp_path / "b", replace=False)
    context.__enter__().write_text("mine")
    (tmp_path / "b").write_text("of another program")
    with pytest.raises(FileExistsError, match="b, which already exists"):
        context.__exit__(None, None, None)
    assert (tmp_path / "b").read_text() == "of another program"
    assert names_in(tmp_path) == ["a", "b"]


def test_two_processes_never_write_the_same_output(tmp_path: Path) -> None:
    with whole_or_nothing(tmp_path / "a", replace=False) as path:
        path.write_text("first")
        with pytest.raises(BlockingIOError, match="a must be written by one process at a time"):
            whole_or_nothing(tmp_path / "a", replace=False).__enter__()
        with whole_or_nothing(tmp_path / "b", replace=False) as other:
            other.write_text("another")
        assert path.read_text() == "first"
    assert (tmp_path / "a").read_text() == "first"


def test_a_folder_that_was_made_anew_is_locked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, swaps = fcntl.flock, []

    def swapped(number: int, how: int) -> None:
        if not swaps:  # between opening and locking, another process ends and a third one starts
            swaps.append((tmp_path / ".a.partial").rename(tmp_path / "gone"))
            (tmp_path / ".a.partial").mkdir()
        lock(number, how)

    monkeypatch.setattr(fcntl, "flock", swapped)
    with whole_or_nothing(tmp_path / "a", replace=False) as path:
        path.write_text("whole")
        assert len(swaps) == 1
        with pytest.raises(BlockingIOError, match="one process at a time"):
            whole_or_nothing(tmp_path / "a", replace=False).__enter__()


@pytest.mark.parametrize("case", READERS)
def test_a_kill_leaves_nothing_under_the_name_and_the_next_run_sweeps(
    made: dict[str, Made], tmp_path: Path, case: str
) -> None:
    image = made["image"]
    out = tmp_path / "out"
    target = parse_target(str(out / READERS[case][0]), "" if case == "ome-tiff" else case)

    def dies(voxels: int) -> None:
        dies.pieces += 1  # type: ignore[attr-defined]
        if dies.pieces == 5:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGKILL)

    dies.pieces = 0  # type: ignore[attr-defined]
    child = os.fork()
    if not child:
        export_volume(Source(image.layer, image.layer.bounds, image.layer.dtype, report=dies), target)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert names_in(out) == [f".{target.path.name}.partial"]
    assert list((out / f".{target.path.name}.partial").iterdir())
    export_volume(Source(image.layer, image.layer.bounds, image.layer.dtype), target)
    assert names_in(out) == [target.path.name]
    assert np.array_equal(READERS[case][1](target.path).voxels, image.voxels)


def test_kills_at_random_instants_never_show_half_a_folder(made: dict[str, Made], tmp_path: Path) -> None:
    image = made["image"]
    target = parse_target(f"{tmp_path}/out/a.zarr")
    source = Source(image.layer, image.layer.bounds, image.layer.dtype)
    export_volume(source, target)  # imports everything, so that kills hit the work itself
    draw = np.random.default_rng(0)
    begin = time.monotonic()
    export_volume(source, target, overwrite=True)
    duration = time.monotonic() - begin
    fresh = parse_target(f"{tmp_path}/killed/a.zarr")
    for _ in range(12):
        child = os.fork()
        if not child:
            export_volume(source, fresh, overwrite=True)
            os._exit(0)
        time.sleep(draw.uniform(0, duration))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if fresh.path.exists():
            assert np.array_equal(READERS["zarr"][1](fresh.path).voxels, image.voxels)
    export_volume(source, fresh, overwrite=True)
    assert np.array_equal(READERS["zarr"][1](fresh.path).voxels, image.voxels)
    assert names_in(tmp_path / "killed") == ["a.zarr"]


def test_an_error_of_a_value_leaves_nothing(made: dict[str, Made], tmp_path: Path) -> None:
    layer = made["segmentation"].layer
    target = parse_target(f"{tmp_path}/out/a.tif")
    with pytest.raises(ValueError, match=r"voxels of segmentation in .* must fit uint8, got \d000; .*--relabel"):
        export_volume(Source(layer, Bbox.of(START, SHAPE), np.dtype("uint8")), target)
    assert names_in(tmp_path / "out") == []
