"""The shards of meshes: their bytes depend on nothing but the recipe, and every command knows them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lchunk.removal import removals, remove
from lchunk.status.facts import facts_of
from lchunk.status.holdings import holding_lines
from lchunk.tasks import Export, Mesh, MultiResMesh, gathering, multires
from lchunk.tasks.running import run
from lchunk.verify import Fault, verify
from lchunk.viewer.selection import segments_with_meshes
from lchunk.viewer.shown import layers_in
from lchunk.volumes.multires_meshes import mesh_folder
from lchunk.volumes.store import PARTIAL, FileStore
from tests.conftest import build
from tests.tasks.multires_reader import read
from tests.tasks.test_meshes import dataset

SHARDS = 16


@pytest.fixture
def root(tmp_path: Path, configure: Callable[..., None]) -> Path:
    root = dataset(tmp_path, configure, size=(4, 4, 4), start=(-3, 5, 7), grid="5,12,10", simplification=100)
    configure("MultiResMesh", shard_bits=4)
    assert build(Mesh())
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def shard(number: int) -> MultiResMesh:
    return MultiResMesh(region=f"0-1_0-1_{number}-{number + 1}")


def test_bytes_do_not_depend_on_the_order_or_on_what_fits_into_memory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = root / "segmentation/mesh_multires"
    assert build(MultiResMesh())
    whole = contents(folder)
    assert sum(name.endswith(".json") for name in whole) == SHARDS
    for path in folder.rglob("*.*"):
        path.unlink()
    monkeypatch.setattr(gathering, "BATCH_BYTES", 1)
    monkeypatch.setattr(multires, "SPOOL_BYTES", 1)
    for number in reversed(range(SHARDS)):
        run(shard(number))
    assert contents(folder) == whole


def test_a_killed_or_removed_shard_is_made_again_also_one_without_labels(
    root: Path, monkeypatch: pytest.MonkeyPatch, configure: Callable[..., None]
) -> None:
    folder = root / "segmentation/mesh_multires"
    assert build(MultiResMesh())
    whole, store = contents(folder), FileStore(root)
    last = max(folder.glob("*.shard"))
    (folder / f"index/c/0/0/{int(last.stem, 16)}.json").unlink()
    last.unlink()
    put = FileStore.put

    def killed(store: FileStore, key: str, body: bytes, *, durable: bool = True) -> None:
        if "multires/index" in key:
            raise OSError(28, "No space left on device", key)
        put(store, key, body, durable=durable)

    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "put", killed)
        assert not build(MultiResMesh())
    assert last.exists()
    assert not MultiResMesh().complete()
    assert mesh_folder(store, "segmentation") == "segmentation/mesh"
    assert build(MultiResMesh())
    assert contents(folder) == whole
    last.unlink()
    assert not MultiResMesh().complete()
    assert build(MultiResMesh())
    assert contents(folder) == whole
    label = min(read(folder))
    configure("Mesh", ids=str(label), layer_name="one")
    assert build(MultiResMesh())
    assert len(list((root / "segmentation/one_multires").glob("*.shard"))) == SHARDS
    assert list(read(root / "segmentation/one_multires")) == [label]
    assert [found.key for found in verify(store)] == []


def test_kills_in_the_middle_of_a_write_change_no_byte(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "segmentation/mesh_multires"
    assert build(MultiResMesh())
    whole = contents(folder)
    for path in folder.rglob("*.*"):
        path.unlink()
    replace = os.replace
    for ending in (".shard", ".json", ".shard"):
        process = os.fork()
        if not process:

            def killed(source: str, target: str, ending: str = ending) -> None:
                if "mesh_multires" in target and target.endswith(ending):
                    os.kill(os.getpid(), signal.SIGKILL)
                replace(source, target)

            monkeypatch.setattr(os, "replace", killed)
            build(MultiResMesh())
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(process, 0)[1]) == signal.SIGKILL
        assert not MultiResMesh().complete()
    assert build(MultiResMesh())
    assert {name: body for name, body in contents(folder).items() if PARTIAL not in name} == whole


def test_damage_is_found_and_made_again(root: Path) -> None:
    folder, store = root / "segmentation/mesh_multires", FileStore(root)
    assert build(MultiResMesh())
    whole = contents(folder)
    damaged, gone, unlisted = sorted(path.stem for path in folder.glob("*.shard"))[:3]
    body = bytearray((folder / f"{damaged}.shard").read_bytes())
    body[len(body) // 2] ^= 1
    (folder / f"{damaged}.shard").write_bytes(body)
    (folder / f"{gone}.shard").unlink()
    listed = {name: f"{int(name, 16)}.json" for name in (damaged, gone, unlisted)}
    (folder / f"index/c/0/0/{listed[unlisted]}").unlink()
    (folder / "mine.txt").write_text("a")
    found = {finding.key.rpartition("/")[2]: finding for finding in verify(store, "segmentation/mesh_multires")}
    assert {name: finding.fault for name, finding in found.items()} == {
        listed[damaged]: Fault.DAMAGED, listed[gone]: Fault.DAMAGED, listed[unlisted]: Fault.MISSING,
        f"{unlisted}.shard": Fault.FOREIGN, "mine.txt": Fault.FOREIGN,
    }  # fmt: skip
    assert "checksum" in found[listed[damaged]].reason
    for finding in found.values():
        for key in finding.remove:
            store.remove(key)
    (folder / "mine.txt").unlink()
    assert build(MultiResMesh())
    assert contents(folder) == whole


def test_status_view_and_exports_know_the_meshes_and_remove_takes_them_with_their_sources(root: Path) -> None:
    store = FileStore(root)
    assert build(Export())
    assert json.loads((root / "precomputed/segmentation/info").read_text())["mesh"] == "../../segmentation/mesh"
    assert build(MultiResMesh())
    assert build(Export())
    exported = json.loads((root / "precomputed/segmentation/info").read_text())
    assert exported["mesh"] == "../../segmentation/mesh_multires"
    labels = read(root / "segmentation/mesh_multires")
    facts = facts_of(store)
    line = next(layer for layer in facts.layers if layer.layer.part.path == "segmentation/mesh_multires")
    assert (line.layer.stage, len(line.layer.grid)) == ("MultiResMesh", SHARDS)
    assert f"segmentation/mesh_multires meshes of {len(labels)} segments, with levels of detail" in holding_lines(
        store, facts
    )
    (shown,) = (layer for layer in layers_in(store) if layer.name == "segmentation")
    assert shown.mesh == "segmentation/mesh_multires"
    assert set(segments_with_meshes(store, shown.mesh)) == set(labels)
    found = removals(store, "segmentation/mesh", downstream=True)
    assert [removal.path for removal in found] == ["segmentation/mesh_multires", "segmentation/mesh"]
    before = contents(root / "segmentation/mesh_multires")
    remove(store, found)
    assert not (root / "segmentation/mesh_multires").exists()
    assert build(Mesh(), MultiResMesh())
    assert contents(root / "segmentation/mesh_multires") == before


def test_a_folder_that_another_version_began_is_not_mixed(root: Path) -> None:
    assert build(MultiResMesh())
    folder = root / "segmentation/mesh_multires"
    info = json.loads((folder / "info").read_text())
    info["sharding"]["minishard_bits"] -= 1
    (folder / "info").write_text(json.dumps(info))
    max(folder.glob("*.shard")).unlink()
    before = contents(folder)
    assert not build(MultiResMesh())
    with pytest.raises(ValueError, match=r"the sharding of segmentation/mesh_multires/info must be .*; lchunk remove "):
        MultiResMesh().prepare()
    assert contents(folder) == before


def test_another_recipe_is_refused(root: Path, configure: Callable[..., None]) -> None:
    assert build(MultiResMesh())
    configure("MultiResMesh", shard_bits=4, max_error=20.0)
    with pytest.raises(ValueError, match=r"MultiResMesh-max-error is '-1\.0' there"):
        MultiResMesh().check()
