"""The distribution of seconds: exact for some values, and within a bin for many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.summary import spread
from lchunk.summary.spread import Spread


def spread_of(values: list[float]) -> Spread:
    found = Spread()
    for value in values:
        found.add(value)
    return found


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.floats(0, 1))
def test_quantiles_of_some_values_are_those_of_numpy(values: list[float], share: float) -> None:
    found = spread_of(values)
    assert found.quantile(share) == pytest.approx(float(np.quantile(values, share)), rel=1e-9, abs=1e-9)
    assert (found.count, found.least, found.most) == (len(values), min(values), max(values))
    assert found.mean == pytest.approx(float(np.mean(values)))
    assert sum(number for _, number in found.groups()) == len(values)


def test_quantiles_of_many_values_are_known_to_within_a_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "EXACT", 100)
    values = np.random.default_rng(0).lognormal(0, 2, 5000)
    found = spread_of(values.tolist())
    for share in (0.0, 0.05, 0.5, 0.95, 1.0):
        assert found.quantile(share) == pytest.approx(float(np.quantile(values, share)), rel=0.02)
    assert found.quantile(1.0) <= found.most
    assert len(list(found.groups())) < 2000
    assert sum(number for _, number in found.groups()) == 5000
    assert found.mean == pytest.approx(values.mean())


def test_values_of_0_are_values_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "EXACT", 1)
    assert spread_of([0.0, 0.0, 5.0]).quantile(0.5) <= 1.01 * spread.LEAST
