"""Whole numbers for n log2 n: against decimal arithmetic, and added up as whole numbers of any size."""

from decimal import Context, Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators.exact_sums import FRACTION, bits_of, carried, sum_of_digits

COUNTS = st.integers(1, 2**63 - 1) | st.integers(0, 62).map(lambda n: 2**n) | st.integers(1, 2**17)


def number_of(digits: np.ndarray) -> int:
    return sum(digit << 32 * place for place, digit in enumerate(digits.tolist()))


@given(st.lists(COUNTS, min_size=1, max_size=20))
def test_bits_are_those_of_decimal_arithmetic_rounded_down(counts: list[int]) -> None:
    digits = bits_of(np.array(counts))
    assert ((digits[:, :2] >= 0) & (digits[:, :2] < 2**32)).all()
    with localcontext(Context(prec=80)):
        for count, row in zip(counts, digits, strict=True):
            true = Decimal(count) * Decimal(count).ln() / Decimal(2).ln() * 2**FRACTION
            assert 0 <= true.quantize(Decimal("1e-30")) - number_of(row) < 1


@pytest.mark.parametrize("exponent", [0, 1, 31, 32, 33, 62])
def test_powers_of_two_are_exact(exponent: int) -> None:
    assert number_of(bits_of(np.array([2**exponent]))[0]) == exponent << (exponent + FRACTION)


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=9))
def test_digits_add_up_and_cancel_as_whole_numbers(pairs: list[tuple[int, int]]) -> None:
    some, more = (bits_of(np.array(counts)) for counts in zip(*pairs, strict=True))
    together = carried(some + more)
    for row, one, other in zip(together, some, more, strict=True):
        assert number_of(row) == number_of(one) + number_of(other)
    assert ((together[:, :2] >= 0) & (together[:, :2] < 2**32)).all()
    assert np.array_equal(carried(together - more), some)
    assert sum_of_digits(together) == sum(map(number_of, some)) + sum(map(number_of, more))
