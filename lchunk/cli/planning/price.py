"""What a run costs at the prices that a user gives. Without a price, nothing is added up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lchunk.chunk_logs import amount
from lchunk.volumes.requests_made import Requests


@dataclass(frozen=True)
class Prices:
    """Prices in one currency; None: not given.

    Args:
        hour: of a machine.
        million_writes: of 10^6 PUT and LIST requests.
        million_reads: of 10^6 GET and HEAD requests.
        gb_month: of 10^9 bytes for a month.
    """

    hour: float | None = None
    million_writes: float | None = None
    million_reads: float | None = None
    gb_month: float | None = None


@dataclass(frozen=True)
class Price:
    """One price.

    Args:
        what: what it is for.
        amount: in the currency of the prices.
        how: how it is calculated.
    """

    what: str
    amount: float
    how: str


def prices_of(
    prices: Prices, hours: float | None, machines: int, requests: Requests | None, stored: int
) -> Iterator[Price]:
    """The prices of a run that can be calculated.

    Args:
        prices: as given.
        hours: until the last machine is done; None if unknown.
        machines: how many are paid until then.
        requests: to buckets; None if the dataset is in none.
        stored: bytes on disk.
    """
    if prices.hour is not None and hours is not None:
        of = f"{machines} machines" if machines > 1 else "a machine"
        yield Price("machines", prices.hour * hours * machines, f"{of} for {hours:.3g} hours at {prices.hour:g}")
    for name, price, number in (
        ("PUT and LIST requests", prices.million_writes, requests.writes if requests else 0),
        ("GET and HEAD requests", prices.million_reads, requests.reads if requests else 0),
    ):
        if price is not None and requests is not None:
            yield Price(name, number / 1e6 * price, f"{number:,} at {price:g} per million")
    if prices.gb_month is not None:
        yield Price(
            "storage for a month", stored / 1e9 * prices.gb_month, f"{amount(stored)} at {prices.gb_month:g} per GB"
        )
