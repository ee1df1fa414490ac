"""The progress of a large net that is fetched, in the log and on the terminal."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from lchunk.cli.console import Console
from lchunk.tasks import net_urls
from lchunk.volumes.place import Place
from lchunk.volumes.store import open_store


def test_the_log_shows_how_much_of_a_large_file_was_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lines = iter(range(100)), list[str]()
    monkeypatch.setattr(net_urls, "time", SimpleNamespace(monotonic=lambda: 2 * next(clock)))
    logger = SimpleNamespace(info=lambda text, *values, extra: lines.append(text % values))
    monkeypatch.setattr(net_urls, "logger", logger)
    fetching = net_urls._Fetching()
    for name, size in (("net.pt", 4_000_000_000), ("small.pt", 99_000_000)):
        for part in range(9):
            fetching(Place(open_store("/nets"), name), part * size // 8, size)
    assert lines == [
        "fetching /nets/net.pt: 0.00 of 4.00 GB",
        "fetching /nets/net.pt: 1.50 of 4.00 GB, 250 MB/s",  # after six seconds
        "fetching /nets/net.pt: 3.00 of 4.00 GB, 250 MB/s",
        "fetching /nets/net.pt: 4.00 of 4.00 GB, 250 MB/s",
    ]


def test_the_terminal_shows_that_progress_and_no_other_information(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    logger = logging.getLogger("luigi-interface")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)
    with Console([]):
        logger.info("Luigi says something")
        net_urls._Fetching()(Place(open_store("/nets"), "net.pt"), 0, 4_000_000_000)
        logger.warning("something is wrong")
    for handler in logger.handlers:
        handler.close()
    assert capsys.readouterr().err == (
        "lchunk: INFO: fetching /nets/net.pt: 0.00 of 4.00 GB\nlchunk: WARNING: something is wrong\n"
    )
