"""What a run costs, at the prices that a user gives or names in the table. Without a price, nothing is added up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from lchunk.chunk_logs import amount
from lchunk.tasks import price_knobs
from lchunk.tasks.luigi_settings import packaged
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


TABLE = "prices.cfg"
"""The table that ships with lchunk."""


def known_prices(given: Prices, machine: str = "") -> tuple[Prices, list[str]]:
    """The prices that are given, and those of `[Prices]` in the cfg, whose rows of the table come last.

    Args:
        given: those of a command line; they take precedence.
        machine: a row of the table; empty: that of the cfg.

    Returns:
        The prices, and notes: where those of the table are from, and what has no price.
    """
    cfg = price_knobs.Prices()
    found, notes = given, list[str]()
    for field in fields(Prices):
        if getattr(found, field.name) is None:
            own = None if machine and field.name == "hour" else getattr(cfg, field.name)
            found = replace(found, **{field.name: own})
    for kind, row in (("machine", machine or cfg.machine), ("bucket", cfg.bucket)):
        if row:
            found, note = _with_row(found, kind, row)
            notes += [note] if note else []
    return found, notes


def _with_row(prices: Prices, kind: str, row: str) -> tuple[Prices, str]:
    """Prices with those of a row of the table where they have none, and a note about it; empty if nothing was taken."""
    names = ("hour",) if kind == "machine" else ("million_writes", "million_reads", "gb_month")
    absent = [name for name in names if getattr(prices, name) is None]
    if not absent:
        return prices, ""
    rows = {name: values for name, values in packaged(TABLE).items() if names[0] in values}
    if row not in rows:
        return prices, (
            f"no price of the {kind} {row!r} is known, so it is not counted: the table has {', '.join(sorted(rows))}; "
            f"write your price into [Prices] {names[0]}"
        )
    own = rows[row]
    values: dict[str, float] = {name: float(own[name]) for name in absent}
    return replace(
        prices, **values
    ), f"the prices of {row} are list prices in US dollars ({own['source']}, {own['date']})"


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
