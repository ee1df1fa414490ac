"""Some malformed volumes: each is refused with name, rule and advice, or read as another program reads it."""

from pathlib import Path

import pytest

from tests.volumes.formats.malformed import MISHAPS, WRITERS, tried

SEED = 12


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", range(0, len(WRITERS) * len(MISHAPS) * 3, 3))
def test_a_malformed_volume_is_refused_or_read_right(tmp_path: Path, number: int) -> None:
    assert tried(number, SEED, tmp_path) == ""
