"""One dataset for all tests that only read it."""

from __future__ import annotations

import pytest

from tests.exports.datasets import Made, make_dataset


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    return make_dataset(tmp_path_factory.mktemp("dataset"))
