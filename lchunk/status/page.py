"""The page of `lchunk status --html`: one file with its style, its script and its data, which loads nothing.

The data is JSON in which no character can end the script; the script shows it as text only, never as HTML.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from lchunk.exports.outputs import whole_or_nothing
from lchunk.failures import Failure
from lchunk.status.cells import LEVELS_PER_DECADE, SHORTEST, cells_of, side_of_cells
from lchunk.status.facts import Facts, LayerFacts, failure_content
from lchunk.status.fleet import fleet_lines
from lchunk.status.made import Hosts, made_chunks
from lchunk.volumes.store import Store

MARK = "<!doctype html><!-- written by lchunk status -->"
"""The first line of a page, by which one is recognized that may be replaced."""
MOST_FAILURES = 500
"""Failed regions that a page lists."""


def write_page(store: Store, facts: Facts, path: Path, viewer: str = "") -> None:
    """Write the page in one atomic step; all lines of all logs are read.

    Args:
        store: the dataset's folder.
        facts: its progress.
        path: the file; it may be a page that was written before.
        viewer: address of a running `lchunk view`; empty: without links to it.

    Raises:
        FileExistsError: the file exists, and is not such a page.
    """
    if path.exists() and not _is_page(path):
        raise FileExistsError(
            f"--html must be a new file, or a page that `lchunk status` wrote, got {path}; name another file"
        )
    text = page_text(page_data(store, facts, viewer))
    with whole_or_nothing(path, replace=True) as partial:
        partial.write_text(text, encoding="utf-8")


def _is_page(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK.encode()


def page_text(data: dict[str, Any]) -> str:
    """The HTML of a page."""
    text = json.dumps(data, separators=(",", ":"))  # ASCII: other characters are escaped
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    page, style, script = (
        resources.files("lchunk.status").joinpath(name).read_text(encoding="utf-8")
        for name in ("page.html", "page.css", "page.js")
    )
    head, rest = page.split("/* style */")
    middle, more = rest.split("/* data */")
    between, tail = more.split("/* script */")
    return "".join((MARK, "\n", head, style, middle, text, between, script, tail))


def page_data(store: Store, facts: Facts, viewer: str = "") -> dict[str, Any]:
    """The data of a page: the facts without errors per layer, the cells of each map, and the first failures."""
    hosts = Hosts()
    made = made_chunks(store, facts.layers, hosts)
    side = side_of_cells(facts_of.layer.grid.counts for facts_of in facts.layers)

    def layer(each: LayerFacts) -> dict[str, Any]:
        content = each.content() | {"log_folder": each.layer.log_folder}
        del content["last_error"]
        return content | cells_of(each.states, made[each.layer.log_folder], side)

    content = facts.content() | {"layers": [layer(each) for each in facts.layers], "viewer": viewer.rstrip("/")}
    traces: dict[str, int] = {"": 0}
    content["failures"] = [_failure(each, traces) for each in facts.failures[:MOST_FAILURES]]
    return content | {
        "workers": list(fleet_lines(store, facts)),
        "more_failures": max(0, len(facts.failures) - MOST_FAILURES), "traces": list(traces),
        "hosts": ["", *hosts.numbers], "shortest": SHORTEST, "levels_per_decade": LEVELS_PER_DECADE,
    }  # fmt: skip


def _failure(failure: Failure, traces: dict[str, int]) -> dict[str, Any]:
    """A failure, with the number of its traceback: many failures have the same one."""
    content = failure_content(failure)
    return content | {"traceback": traces.setdefault(content["traceback"], len(traces))}
