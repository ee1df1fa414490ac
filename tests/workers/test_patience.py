"""How long a process continues while its queue cannot be reached."""

from __future__ import annotations

import pytest

from lchunk.workers import patience as patience_module
from lchunk.workers.patience import Patience
from tests.workers.clocks import Clock, longest_waits

GONE = ConnectionError("gone")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(patience_module, "time", clock)
    return clock


def test_waits_double_up_to_a_minute_and_begin_anew_after_a_success(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowest = longest_waits(monkeypatch, patience_module)
    waits: list[float] = []
    patience = Patience(900, waits.append)
    for _ in range(8):
        patience.bear(GONE)
    patience.end()
    patience.bear(GONE)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 1]
    assert set(lowest) == {0.5}


def test_failures_are_borne_for_as_long_as_said_since_the_first_in_a_row(clock: Clock) -> None:
    patience = Patience(100, lambda _: None)
    for seconds in (50, 99):  # each since the first failure
        for now in (0, seconds):
            clock.now = 1000 + now
            patience.bear(GONE)
        patience.end()
    clock.now = 2000
    patience.bear(GONE)
    clock.now = 2100
    with pytest.raises(ConnectionError, match="gone"):
        patience.bear(GONE)


@pytest.mark.parametrize("error", [PermissionError("no"), FileNotFoundError("none"), ZeroDivisionError()])
def test_what_will_not_pass_is_not_borne(error: Exception, clock: Clock) -> None:
    with pytest.raises(type(error)):
        Patience(900, pytest.fail).bear(error)
