"""Mips of an external volume are those of a copy of it, and every reader of mips finds them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import tornado.testing
import zarr

from lchunk.operators.downsample import mean_levels, mode_levels
from lchunk.recipe import RecipeMismatchError
from lchunk.status.chunks import DONE
from lchunk.status.facts import facts_of
from lchunk.status.made import Hosts, made_chunks
from lchunk.tasks import Downsample, Export, Ingest, Mesh, Thumbnail
from lchunk.verify import Fault, verify
from lchunk.viewer.elsewhere import Elsewhere
from lchunk.viewer.server import application
from lchunk.viewer.shown import layers_in
from lchunk.volumes.formats import open_volume
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import FileStore
from tests.cli.commands import lchunk
from tests.conftest import build, smooth_affinities, write_hdf5

SHAPE, START, SIZE = (9, 37, 41), (-3, 5, 7), (40, 4, 4)
FACTOR, PASS_MIPS, MIPS = (1, 2, 2), 2, 5
IMAGE = np.rint(smooth_affinities(SHAPE, 0)[0] * 255).astype(np.uint8)

Configure = Callable[..., None]


def labels() -> npt.NDArray[np.uint32]:
    """Cubes of a label, with background between them."""
    z, y, x = np.indices(SHAPE)
    cubes: npt.NDArray[np.uint32] = ((z // 3 * 100 + y // 7 * 10 + x // 6) * ((x % 6 > 0) & (y % 7 > 0))).astype(
        np.uint32
    )
    return cubes


@pytest.fixture
def volumes(tmp_path: Path) -> dict[str, str]:
    """URLs of volumes by layer."""
    made = {"image": IMAGE, "affinities": smooth_affinities(SHAPE, 1), "segmentation": labels()}
    return {name: write_hdf5(tmp_path / "a.h5", name, voxels, SIZE, START) for name, voxels in made.items()}


@pytest.fixture
def external(volumes: dict[str, str], tmp_path: Path, configure: Configure) -> Callable[..., Path]:
    """Sets the cfg of a dataset that reads all volumes in place; gives its folder."""

    def dataset(chunk_shape: str = "4,8,8", **more: Any) -> Path:
        root = tmp_path / "out"
        configure("Dataset", root=root, image=volumes["image"], chunk_shape=chunk_shape, inner_chunk="4,4,4", **more)
        configure("Ingest", external=volumes["image"])
        configure("Inference", external=volumes["affinities"])
        configure("Segmentation", external=volumes["segmentation"])
        configure("Downsample", factor="1,2,2", mips=MIPS, pass_mips=PASS_MIPS)
        return root

    return dataset


def voxels_of(root: Path, layer: str, mips: int = MIPS) -> list[npt.NDArray[Any]]:
    """The coarser mips of a layer, as other programs read them."""
    return [zarr.open_array(root / layer / str(mip), mode="r")[:] for mip in range(1, mips + 1)]


def image_of(root: Path, layer: str) -> Any:
    return json.loads((root / layer / "zarr.json").read_text())["attributes"]


def found_in(root: Path) -> list[Fault]:
    return [finding.fault for finding in verify(FileStore(root))]


@pytest.mark.parametrize("chunk_shape", ["4,8,8", "8,12,20", "16,64,64"])
def test_mips_of_an_external_image_are_those_of_its_copy(
    external: Callable[..., Path], configure: Configure, tmp_path: Path, chunk_shape: str
) -> None:
    root = external(chunk_shape)
    assert build(Downsample(of="image"))
    assert Downsample(of="image").complete()
    assert not (root / "image/0").exists()
    copy = tmp_path / "copy"
    configure("Ingest", external="")
    configure("Dataset", root=copy)
    assert build(Downsample(of="image"))
    for one, other in zip(voxels_of(root, "image"), voxels_of(copy, "image"), strict=True):
        assert one.dtype == other.dtype == np.uint8
        assert np.array_equal(one, other)
    own, theirs = image_of(root, "image"), image_of(copy, "image")
    datasets = own["ome"]["multiscales"][0].pop("datasets")
    assert [dataset["path"] for dataset in datasets] == ["1", "2", "3", "4", "5"]
    assert datasets == theirs["ome"]["multiscales"][0].pop("datasets")[1:]
    assert own["ome"] == theirs["ome"]
    assert (own["lchunk"]["voxel_offset"], own["lchunk"]["voxel_size"]) == (list(START), [40, 4, 4])
    files = [
        sorted(str(path.relative_to(top)) for path in (top / "image").glob("[1-9]/c/**/*")) for top in (root, copy)
    ]
    assert files[0] == files[1]
    for mip in range(1, MIPS + 1):
        layers = [open_layer(FileStore(top), "image", mip) for top in (root, copy)]
        assert (layers[0].inner_chunk, layers[0].corner) == (layers[1].inner_chunk, layers[1].corner)
    assert found_in(root) == []


@pytest.mark.parametrize(("layer", "levels", "dtype"), [
    ("affinities", mean_levels, "float32"), ("segmentation", mode_levels, "uint64"),
])  # fmt: skip
def test_mips_of_external_affinities_and_labels(
    external: Callable[..., Path], volumes: dict[str, str], layer: str, levels: Any, dtype: str
) -> None:
    root = external()
    assert build(Downsample(of=layer))
    volume = open_volume(volumes[layer])
    wanted = [volume.read(volume.bounds).astype(dtype)]
    while len(wanted) <= MIPS:
        wanted += levels(wanted[-1], FACTOR, PASS_MIPS)
    for mip, expected in zip(voxels_of(root, layer), wanted[1:], strict=False):
        assert mip.dtype == expected.dtype
        assert np.array_equal(mip, expected)
    assert found_in(root) == []


def test_an_image_of_another_format_with_bounds_inside_it(
    external: Callable[..., Path], configure: Configure, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, photometric="minisblack")
    root = external(bounds="-1-5_8-37_9-40", voxel_size="40,4,4")
    configure("Ingest", external=f"{tmp_path}/a.tif#offset=-3,5,7")
    configure("Downsample", mips=2)
    assert build(Downsample(of="image"))
    wanted = mean_levels(IMAGE[2:8, 3:32, 2:33], FACTOR, 2)
    for mip, expected in zip(voxels_of(root, "image", 2), wanted, strict=True):
        assert np.array_equal(mip, expected)


def test_the_recipe_has_the_volume_and_its_fingerprint(
    external: Callable[..., Path], volumes: dict[str, str], tmp_path: Path
) -> None:
    root = external()
    assert build(Downsample(of="image", mips=1))
    recipe = open_layer(FileStore(root), "image", 1).recipe()
    assert recipe is not None
    assert recipe["reads"] == {"image": f"{volumes['image']}: {Ingest().external_volume.fingerprint()}"}
    (tmp_path / "a.h5").unlink()
    write_hdf5(tmp_path / "a.h5", "image", IMAGE[:, ::-1], SIZE, START)
    external()
    with pytest.raises(RecipeMismatchError, match=r"image was read from .*a.h5:/image: .* and is now read from"):
        Downsample(of="image", mips=1).check()


def test_mips_of_a_volume_are_not_put_beside_a_copy(external: Callable[..., Path], configure: Configure) -> None:
    root = external()
    configure("Ingest", external="")
    assert build(Ingest())
    external()
    with pytest.raises(
        ValueError, match=r"image must come from one place to get mips, got the external volume .*--Ingest-l"
    ):
        Downsample(of="image").check()
    configure("Ingest", layer_name="elsewhere")
    assert build(Downsample(of="image", mips=1))
    assert (root / "elsewhere/1/zarr.json").exists()
    shutil.rmtree(root / "elsewhere")


def test_mips_of_a_volume_do_not_become_those_of_a_copy(external: Callable[..., Path], configure: Configure) -> None:
    external()
    assert build(Downsample(of="image", mips=1))
    configure("Ingest", external="")
    with pytest.raises(
        RecipeMismatchError, match=r"image was read from .*, and is now read from a layer of this dataset"
    ):
        Downsample(of="image", mips=1).check()


def test_a_thumbnail_and_a_precomputed_volume_of_an_external_image(external: Callable[..., Path]) -> None:
    root = external()
    assert build(Thumbnail(of="image", mip=2), Export(of="image", mips=2))
    (thumbnail,) = zarr.open_group(root / "image_thumbnail", mode="r").arrays()
    mips = voxels_of(root, "image", 2)
    assert np.array_equal(thumbnail[1][:], mips[1])
    info = f"precomputed://{root}/precomputed/image"
    for url, expected in ((info, IMAGE), (f"{info}#mip=2", mips[1])):
        volume = open_volume(url)
        assert np.array_equal(volume.read(volume.bounds), expected)
    assert found_in(root) == []


def test_meshes_of_a_coarse_mip_are_those_of_that_mip(
    external: Callable[..., Path], configure: Configure, tmp_path: Path
) -> None:
    configure("Mesh", simplification=0, mip=1)
    # an even first voxel, so that the first voxel of the mip begins where the volume does
    volume = write_hdf5(tmp_path / "even.h5", "segmentation", labels(), SIZE, (-3, 4, 6))
    image = write_hdf5(tmp_path / "even.h5", "image", IMAGE, SIZE, (-3, 4, 6))
    root = external()
    configure("Dataset", image=image)
    configure("Ingest", external=image)
    configure("Segmentation", external=volume)
    configure("Downsample", mips=1)
    assert build(Mesh())
    (mode,) = mode_levels(labels().astype(np.uint64), FACTOR, 1)
    coarse = write_hdf5(tmp_path / "coarse.h5", "segmentation", mode, (40, 8, 8), (-3, 2, 3))
    image = write_hdf5(tmp_path / "coarse.h5", "image", mode.astype(np.uint8), (40, 8, 8), (-3, 2, 3))
    other = tmp_path / "coarse"
    configure("Dataset", root=other, image=image)
    configure("Ingest", external=image)
    configure("Segmentation", external=coarse)
    configure("Mesh", mip=0)
    assert build(Mesh())
    fragments = [
        {str(path.relative_to(top)): path.read_bytes() for path in (top / "segmentation/mesh").rglob("*.fragments")}
        for top in (root, other)
    ]
    assert sum(map(len, fragments[0].values())) > 50 * 100
    assert fragments[0] == fragments[1]
    assert found_in(root) == []
    configure("Mesh", mip=1, dust_threshold=5)
    configure("Segmentation", external=volume)
    with pytest.raises(ValueError, match="dust_threshold must be 0 for an external segmentation"):
        Mesh().validate()


def test_status_verify_and_export_begin_with_mip_1(
    external: Callable[..., Path], volumes: dict[str, str], tmp_path: Path
) -> None:
    root = external()
    assert build(Downsample(of="image", mips=2))
    layers = facts_of(FileStore(root)).layers
    assert [(facts.layer.part.path, facts.layer.voxels.split()[0]) for facts in layers] == [
        ("image/1", "9x19x21"), ("image/2", "9x10x11"),
    ]  # fmt: skip
    for facts in layers:  # both were made at once, in the chunks of mip 0
        assert facts.pace.voxels == 9 * 37 * 41
        assert facts.count(DONE) == facts.states.size == len(facts.layer.grid)
    made = made_chunks(FileStore(root), layers, Hosts())[layers[1].layer.log_folder]
    assert made.seconds.min() > 0
    said = lchunk(tmp_path, "export", "image", "a.npy", "--root", "out", "--mip", "1")
    assert said.code == 0, said.err
    assert np.array_equal(np.load(tmp_path / "a.npy"), voxels_of(root, "image", 1)[0])
    refused = lchunk(tmp_path, "export", "image", "b.npy", "--root", "out")
    assert refused.code == 1
    assert f"must exist, and is the volume {volumes['image']}: " in refused.last
    assert refused.last.endswith("; use mip 1, or that volume")
    assert lchunk(tmp_path, "verify", "out").code == 0
    volume = open_volume(str(root / "image"))
    assert np.array_equal(volume.read(volume.bounds), voxels_of(root, "image", 1)[0])
    (root / "image/zarr.json").write_text((root / "image/zarr.json").read_text().replace("nanometer", "micrometer"))
    (finding,) = verify(FileStore(root))
    assert finding.fault is Fault.DAMAGED
    assert finding.rewrite is not None
    finding.rewrite()
    (root / "image/2/c/0/0/0").unlink()
    assert found_in(root) == [Fault.MISSING]


class TestView(tornado.testing.AsyncHTTPTestCase):
    """The external volume and its mips are one layer of the viewer."""

    @pytest.fixture(autouse=True)
    def _dataset(self, external: Callable[..., Path], volumes: dict[str, str]) -> None:
        self.root, self.urls = external(), volumes
        assert build(Downsample(of="image", mips=3), Downsample(of="segmentation", mips=1))

    def get_app(self) -> tornado.web.Application:
        # the mips of `segmentation` are of another volume than the one that is shown
        others = [
            Elsewhere("image", self.urls["image"], "Ingest"),
            Elsewhere("segmentation", self.urls["image"], "Segmentation", labels=True),
        ]
        return application(str(self.root), None, others)

    def test_one_layer_has_the_volume_and_its_mips(self) -> None:
        layers = {layer["name"]: layer for layer in json.loads(self.fetch("/state.json").body)["layers"]}
        assert set(layers) == {"image", "segmentation", "segmentation (external)"}
        assert layers["image"]["source"]["url"].endswith("/volumes/image/|zarr3:")
        group = json.loads(self.fetch("/volumes/image/zarr.json").body)
        datasets = group["attributes"]["ome"]["multiscales"][0]["datasets"]
        assert [dataset["path"] for dataset in datasets] == ["0", "1", "2", "3"]
        assert datasets[1:] == image_of(self.root, "image")["ome"]["multiscales"][0]["datasets"]
        assert datasets[0]["coordinateTransformations"] == [
            {"type": "scale", "scale": [40, 4, 4]}, {"type": "translation", "translation": [-100, 22, 30]}
        ]  # fmt: skip

    def test_files_of_the_mips_are_served_in_ranges(self) -> None:
        array = json.loads(self.fetch("/volumes/image/1/zarr.json").body)
        assert array["data_type"] == json.loads(self.fetch("/volumes/image/0/zarr.json").body)["data_type"] == "uint8"
        body = (self.root / "image/1/c/0/0/0").read_bytes()
        answer = self.fetch("/volumes/image/1/c/0/0/0", headers={"Range": "bytes=3-9"})
        assert (answer.code, answer.body) == (206, body[3:10])
        assert self.fetch("/volumes/image/0/c/0/0/0").code == 200
        assert self.fetch("/volumes/image/9/zarr.json").code == 404
        assert self.fetch("/data/image/1/zarr.json").code == 200

    def test_without_the_volume_the_mips_are_shown_alone(self) -> None:
        shown = {layer.name: layer for layer in layers_in(FileStore(self.root))}
        assert (shown["image"].voxel_size, shown["image"].bounds.shape) == ((40, 8, 8), (9, 19, 21))
        assert (shown["image"].stage, shown["image"].coarsest, shown["image"].coarse) == ("Ingest", 4, True)
        assert (shown["segmentation"].stage, shown["segmentation"].coarsest) == ("Segmentation", 1)
