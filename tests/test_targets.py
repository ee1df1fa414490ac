"""A chunk's file as a target of Luigi."""

from pathlib import Path

from lchunk.targets import ChunkTarget
from lchunk.volumes.store import FileStore


def test_a_target_is_complete_when_its_one_file_holds_bytes(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    target = ChunkTarget(store, "layer/0/c/0/0/0")
    assert not target.exists()
    store.put("layer/0/c/0/0/1", b"a neighbour")
    assert not target.exists()
    store.put("layer/0/c/0/0/0", b"")  # as a crashed disk leaves it
    assert not target.exists()
    store.put("layer/0/c/0/0/0", b"voxels")
    assert target.exists()
    store.remove("layer/0/c/0/0/0")
    assert not target.exists()


def test_a_target_is_named_by_its_place(tmp_path: Path) -> None:
    assert str(ChunkTarget(FileStore(tmp_path), "layer/0/c/0/0/0")) == f"{tmp_path}/layer/0/c/0/0/0"
