"""A task as a message, and back: `{"module", "family", "params"}`, of any stage, for any region.

`options` holds what the command line that sent it said beside the cfg, as {"Segmentation_threshold": "0.5"}: the
worker's own cfg gives the rest. `failures` counts the workers that could not do it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register, TaskClassException

STAGES = "lchunk.tasks"
"""The module that every worker may import."""


Options = Mapping[str, str | bool]
"""By `<Stage>_<knob>`: a text, or True for a flag."""


class MessageError(ValueError):
    """A message that no worker can make a task of, however often it comes."""


@dataclass(frozen=True)
class TaskMessage:
    """What a message says."""

    module: str
    family: str
    params: Mapping[str, str]
    options: Options = field(default_factory=dict)
    failures: int = 0

    @classmethod
    def of(cls, task: luigi.Task, options: Options) -> TaskMessage:
        """A task, written down."""
        params = task.to_str_params(only_significant=True, only_public=True)
        return cls(task.task_module, task.task_family, params, options)

    @classmethod
    def parse(cls, body: str) -> TaskMessage:
        """Read a message.

        Raises:
            MessageError: it is none.
        """
        try:
            content = json.loads(body)
            message = cls(**content)
        except (ValueError, TypeError) as error:
            raise MessageError(
                f'a message must be JSON {{"module", "family", "params"}}, got {body[:200]!r}: {error}'
            ) from error
        texts: list[object] = [message.module, message.family]
        for words in (message.params, message.options):
            texts += [*words, *words.values()] if isinstance(words, dict) else [None]
        texts = ["" if text is True else text for text in texts]
        if not all(isinstance(text, str) for text in texts) or not isinstance(message.failures, int):
            raise MessageError(f"module, family, params and options of a message must be text, got {body[:200]!r}")
        return message

    @property
    def body(self) -> str:
        """The text that is sent."""
        content: dict[str, Any] = {"module": self.module, "family": self.family, "params": dict(self.params)}
        if self.options:
            content["options"] = dict(self.options)
        if self.failures:
            content["failures"] = self.failures
        return json.dumps(content)

    @property
    def key(self) -> tuple[str, str]:
        """The same for every message of one task."""
        return self.family, json.dumps(dict(self.params), sort_keys=True)

    def failed_again(self) -> TaskMessage:
        """The message after one more failure."""
        return replace(self, failures=self.failures + 1)

    def task(self, modules: Sequence[str]) -> luigi.Task:
        """The task; call it inside `options_of`.

        Args:
            modules: what may be imported, each with all below it.

        Raises:
            MessageError: its module may not be imported, or there is no such stage, or a parameter is wrong.
        """
        if not any(self.module == allowed or self.module.startswith(f"{allowed}.") for allowed in modules):
            raise MessageError(
                f"module of a message must be one of {', '.join(modules)}, or below, got {self.module!r}; "
                "allow it with --module where you trust the queue"
            )
        try:
            stage = _stage(self.module, self.family)
        except (ImportError, TaskClassException) as error:
            raise MessageError(
                f"a message must name a stage, got {self.family!r} of {self.module!r}: {error}"
            ) from error
        unknown = sorted(set(self.params) - {name for name, _ in stage.get_params()})
        if unknown:
            raise MessageError(f"parameters of a message must be those of {self.family}, got {unknown[0]!r}")
        try:
            task: luigi.Task = stage.from_str_params(self.params)
        except ValueError as error:
            raise MessageError(f"the parameters of a message for {self.family} are wrong: {error}") from error
        return task


@functools.cache
def _stage(module: str, family: str) -> type[luigi.Task]:
    """Luigi's look-up of a class, which goes through all that there are."""
    importlib.import_module(STAGES)
    importlib.import_module(module)
    stage: type[luigi.Task] = Register.get_task_cls(family)
    return stage


@contextlib.contextmanager
def options_of(message: TaskMessage) -> Iterator[None]:
    """What a message says beside the cfg holds inside.

    Raises:
        MessageError: there is no such option.
    """
    if not message.options:
        yield
        return
    flags = {name: f"--{name.replace('_', '-')}" for name in message.options}
    words = [flags[name] if value is True else f"{flags[name]}={value}" for name, value in message.options.items()]
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(CmdlineParser.global_instance([message.family, *words]))
        except SystemExit as error:
            raise MessageError(f"options of a message must be those of stages, got {dict(message.options)}") from error
        yield


def options_given(line: CmdlineParser) -> Options:
    """What a command line says as `--Stage-knob`, for any stage."""
    names = {f"{family}_{name}" for family, no_section, name, _ in Register.get_all_params() if not no_section}
    return {name: value for name, value in vars(line.known_args).items() if name in names and value}
