"""kill -9 at random instants: the next run ends with the very same bytes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lchunk.tasks import MeshManifest
from tests.conftest import write_hdf5
from tests.faults.forked_job import OFFSET, configure_run, end_of, run_in_child, write_image
from tests.faults.whole_job import whole_files

SHAPE = (24, 32, 36)
KILLS = int(os.environ.get("LCHUNK_KILLS", "8"))
"""How often to kill: more than CI's, by hand."""


def test_any_kill_leaves_what_the_next_run_mends(configure: Callable[..., None], tmp_path: Path) -> None:
    write_image(tmp_path, SHAPE)
    for name in ("first", "undisturbed"):  # the first run compiles
        configure_run(configure, tmp_path, tmp_path / name)
        start = time.monotonic()
        assert end_of(run_in_child()) == 0
        duration = time.monotonic() - start
    expected = whole_files(tmp_path / "undisturbed")
    assert len(expected) > 100

    chance = random.Random(0)
    interrupted = 0
    for attempt in range(4 * KILLS):
        root = tmp_path / f"killed{attempt}"
        configure_run(configure, tmp_path, root)
        child = run_in_child()
        time.sleep(chance.uniform(0.02, duration))
        os.kill(child, signal.SIGKILL)
        interrupted += end_of(child) == -signal.SIGKILL and whole_files(root) != expected
        assert end_of(run_in_child()) == 0
        assert whole_files(root) == expected, attempt
        if interrupted == KILLS:
            return
    pytest.fail(f"only {interrupted} kills fell into work")


def test_a_torn_input_is_an_error_that_names_it(configure: Callable[..., None], tmp_path: Path) -> None:
    image = np.full(SHAPE, 9, np.uint8)
    write_hdf5(tmp_path / "a.h5", "raw", image, (40, 4, 4), OFFSET)
    body = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(body[: len(body) // 2])
    configure(
        "Dataset", root=tmp_path / "out", image=f"{tmp_path}/a.h5:/raw", chunk_shape="16,16,16", inner_chunk="8,8,8"
    )
    with pytest.raises(ValueError, match=r"a\.h5 must be .*HDF5"):
        MeshManifest().complete()
