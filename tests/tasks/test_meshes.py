"""Meshes over grids, mips and places: fragments close bit by bit, and cloud-volume finds them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from cloudvolume import CloudVolume
from scipy.ndimage import gaussian_filter

from lchunk.operators.meshing import mesh_labels
from lchunk.tasks import Mesh, MeshManifest
from lchunk.verify import verify
from lchunk.volumes import file_store
from lchunk.volumes.mesh_containers import decode_fragment
from lchunk.volumes.store import FileStore
from tests.conftest import build, write_hdf5

SHAPE = (13, 27, 31)
PLACES = [
    ((4.1, 3.3, 3.7), (-10, 200, 300)),
    ((33.33, 4.17, 4.17), (-3, -5, -7)),
    ((10 / 3, 4.5, 4), (101, 10**5 + 1, 7)),
]


def two_bodies() -> np.ndarray:
    """Labels 1 and 2, each of many parts, which touch each other and the volume's faces."""
    noise = gaussian_filter(np.random.default_rng(5).random(SHAPE), 2)
    return np.digitize(noise, np.quantile(noise, (0.4, 0.7))).astype(np.uint64)


def dataset(
    folder: Path,
    configure: Callable[..., None],
    *,
    size: tuple[float, float, float],
    start: tuple[int, int, int],
    grid: str,
    simplification: int,
) -> Path:
    labels = two_bodies()
    inside = (labels > 0).astype(np.float32) * 0.95
    # an affinity is that of a voxel and the one before it: both of one body
    affinities = np.stack([inside * (labels == np.roll(labels, 1, axis)) for axis in (2, 1, 0)])
    root = folder / f"{grid}-{simplification}"
    file = folder / f"{grid}-{simplification}.h5"
    url = write_hdf5(file, "raw", np.ones(SHAPE, np.uint8), size, start)
    configure("Dataset", root=root, image=url, chunk_shape=grid, inner_chunk=grid)
    configure("Inference", external=write_hdf5(file, "affinities", affinities, size, start))
    configure("Downsample", factor="1,2,2", mips=2)
    configure("Mesh", simplification=simplification)
    return root


def mesh_of(folder: Path, label: int) -> tuple[np.ndarray, np.ndarray]:
    """A label's mesh, which its manifest names."""
    (name,) = json.loads((folder / f"{label}:0").read_text())["fragments"]
    vertices, triangles = decode_fragment((folder / name).read_bytes())
    assert len(np.unique(vertices, axis=0)) == len(vertices)
    return vertices, triangles


def open_edges(triangles: np.ndarray) -> int:
    edges: Counter[tuple[int, int]] = Counter()
    for one, other in ((0, 1), (1, 2), (2, 0)):
        edges.update(zip(triangles[:, one].tolist(), triangles[:, other].tolist(), strict=True))
    return sum(edges[edge] != edges[edge[::-1]] for edge in edges)


@pytest.mark.parametrize("mip", [0, 1, 2])
@pytest.mark.parametrize(("size", "start"), PLACES)
def test_meshes_of_every_grid_are_closed_and_are_those_of_the_whole_volume(
    tmp_path: Path,
    configure: Callable[..., None],
    size: tuple[float, float, float],
    start: tuple[int, int, int],
    mip: int,
) -> None:
    for grid, simplification in (("8,16,16", 0), ("5,12,20", 0), ("13,28,8", 0), ("8,16,16", 100), ("5,12,20", 100)):
        root = dataset(tmp_path, configure, size=size, start=start, grid=grid, simplification=simplification)
        configure("Mesh", mip=mip)
        assert build(MeshManifest())
        voxels = zarr.open_array(root / f"segmentation/{mip}", mode="r")[:]
        factor = (1, 2**mip, 2**mip)
        # the finest voxels that a coarse one covers are counted from the volume's own first voxel
        wholes = mesh_labels(
            np.pad(voxels, 1), start=(-1, -1, -1), voxel_size=tuple(s * f for s, f in zip(size, factor, strict=True)),
            origin=tuple(o * s for o, s in zip(start, size, strict=True)), wanted=np.unique(voxels), simplification=0,
        )  # fmt: skip
        assert len(wholes) > 4
        for label, (vertices, triangles) in wholes.items():
            found, faces = mesh_of(root / "segmentation/mesh", label)
            assert open_edges(faces) == 0
            if not simplification:
                assert len(faces) == len(triangles)
                order = np.lexsort(np.round(vertices, 1).T[::-1]), np.lexsort(np.round(found, 1).T[::-1])
                assert len(found) == len(vertices)
                assert np.allclose(found[order[1]], vertices[order[0]], rtol=2e-7, atol=1e-3)


