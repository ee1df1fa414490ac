"""Meshes with levels of detail: closed at every level, equal to the others at level 0, and read by other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cloudvolume import CloudVolume
from scipy.spatial import cKDTree

from lchunk.tasks import MeshManifest, MultiResMesh
from tests.conftest import build, write_hdf5
from tests.tasks.multires_reader import check, read
from tests.tasks.test_meshes import PLACES, SHAPE, dataset, mesh_of, two_bodies


def turned(triangles: np.ndarray) -> np.ndarray:
    """Triangles that begin with their smallest number, sorted."""
    first = triangles.argmin(axis=1)[:, None]
    rows = np.take_along_axis(triangles, (first + np.arange(3)) % 3, axis=1)
    return rows[np.lexsort(rows.T[::-1])]


@pytest.mark.parametrize("made", [("7,14,4", 0), ("5,12,10", 100), ("13,28,8", 0)])
@pytest.mark.parametrize(("size", "start"), PLACES)
def test_every_level_is_closed_and_nests_and_level_0_is_the_mesh(
    tmp_path: Path,
    configure: Callable[..., None],
    size: tuple[float, float, float],
    start: tuple[int, int, int],
    made: tuple[str, int],
) -> None:
    grid, simplification = made
    root = dataset(tmp_path, configure, size=size, start=start, grid=grid, simplification=simplification)
    assert build(MeshManifest(), MultiResMesh(max_error=4.0))
    meshes = read(root / "segmentation/mesh_multires")
    assert set(meshes) == {int(path.name.split(":")[0]) for path in (root / "segmentation/mesh").glob("*:0")}
    assert len(meshes) > 20
    counts = np.zeros(2)
    for label, mesh in meshes.items():
        check(mesh)
        vertices, triangles = mesh_of(root / "segmentation/mesh", label)
        found, faces = mesh.whole(0)
        assert (len(found), len(faces)) == (len(vertices), len(triangles))
        step = mesh.box / mesh.most
        near = 0.51 * step + 2e-7 * np.abs(vertices).max()  # half a step of the grid; what float32 resolves
        tree = cKDTree((vertices - mesh.origin) / near)
        distance, nearest = tree.query(mesh.box * found / mesh.most / near, p=np.inf)
        assert distance.max() <= 1
        assert len(set(nearest.tolist())) == len(found)
        assert np.array_equal(turned(nearest[faces]), turned(triangles))
        counts += [len(faces), len(mesh.whole(len(mesh.fragments) - 1)[1])]
    assert max(len(mesh.fragments) for mesh in meshes.values()) >= (4 if grid == "7,14,4" else 3)
    assert simplification or counts[1] < counts[0] / 2


def test_cloud_volume_loads_every_level_of_every_label(tmp_path: Path, configure: Callable[..., None]) -> None:
    size, start = PLACES[0]
    root = dataset(tmp_path, configure, size=size, start=start, grid="5,12,10", simplification=100)
    assert build(MeshManifest(), MultiResMesh(shard_bits=2))
    place = tmp_path / "precomputed"
    place.mkdir()
    info = CloudVolume.create_new_info(
        num_channels=1, layer_type="segmentation", data_type="uint64", encoding="raw", resolution=list(size[::-1]),
        voxel_offset=list(start[::-1]), volume_size=SHAPE[::-1], chunk_size=[16, 16, 8], mesh="mesh",
    )  # fmt: skip
    (place / "info").write_text(json.dumps(info))
    (place / "mesh").symlink_to(root / "segmentation/mesh_multires")
    volume = CloudVolume(f"file://{place}", progress=False)
    listed = json.loads((root / "segmentation/mesh/manifest/all.json").read_text())["labels"]
    assert len(list((root / "segmentation/mesh_multires").glob("[0-3].shard"))) == 4
    for label in listed:
        vertices, triangles = mesh_of(root / "segmentation/mesh", label)
        levels = volume.mesh.get_manifest(label).num_lods
        for level in range(levels):
            mesh = volume.mesh.get(label, lod=level)[label]
            if level:
                continue
            found = np.unique(np.round(mesh.vertices, 2), axis=0)
            assert len(mesh.faces) == len(triangles)
            assert cKDTree(vertices).query(found)[0].max() < 0.02
            assert cKDTree(found).query(vertices)[0].max() < 0.02
    assert volume.mesh.get_manifest(max(listed) + 1) is None


def test_ten_bits_join_vertices_and_leave_no_gap(tmp_path: Path, configure: Callable[..., None]) -> None:
    root = dataset(tmp_path, configure, size=(4, 4, 4), start=(0, 0, 0), grid="5,12,10", simplification=0)
    assert build(MultiResMesh(bits=10, max_error=0.5))
    meshes = read(root / "segmentation/mesh_multires")
    assert all(mesh.bits == 10 for mesh in meshes.values())
    for mesh in meshes.values():
        check(mesh)


def test_a_mesh_of_a_coarser_mip_and_of_chosen_labels(tmp_path: Path, configure: Callable[..., None]) -> None:
    size, start = PLACES[1]
    root = dataset(tmp_path, configure, size=size, start=start, grid="5,12,20", simplification=0)
    configure("Mesh", mip=1)
    assert build(MeshManifest(), MultiResMesh())
    meshes = read(root / "segmentation/mesh_multires")
    assert len(meshes) > 10
    two_voxels = 2 * 3 / (1 / size[0] + 1 / (2 * size[1]) + 1 / (2 * size[2]))
    for label, mesh in meshes.items():
        check(mesh)
        assert mesh.scales == pytest.approx([two_voxels / 4 * 2**n for n in range(len(mesh.scales))])
        vertices, _ = mesh_of(root / "segmentation/mesh", label)
        found = mesh.nanometres(mesh.whole(0)[0], 0)
        assert np.allclose(found.min(axis=0), vertices.min(axis=0), atol=0.02)
        assert np.allclose(found.max(axis=0), vertices.max(axis=0), atol=0.02)
    some = sorted(meshes)[::5]
    configure("Mesh", ids=",".join(map(str, some)), layer_name="chosen")
    assert build(MultiResMesh())
    assert sorted(read(root / "segmentation/chosen_multires")) == some


def test_a_label_without_a_mesh_is_refused_by_its_shard(tmp_path: Path, configure: Callable[..., None]) -> None:
    root = dataset(tmp_path, configure, size=(4, 4, 4), start=(0, 0, 0), grid="5,12,10", simplification=0)
    labels = write_hdf5(tmp_path / "s.h5", "s", two_bodies(), (4, 4, 4), (0, 0, 0))
    configure("Segmentation", external=labels)
    configure("Mesh", ids="2,3")
    configure("MultiResMesh", shard_bits=3)
    assert not build(MultiResMesh())
    written = read(root / "segmentation/mesh_multires")
    assert set(written) == {2}
    of_both = MultiResMesh().sharding.shard_of(np.array([2, 3], np.uint64)).tolist()
    assert of_both[0] != of_both[1]
    with pytest.raises(ValueError, match=r"Mesh-ids must be labels .*, got 3, of which no chunk has a mesh"):
        MultiResMesh(region=f"0-1_0-1_{of_both[1]}-{of_both[1] + 1}").run()
