"""Chunks that fail: which others are made, which message is given, and that no memory of them is kept."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lchunk.tasks import making
from lchunk.tasks.jobs import Chunk, ChunkJob
from lchunk.tasks.making import (
    ENOUGH_FAILURES,
    Failure,
    first_places,
    make_all,
    reasons,
)
from tests.tasks.chunk_jobs import (
    GRID,
    job_of,
    watched_jobs,
)


def failing(folder: Path, count: int, kinds: int, arrays: list[Any]) -> Iterator[ChunkJob]:
    """Jobs that all fail, for one of some reasons, each with a large array in the frame."""

    def compute(chunk: Chunk, image: Any) -> Any:
        large = np.zeros(1 << 16)
        arrays.append(weakref.ref(large))
        raise ValueError(f"broken for reason {chunk.bbox.start[2] // 4 % kinds}")

    for index in range(count):
        yield job_of(folder, compute, index)


@pytest.mark.parametrize("threads", [False, True])
def test_failures_keep_no_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: bool) -> None:
    if threads:
        monkeypatch.setattr(making, "WORTH_A_THREAD", 0.0)
    monkeypatch.setattr(logging.getLogger("luigi-interface"), "disabled", True)
    arrays: list[Any] = []
    failures = make_all(failing(tmp_path, 20, 20, arrays), lambda number: None)
    assert len(failures) == len(arrays) == 20
    gc.collect()
    assert sum(array() is not None for array in arrays) == 0


def test_a_block_gives_up_when_one_reason_comes_again_and_again(tmp_path: Path) -> None:
    arrays: list[Any] = []
    failures = make_all(failing(tmp_path, 20, 1, arrays), lambda number: None)
    assert ENOUGH_FAILURES == 5
    assert len(failures) == ENOUGH_FAILURES + 1  # one was read ahead
    assert reasons(failures) == f"ValueError: broken for reason 0 ({len(failures)} chunks)"


def test_failures_of_many_reasons_do_not_stop_a_block(tmp_path: Path) -> None:
    failures = make_all(failing(tmp_path, 20, 7, []), lambda number: None)
    assert len(failures) == 20
    assert "and 4 other reasons" in reasons(failures)


def test_the_last_chunk_s_failed_write_is_reported(tmp_path: Path) -> None:
    jobs, _, output = watched_jobs(tmp_path, 1, lambda chunk, image: image)

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    output.hooks.append(full)
    assert reasons(make_all(jobs, lambda number: None)) == "OSError: No space left on device"


def test_a_reason_is_logged_with_its_traceback_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("luigi-interface")
    log.addHandler(caplog.handler)
    try:
        make_all(failing(tmp_path, 3, 2, []), lambda number: None)
    finally:
        log.removeHandler(caplog.handler)
    shown = [(record.getMessage(), record.exc_info is not None) for record in caplog.records]
    assert list(dict.fromkeys(shown)) == [
        ("Test failed at 0-4_0-4_0-4", True),
        ("Test failed at 0-4_0-4_4-8", True),
        ("Test failed at 0-4_0-4_8-12, as before: broken for reason 0", False),
    ]


def test_nothing_of_a_chain_of_errors_keeps_frames(tmp_path: Path) -> None:
    def compute(chunk: Chunk, image: Any) -> Any:
        try:
            try:
                raise KeyError("first")
            except KeyError as error:
                raise OSError("second") from error
        except OSError:
            raise ValueError("third")  # noqa: B904 - a context, not a cause

    jobs, _, _ = watched_jobs(tmp_path, 1, compute)
    (failure,) = make_all(jobs, lambda number: None)
    second = failure.error.__context__
    assert second is not None
    assert second.__cause__ is not None
    assert [failure.error.__traceback__, second.__traceback__, second.__cause__.__traceback__] == [None] * 3


def test_a_chain_of_errors_that_closes_on_itself_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert making._without_frames(one) is one


def failure(number: int, text: str) -> Failure:
    return Failure(GRID.chunk((0, 0, number)), ValueError(text), "")


def test_reasons_are_shown_once_the_most_frequent_first() -> None:
    texts = ["a", "b", "b", "c", "c", "c", "d", "e"]
    failures = [failure(number, text) for number, text in enumerate(texts)]
    shown = "ValueError: c (3 chunks); ValueError: b (2 chunks); ValueError: a"
    assert reasons(failures) == f"{shown}; and 2 other reasons"
    assert reasons(failures[:7]) == f"{shown}; and 1 other reasons"
    assert reasons(failures[:6]) == shown
    assert reasons(failures[:1]) == "ValueError: a"
    assert first_places(failures) == "0-4_0-4_0-4, 0-4_0-4_4-8, 0-4_0-4_8-12"
