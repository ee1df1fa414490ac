"""A part of the malformed cfgs and command lines: one of each kind of mistake, from a fixed seed."""

from collections.abc import Iterator

import pytest

from tests.malformed.cfg_slips import CFG_SLIPS
from tests.malformed.judging import case_of, tried
from tests.malformed.line_slips import LINE_SLIPS
from tests.malformed.sandbox import Sandbox

SEED = 5
SLIPS = tuple(dict.fromkeys((*CFG_SLIPS, *LINE_SLIPS)))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("malformed"), seconds=60) as place:
        yield place


@pytest.mark.parametrize("number", range(len(SLIPS)), ids=[slip.__name__ for slip in SLIPS])
def test_a_slip_is_named_in_the_last_line_or_changes_nothing(sandbox: Sandbox, number: int) -> None:
    assert tried(case_of(SLIPS, number, SEED), sandbox) == ""
