"""The page of `lchunk status --html`: what its data holds, and that no text can end its script, or load anything."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lchunk.failures import Failure, keep_failure
from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.status import cells, page
from lchunk.status.cells import LEVELS_PER_DECADE, PARTLY, SHORTEST, cells_of, levels
from lchunk.status.chunks import DONE, FAILED, MISSING
from lchunk.status.facts import facts_of
from lchunk.status.made import Hosts, Made, made_chunks
from lchunk.status.page import MARK, page_data, write_page
from lchunk.volumes.store import FileStore
from tests.status.made_layer import SCRIPT, write_failures, write_layer


class Read(HTMLParser):
    """The scripts of a page, all of its attributes, and its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "script" and self.scripts:
            self.scripts[-1] += data


def unpacked(text: str, dtype: str = "u1") -> np.ndarray[Any, Any]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The page of the layer with failures, with links to a viewer."""
    store = FileStore(tmp_path / "out")
    write_failures(store, write_layer(store))
    write_page(store, facts_of(store), tmp_path / "status.html", "http://127.0.0.1:8888/")
    return tmp_path / "status.html"


def test_the_data_of_a_page_has_the_counts_and_every_chunk(written: Path) -> None:
    data = json.loads(Read(written.read_text()).scripts[0])
    assert {name: data[name] for name in ("chunks", "done", "failed", "missing", "viewer")} == {
        "chunks": 12, "done": 6, "failed": 1, "missing": 5, "viewer": "http://127.0.0.1:8888",
    }  # fmt: skip
    (layer,) = data["layers"]
    states = unpacked(layer["states"])
    assert [int((states == state).sum()) for state in (DONE, FAILED, MISSING)] == [6, 1, 5]
    assert states.reshape(layer["shape"])[2, 1, 0] == FAILED
    assert (layer["side"], layer["shape"], layer["shares"]) == (1, [3, 2, 2], "")
    seconds = SHORTEST * 10 ** ((unpacked(layer["seconds"]).astype(float) - 1) / LEVELS_PER_DECADE)
    assert seconds[:5] == pytest.approx([200, 200, 200, 200, 200], rel=0.06)
    hosts = unpacked(layer["hosts"], "<u2")
    assert [data["hosts"][number] for number in hosts] == [
        *["gpu-1"] * 5, "", "", "gpu-1", "", "", "", "",
    ]  # fmt: skip
    assert data["traces"][data["failures"][0]["traceback"]] == f"Traceback\n{SCRIPT}"
    assert data["failures"][0]["chunks"][0] == "4-8_8-12_8-12"


def test_no_text_can_end_the_script_or_become_html(written: Path) -> None:
    text = written.read_text()
    read = Read(text)
    assert SCRIPT not in text
    assert text.count("</script>") == len(read.scripts) == 2
    assert "img" not in read.tags
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text)


def test_a_page_loads_nothing(written: Path) -> None:
    read = Read(written.read_text())
    assert {name for name, _ in read.attributes} & {"src", "href", "action", "background"} == set()
    (policy,) = (text for _, text in read.attributes if text and text.startswith("default-src"))
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket", written.read_text())


def test_only_a_page_is_replaced_and_nothing_is_left_beside_it(written: Path) -> None:
    store = FileStore(written.parent / "out")
    store.remove("affinities/0/c/0/0/0")
    write_page(store, facts_of(store), written)
    assert json.loads(Read(written.read_text()).scripts[0])["done"] == 5
    assert sorted(path.name for path in written.parent.iterdir()) == ["out", "status.html"]
    for other in ("notes.html", "empty.html"):
        path = written.parent / other
        path.write_text("notes" if other == "notes.html" else "")
        with pytest.raises(FileExistsError, match="--html must be a new file, or a page that `lchunk status` wrote"):
            write_page(store, facts_of(store), path)
    assert (written.parent / "notes.html").read_text() == "notes"
    with pytest.raises(FileExistsError):
        write_page(store, facts_of(store), written.parent)
    assert written.read_text().startswith(MARK)


def test_the_failures_of_a_page_are_limited_and_share_their_tracebacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_FAILURES", 2)
    store = FileStore(tmp_path)
    layer = write_layer(store)
    for number in range(3):
        failure = Failure(
            "Inference", "affinities", f"r{number}", "no", tuple(layer.keys((1, 1, 0))), traceback="where"
        )
        keep_failure(store, failure)
    data = page_data(store, facts_of(store))
    assert [len(data["failures"]), data["more_failures"], data["traces"]] == [2, 1, ["", "where"]]
    assert [failure["traceback"] for failure in data["failures"]] == [1, 1]


def test_of_many_chunks_a_cell_is_a_box_of_them() -> None:
    grid = Grid(Bbox((0, 0, 0), (3, 2, 4)), (1, 1, 1))
    states = np.full(grid.counts, DONE, np.uint8)
    states[0, 0, 2], states[2, 0, 0], states[2, 1, 2:], states[2, 0, 2:] = MISSING, FAILED, MISSING, MISSING
    made = Made(grid)
    made.seconds[0, 0, :2] = 2.0, 4.0
    made.seconds[0, 0, 2] = 1e6  # of a chunk that is missing again
    found = cells_of(states, made, 2)
    assert (found["side"], found["shape"], found["hosts"]) == (2, [2, 1, 2], "")
    assert unpacked(found["states"]).tolist() == [DONE, PARTLY, FAILED, MISSING]
    assert unpacked(found["shares"]).tolist() == [255, 255 * 7 // 8, 255 * 3 // 4, 0]
    assert unpacked(found["seconds"]).tolist() == [levels(np.array(3.0)), 0, 0, 0]


def test_a_page_has_few_enough_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path)
    write_layer(store)
    monkeypatch.setattr(cells.side_of_cells, "__defaults__", (4,))
    (layer,) = page_data(store, facts_of(store))["layers"]
    assert (layer["side"], layer["shape"]) == (2, [2, 1, 1])


def test_more_hosts_than_numbers_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lchunk.status.made.MOST_HOSTS", 2)
    hosts = Hosts()
    assert [hosts.number(name) for name in ("a", "b", "a", "c", "b")] == [1, 2, 1, 0, 2]


def test_lines_that_are_no_chunks_of_the_grid_are_left_out(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    write_layer(store)
    entry = {"stage": "Inference", "voxels": 1, "seconds": {"compute": 7.0}}
    for box in ("0-64_0-64_0-64", "here", 7):
        store.append("logs/affinities/2026-01-31-x-1.jsonl", json.dumps(entry | {"bbox": box}).encode() + b"\n")
    store.append("logs/other/2026-01-31-x-1.jsonl", json.dumps(entry).encode() + b"\ntorn")
    layers = facts_of(store).layers
    hosts = Hosts()
    made = made_chunks(store, layers, hosts)["affinities"]
    assert int((made.seconds > 0).sum()) == 6
    assert 7.0 not in made.seconds