@pytest.mark.parametrize(("size", "start"), [*PLACES, ((32.5, 4.5, 4.5), (3, 5, 7)), ((40, 4, 4), (-3, 5, 7))])
def test_cloud_volume_lists_every_label_and_loads_a_closed_mesh(
    tmp_path: Path, configure: Callable[..., None], size: tuple[float, float, float], start: tuple[int, int, int]
) -> None:
    root = dataset(tmp_path, configure, size=size, start=start, grid="8,16,16", simplification=0)
    assert build(MeshManifest())
    place = tmp_path / "precomputed"
    place.mkdir()
    info = CloudVolume.create_new_info(
        num_channels=1, layer_type="segmentation", data_type="uint64", encoding="raw", resolution=list(size[::-1]),
        voxel_offset=list(start[::-1]), volume_size=SHAPE[::-1], chunk_size=[16, 16, 8], mesh="mesh",
    )  # fmt: skip
    (place / "info").write_text(json.dumps(info))
    (place / "mesh").symlink_to(root / "segmentation/mesh")
    volume = CloudVolume(f"file://{place}", progress=False)
    labels = set(np.unique(zarr.open_array(root / "segmentation/0", mode="r")[:]).tolist()) - {0}
    listed = volume.mesh.spatial_index.query(volume.bounds * volume.resolution)
    assert set(map(int, listed)) == labels
    files = volume.mesh.spatial_index.fetch_all_index_files()
    assert {int(label) for batch in files for body in batch.values() for label in json.loads(body)} == labels
    largest = max(labels, key=lambda label: len(mesh_of(root / "segmentation/mesh", label)[1]))
    mesh = volume.mesh.get(largest).consolidate()
    assert open_edges(np.asarray(mesh.faces).reshape(-1, 3)) == 0


def test_labels_that_do_not_exist_are_refused(tmp_path: Path, configure: Callable[..., None]) -> None:
    root = dataset(tmp_path, configure, size=(4, 4, 4), start=(-3, 5, 7), grid="8,16,16", simplification=0)
    wrong = np.prod(SHAPE) // 2
    configure("Mesh", ids=str(np.prod(SHAPE) + 1))
    with pytest.raises(ValueError, match=rf"Mesh-ids must be labels of the segmentation, got {np.prod(SHAPE) + 1}, wh"):
        MeshManifest().check()
    configure("Mesh", ids=str(wrong))
    assert not build(MeshManifest())  # the labels are known only when the segmentation exists
    assert not (root / "segmentation/mesh/manifest/all.json").exists()
    with pytest.raises(ValueError, match=f"Mesh-ids must be labels .*, got {wrong}, which no voxel has"):
        Mesh().check()

    labels, sizes = np.unique(zarr.open_array(root / "segmentation/0", mode="r")[:], return_counts=True)
    present = int(labels[labels > 0][np.argmax(sizes[labels > 0])])
    assert wrong not in labels
    configure("Mesh", ids=str(present), layer_name="one")
    assert build(MeshManifest())
    (done,) = MeshManifest().files().records(MeshManifest().bounds)
    assert done["labels"] == [present]
    configure("Segmentation", dust_threshold=int(sizes.max()) + 1)
    with pytest.raises(ValueError, match=f"got {present}, which no voxel has"):
        Mesh().rehearse()


def test_labels_that_an_external_segmentation_does_not_have_are_refused_by_the_manifest(
    tmp_path: Path, configure: Callable[..., None]
) -> None:
    dataset(tmp_path, configure, size=(4, 4, 4), start=(0, 0, 0), grid="8,16,16", simplification=0)
    configure("Segmentation", external=write_hdf5(tmp_path / "s.h5", "s", two_bodies(), (4, 4, 4), (0, 0, 0)))
    configure("Mesh", ids="2,3")
    assert not build(MeshManifest())
    with pytest.raises(ValueError, match="Mesh-ids must be labels of the segmentation, got 3, of which no chunk has"):
        MeshManifest().run()
    assert build(MeshManifest(prefix="2"))


