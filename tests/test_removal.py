"""`lchunk remove`: what goes, what stays, and that the next run makes the very same files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import luigi
import pytest

from lchunk.cli.line import main
from lchunk.parts import keys_of, parts_of
from lchunk.removal import removals, remove
from lchunk.tasks import Agglomeration, Downsample, Inference, Ingest, Mesh, MeshManifest, Segmentation
from lchunk.verify import Fault
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.store import FileStore
from tests.conftest import build, files_of
from tests.test_verify import EverythingForTest, faults, root, whole  # noqa: F401 - fixtures
from tests.volumes.test_bucket_store import MemoryBucket

MESH = re.compile(r"segmentation/mesh/\d+:0(:.+)?")
"""Meshes and manifests, which a killed removal leaves without their list, as a killed run does."""
UPSTREAM = ("affinities", "local_fragments", "region_graph")


def paths(root: Path, layer: str, *, downstream: bool = False) -> list[str]:  # noqa: F811
    return [removal.path for removal in removals(FileStore(root), layer, downstream=downstream)]


def test_what_was_made_from_a_layer_goes_before_it(root: Path) -> None:  # noqa: F811
    found = paths(root, "agglomeration", downstream=True)
    levels = [path for path in found if path.startswith("agglomeration/")]
    assert levels == [f"agglomeration/{n}" for n in reversed(range(Agglomeration().top + 1))]
    assert found[-len(levels) :] == levels
    for path in ("segmentation", "segmentation/1", "segmentation/names/0", "segmentation/mesh", "evaluation"):
        assert path in found
    assert found.index("segmentation/mesh/manifest") < found.index("segmentation/mesh") < found.index("segmentation")
    assert not set(UPSTREAM) & set(found)
    recipes = {part.path: part.recipe for part in parts_of(FileStore(root), keys_of(FileStore(root)))}
    for place, path in enumerate(found):
        assert not set(recipes[path].get("reads", {})) & set(found[:place]), f"{path} is made from what went before it"
    assert paths(root, "agglomeration/1") == ["agglomeration/1"]


@pytest.mark.parametrize(
    ("layer", "task"),
    [
        ("affinities", Inference), ("agglomeration", Agglomeration), ("segmentation/1", Downsample),
        ("segmentation/mesh", MeshManifest), ("contingency", EverythingForTest), ("segmentation", Segmentation),
    ],
)  # fmt: skip
def test_all_that_was_removed_is_made_again(root: Path, layer: str, task: type[luigi.Task]) -> None:  # noqa: F811
    before = files_of(root)
    for downstream in (False, True):
        if downstream or layer != "contingency":  # a complete root is not looked behind
            main(["remove", layer, str(root), "--yes", *(["--downstream"] if downstream else [])])
            left = files_of(root)
            assert left.items() < before.items() or layer == "segmentation/1"  # the image lists the mips that are left
            assert not [key for key in left if key.startswith(f"{layer}/")]
            assert not (root / layer).exists()
            assert {fault for fault, _ in faults(root)} <= {Fault.MISSING, Fault.DAMAGED}
            assert [key for fault, key in faults(root) if fault is Fault.DAMAGED] in (
                [],
                [key for key in before if key.startswith("segmentation/mesh/manifest/") and key in left],
            )
        assert build(task())
        assert build(EverythingForTest())
        assert files_of(root) == before


def test_without_yes_nothing_is_removed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    before = files_of(root)
    main(["remove", "segmentation", str(root), "--downstream"])
    assert files_of(root) == before
    *lines, last = capsys.readouterr().out.splitlines()
    assert last.startswith("dry run: nothing removed")
    assert sum(int(line.split()[1].replace(",", "")) for line in lines) == int(last.split("these ")[1].split()[0])


def test_a_region_is_its_chunks_and_all_that_was_made_from_them(root: Path) -> None:  # noqa: F811
    before, region = files_of(root), "-2-6_5-21_0-32"
    main(["remove", "segmentation", str(root), f"--region={region}", "--yes"])
    gone = {"segmentation/0/c/0/0/0", "segmentation/0/c/0/0/1"}
    assert before.keys() - files_of(root).keys() == gone
    assert build(Segmentation())
    assert files_of(root) == before
    main(["remove", "segmentation", str(root), f"--region={region}", "--yes", "--downstream"])
    left = files_of(root)
    assert not [key for key in left if key.startswith(("segmentation/mesh/", "segmentation/1/", "evaluation/"))]
    assert "segmentation/0/c/1/0/0" in left
    assert build(EverythingForTest())
    assert files_of(root) == before


class Killed(Exception):  # noqa: N818
    """A kill after some files."""


def kill_after(files: int) -> Callable[[int], None]:
    def progress(done: int) -> None:
        if done == files:
            raise Killed

    return progress


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize(
    ("layer", "downstream"),
    [("affinities", True), ("segmentation/mesh", False), ("segmentation/1", False), ("image", False)],
)
def test_a_killed_removal_is_mended_by_the_next_run_and_ended_by_the_next_removal(
    root: Path,  # noqa: F811
    layer: str,
    *,
    downstream: bool,
    again: bool,
) -> None:
    before, store = files_of(root), FileStore(root)
    total = sum(removal.files for removal in removals(store, layer, downstream=downstream))
    for files in {1, *range(3, total, max(1, total // 9)), total - 1}:
        with pytest.raises(Killed):
            remove(store, removals(store, layer, downstream=downstream), kill_after(files))
        found = [(fault, key) for fault, key in faults(root) if not MESH.fullmatch(key)]
        assert {fault for fault, _ in found} <= {Fault.MISSING, Fault.DAMAGED}, "no chunk without its recipe"
        if again:
            remove(store, removals(store, layer, downstream=downstream))
            assert not (root / layer).exists()
        # each by its own run: a complete root is not looked behind
        assert build(*(stage() for stage in (Ingest, Inference, Downsample, Mesh, MeshManifest, EverythingForTest)))
        assert files_of(root) == before, files


def test_a_bucket_loses_the_same_files(root: Path) -> None:  # noqa: F811
    bucket = MemoryBucket(page=1000)
    store = BucketStore(bucket, "data")
    for key, body in files_of(root).items():
        store.put(key, body)
    remove(store, removals(store, "agglomeration", downstream=True))
    main(["remove", "agglomeration", str(root), "--downstream", "--yes"])
    assert {name.removeprefix("data/") for name in bucket.objects} == files_of(root).keys()


@pytest.mark.parametrize("layer", ["segmentatio", "seg", "", "/", "..", "logs"])
def test_a_folder_that_is_no_layer_is_refused(root: Path, layer: str) -> None:  # noqa: F811
    with pytest.raises(SystemExit, match=r"must hold the layer .*, but holds affinities, agglomeration/0"):
        main(["remove", layer, str(root), "--yes"])


@pytest.mark.parametrize(
    ("layer", "region", "said"),
    [
        ("segmentation", "-2-6_5-21_0-31", r"region must be whole chunks of \(8, 16, 16\) over .*, got -2-6_5-21_0-31"),
        ("segmentation", "0-8", "a bbox must be written"),
        ("evaluation", "-2-10_5-37_0-33", "a region must be of a layer that is divided into chunks, got evaluation"),
        ("agglomeration", "-2-10_5-37_0-33", "a region must be of a layer that is divided into chunks"),
    ],
)
def test_a_wrong_region_is_refused(root: Path, layer: str, region: str, said: str) -> None:  # noqa: F811
    before = files_of(root)
    with pytest.raises(SystemExit, match=said):
        main(["remove", layer, str(root), f"--region={region}", "--yes"])
    assert files_of(root) == before


def test_removing_all_mips_but_the_finest_leaves_an_image_of_one(root: Path) -> None:  # noqa: F811
    remove(FileStore(root), removals(FileStore(root), "segmentation/1"))
    assert faults(root) == []
