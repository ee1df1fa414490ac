"""The order of sections in a folder, from their names alone.

A name is divided into text, numbers, heights (`z0.040um`) and times (`12-30-05`). One number counts the sections;
heights and times may rise with it. If anything else varies, there are channels, tiles or a mixture of sets, and the
folder is refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError

_DAY = r"(?:19|20)\d{2}(?P<between>[-_.]?)(?:0[1-9]|1[0-2])(?P=between)(?:0[1-9]|[12]\d|3[01])"
_PARTS = re.compile(
    rf"(?P<time>{_DAY}(?:[-_T. ]?[0-2]\d[-.:h_][0-5]\d[-.:m_][0-5]\ds?)?|[0-2]\d[:h][0-5]\d[:m][0-5]\ds?)(?!\d)"
    r"|(?P<height>\d+\.\d+|\d+(?=\s?[nuµm]m(?![a-z])))"
    r"|(?P<number>\d+)",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"[0-2]\d[0-5]\d[0-5]\d")
"""A time without separators. It is recognised only after a date, because a counter looks the same."""

_SHOWN = 8


@dataclass(frozen=True)
class Sections:
    """Files in order.

    Args:
        names: names of the files; None for a number without a file, if `gaps` is `black`.
    """

    names: tuple[str | None, ...]


@dataclass(frozen=True)
class _Name:
    name: str
    texts: tuple[str, ...]
    kinds: tuple[str, ...]
    digits: tuple[str, ...]
    values: tuple[float | int | str, ...]

    @property
    def natural(self) -> tuple[Any, ...]:
        """A sort key that puts s2 before s10."""
        mixed: list[tuple[int, Any]] = [(0, self.texts[0].lower())]
        for text, value in zip(self.texts[1:], self.values, strict=True):
            mixed += [(1, str(value)) if isinstance(value, str) else (0, value), (0, text.lower())]
        return tuple(mixed)


def ordered(names: Sequence[str], folder: str, *, order: str = "", gaps: str = "") -> Sections:
    """Sort the files of a folder.

    Args:
        names: names of the files, with their suffixes.
        folder: the folder's name in messages.
        order: `name`, or the number in the names to sort by, from 1; empty: the one that counts the sections.
        gaps: `close` or `black`; empty: a gap is an error.

    Raises:
        RefusedVolumeError: two orders are possible, or two files are the same section.
        AbsentVoxelsError: numbers are absent.
    """
    parsed = sorted((_parse(name) for name in names), key=lambda name: (name.natural, name.name))
    _refuse_doubles(parsed, folder)
    if order == "name" or len(parsed) < 2 or not any(name.values for name in parsed):
        return Sections(tuple(name.name for name in parsed))
    if order:
        place = int(order) - 1
        if any(len(name.values) <= place for name in parsed):
            raise RefusedVolumeError(f"order must be a number that each name has, got {order} in {folder}")
        parsed = _by_number(parsed, place)
    else:
        place = _counter(parsed, folder)
    if place < 0:
        return Sections(tuple(name.name for name in parsed))
    return _without_gaps(parsed, place, folder, gaps)


def _parse(name: str) -> _Name:
    stem = name.rsplit(".", 1)[0]
    texts: list[str] = []
    kinds: list[str] = []
    digits: list[str] = []
    values: list[float | int | str] = []
    last = 0
    for match in _PARTS.finditer(stem):
        kind = str(match.lastgroup)
        texts.append(stem[last : match.start()])
        kinds.append(kind)
        text = match.group()
        digits.append(text)
        values.append(text if kind == "time" else float(text) if kind == "height" else int(text))
        last = match.end()
    return _Name(name, (*texts, stem[last:]), tuple(kinds), tuple(digits), tuple(values))


def _digits(value: float | int | str) -> float | int:
    return int("".join(c for c in value if c.isdigit())) if isinstance(value, str) else value


def _by_number(parsed: list[_Name], place: int) -> list[_Name]:
    return sorted(parsed, key=lambda name: _digits(name.values[place]))


def _refuse_doubles(parsed: list[_Name], folder: str) -> None:
    for before, after in itertools.pairwise(parsed):
        if before.natural == after.natural:
            raise RefusedVolumeError(
                f"each section of {folder} must be one file, got {before.name} and {after.name}; move one away"
            )


def _counter(parsed: list[_Name], folder: str) -> int:
    """Which number counts the sections; -1 if only times and heights do."""
    first = parsed[0]
    for name in parsed:
        if name.kinds != first.kinds:
            raise RefusedVolumeError(
                f"names of the sections in {folder} must have one form, got {first.name} and {name.name}; move away "
                "files that are not sections, or sort them by their whole names: #order=name"
            )
    columns = {
        place: [name.values[place] for name in parsed]
        for place in range(len(first.kinds))
        if any(name.values[place] != first.values[place] for name in parsed)
    }
    kinds = [_kind(parsed, place) for place in range(len(first.kinds))]
    counting = {place: values for place, values in columns.items() if kinds[place] == "number"}
    _refuse_backwards(parsed, [place for place in columns if kinds[place] != "number"], kinds, folder)
    distinct = [place for place, values in counting.items() if len(set(values)) == len(values)]
    if not counting:
        return -1
    if len(distinct) < len(counting):
        repeated = next(place for place in counting if place not in distinct)
        raise RefusedVolumeError(
            f"one number in the names of {folder} must count the sections, got number {repeated + 1} the same in "
            f"several: {_several(parsed, repeated)}; if these are channels or tiles, put each set into a folder of its "
            "own, or sort by one number of the name: #order=1"
        )
    for place in distinct:
        other = _by_number(parsed, place)
        if other != parsed:
            raise RefusedVolumeError(
                f"sections of {folder} must have one order, got two: by name {_shown(parsed)}, by number {place + 1} "
                f"of the name {_shown(other)}; choose with #order=name or #order={place + 1}"
            )
    # the number without gaps is the counter, not a temperature or a magnification next to it
    return min(distinct, key=lambda place: int(_digits(parsed[-1].values[place])) - int(_digits(first.values[place])))


def _kind(parsed: list[_Name], place: int) -> str:
    """The kind of the values at a place of the names."""
    kind = parsed[0].kinds[place]
    if kind != "number" or place == 0 or parsed[0].kinds[place - 1] != "time":
        return kind
    if not all(_CLOCK.fullmatch(name.digits[place]) for name in parsed):
        return kind
    numbers = [int(name.digits[place]) for name in parsed]
    return "time" if max(numbers) - min(numbers) > 2 * len(numbers) else kind


def _refuse_backwards(parsed: list[_Name], places: list[int], kinds: list[str], folder: str) -> None:
    """Raise an error if times (all their parts together) or a height do not rise with the names."""
    times = tuple(place for place in places if kinds[place] == "time")
    for going_along in [times, *((place,) for place in places if kinds[place] == "height")]:

        def key(name: _Name, places: tuple[int, ...] = going_along) -> list[float]:
            return [float(_digits(name.values[place])) for place in places]

        other = sorted(parsed, key=key)
        if other != parsed:
            raise RefusedVolumeError(
                f"sections of {folder} must have one order, got two: by name {_shown(parsed)}, by the "
                f"{kinds[going_along[0]]} in the name {_shown(other)}; "
                f"choose with #order=name or #order={going_along[0] + 1}"
            )


def _without_gaps(parsed: list[_Name], place: int, folder: str, gaps: str) -> Sections:
    if gaps == "close" or parsed[0].kinds[place] != "number":
        return Sections(tuple(name.name for name in parsed))
    numbered = {int(_digits(name.values[place])): name.name for name in parsed}
    if len(numbered) < len(parsed):
        raise RefusedVolumeError(
            f"number {place + 1} in the names of {folder} must be different in each, got {_several(parsed, place)}; "
            "choose another #order="
        )
    low, high = min(numbered), max(numbered)
    lost = high - low + 1 - len(numbered)
    if lost and gaps != "black":
        some = [number for number in range(low, min(high, low + 100_000)) if number not in numbered]
        raise AbsentVoxelsError(
            f"sections must follow each other without a gap, got none with number "
            f"{', '.join(map(str, some[:10]))}{' …' if lost > 10 else ''} in {folder}; add them, or write after the "
            "URL #gaps=black to read them as 0, or #gaps=close if no section is lost"
        )
    if lost > 100 * len(numbered):
        raise RefusedVolumeError(
            f"sections of {folder} must be more than a hundredth of their numbers, got {len(numbered)} in "
            f"{low} to {high}; write #gaps=close after the URL"
        )
    return Sections(tuple(numbered.get(number) for number in range(low, high + 1)))


def _several(parsed: list[_Name], place: int) -> str:
    """Names that have the same number at a place."""
    groups: dict[Any, list[str]] = {}
    for name in parsed:
        groups.setdefault(name.values[place], []).append(name.name)
    return ", ".join(max(groups.values(), key=len)[:3])


def _shown(parsed: list[_Name]) -> str:
    names = [name.name for name in parsed]
    return ", ".join(names if len(names) <= _SHOWN else [*names[: _SHOWN - 1], "…"])
