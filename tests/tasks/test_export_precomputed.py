"""Layers as precomputed volumes: cloud-volume, tensorstore and lchunk read back what the layer holds."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from cloudvolume import CloudVolume

from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Downsample, Export, Ingest, MeshManifest, Segmentation, SkeletonMerge
from lchunk.verify import Fault, verify
from lchunk.volumes.formats import open_volume
from lchunk.volumes.precomputed import encode_labels
from lchunk.volumes.store import FileStore
from tests.conftest import build, files_of, smooth_affinities, write_hdf5
from tests.volumes.formats.precomputed_volumes import by_tensorstore

SHAPE = (13, 27, 31)
START = (-3, 5, 7)
SIZE = (33.5, 4.0, 4.0)
GRIDS = {"whole": ("13,27,31", "13,27,31"), "divides": ("8,16,16", "4,8,8"), "none divides": ("6,12,20", "3,4,10")}


@pytest.fixture
def dataset(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., Path]:
    """A small dataset with affinities from outside; gives its root."""
    affinities = smooth_affinities(SHAPE, 5)
    file = tmp_path / "a.h5"
    image = write_hdf5(file, "raw", np.rint(affinities[0] * 255).astype(np.uint8), SIZE, START)
    found = write_hdf5(file, "affinities", affinities, SIZE, START)

    def make(grid: str = "divides", factor: str = "1,2,2") -> Path:
        chunk, inner = GRIDS[grid]
        root = tmp_path / grid
        configure("Dataset", root=root, image=image, chunk_shape=chunk, inner_chunk=inner)
        configure("Inference", external=found)
        configure("Segmentation", threshold=0.5)
        configure("Downsample", factor=factor, mips=1)
        return root

    return make


def layer(root: Path, name: str, mip: int = 0) -> np.ndarray:
    voxels: np.ndarray = zarr.open_array(root / name / str(mip), mode="r")[:]
    return voxels


def by_cloud_volume(folder: Path, mip: int = 0) -> np.ndarray:
    volume = CloudVolume(f"precomputed://file://{folder}", mip=mip, progress=False)
    return np.asarray(volume[...]).transpose()


@pytest.mark.parametrize("grid", ["divides", "none divides"])
def test_every_program_reads_the_layer_and_its_mips(
    dataset: Callable[..., Path], configure: Callable[..., None], grid: str
) -> None:
    root = dataset(grid)
    configure("Downsample", mips=3, pass_mips=1)
    assert build(Downsample(of="segmentation"), Downsample(of="image"))
    assert build(Export(of="segmentation"), Export(of="image"))
    for name in ("segmentation", "image"):
        folder = root / "precomputed" / name
        info = json.loads((folder / "info").read_text())
        assert len(info["scales"]) == 4
        for mip in range(4):
            wanted = layer(root, name, mip)
            assert np.array_equal(by_cloud_volume(folder, mip)[0], wanted)
            assert np.array_equal(by_tensorstore(folder, mip)[0], wanted)
            ours = open_volume(f"{folder}#mip={mip}")
            assert np.array_equal(ours.read(ours.bounds), wanted)
            assert ours.voxel_size == (33.5, 4.0 * 2**mip, 4.0 * 2**mip)
            assert ours.bounds.start == (-3, START[1] // 2**mip, START[2] // 2**mip)
            # nothing but whole chunks of the format, each with the name that it has by the info
            scale = info["scales"][mip]
            counts = [-(-length // side) for length, side in zip(scale["size"], scale["chunk_sizes"][0], strict=True)]
            assert len(list((folder / scale["key"]).iterdir())) == np.prod(counts)


def test_the_info_says_all_that_neuroglancer_asks_for(dataset: Callable[..., Path]) -> None:
    root = dataset()
    assert build(Export(of="segmentation", mips=1), Export(of="image"))
    info = json.loads((root / "precomputed/segmentation/info").read_text())
    assert {name: info[name] for name in info if name not in ("scales", "lchunk")} == {
        "@type": "neuroglancer_multiscale_volume", "type": "segmentation", "data_type": "uint64", "num_channels": 1,
    }  # fmt: skip
    assert info["scales"] == [
        {
            "key": key, "resolution": size, "voxel_offset": offset, "size": shape, "chunk_sizes": [[8, 8, 4]],
            "encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 8, 8],
        }
        for key, size, offset, shape in (
            ("4_4_33.5", [4, 4, 33.5], [7, 5, -3], [31, 27, 13]), ("8_8_33.5", [8, 8, 33.5], [3, 2, -3], [16, 14, 13])
        )
    ]  # fmt: skip
    image = json.loads((root / "precomputed/image/info").read_text())
    assert (image["type"], image["data_type"], image["scales"][0]["encoding"]) == ("image", "uint8", "raw")
    assert len(image["scales"]) == 1  # it has no coarser mips


def test_affinities_keep_their_channels(dataset: Callable[..., Path], configure: Callable[..., None]) -> None:
    root = dataset()
    configure("Export", layer_name="affinities_for_viewers")
    assert build(Export(of="affinities"))
    folder = root / "affinities_for_viewers"
    wanted = smooth_affinities(SHAPE, 5)
    assert np.array_equal(by_cloud_volume(folder), wanted)
    assert np.array_equal(by_tensorstore(folder), wanted)
    assert json.loads((folder / "info").read_text())["data_type"] == "float32"


def test_the_voxels_do_not_depend_on_the_grid(dataset: Callable[..., Path], configure: Callable[..., None]) -> None:
    found = []
    for grid, blocks in zip(GRIDS, (250, 2, 250), strict=True):
        root = dataset(grid)
        configure("Dataset", max_blocks=blocks)
        assert build(Export())
        found.append(by_cloud_volume(root / "precomputed/segmentation"))
    assert len(np.unique(found[0])) > 10
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize("first", ["objects", "volume"])
def test_meshes_and_skeletons_are_found_by_way_of_the_volume(
    dataset: Callable[..., Path], configure: Callable[..., None], first: str
) -> None:
    root = dataset()
    configure("Mesh", simplification=0)
    configure("SkeletonMerge", dust=0)
    jobs = [MeshManifest(), SkeletonMerge(), Export()]
    for job in jobs if first == "objects" else jobs[::-1]:
        assert build(job)
    folder = root / "precomputed/segmentation"
    objects = {"mesh", "skeletons"} & json.loads((folder / "info").read_text()).keys()
    assert objects == ({"mesh", "skeletons"} if first == "objects" else set())
    before = files_of(root)
    assert build(Export())
    found = list(json.loads((folder / "info").read_text()))
    assert found[-3:] == ["mesh", "skeletons", "lchunk"]  # whichever was made first
    volume = CloudVolume(f"file://{folder}", progress=False)
    assert volume.info["mesh"] == "../../segmentation/mesh"
    labels, sizes = np.unique(layer(root, "segmentation"), return_counts=True)
    largest = int(labels[1:][np.argmax(sizes[1:])])
    mesh = volume.mesh.get(largest).consolidate()
    places = np.argwhere(layer(root, "segmentation") == largest)
    for axis, size in enumerate(SIZE):
        side = mesh.vertices[:, 2 - axis]
        assert np.isclose(side.min(), (places[:, axis].min() + START[axis]) * size)
        assert np.isclose(side.max(), (places[:, axis].max() + 1 + START[axis]) * size)
    assert volume.info["skeletons"] == "../../segmentation/skeletons"
    x, y, z = (volume.skeleton.get(largest).vertices / SIZE[::-1] - START[::-1]).T.astype(int)
    assert (layer(root, "segmentation")[z, y, x] == largest).all()
    changed = {name for name, body in files_of(root).items() if before.get(name) != body}
    assert changed == (set() if first == "objects" else {"precomputed/segmentation/info"})
    assert Export().complete()


class Stopped(BaseException):
    """As a kill: no `except Exception` sees it."""


def test_after_a_stop_at_any_write_the_next_run_makes_the_same_bytes(
    dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = dataset()
    assert build(Downsample())
    shutil.copytree(root, tmp_path / "before")
    assert build(Export())
    wanted = files_of(root)
    put = FileStore.put
    written = sum(name.startswith("precomputed/") for name in wanted) - 1  # info is created, not put
    assert written > 50
    for stop in range(0, written, 29):
        shutil.rmtree(root)
        shutil.copytree(tmp_path / "before", root)
        left = iter(range(stop))

        def put_or_stop(self: FileStore, key: str, *more: Any, left: Any = left, **options: Any) -> None:
            if key.startswith("precomputed/") and next(left, None) is None:
                raise Stopped
            put(self, key, *more, **options)

        monkeypatch.setattr(FileStore, "put", put_or_stop)
        with contextlib.suppress(Stopped):
            build(Export())
        monkeypatch.setattr(FileStore, "put", put)
        assert files_of(root) != wanted
        assert build(Export())
        assert files_of(root) == wanted, stop


def test_a_chunk_whose_list_was_removed_is_made_again_alone(dataset: Callable[..., Path]) -> None:
    root = dataset()
    assert build(Export())
    wanted = files_of(root)
    times = {name: (root / name).stat().st_mtime_ns for name in wanted}
    (root / "precomputed/segmentation/index/c/1/0/1.json").unlink()
    (root / "precomputed/segmentation/4_4_33.5/23-31_5-13_5-9").unlink()
    assert build(Export())
    assert files_of(root) == wanted
    touched = {name for name, time in times.items() if (root / name).stat().st_mtime_ns != time}
    # the chunk 5-10_5-21_23-38 is 2 x 2 x 2 files
    sides = itertools.product(("23-31", "31-38"), ("5-13", "13-21"), ("5-9", "9-10"))
    files = {f"4_4_33.5/{x}_{y}_{z}" for x, y, z in sides}
    assert {name for name in touched if name.startswith("precomputed")} == {
        f"precomputed/segmentation/{name}" for name in (*files, "index/c/1/0/1.json")
    }


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (
            {"inner_chunk": "3,8,8"},
            r"chunk_shape must be a multiple of inner_chunk on every axis",
        ),
        ({"mips": 2}, "mips must be at most Downsample-mips, 1, got 2"),
        ({"of": "probability"}, "of must be the layer that Inference writes, affinities, got probability"),
        ({"external": "a.npy"}, "Export-external must be empty, because the output of Export cannot be replaced"),
    ],
)
def test_what_cannot_work_is_refused_before_work(
    dataset: Callable[..., Path], configure: Callable[..., None], knobs: dict[str, Any], message: str
) -> None:
    dataset()
    configure("Export", **knobs)
    with pytest.raises(ValueError, match=message):
        Export().check()


def test_a_layer_whose_chunks_are_not_whole_files_is_refused(
    dataset: Callable[..., Path], configure: Callable[..., None]
) -> None:
    dataset()
    configure("Segmentation", chunk_shape="6,12,12", inner_chunk="3,4,4")
    message = (
        r"inner_chunk must divide the chunk_shape of segmentation, \(6, 12, 12\) \(zyx\), got \(4, 8, 8\); set Exp"
    )
    with pytest.raises(ValueError, match=message):
        Export().check()
    configure("Export", inner_chunk="2,6,4", chunk_shape="6,12,12")
    Export().check()


def test_chunks_of_labels_are_bounded_by_the_format(
    dataset: Callable[..., Path], configure: Callable[..., None]
) -> None:
    dataset()
    configure("Dataset", chunk_shape="192,192,192", inner_chunk="192,192,192")
    with pytest.raises(ValueError, match=r"inner_chunk must hold at most 6,000,000 voxels of labels, got \(192"):
        Export().check()
    Export(of="image").check()


def test_labels_need_the_package_that_packs_them(dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    dataset()
    monkeypatch.setitem(sys.modules, "compressed_segmentation", None)
    with pytest.raises(ImportError, match=r"to write labels, compressed_segmentation must be installed"):
        Export().check()
    Export(of="image").check()


def test_mips_that_were_made_later_are_not_mixed_in(dataset: Callable[..., Path]) -> None:
    dataset()
    assert build(Export())
    assert build(Downsample())
    with pytest.raises(RecipeMismatchError, match=r"the number of mips was 0, and is now 1(.|\n)*--Export-layer-name"):
        Export().check()


def test_an_external_image_is_written_too(dataset: Callable[..., Path], configure: Callable[..., None]) -> None:
    root = dataset()
    configure("Ingest", external=f"{root.parent}/a.h5:/raw")
    assert build(Export(of="image"))
    assert np.array_equal(
        by_cloud_volume(root / "precomputed/image")[0], Ingest().external_volume.read(Ingest().bounds)
    )


def test_a_mip_that_was_written_is_an_image_to_ingest(
    dataset: Callable[..., Path], configure: Callable[..., None]
) -> None:
    root = dataset()
    assert build(Export(of="image", mips=1))
    wanted = layer(root, "image", 1)
    configure("Dataset", root=root.parent / "again", image=f"precomputed://file://{root}/precomputed/image#mip=1")
    assert build(Ingest())
    assert np.array_equal(layer(root.parent / "again", "image"), wanted)
    assert Ingest().geometry.bounds.start == (-3, 2, 3)
    assert Ingest().geometry.voxel_size == (33.5, 8, 8)


def test_verify_reads_every_file(dataset: Callable[..., Path], configure: Callable[..., None]) -> None:
    root = dataset()
    configure("Mesh", mip=1)
    assert build(Export(mips=1), MeshManifest())
    store = FileStore(root)
    assert list(verify(store)) == []
    folder = root / "precomputed/segmentation"
    damaged, gone = folder / "8_8_33.5/3-11_2-10_-3-1", folder / "4_4_33.5/23-31_5-13_5-9"
    body = bytearray(damaged.read_bytes())
    body[-1] ^= 1
    damaged.write_bytes(body)
    gone.unlink()
    (folder / "notes").write_text("mine")
    found = [(finding.fault, finding.key, finding.remove) for finding in verify(store)]
    lists = [f"precomputed/segmentation/index/c/{place}.json" for place in ("0/0/0", "1/0/1")]
    assert found == [
        *((Fault.DAMAGED, key, (key,)) for key in lists),
        (Fault.FOREIGN, "precomputed/segmentation/notes", ()),
    ]
    for key in lists:
        (root / key).unlink()
    (folder / "notes").unlink()
    assert build(Export(mips=1))
    assert list(verify(store)) == []


def test_a_volume_of_another_segmentation_is_mixed(
    dataset: Callable[..., Path], configure: Callable[..., None]
) -> None:
    root = dataset()
    assert build(Export(mips=1))
    for name in ("segmentation", "agglomeration"):
        shutil.rmtree(root / name)
    configure("Segmentation", threshold=0.3)
    assert build(Segmentation(), Downsample())
    mixed = [finding.key for finding in verify(FileStore(root)) if finding.fault is Fault.MIXED]
    assert mixed == ["precomputed/segmentation"]


def test_packed_labels_take_fewer_words_than_the_format_can_count() -> None:
    labels = np.random.default_rng(0).permutation(64**3).reshape(64, 64, 64).astype(np.uint64)
    assert len(encode_labels(labels)) / 4 <= 2.55 * labels.size
