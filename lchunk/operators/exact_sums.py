"""Sums without rounding, so that they are the same in any order: of counts, of their squares, and of n log2 n.

n log2 n is cut off after `FRACTION` binary digits, the same ones on every machine, and then only added and subtracted
as a whole number. The sum over parts and the value of their whole therefore cancel exactly where there is one part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.compiled import njit

Counts = npt.NDArray[Any]
Digits = npt.NDArray[np.int64]
"""(n, 3) whole numbers in base 2^32, lowest digit first; the last digit holds whatever is left."""

FRACTION = 48
"""Binary digits of n log2 n after the point."""

ZERO, ONE, TOP, HALF, WORD = (np.uint64(number) for number in (0, 1, 63, 32, 64))
LOW = np.uint64(2**32 - 1)
"""Mask of the lower half of a uint64."""
CUT = np.uint64(64 - FRACTION)


def sum_of(counts: Counts) -> int:
    """The exact sum of counts that are each below 2^64; the sum itself may be larger.

    >>> sum_of(np.array([2**63, 2**63, 5], np.uint64)) == 2**64 + 5
    True
    """
    numbers = counts.astype(np.uint64, copy=False)
    return (int((numbers >> HALF).sum()) << 32) + int((numbers & LOW).sum())


def sum_of_squares(counts: Counts) -> int:
    """The exact sum of the squares of counts that are each below 2^64.

    >>> sum_of_squares(np.array([10**15, 3])) == 10**30 + 9
    True
    """
    numbers = counts.astype(np.uint64, copy=False)
    high, low = numbers >> HALF, numbers & LOW
    return (sum_of(high * high) << 64) + (sum_of(high * low) << 33) + sum_of(low * low)


def bits_of(counts: Counts) -> Digits:
    """N log2 n of each count, in units of 2^-`FRACTION`.

    Args:
        counts: (n,) whole numbers from 1 to 2^63 - 1.

    Returns:
        (n, 3) digits, rounded down.

    >>> [round(sum_of_digits(bits_of(np.array([count]))) / 2**FRACTION, 9) for count in (1, 8, 3)]
    [0.0, 24.0, 4.754887502]
    """
    each, place = np.unique(counts, return_inverse=True)  # sizes repeat, and the logarithm is slow
    digits = np.empty((len(each), 3), np.int64)
    _write_bits(each.astype(np.uint64), digits)
    return digits[place]


def carried(digits: Digits) -> Digits:
    """The same numbers with each digit but the last in [0, 2^32), of sums or differences of digits.

    >>> carried(np.array([[2**33 + 1, 0, 0], [-1, 0, 1]])).tolist()
    [[1, 2, 0], [4294967295, 4294967295, 0]]
    """
    low = digits[:, 0]
    middle = digits[:, 1] + (low >> 32)
    return np.stack([low & 0xFFFFFFFF, middle & 0xFFFFFFFF, digits[:, 2] + (middle >> 32)], axis=1)


def sum_of_digits(digits: Digits) -> int:
    """The exact sum of numbers that are at least 0."""
    return sum(sum_of(digits[:, place]) << 32 * place for place in range(3))


@njit
def _write_bits(counts: Any, digits: Any) -> None:
    for row in range(counts.size):
        count = counts[row]
        exponent = ZERO
        while count >> (exponent + ONE):
            exponent += ONE
        # the whole number count · exponent, and the fraction of count · log2(count / 2^exponent), of 64 binary digits
        upper, whole = _product(count, exponent)
        fraction_high, fraction_low = _logarithm(count << (TOP - exponent))
        more, fraction = _product(count, fraction_high)
        least, _ = _product(count, fraction_low)
        fraction += least
        more += np.uint64(fraction < least)
        whole += more
        upper += np.uint64(whole < more)
        fraction >>= CUT
        kept = HALF - CUT  # binary digits of the whole number in the middle digit
        digits[row, 0] = fraction & LOW
        digits[row, 1] = (fraction >> HALF) | ((whole & ((ONE << CUT) - ONE)) << kept)
        digits[row, 2] = (whole >> CUT) | (upper << (WORD - CUT))


@njit
def _logarithm(mantissa: Any) -> Any:
    """128 binary digits of the logarithm of a number in [1, 2), as two uint64.

    Squaring doubles the logarithm: its next digit is 1 if the square is 2 or more, which is then halved.

    Args:
        mantissa: the number · 2^63.
    """
    high, low = mantissa, ZERO
    first = second = ZERO
    for _ in range(128):
        first = (first << ONE) | (second >> TOP)
        second <<= ONE
        word3, word2, word1 = _square(high, low)
        if word3 >> TOP:
            high, low = word3, word2
            second |= ONE
        else:
            high, low = (word3 << ONE) | (word2 >> TOP), (word2 << ONE) | (word1 >> TOP)
    return first, second


@njit(inline=True)
def _square(high: Any, low: Any) -> Any:
    """The square of a number of two words: its three upper words, highest first."""
    word3, word2 = _product(high, high)
    between, word1 = _product(high, low)
    last, _ = _product(low, low)
    word3 += between >> TOP  # twice the product of both words is one binary digit longer
    twice = (between << ONE) | (word1 >> TOP)
    word1 = (word1 << ONE) + last
    carry = np.uint64(word1 < last)
    word2 += twice
    word3 += np.uint64(word2 < twice)
    word2 += carry
    word3 += np.uint64(word2 < carry)
    return word3, word2, word1


@njit(inline=True)
def _product(one: Any, other: Any) -> Any:
    """The product of two uint64: its upper and its lower word."""
    a, b, c, d = one >> HALF, one & LOW, other >> HALF, other & LOW
    lower, outer = b * d, a * d
    middle = b * c + (lower >> HALF) + (outer & LOW)
    return a * c + (outer >> HALF) + (middle >> HALF), (middle << HALF) | (lower & LOW)
