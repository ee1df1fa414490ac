"""The command that runs one region of a stage again, with the knobs that it had."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import luigi
from luigi.cmdline_parser import CmdlineParser

from lchunk.tasks.cfg import families
from lchunk.tasks.price_knobs import Prices
from lchunk.tasks.storage import Store

if TYPE_CHECKING:
    from lchunk.tasks.stage import Stage

OWN_MODULE = "lchunk.tasks"


def command_of(stage: Stage) -> str:
    """The command for a region of a stage; the cfg is that of the run that made it.

    It has the knobs that the run had on its command line, and those that another stage set, as the level of a tree.
    Settings of stores are left out, because they say how this machine reaches a bucket; so are prices.
    """
    words = ["lchunk", "run", stage.task_family]
    if not stage.task_module.startswith(OWN_MODULE):
        words += ["--module", stage.task_module]
    if stage.region is not None:
        words.append(f"--region={stage.region}")
    return shlex.join([*words, *_own(stage), *_others(stage)])


def _given() -> dict[str, Any]:
    """The knobs on the command line: those of the stage that it names alone, all others as `<Stage>_<knob>`."""
    line = CmdlineParser.get_instance()
    if line is None:
        return {}
    named = {name: value for name, value in vars(line.known_args).items() if value is not None and value is not False}
    root = named.get("root_task")
    own = {name for name, _ in families()[root].get_params()} if root in families() else ()
    return named | {f"{root}_{name}": named[name] for name in own if name in named}


def telling_knobs(stage: Stage) -> Iterator[tuple[str, Any, Any]]:
    """Name, parameter and value of each knob of a stage that a command must give, except the region."""
    given, family = _given(), stage.task_family
    for name, knob in stage.get_params():
        value = getattr(stage, name)
        usual = knob.normalize(knob.task_value(family, name)) if knob.has_task_value(family, name) else None
        if name != "region" and (value != usual or f"{family}_{name}" in given):
            yield name, knob, value


def _own(stage: Stage) -> Iterator[str]:
    for name, knob, value in telling_knobs(stage):
        yield from _words(f"--{stage.task_family}-{name}", knob, value)  # `--batch` alone would be ambiguous for Luigi


def _others(stage: Stage) -> Iterator[str]:
    given = _given()
    for family, task in families().items():
        if family == stage.task_family or not task.use_cmdline_section or issubclass(task, Store | Prices):
            continue
        for name, knob in task.get_params():
            text = given.get(f"{family}_{name}")
            if text is not None and name != "region":
                yield from _words(f"--{family}-{name}", knob, text)


def _words(option: str, knob: Any, value: Any) -> Iterator[str]:
    option = option.replace("_", "-")
    if isinstance(knob, luigi.BoolParameter) and isinstance(value, bool):
        yield from [option] if value else []
    else:
        yield f"{option}={value if isinstance(value, str) else knob.serialize(value)}"
