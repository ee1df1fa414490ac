"""A task as a message, and back: `{"module", "family", "params"}`, of any stage, for any region.

`options` holds the knobs on the sender's command line, as {"Segmentation_threshold": "0.5"}; all others come from the
worker's own cfg. Workers keep counts in the message: `failures`, the number of failed attempts; `returns`, the number
of times that it was returned for a cause that may not be its own; `since`, the time of the first such return;
`starved`, the number of those for which the memory was not enough.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import luigi

STAGES = "lchunk.tasks"
"""The module that every worker may import."""
SHOWN = 200
"""Most characters of a body in an error."""
LARGEST_COUNT = 10**12

Options = Mapping[str, str | bool]
"""Values by `<Stage>_<knob>`: a text, or True for a flag."""


class MessageError(ValueError):
    """A body that no worker can read, whatever its version, its modules and its cfg."""


@dataclass(frozen=True)
class TaskMessage:
    """The content of a message.

    Args:
        module: the module that is imported to find the stage.
        family: the stage's name.
        params: its parameters, as text.
        options: knobs of any stage on the sender's command line.
        failures: number of failed attempts.
        returns: number of times that a worker returned it, for a cause that may be the worker's or the machine's.
        since: seconds since 1970 of the first return; 0 before it.
        starved: number of returns because a worker's memory, or its GPU's, was not enough.
        unknown: fields of a newer version, kept for the workers that know them.
    """

    module: str
    family: str
    params: Mapping[str, str]
    options: Options = field(default_factory=dict)
    failures: int = 0
    returns: int = 0
    since: int = 0
    starved: int = 0
    unknown: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, task: luigi.Task, options: Options) -> TaskMessage:
        """The message of a task.

        Raises:
            ValueError: the task's module has the name of one of Python's own.
        """
        if _is_pythons_own(task.task_module):
            raise ValueError(
                f"module of a stage must not be named like one of Python's own, got {task.task_module!r}; rename it"
            )
        params = task.to_str_params(only_significant=True, only_public=True)
        return cls(task.task_module, task.task_family, params, options)

    @classmethod
    def parse(cls, body: str) -> TaskMessage:
        """Read a message.

        Raises:
            MessageError: no worker can read it.
        """
        try:
            body.encode()  # bytes that are not UTF-8 arrive as surrogates
            content = json.loads(body)
        except (ValueError, RecursionError, MemoryError) as error:
            raise _malformed(body, f"{type(error).__name__}: {error}") from None
        if not isinstance(content, dict):
            raise _malformed(body, f"it is a {type(content).__name__}")
        unknown = {name: content.pop(name) for name in content.keys() - _FIELDS}
        missing = sorted(_REQUIRED - content.keys())
        if missing:
            raise _malformed(body, f"{missing[0]} is missing")
        message = cls(**content, unknown=unknown)
        for name, is_right in _SHAPES.items():
            if not is_right(getattr(message, name)):
                raise _malformed(body, f"{name} is not as it must be")
        if _is_pythons_own(message.module):
            raise _malformed(body, f"{message.module} is a module of Python, which holds no stage")
        return message

    @property
    def body(self) -> str:
        """The text that is sent."""
        content: dict[str, Any] = {"module": self.module, "family": self.family, "params": dict(self.params)}
        if self.options:
            content["options"] = dict(self.options)
        for name in _COUNTS:
            if getattr(self, name):
                content[name] = getattr(self, name)
        return json.dumps(content | dict(self.unknown))

    @property
    def key(self) -> tuple[str, str]:
        """A key that is the same for every message of a task."""
        return self.family, json.dumps(dict(self.params), sort_keys=True)

    @property
    def uncounted(self) -> TaskMessage:
        """The message as it was first sent."""
        return replace(self, failures=0, returns=0, since=0, starved=0)

    def failed_again(self) -> TaskMessage:
        """The message after one more failure."""
        return replace(self, failures=self.failures + 1)

    def returned(self, now: float, *, starved: bool = False) -> TaskMessage:
        """The message after one more return.

        Args:
            now: seconds since 1970.
            starved: whether the memory was not enough.
        """
        return replace(
            self, returns=self.returns + 1, since=self.since or int(now), starved=self.starved + int(starved)
        )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and all(part.isidentifier() for part in value.split("."))


def _are_params(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _are_options(value: object) -> bool:
    return isinstance(value, dict) and all(text is True or isinstance(text, str) for text in value.values())


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_COUNT


_COUNTS = ("failures", "returns", "since", "starved")
_SHAPES = {
    "module": _is_name, "family": _is_name, "params": _are_params, "options": _are_options,
    **dict.fromkeys(_COUNTS, _is_count),
}  # fmt: skip
_FIELDS = _SHAPES.keys()
_REQUIRED = frozenset({"module", "family", "params"})


def _is_pythons_own(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _malformed(body: str, why: str) -> MessageError:
    return MessageError(
        'a message must be JSON {"module": name, "family": name, "params": {name: text}}, with optional options and '
        f"counts, got {body[:SHOWN]!r}: {why}"
    )
