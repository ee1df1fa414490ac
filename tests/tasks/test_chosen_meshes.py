"""Meshes of a few segments: from the chunks that hold them alone, the same bytes as from meshes of all chunks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from lchunk.cli.layout import job_stages
from lchunk.cli.planning.forecast import stages_of
from lchunk.geometry.bbox import Bbox
from lchunk.operators.meshing import mesh_labels
from lchunk.status.folders import followed
from lchunk.tasks import Mesh, MeshManifest, Segmentation, meshes
from lchunk.tasks.making import ChunksFailedError
from lchunk.verify import verify
from lchunk.viewer.selection import segments_with_meshes
from lchunk.volumes.store import FileStore
from lchunk.workers.ready import Job
from tests.conftest import build, smooth_affinities, write_hdf5

START, SIZE = (-3, 5, 7), (40.0, 8.0, 8.0)
SHAPE = (12, 21, 34)
"""At mip 1, the last chunk of the first grid is one voxel wide along y."""
GRIDS = ("4,10,8", "5,28,12")


@pytest.fixture
def dataset(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., Path]:
    """Sets the cfg of a dataset of its own, of affinities in chunks of a shape; gives its folder."""
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros(SHAPE, np.uint8), SIZE, START)
    write_hdf5(tmp_path / "a.h5", "a", smooth_affinities(SHAPE, 5), SIZE, START)

    def described(name: str, grid: str, edits: str = "") -> Path:
        image = f"{tmp_path}/a.h5:/raw"
        configure("Dataset", root=tmp_path / name, image=image, chunk_shape=grid, inner_chunk="1,2,4", max_blocks=4)
        configure("Inference", external=f"{tmp_path}/a.h5:/a")
        (tmp_path / "edits.csv").write_text(edits)
        configure("Segmentation", threshold=0.5, edits=tmp_path / "edits.csv" if edits else "")
        configure("Downsample", factor="1,2,2", mips=1)
        return tmp_path / name

    return described


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """The first voxels of what `Mesh` has looked at since the list was cleared."""
    seen: list[tuple[int, int, int]] = []

    def noted(labels: Any, **knobs: Any) -> Any:
        seen.append(knobs["start"])
        return mesh_labels(labels, **knobs)

    monkeypatch.setattr(meshes, "mesh_labels", noted)
    return seen


def voxels_of(root: Path, mip: int = 0) -> np.ndarray:
    return zarr.open_array(root / f"segmentation/{mip}", mode="r")[:]


def mesh_files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "segmentation/mesh").glob("*:0*")}


def needed(root: Path, mip: int, labels: list[int]) -> set[tuple[int, int, int]]:
    """The first voxels of what must be read: boxes of chunks with one of the labels in them, or right behind them."""
    voxels, mesh = voxels_of(root, mip), Mesh()
    found = set()
    for chunk in map(mesh.grid.chunk, mesh.grid):
        seen = mesh.reach(mesh.reading()[0], chunk)
        if np.isin(voxels[seen.clipped(mesh.bounds).slices(mesh.bounds.start)], labels).any():
            found.add(seen.start)
    return found


@pytest.mark.parametrize("mip", [0, 1])
@pytest.mark.parametrize("grid", GRIDS)
def test_they_are_the_same_as_with_meshes_of_all_chunks(
    dataset: Callable[..., Path], configure: Callable[..., None], made: list[Any], grid: str, mip: int
) -> None:
    root = dataset("a", grid)
    configure("Mesh", mip=mip)
    assert build(MeshManifest())
    everything = mesh_files(root)
    voxels = voxels_of(root, mip)
    labels, sizes = np.unique(voxels[voxels > 0], return_counts=True)
    order = labels[np.argsort(-sizes, kind="stable")].tolist()
    for chosen in (order[:1], [order[3], order[-1]], order[20:60], order[-1:]):
        shutil.rmtree(root / "segmentation/mesh")
        made.clear()
        assert build(MeshManifest(ids=chosen))
        assert not (root / "segmentation/mesh/c").exists()
        assert mesh_files(root) == {
            name: body for name, body in everything.items() if int(name.partition(":")[0]) in chosen
        }
        assert needed(root, mip, chosen) <= set(made)
        assert len(made) == len(set(made)) <= len(Mesh().grid)
        assert not list(verify(FileStore(root)))
        assert {part.stage for part in followed(FileStore(root))}.isdisjoint({"Mesh"})
        assert segments_with_meshes(FileStore(root), "segmentation/mesh") == sorted(chosen)
    assert len(made) <= 8  # the smallest one is in one chunk, and others before it may touch it


def test_chunks_that_are_made_are_read_and_others_are_not_planned(
    dataset: Callable[..., Path], made: list[Any]
) -> None:
    root = dataset("a", GRIDS[0])
    assert build(Segmentation(), Mesh(region=Bbox((-3, 5, 7), (5, 26, 41))))
    files = {path: path.read_bytes() for path in (root / "segmentation/mesh/c").rglob("*.fragments")}
    assert 0 < len(files) < len(Mesh().grid)
    voxels = voxels_of(root)
    label = next(n for n in np.unique(voxels[8]) if n and (voxels[0] == n).any())
    manifest = MeshManifest(ids=[int(label)])
    for stages in (job_stages(manifest), stages_of([manifest])):
        families = {stage.task_family for stage in stages}
        assert {"MeshManifest", "Segmentation", "SegmentNames"} <= families
        assert "Mesh" not in families
    assert [task.task_family for task in Job.of(manifest).ready] == ["MeshManifest"]
    made.clear()
    assert build(manifest)
    assert made
    assert all(start[0] >= 5 for start in made)
    assert {path: path.read_bytes() for path in (root / "segmentation/mesh/c").rglob("*.fragments")} == files
    dataset("b", GRIDS[0])
    assert build(MeshManifest())
    assert mesh_files(root).items() <= mesh_files(root.parent / "b").items()


def test_parts_that_an_edit_has_joined_are_all_found(dataset: Callable[..., Path]) -> None:
    root = dataset("a", GRIDS[0])
    assert build(Segmentation())
    voxels = voxels_of(root)
    one, other = int(voxels[:4, :9, :8].max()), int(voxels[-4:, -9:, -8:].max())
    assert one
    assert other
    assert one != other
    root = dataset("b", GRIDS[0], f"merge,{one},{other}\n")
    assert build(MeshManifest(ids=[min(one, other)]))
    few = mesh_files(root)
    dataset("c", GRIDS[0], f"merge,{one},{other}\n")
    assert build(MeshManifest())
    assert len(few) == 2
    assert few.items() <= mesh_files(root.parent / "c").items()


def test_labels_that_nothing_has_are_refused(dataset: Callable[..., Path]) -> None:
    root = dataset("a", GRIDS[0])
    assert build(Segmentation())
    voxels = voxels_of(root)
    absent = int(np.setdiff1d(np.arange(1, voxels.size), voxels)[0])
    manifest = MeshManifest(ids=[int(voxels.max()), absent])
    assert not build(manifest)
    with pytest.raises(ValueError, match=f"MeshManifest-ids must be labels of the segmentation, got {absent}, which"):
        manifest.run()
    assert not mesh_files(root)


@pytest.mark.parametrize("others", [0, 1])
def test_labels_that_mesh_leaves_out_are_refused_before_any_work(
    dataset: Callable[..., Path], configure: Callable[..., None], others: int
) -> None:
    root = dataset("a", GRIDS[0])
    assert build(Segmentation())
    labels = np.unique(voxels_of(root))[1:4].tolist()
    configure("Mesh", ids=labels[0])
    asked = [*labels[:others], labels[-1]]
    with pytest.raises(ValueError, match=rf"MeshManifest-ids must be among Mesh-ids, got {labels[-1]}; leave Mesh-ids"):
        MeshManifest(ids=asked).check()
    assert not build(MeshManifest(ids=asked))
    assert not (root / "segmentation/mesh").exists()
    assert build(MeshManifest(ids=labels[:1]))
    assert len(mesh_files(root)) == 2


def test_a_damaged_chunk_is_told_and_nothing_is_written(dataset: Callable[..., Path]) -> None:
    root = dataset("a", GRIDS[0])
    assert build(Segmentation())
    voxels = voxels_of(root)
    label = int(voxels.max())
    for path in (root / "segmentation/0/c").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-9])
    manifest = MeshManifest(ids=[label])
    with pytest.raises(ChunksFailedError, match=r"chunks of these segments failed, the first at .*run again"):
        manifest.run()
    assert not mesh_files(root)
