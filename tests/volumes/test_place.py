"""Places: what a path is on a disk, in any store."""

from pathlib import Path

import pytest

from lchunk.volumes.place import Place, on_disk
from lchunk.volumes.stamp import Stamp


@pytest.mark.parametrize("path", ["/data/a.zarr", "a.zarr", "../up/a.zarr", "/", ".", "/a/../b"])
@pytest.mark.parametrize("name", ["0", "0/zarr.json", "c/0/0/0"])
def test_a_place_on_a_disk_is_where_its_path_is(path: str, name: str) -> None:
    place = on_disk(Path(path)) / name
    assert place.path == Path(path) / name
    assert str(place) == str(Path(path) / name)
    assert place.name == (Path(path) / name).name
    assert place.parent.path == (Path(path) / name).parent


def test_the_store_itself_has_no_parent_but_itself() -> None:
    top = on_disk(Path("/"))
    assert top.parent == top
    assert (top / "" / "a").key == "a"


def test_what_is_absent_has_no_stamp_and_no_body(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123")
    place = on_disk(tmp_path)
    assert (place / "file").body() == b"0123"
    found = (tmp_path / "file").stat()
    assert (place / "file").stamp() == Stamp(4, found.st_mtime_ns)
    for name in ("nothing", "file/below"):
        assert (place / name).body() is None
        assert (place / name).stamp() is None
        assert not (place / name).exists()


def test_an_empty_file_is_there(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert (on_disk(tmp_path) / "empty").exists()
    assert (on_disk(tmp_path) / "empty").body() == b""


def test_folders_are_those_directly_inside(tmp_path: Path) -> None:
    for name in ("b/deep", "a"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").touch()
    assert on_disk(tmp_path).folders() == ("a", "b")
    assert (on_disk(tmp_path) / "b").folders() == ("deep",)
    assert isinstance(on_disk(tmp_path), Place)
