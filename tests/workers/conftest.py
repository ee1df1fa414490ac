"""Servers, and the dataset of a stage that fails, that the tests of queues and workers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_hdf5
from tests.servers import KINDS, sqs_server
from tests.workers.stages_that_fail import Failing


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, dict[str, str]]]:
    """The variables of each kind of SQS server."""
    with sqs_server(KINDS[0]) as strict, sqs_server(KINDS[1]) as clock:
        yield dict(zip(KINDS, (strict, clock), strict=True))


@pytest.fixture
def configured(configure: Callable[..., None], tmp_path: Path) -> Iterator[Callable[..., None]]:
    """A dataset of 16 chunks along z, for `Failing`. Yields `configure`."""
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros((64, 4, 4), np.uint8), (4, 4, 4), (0, 0, 0))
    configure(
        "Dataset", root=tmp_path / "out", image=f"{tmp_path}/a.h5:/raw", chunk_shape="4,4,4", inner_chunk="4,4,4",
    )  # fmt: skip
    yield configure
    Failing.arrays.clear()
    Failing.rehearsals.clear()
