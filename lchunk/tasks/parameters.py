"""Luigi parameters of voxels: triples, boxes, numbers in a range; each says what it must be when it is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Unpack

import luigi
from luigi.parameter import _ParameterKwargs

from lchunk.geometry.bbox import Bbox, Triple, triple


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _option(parameter: Any) -> str:
    return str(getattr(parameter, "_attribute_name", "a value")).replace("_", "-")


class TripleParameter(luigi.Parameter[Triple]):
    """Three whole numbers, zyx: `20,256,256` (with `=` where the first is negative)."""

    def parse(self, x: str) -> Triple:
        try:
            return triple(map(int, _words(x)))
        except ValueError as error:
            raise ValueError(f"{_option(self)} must be three whole numbers z,y,x, got {x!r}") from error

    def normalize(self, x: Iterable[int]) -> Triple:
        return triple(x)

    def serialize(self, x: Triple) -> str:
        return ",".join(map(str, x))


class SizeParameter(luigi.Parameter[tuple[float, ...]]):
    """Three positive numbers, zyx nanometres, or nothing."""

    def parse(self, x: str) -> tuple[float, ...]:
        try:
            return self.normalize(map(float, _words(x)))
        except ValueError as error:
            raise ValueError(
                f"{_option(self)} must be three positive numbers z,y,x in nanometres, got {x!r}"
            ) from error

    def normalize(self, x: Iterable[float]) -> tuple[float, ...]:
        numbers = tuple(float(number) for number in x)
        if numbers and (len(numbers) != 3 or not all(0 < number < math.inf for number in numbers)):
            raise ValueError(f"{_option(self)} must be three positive numbers z,y,x in nanometres, got {numbers}")
        return numbers

    def serialize(self, x: tuple[float, ...]) -> str:
        return ",".join(f"{number:g}" for number in x)


class BboxParameter(luigi.Parameter[Bbox | None]):
    """A box of voxels, `z0-z1_y0-y1_x0-x1`, or nothing: everything there is."""

    def parse(self, x: str) -> Bbox | None:
        return Bbox.parse(x) if x else None

    def normalize(self, x: Bbox | str | None) -> Bbox | None:
        return self.parse(x) if isinstance(x, str) else x

    def serialize(self, x: Bbox | None) -> str:
        return "" if x is None else str(x)


class RangeParameter(luigi.FloatParameter):
    """A number in [`least`, `most`]."""

    def __init__(self, *, least: float, most: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least = least
        self.most = most

    def normalize(self, x: float) -> float:
        number = float(x)
        if not self.least <= number <= self.most:
            raise ValueError(f"{_option(self)} must be in [{self.least:g}, {self.most:g}], got {number:g}")
        return number


class CountParameter(luigi.IntParameter):
    """A whole number of at least `least`."""

    def __init__(self, *, least: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least = least

    def normalize(self, x: int) -> int:
        if int(x) < self.least:
            raise ValueError(f"{_option(self)} must be at least {self.least}, got {x}")
        return int(x)


class LabelsParameter(luigi.Parameter[tuple[int, ...]]):
    """Labels, `5,7,12`, or nothing: all of them."""

    def parse(self, x: str) -> tuple[int, ...]:
        try:
            return self.normalize(map(int, _words(x)))
        except ValueError as error:
            raise ValueError(
                f"{_option(self)} must be whole numbers above 0, separated by commas, got {x!r}"
            ) from error

    def normalize(self, x: Iterable[int]) -> tuple[int, ...]:
        labels = tuple(sorted({int(label) for label in x}))
        if labels and labels[0] < 1:
            raise ValueError(f"{_option(self)} must be whole numbers above 0, got {labels[0]}")
        return labels

    def serialize(self, x: tuple[int, ...]) -> str:
        return ",".join(map(str, x))


class ChannelsParameter(luigi.Parameter[tuple[int, ...]]):
    """Numbers of channels from 0, in an order, `0,1,2`, or nothing: all of them."""

    def parse(self, x: str) -> tuple[int, ...]:
        try:
            return self.normalize(map(int, _words(x)))
        except ValueError as error:
            raise ValueError(f"{_option(self)} must be numbers of channels, from 0, got {x!r}") from error

    def normalize(self, x: Iterable[int]) -> tuple[int, ...]:
        return tuple(int(channel) for channel in x)

    def serialize(self, x: tuple[int, ...]) -> str:
        return ",".join(map(str, x))


class NumbersParameter(luigi.Parameter[tuple[float, ...]]):
    """Numbers in [`least`, `most`], `0.3,0.5`, or nothing."""

    def __init__(self, *, least: float, most: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least = least
        self.most = most

    def parse(self, x: str) -> tuple[float, ...]:
        try:
            return self.normalize(map(float, _words(x)))
        except ValueError as error:
            raise ValueError(self._rule(x)) from error

    def normalize(self, x: Iterable[float]) -> tuple[float, ...]:
        numbers = tuple(float(number) for number in x)
        if not all(self.least <= number <= self.most for number in numbers):
            raise ValueError(self._rule(self.serialize(numbers)))
        return numbers

    def serialize(self, x: tuple[float, ...]) -> str:
        return ",".join(f"{number:g}" for number in x)

    def _rule(self, got: str) -> str:
        return f"{_option(self)} must be numbers in [{self.least:g}, {self.most:g}], separated by commas, got {got!r}"


class WordsParameter(luigi.Parameter[tuple[str, ...]]):
    """Some of a few words, `z,xy`, or nothing; their order says nothing."""

    def __init__(self, *, of: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.of = of

    def parse(self, x: str) -> tuple[str, ...]:
        return self.normalize(_words(x))

    def normalize(self, x: Iterable[str]) -> tuple[str, ...]:
        words = set(x)
        unknown = sorted(words - set(self.of))
        if unknown:
            raise ValueError(f"{_option(self)} must be of {', '.join(self.of)}, got {unknown[0]!r}")
        return tuple(word for word in self.of if word in words)

    def serialize(self, x: tuple[str, ...]) -> str:
        return ",".join(x)


class PrefixParameter(luigi.Parameter[str]):
    """First digits of a label; `7:` is the label 7 alone; nothing: every label."""

    def parse(self, x: str) -> str:
        return self.normalize(x)

    def normalize(self, x: str) -> str:
        digits = str(x).removesuffix(":")
        if digits.startswith("0") or (str(x) and not (digits.isascii() and digits.isdigit())):
            raise ValueError(
                f"{_option(self)} must be the first digits of labels, which never start with 0, or all of them and "
                f"a colon, got {x!r}; 1 to 9 cover every label, 1: to 9: and 10 to 99 too"
            )
        return str(x)


class InheritedParameter(luigi.Parameter[Any]):
    """A parameter that takes its value from another config where its own stage has none.

    Args:
        kind: parses and writes the value.
        source: gives the config.
    """

    def __init__(
        self, *, kind: luigi.Parameter[Any], source: Callable[[], Any], **kwargs: Unpack[_ParameterKwargs]
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.source = source

    def has_task_value(self, task_name: str, param_name: str) -> bool:
        return True

    def task_value(self, task_name: str, param_name: str) -> Any:
        if super().has_task_value(task_name, param_name):
            return super().task_value(task_name, param_name)
        return getattr(self.source(), param_name)

    def parse(self, x: str) -> Any:
        return self.kind.parse(x)

    def normalize(self, x: Any) -> Any:
        return self.kind.normalize(x)

    def serialize(self, x: Any) -> str:
        return str(self.kind.serialize(x))