def test_prefixes_and_lists_of_labels_make_a_part_of_the_same_files(
    tmp_path: Path, configure: Callable[..., None]
) -> None:
    root = dataset(tmp_path, configure, size=(4, 4, 4), start=(-3, 5, 7), grid="5,12,10", simplification=100)
    folder = root / "segmentation/mesh"
    assert build(MeshManifest())
    whole = {path.name: path.read_bytes() for path in folder.glob("*:0*")}
    labels = sorted({int(name.split(":")[0]) for name in whole})
    assert len(whole) == 2 * len(labels)
    some = labels[::3]
    for jobs, made in (
        ([MeshManifest(ids=some)], some),
        ([MeshManifest(prefix="1"), MeshManifest(prefix="7")], [n for n in labels if str(n)[0] in "17"]),
        ([MeshManifest(prefix=str(n)) for n in range(1, 10)], labels),
        ([MeshManifest(prefix=f"{some[0]}:")], some[:1]),
    ):
        for path in (*folder.glob("*:0*"), *(folder / "manifest").glob("[!l]*.json")):
            path.unlink()
        assert build(*jobs)
        found = {path.name: path.read_bytes() for path in folder.glob("*:0*")}
        assert found == {name: body for name, body in whole.items() if int(name.split(":")[0]) in made}
        assert [finding.key for finding in verify(FileStore(root), "segmentation/mesh")] == []


def test_meshes_are_on_the_disk_before_the_document_that_lists_them(
    tmp_path: Path, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = dataset(tmp_path, configure, size=(4, 4, 4), start=(0, 0, 0), grid="8,16,16", simplification=100)
    assert build(Mesh())
    done: list[str] = []
    put, flush = FileStore.put, file_store._flush_file_system

    def noting(store: FileStore, key: str, body: bytes, *, durable: bool = True) -> None:
        put(store, key, body, durable=durable)
        done.append(f"{key} {durable}")

    monkeypatch.setattr(FileStore, "put", noting)
    monkeypatch.setattr(file_store, "_flush_file_system", lambda folder: done.append(folder) or flush(folder))
    MeshManifest().run()
    meshes = [number for number, what in enumerate(done) if re.search(r"mesh/\d+:0(:.*)? False$", what)]
    assert len(meshes) > 20
    document = done.index("segmentation/mesh/manifest/all.json True")
    assert max(meshes) < done.index(str(root / "segmentation/mesh")) < document


def test_lists_of_labels_are_checked(tmp_path: Path, configure: Callable[..., None]) -> None:
    root = dataset(tmp_path, configure, size=(4, 4, 4), start=(0, 0, 0), grid="8,16,16", simplification=0)
    with pytest.raises(ValueError, match="prefix must be empty where ids are given, got 7 and 2 ids; leave one out"):
        MeshManifest(prefix="7", ids=(3, 4)).check()
    assert build(Mesh())
    wrong = int(np.prod(SHAPE)) // 2
    with pytest.raises(ValueError, match=f"MeshManifest-ids must be labels .*, got {wrong}, which no voxel has"):
        MeshManifest(ids=(wrong,)).rehearse()
    configure("Segmentation", external=write_hdf5(tmp_path / "s.h5", "s", two_bodies(), (4, 4, 4), (0, 0, 0)))
    configure("Mesh", layer_name="others")
    assert build(Mesh())
    with pytest.raises(ValueError, match=f"MeshManifest-ids must be labels .*, got {wrong}, of which no chunk has"):
        MeshManifest(ids=(1, wrong)).run()
    assert not list(root.rglob("others/*:0*"))  # refused before anything is written


def test_a_run_that_failed_between_two_labels_is_resumed_with_the_same_bytes(
    tmp_path: Path, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = dataset(tmp_path, configure, size=(4, 4, 4), start=(0, 0, 0), grid="5,12,10", simplification=100)
    assert build(MeshManifest())
    before = {path: path.read_bytes() for path in (root / "segmentation/mesh").rglob("*") if path.is_file()}
    for path in before:
        if path.name != "info":
            path.unlink()
    calls = iter(range(1000))
    put = FileStore.put

    def until(store: FileStore, key: str, body: bytes, *, durable: bool = True) -> None:
        if "mesh/" in key and next(calls) == 40:
            raise OSError(28, "No space left on device", key)
        put(store, key, body, durable=durable)

    monkeypatch.setattr(FileStore, "put", until)
    assert not build(MeshManifest())
    assert not (root / "segmentation/mesh/manifest/all.json").exists()
    assert build(MeshManifest())
    assert {path: path.read_bytes() for path in before} == before


def test_meshes_have_a_name_where_their_mip_is_refused(tmp_path: Path, configure: Callable[..., None]) -> None:
    dataset(tmp_path, configure, size=(4, 4, 4), start=(0, 0, 0), grid="8,16,16", simplification=0)
    configure("Mesh", mip=3)
    with pytest.raises(ValueError, match="mip must be at most Downsample-mips, 2, got 3"):
        Mesh().check()
    assert repr(Mesh()).endswith("/segmentation/mesh")  # Luigi prints it with the error
    assert repr(MeshManifest()).endswith("/segmentation/mesh/manifest")
