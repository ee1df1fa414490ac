"""A whole job in a bucket: the same bytes as on a disk, from the image to meshes and scores."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from lchunk.viewer.shown import layers_shown, open_dataset
from lchunk.volumes.store import StoreSettings, configure, open_store
from tests.cli.commands import lchunk
from tests.conftest import files_of
from tests.pipelines.disk_job import made_on_disk
from tests.servers import gcs_server, set_variables, sqs_server

STORE = """
[Store]
s3_endpoint = {s3}
gcs_endpoint = {gcs}
anonymous = gs://lchunk
"""


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """URLs of servers, with the bucket `lchunk`."""
    from tests.volumes.conftest import make_bucket  # noqa: PLC0415

    with sqs_server("clock") as moto, gcs_server() as gcs:
        make_bucket(moto["AWS_ENDPOINT_URL"])
        yield {"s3": moto["AWS_ENDPOINT_URL"], "gcs": gcs}


@pytest.fixture(autouse=True)
def _reached(servers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process, and those that it starts, reach the servers."""
    set_variables(monkeypatch)
    configure(StoreSettings(s3_endpoint=servers["s3"], gcs_endpoint=servers["gcs"], anonymous=("gs://lchunk",)))
    yield
    configure(StoreSettings())


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image, a cfg, and all that the job makes on a disk."""
    return made_on_disk(tmp_path_factory.mktemp("job"), (20, 24, 24))


def elsewhere(job: Path, folder: Path, root: str, servers: dict[str, str]) -> None:
    """Write a cfg of the same job into a folder, with another place for its layers."""
    text = (job / "luigi.cfg").read_text().replace(f"root = {job}/out", f"root = {root}")
    (folder / "luigi.cfg").write_text(text + STORE.format(**servers))


def objects_of(url: str) -> dict[str, bytes]:
    """Every object under a URL but the logs."""
    store = open_store(url)
    return {key: store.get(key) for key in store.list("") if not key.startswith("logs/")}


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_job_in_a_bucket_makes_the_bytes_of_one_on_a_disk(
    job: Path, tmp_path: Path, servers: dict[str, str], scheme: str
) -> None:
    root = f"{scheme}://lchunk/{uuid.uuid4().hex}/out"
    elsewhere(job, tmp_path, root, servers)
    said = lchunk(tmp_path, "run", "MeshManifest")
    assert said.code == 0, said.err
    made, wanted = objects_of(root), files_of(job / "out")
    assert made.keys() == wanted.keys()
    assert [key for key in sorted(made) if made[key] != wanted[key]] == []

    store = open_store(root)
    chunk = next(key for key in sorted(made) if key.startswith("segmentation/0/c/"))
    store.remove(chunk)
    said = lchunk(tmp_path, "verify", root)
    assert said.code != 0
    assert f"missing: {chunk}" in said.out
    said = lchunk(tmp_path, "run", "Segmentation")
    assert said.code == 0, said.err
    assert store.get(chunk) == wanted[chunk]
    assert lchunk(tmp_path, "verify").code == 0
    status = lchunk(tmp_path, "status")
    assert "segmentation" in status.out
    assert "Inference: " in status.out  # from the logs
    shown = {layer.name: layer for layer in layers_shown(open_dataset(root))}
    assert {"image", "affinities", "segmentation"} <= shown.keys()
    assert shown["segmentation"].mesh == "segmentation/mesh"


def test_an_image_in_a_bucket_is_read_in_place(job: Path, tmp_path: Path, servers: dict[str, str]) -> None:
    store = open_store("s3://lchunk/images")
    for key, body in files_of(job / "out").items():
        if key.startswith("image/"):
            store.put(f"em/{key}", body)
    elsewhere(job, tmp_path, f"{tmp_path}/out", servers)
    cfg = tmp_path / "luigi.cfg"
    cfg.write_text(cfg.read_text().replace(f"image = {job}/a.h5:/raw", "image = s3://lchunk/images/em/image"))
    said = lchunk(tmp_path, "run", "Segmentation")
    assert said.code == 0, said.err
    for key, body in files_of(tmp_path / "out").items():
        if "/c/" in key:
            assert body == (job / "out" / key).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("s3://lchunk/", "s3://lchunk-absent/"), "the bucket s3://lchunk-absent must exist, and does not; create it"),
        (
            ("anonymous = ", "patience_seconds = 0.5\ns3_endpoint = http://127.0.0.1:9\nanonymous = "),
            "must answer, got",
        ),
        (("root = s3://", "root = ftp://"), "a store must be a path, file://…, s3://…, gs://… or https://…, got"),
        (("root = s3://", "root = s3://key:secret@"), "a URL must name a bucket or a host alone, got"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_one_line_at_the_end(
    job: Path, tmp_path: Path, servers: dict[str, str], change: tuple[str, str], message: str
) -> None:
    elsewhere(job, tmp_path, "s3://lchunk/refused", servers)
    cfg = tmp_path / "luigi.cfg"
    text = cfg.read_text()
    if "s3_endpoint" in change[1]:
        text = text.replace(f"s3_endpoint = {servers['s3']}\n", "")
    cfg.write_text(text.replace(*change))
    said = lchunk(tmp_path, "run", "Ingest")
    assert said.code not in (0, 1), said.err
    assert message in said.last
    assert "Traceback" not in said.err
    assert "secret" not in said.err + said.out


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_meshes_with_levels_of_detail_in_a_bucket_are_those_on_a_disk(
    job: Path, tmp_path: Path, servers: dict[str, str], scheme: str
) -> None:
    root = f"{scheme}://lchunk/{uuid.uuid4().hex}/out"
    elsewhere(job, tmp_path, root, servers)
    shards = "--MultiResMesh-shard-bits=2"
    assert lchunk(tmp_path, "run", "Segmentation").code == 0
    disk = tmp_path / "disk"
    shutil.copytree(job, disk)
    cfg = (disk / "luigi.cfg").read_text()
    (disk / "luigi.cfg").write_text(cfg.replace(f"root = {job}/out", f"root = {disk}/out"))
    assert lchunk(disk, "run", "MultiResMesh", shards).code == 0
    voxels = zarr.open_array(disk / "out/segmentation/0", mode="r")[:]
    chosen = np.unique(voxels[voxels > 0])[:3].tolist()
    for place in (tmp_path, disk):  # before meshes of all chunks in the bucket, and after them on the disk
        assert lchunk(place, "run", "MeshManifest", "--ids", ",".join(map(str, chosen))).code == 0
    made, wanted = objects_of(root), files_of(disk / "out")
    names = [name for name in made if ":0" in name]
    assert len(names) == 2 * len(chosen) > 0
    assert {name: made[name] for name in names} == {name: body for name, body in wanted.items() if ":0" in name}
    assert not any("/mesh/c/" in name for name in made)
    assert lchunk(tmp_path, "verify").code == 0
    assert lchunk(tmp_path, "run", "MultiResMesh", shards).code == 0
    made, wanted = objects_of(root), files_of(disk / "out")
    names = [name for name in made if name.startswith("segmentation/mesh_multires/")]
    assert any(name.endswith(".shard") for name in names)
    assert sum(name.endswith(".json") for name in names) == 4
    assert {name: made[name] for name in names} == {
        name: body for name, body in wanted.items() if name.startswith("segmentation/mesh_multires/")
    }
    assert lchunk(tmp_path, "verify").code == 0
    assert "segmentation/mesh_multires meshes of" in lchunk(tmp_path, "status").out
    shown = {layer.name: layer for layer in layers_shown(open_dataset(root))}
    assert shown["segmentation"].mesh == "segmentation/mesh_multires"
