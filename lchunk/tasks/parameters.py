"""Luigi parameters of voxels: tuples of numbers, boxes, numbers in a range. Each refuses a wrong value with its rule.

Numbers are written with all their digits: two values are one task only if they are equal. An empty value on the command
line, as `--Dataset-ground-truth ""`, is a value, and counts more than the cfg's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, Unpack

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.parameter import _no_value, _ParameterKwargs

from lchunk.geometry.bbox import Bbox

T = TypeVar("T")


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def option_of(parameter: Any) -> str:
    """The name of a parameter, as an option has it."""
    return str(getattr(parameter, "_attribute_name", "a value")).replace("_", "-")


def number_text(number: float) -> str:
    """The shortest text that gives the same number back; whole numbers without a point.

    >>> number_text(40.0), number_text(40.1234567), number_text(0.1 + 0.2), number_text(1e300)
    ('40', '40.1234567', '0.30000000000000004', '1e+300')
    """
    number = float(number)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def tell_defaults(stage: type) -> None:
    """Say the default of each knob that a class declares in `--help`."""
    for knob in vars(stage).values():
        if isinstance(knob, luigi.Parameter) and knob._default is not _no_value:
            default = knob.serialize(knob._default)
            knob.description = f"{knob.description}; default: {default or 'none'}"


class Knob(luigi.Parameter[T]):
    """A parameter for which an empty text on the command line is a value."""

    def _parse_or_no_value(self, x: str | None) -> Any:
        return _no_value if x is None else self.parse(x)

    def has_task_value(self, task_name: str, param_name: str) -> bool:
        # Luigi reads the value to find out, and would refuse a wrong one without saying where it is set
        return self._default is not _no_value or super().has_task_value(task_name, param_name)

    def _value_iterator(self, task_name: str, param_name: str) -> Iterator[tuple[Any, str | None]]:
        line = CmdlineParser.get_instance()
        # Luigi leaves an empty `--knob ""` of the command's own stage out
        if line is not None and line.known_args.root_task == task_name and vars(line.known_args).get(param_name) == "":
            yield self.parse(""), None
        yield from super()._value_iterator(task_name, param_name)


class TextParameter(Knob[str]):
    """A text, as a path or a URL."""


class TupleParameter(Knob[tuple[Any, ...]]):
    """Numbers with commas between them: a zyx triple such as `20,256,256` unless the arguments ask for others.

    On the command line a negative first number needs the form `--knob=-1,0,0`.

    Args:
        of: `int` or `float`.
        rule: what a value must be, for messages.
        valid: whether numbers of the type follow the rule.
        distinct: order and repetitions make no difference; the numbers are sorted.
        form: what a value looks like, for the help.
    """

    def __init__(
        self,
        *,
        of: type[int] | type[float] = int,
        rule: str = "three whole numbers z,y,x",
        valid: Callable[[tuple[Any, ...]], bool] = lambda numbers: len(numbers) == 3,
        distinct: bool = False,
        form: str = "Z,Y,X",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.of = of
        self.rule = rule
        self.valid = valid
        self.distinct = distinct
        self.form = form

    def parse(self, x: str) -> tuple[Any, ...]:
        try:
            numbers = tuple(map(self.of, _words(x)))
        except ValueError as error:
            raise ValueError(self._refusal(x)) from error
        return self.normalize(numbers)

    def normalize(self, x: Iterable[Any]) -> tuple[Any, ...]:
        given = tuple(x)
        numbers = tuple(map(self.of, given))
        if numbers != given or not self.valid(numbers):  # NaN differs from itself, 2.5 from int(2.5)
            raise ValueError(self._refusal(self.serialize(given)))
        return tuple(sorted(set(numbers))) if self.distinct else numbers

    def serialize(self, x: tuple[Any, ...]) -> str:
        return ",".join(map(number_text if self.of is float else str, x))

    def _refusal(self, got: str) -> str:
        return f"{option_of(self)} must be {self.rule}, got {got!r}"


def size_parameter(**kwargs: Any) -> Any:
    """A voxel size: three positive numbers, zyx nanometres; or nothing."""
    return TupleParameter(
        of=float,
        rule="three positive numbers z,y,x in nanometres",
        valid=lambda sizes: len(sizes) in (0, 3) and all(0 < size < math.inf for size in sizes),
        **kwargs,
    )


def labels_parameter(**kwargs: Any) -> Any:
    """Labels of objects, each once, ascending; or none."""
    return TupleParameter(
        rule="whole numbers above 0 and below 2^64, separated by commas",
        valid=lambda labels: all(0 < label < 1 << 64 for label in labels),
        distinct=True,
        form="N,N,…",
        default=(),
        **kwargs,
    )


class BboxParameter(Knob[Bbox | None]):
    """A box of voxels, `z0-z1_y0-y1_x0-x1`, or nothing: everything there is."""

    def parse(self, x: str) -> Bbox | None:
        try:
            return Bbox.parse(x) if x else None
        except ValueError as error:
            raise ValueError(f"{option_of(self)}: {error}") from error

    def normalize(self, x: Bbox | str | None) -> Bbox | None:
        return self.parse(x) if isinstance(x, str) else x

    def serialize(self, x: Bbox | None) -> str:
        return "" if x is None else str(x)


class RangeParameter(Knob[float]):
    """A number in [`least`, `most`], or `other`, a number outside with a meaning of its own."""

    def __init__(self, *, least: float, most: float, other: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least = least
        self.most = most
        self.other = other

    def parse(self, x: str) -> float:
        try:
            number = float(x)
        except ValueError as error:
            raise ValueError(self._rule(repr(x))) from error
        return self.normalize(number)

    def normalize(self, x: float) -> float:
        number = float(x)
        if not self.least <= number <= self.most and number != self.other:
            raise ValueError(self._rule(number_text(number)))
        return number

    def serialize(self, x: float) -> str:
        return repr(float(x))

    def _rule(self, got: str) -> str:
        least, most = number_text(self.least), number_text(self.most)
        other = "" if self.other is None else f", or {number_text(self.other)}"
        return f"{option_of(self)} must be in [{least}, {most}]{other}, got {got}"


class CountParameter(Knob[int]):
    """A whole number of at least `least`, and at most `most` if there is a limit."""

    def __init__(self, *, least: int = 0, most: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least = least
        self.most = most

    def parse(self, x: str) -> int:
        try:
            number = int(x)
        except ValueError as error:
            raise ValueError(f"{option_of(self)} must be a whole number, at least {self.least}, got {x!r}") from error
        return self.normalize(number)

    def normalize(self, x: int) -> int:
        if int(x) != x:
            raise ValueError(f"{option_of(self)} must be a whole number, at least {self.least}, got {x}")
        if int(x) < self.least:
            raise ValueError(f"{option_of(self)} must be at least {self.least}, got {x}")
        if self.most is not None and int(x) > self.most:
            raise ValueError(f"{option_of(self)} must be at most {self.most}, got {x}")
        return int(x)


class WordsParameter(Knob[tuple[str, ...]]):
    """Some of a few words, `z,xy`, or nothing; their order makes no difference."""

    def __init__(self, *, of: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.of = of

    def parse(self, x: str) -> tuple[str, ...]:
        return self.normalize(_words(x))

    def normalize(self, x: Iterable[str]) -> tuple[str, ...]:
        words = set(x)
        unknown = sorted(words - set(self.of))
        if unknown:
            raise ValueError(f"{option_of(self)} must be of {', '.join(self.of)}, got {unknown[0]!r}")
        return tuple(word for word in self.of if word in words)

    def serialize(self, x: tuple[str, ...]) -> str:
        return ",".join(x)


class JsonParameter(Knob[str]):
    """An object of JSON, as its one text with sorted keys; empty if it has none."""

    def parse(self, x: str) -> str:
        return self.normalize(x)

    def normalize(self, x: str) -> str:
        try:
            values = json.loads(x or "{}")
        except ValueError as error:
            raise ValueError(self._rule(f"{x}: {error}")) from error
        if not isinstance(values, dict):
            raise ValueError(self._rule(x))
        return json.dumps(values, sort_keys=True) if values else ""

    def _rule(self, got: str) -> str:
        return f'{option_of(self)} must be an object of JSON, as {{"sigma": 2}}, got {got}'


class PrefixParameter(Knob[str]):
    """First digits of a label; `7:` is the label 7 alone; nothing: every label."""

    def parse(self, x: str) -> str:
        return self.normalize(x)

    def normalize(self, x: str) -> str:
        digits = str(x).removesuffix(":")
        if digits.startswith("0") or (str(x) and not (digits.isascii() and digits.isdigit())):
            raise ValueError(
                f"{option_of(self)} must be the first digits of labels, which never start with 0, or all of them and "
                f"a colon, got {x!r}; 1 to 9 cover every label, 1: to 9: and 10 to 99 too"
            )
        return str(x)


class BucketsParameter(Knob[tuple[str, ...]]):
    """Buckets, `s3://one,gs://other`, or nothing."""

    def parse(self, x: str) -> tuple[str, ...]:
        return self.normalize(_words(x))

    def normalize(self, x: Iterable[str]) -> tuple[str, ...]:
        buckets = tuple(sorted({str(bucket).rstrip("/") for bucket in x}))
        for bucket in buckets:
            if not re.fullmatch(r"(s3|gs)://[A-Za-z0-9._-]+", bucket):
                raise ValueError(f"{option_of(self)} must be buckets as s3://name or gs://name, got {bucket!r}")
        return buckets

    def serialize(self, x: tuple[str, ...]) -> str:
        return ",".join(x)


class EndpointParameter(Knob[str]):
    """Address of a server, `http://host:port`, or nothing."""

    def parse(self, x: str) -> str:
        return self.normalize(x)

    def normalize(self, x: str) -> str:
        if x and not re.fullmatch(r"https?://[^/@?#\s]+(/[^@?#\s]*)?", x):
            shown = str(x).rpartition("@")[2]  # what stands before may be a password
            raise ValueError(f"{option_of(self)} must be http://host:port or https://host, got {shown!r}")
        return str(x).rstrip("/")


class InheritedParameter(Knob[Any]):
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
