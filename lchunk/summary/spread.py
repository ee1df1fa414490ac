"""The distribution of seconds: mean, quantiles, smallest and largest, in little memory."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

EXACT = 1 << 15
"""Values up to which quantiles are exact. From more values on, each is known to within half a bin."""
BIN = math.log(1.01)
"""Width of a bin, of the natural logarithm of a value: 1 %."""
LEAST = 1e-6
"""Seconds below which values share a bin."""


class Spread:
    """Values that are added one by one.

    >>> spread = Spread()
    >>> for seconds in (4.0, 1.0, 2.0): spread.add(seconds)
    >>> spread.mean, spread.quantile(0.5), spread.least, spread.most
    (2.3333333333333335, 2.0, 1.0, 4.0)

    Attributes:
        count: how many there are.
        total: their sum.
        least: the smallest; infinite if there is none.
        most: the largest.
    """

    def __init__(self) -> None:
        self.count, self.total, self.least, self.most = 0, 0.0, math.inf, 0.0
        self._values = array("d")
        self._bins: Counter[int] = Counter()

    def add(self, value: float) -> None:
        """Add a value that is not negative."""
        self.count += 1
        self.total += value
        self.least, self.most = min(self.least, value), max(self.most, value)
        if not self._bins and self.count <= EXACT:
            self._values.append(value)
            return
        for each in (*self._values, value):
            self._bins[round(math.log(max(each, LEAST)) / BIN)] += 1
        self._values = array("d")

    @property
    def mean(self) -> float:
        """The sum divided by the count; 0 if there are no values."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """The value below which a share of the values are, interpolated linearly between two of them.

        Of more than `EXACT` values it is the middle of a bin.
        """
        if not self._bins:
            ordered = sorted(self._values)
            place = share * (len(ordered) - 1)
            low = math.floor(place)
            return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])
        below = accumulate(number for _, number in self.groups())
        value = next(
            value for (value, _), upto in zip(self.groups(), below, strict=True) if upto > share * (self.count - 1)
        )
        return min(max(value, self.least), self.most)

    def groups(self) -> Iterator[tuple[float, int]]:
        """The values in ascending order, and how often each is there; of many values, the middles of bins."""
        if self._bins:
            yield from ((math.exp(place * BIN), number) for place, number in sorted(self._bins.items()))
        else:
            yield from sorted(Counter(self._values).items())

    def content(self) -> dict[str, float]:
        """The numbers as JSON holds them."""
        return {
            "count": self.count, "mean": self.mean, "median": self.quantile(0.5), "p95": self.quantile(0.95),
            "min": self.least, "max": self.most, "sum": self.total,
        }  # fmt: skip
