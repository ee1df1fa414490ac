"""The page of `lchunk status --html` in Chromium: its map, hover, links, filters; and that no text of errors runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lchunk.status import cells
from lchunk.status.ends import WorkerEnd, keep_end
from lchunk.status.facts import facts_of
from lchunk.status.page import write_page
from lchunk.viewer.chromium import chromium, installed
from lchunk.volumes.store import FileStore
from tests.status.made_layer import SCRIPT, write_failures, write_layer

pytestmark = pytest.mark.skipif(installed() is None, reason="Chromium must be installed: apt-get install chromium")

READY = "Boolean(document.querySelector('tr.chosen') && document.getElementById('canvas').scale)"
HELPERS = """
window.opened = [];
window.open = (url) => opened.push(url);
window.over = (y, x) => {
  const canvas = document.getElementById("canvas");
  const place = {offsetX: (x + 0.5) * canvas.scale, offsetY: (y + 0.5) * canvas.scale, clientX: 5, clientY: 5};
  canvas.onmousemove(place);
  canvas.onclick(place);
  return document.getElementById("tip").textContent.split("\\n");
};
window.put = (id, value) => { const each = document.getElementById(id); each.value = value; each.oninput(); };
window.pixel = (y, x) => {
  const canvas = document.getElementById("canvas");
  const at = [(x + 0.5) * canvas.scale, (y + 0.5) * canvas.scale].map(Math.floor);
  return [...canvas.getContext("2d").getImageData(...at, 1, 1).data].join();
};
true;
"""


def seen(written: Path, *expressions: str) -> list[Any]:
    """The values of expressions in the page, one after the other; then its title and the URLs that it has loaded."""

    async def look() -> list[Any]:
        async with chromium() as page:
            await page.open(f"file://{written}")
            async with asyncio.timeout(60):
                while not await page.value(READY):
                    await asyncio.sleep(0.05)
            await page.value(HELPERS)
            values = [await page.value(expression) for expression in expressions]
            return [*values, await page.value("document.title"), page.requests]

    return asyncio.run(look())


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The page of the layer with failures, with links to a viewer."""
    store = FileStore(tmp_path / "out")
    write_failures(store, write_layer(store))
    write_page(store, facts_of(store), tmp_path / "status.html", "http://127.0.0.1:8888")
    return tmp_path / "status.html"


def test_the_map_begins_where_a_chunk_failed_and_tells_what_is_under_the_pointer(written: Path) -> None:
    summary, slice_, failed, missing, done, opened, title, requests = seen(
        written,
        "document.getElementById('summary').textContent",
        "document.getElementById('where').textContent",
        "over(1, 0)",
        "over(0, 1)",
        "put('z', '0') || over(0, 1)",
        "opened",
    )
    assert summary.startswith("6 of 12 chunks done (50 %), 1 failed, 5 missing")
    assert slice_ == "3 of 3: voxels 4 to 8"
    assert failed[:2] == ["4-8_8-12_8-12", "failed"]
    assert SCRIPT in "\n".join(failed)
    assert missing == ["4-8_0-8_12-16", "missing"]
    assert done == ["-4-0_0-8_12-16", "done", "about 3 min", "on gpu-1"]
    assert opened == [
        "http://127.0.0.1:8888/?at=0.833333,0.833333,0.25", "http://127.0.0.1:8888/?at=0.833333,0.333333,0.75",
        "http://127.0.0.1:8888/?at=0.166667,0.333333,0.75",
    ]  # fmt: skip
    assert title == f"lchunk status: {written.parent}/out"  # no script of an error has run
    assert requests == [f"file://{written}"]


def test_a_click_on_a_failed_chunk_opens_its_error_even_one_that_is_filtered_out(written: Path) -> None:
    opened = "[...document.querySelectorAll('details')].filter((each) => each.open && !each.hidden)"
    regions = f"{opened}.map((each) => each.querySelector('b').textContent.trim())"
    cursor = "document.getElementById('canvas').style.cursor"
    missing, failed, shown, pointer, arrow, *_ = seen(
        written,
        f"put('text', 'refused') || over(0, 1) && {regions}",
        f"over(1, 0) && {regions}",
        f"{opened}[0].textContent",
        cursor,
        f"over(0, 0) && {cursor}",
    )
    assert (missing, failed) == ([], ["Inference 4-8_0-12_8-16"])
    assert f"Traceback\n{SCRIPT}" in shown
    assert (pointer, arrow) == ("pointer", "")


def test_colours_follow_the_state_or_the_seconds(written: Path) -> None:
    failed, missing, done, dimmed, slow, fast, unknown, *_ = seen(
        written,
        "pixel(1, 0)",
        "pixel(0, 0)",
        "put('z', '0') || pixel(0, 0)",
        "put('state', 'failed') || put('z', '0') || pixel(0, 0)",
        "put('state', '') || put('colour', 'seconds') || put('z', '0') || pixel(0, 0)",
        "put('z', '1') || pixel(1, 1)",
        "pixel(0, 1)",
    )
    assert len({failed, missing, done, dimmed, slow, fast}) == 6
    assert unknown == missing
    assert dimmed.split(",")[3] != "255"


def test_filters_hide_rows_and_failures(written: Path) -> None:
    count = "[...document.querySelectorAll('details')].filter((each) => !each.hidden).length"
    rows = "[...document.querySelectorAll('#rows tr')].filter((each) => !each.hidden).length"
    both = f"[{count}, {rows}, document.getElementById('failed').textContent]"
    every, other_text, own_text, done, other_stage, shown, *_ = seen(
        written, both, f"put('text', 'refused') || {both}", f"put('text', 'ONERROR') || {both}",
        f"put('text', '') || put('state', 'done') || {both}",
        f"put('state', '') || put('stage', 'Inference') || {both}",
        "(document.querySelector('details').open = true) && document.querySelector('details').textContent",
    )  # fmt: skip
    assert every == [2, 1, "2 of 2 failed regions"]
    assert other_text == [1, 1, "1 of 2 failed regions"]
    assert own_text == [1, 1, "1 of 2 failed regions"]
    assert done == [0, 1, "0 of 2 failed regions"]
    assert other_stage == every
    assert f"Traceback\n{SCRIPT}" in shown
    assert "lchunk run Inference --region=4-8_0-12_8-16" in shown


def test_what_became_of_workers_is_listed_as_text(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "out")
    write_layer(store)
    told = "[document.getElementById('workers').hidden, document.getElementById('told').textContent]"
    write_page(store, facts_of(store), tmp_path / "status.html")
    assert seen(tmp_path / "status.html", told)[0] == [True, ""]
    keep_end(store, "gpu-1-7", WorkerEnd(SCRIPT))
    write_page(store, facts_of(store), tmp_path / "status.html")
    shown, title, _ = seen(tmp_path / "status.html", told)
    assert shown == [False, f"workers that were ended in the last day: 1 by {SCRIPT}"]
    assert title.startswith("lchunk status")


def test_boxes_of_chunks_are_drawn_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells.side_of_cells, "__defaults__", (4,))
    store = FileStore(tmp_path / "out")
    write_failures(store, write_layer(store))
    write_page(store, facts_of(store), tmp_path / "status.html")
    failed, partly, opened, *_ = seen(
        tmp_path / "status.html", "over(0, 0).slice(0, 2)", "put('z', '0') || over(0, 0)", "opened"
    )
    assert failed == ["4-8_0-12_8-16", "failed, 0 % of the chunks done"]
    assert partly == ["-4-4_0-12_8-16", "partly done, 75 % of the chunks done", "about 3 min per chunk"]
    assert opened == []
