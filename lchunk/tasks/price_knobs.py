"""The `[Prices]` section of the cfg: what machines and buckets cost. It changes no result."""

from __future__ import annotations

import math

import luigi

from lchunk.tasks.parameters import CountParameter, Knob, TextParameter, option_of


class PriceParameter(Knob[float | None]):
    """A price of at least 0, or nothing."""

    def parse(self, x: str) -> float | None:
        if not x:
            return None
        try:
            price = float(x)
        except ValueError as error:
            raise ValueError(self._rule(repr(x))) from error
        return self.normalize(price)

    def normalize(self, x: float | None) -> float | None:
        if x is not None and not 0 <= x < math.inf:
            raise ValueError(self._rule(str(x)))
        return x

    def serialize(self, x: float | None) -> str:
        return "" if x is None else repr(float(x))

    def _rule(self, got: str) -> str:
        return f"{option_of(self)} must be a price of at least 0, got {got}"


class Prices(luigi.Config):
    """Prices, in one currency. Those that are given take precedence over the rows of lchunk/prices.cfg."""

    machine: str = TextParameter(
        default="", description="machine that runs the processes, as a row of lchunk/prices.cfg"
    )
    processes: int = CountParameter(default=1, least=1, description="processes that share a machine")
    bucket: str = TextParameter(default="", description="bucket of the dataset, as a row of lchunk/prices.cfg")
    hour: float | None = PriceParameter(default=None, description="price of a machine for an hour")
    million_writes: float | None = PriceParameter(default=None, description="price of 10^6 PUT and LIST requests")
    million_reads: float | None = PriceParameter(default=None, description="price of 10^6 GET and HEAD requests")
    gb_month: float | None = PriceParameter(default=None, description="price of 10^9 bytes for a month")
