"""`lchunk stages`, and the help of a stage: what it reads and writes, and each knob once."""

from __future__ import annotations

import argparse
import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

import luigi

from lchunk.cli.lines import load_module, runnable
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.hooks import Hooks
from lchunk.tasks.parameters import TupleParameter
from lchunk.tasks.price_knobs import Prices
from lchunk.tasks.stage import Stage
from lchunk.tasks.storage import Store
from lchunk.workers.messages import STAGES

_LUIGI = (
    ("--workers N", "processes that share the work on this machine; default: 1. A net on a GPU needs 1."),
    ("--local-scheduler", "make everything in this process, whatever the cfg says"),
    ("--no-lock", "run even if another process runs the same on this machine"),
    ("--log-level INFO", "show Luigi's log instead of writing it to a file"),
)


def stages(arguments: argparse.Namespace) -> None:
    """List the stages: what each makes, what it reads and what it writes."""
    load_module(arguments.module)
    for name, task in runnable().items():
        print(f"{name:22} {_summary(task)}")
        if reads_and_writes := _arrow(task):
            print(f"{'':22}   {reads_and_writes}")


def print_help(command: argparse.ArgumentParser, task: Any | None) -> None:
    """Print the help of `lchunk run`, or of a stage."""
    if task is None:
        command.print_help()
        return
    for line in stage_help(task):
        print(line)


def stage_help(task: Any) -> Iterator[str]:
    """The help of a stage: its docstring, its knobs, and the dataset's."""
    family = task.task_family
    yield f"lchunk run {family} [--knob value …]"
    yield ""
    yield inspect.cleandoc(task.__doc__ or "")
    base = {name for name, _ in Stage.get_params()} if issubclass(task, Stage) else set()
    own = [(name, knob) for name, knob in task.get_params() if name not in base]
    common = [(name, knob) for name, knob in task.get_params() if name in base]
    if own:
        yield from ("", f"knobs of {family} (section [{family}] of the cfg; for another stage's run: --{family}-KNOB):")
        yield from _knobs(own)
    if common:
        yield from ("", "what every stage has:")
        yield from _knobs(common)
    yield from ("", "the dataset (section [Dataset] of the cfg, or on the command line):")
    yield from _knobs(Dataset.get_params(), "Dataset-")
    yield from ("", "buckets and web servers (section [Store] of the cfg, or on the command line):")
    yield from _knobs(Store.get_params(), "Store-")
    yield from ("", f"who is told how it goes (section [Hooks] of the cfg only): {', '.join(dict(Hooks.get_params()))}")
    yield from ("", "prices for estimates (section [Prices] of the cfg, or on the command line):")
    yield from _knobs(Prices.get_params(), "Prices-")
    yield from ("", "how it runs:")
    for option, text in _LUIGI:
        yield from _option(option, text)


def _knobs(knobs: Any, prefix: str = "") -> Iterator[str]:
    for name, knob in knobs:
        flag = isinstance(knob, luigi.BoolParameter)
        yield from _option(f"--{prefix}{name}".replace("_", "-") + ("" if flag else f" {_kind(knob)}"), _text(knob))


def _text(knob: Any) -> str:
    """The description, which may hold the default and the choices already, with each of them once."""
    text, _, default = (knob.description or "").partition("default: ")
    text = re.sub(r"\s*Choices: \{[^}]*\}", "", text).strip(" ;")
    choices = getattr(knob, "_choices", None)
    if choices:
        text = f"{text} (one of {', '.join(sorted(map(str, choices)))})"
    if not default and knob._default is not luigi.parameter._no_value:
        default = knob.serialize(knob._default) or "none"
    default = {"True": "on", "False": "off"}.get(default, default.partition("; default: ")[0])
    return f"{text}; default: {default}" if default else text


def _kind(knob: Any) -> str:
    """The form of a value, for the help."""
    kind = getattr(knob, "kind", knob)
    if isinstance(kind, TupleParameter):
        return kind.form
    forms = {
        "BboxParameter": "Z0-Z1_Y0-Y1_X0-X1",
        "CountParameter": "N", "RangeParameter": "X", "FloatParameter": "X", "IntParameter": "N",
        "PrefixParameter": "DIGITS", "WordsParameter": "WORD,…", "ChoiceParameter": "CHOICE",
        "BucketsParameter": "URL,…", "EndpointParameter": "URL", "JsonParameter": "JSON", "LayersParameter": "LAYER,…",
    }  # fmt: skip
    return forms.get(type(kind).__name__, "TEXT")


def _option(option: str, text: str) -> Iterator[str]:
    width = max(60, min(shutil.get_terminal_size().columns, 120)) - 34
    lines = textwrap.wrap(text, width) or [""]
    if len(option) > 29:
        yield f"  {option}"
        option = ""
    yield f"  {option:30}  {lines[0]}"
    yield from (f"{'':34}{line}" for line in lines[1:])


def _summary(task: Any) -> str:
    first = inspect.cleandoc(task.__doc__ or "").partition("\n\n")[0]
    return " ".join(first.split())


def _arrow(task: Any) -> str:
    """Layers that the docstring's two lines name: `image → affinities`."""
    text = inspect.cleandoc(task.__doc__ or "")
    reads, writes = (re.search(rf"^{word}\s+(.*)$", text, re.MULTILINE) for word in ("Reads", "Writes"))
    if not writes:
        return ""
    before = _layers(reads[1]) if reads else ""
    return f"{before or '…'} → {_layers(writes[1])}"


def _layers(text: str) -> str:
    named = re.findall(r"`([^`]+)`", text)
    return ", ".join(name for name in named if not name.startswith("--")) or text.partition(":")[0].rstrip(".")


def add_commands(commands: Any) -> None:
    """Add `stages`."""
    command = commands.add_parser("stages", description=stages.__doc__)
    command.add_argument("--module", default=STAGES, help=f"where the stages are; default: {STAGES}")
    command.set_defaults(run=stages)
