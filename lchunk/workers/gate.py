"""Turns a message into its task, within the limits that the worker's operator allows.

Anyone who can write to a queue can give orders to workers. Without further permission, a message may choose stages of
allowed modules, their knobs, and regions; it may not choose a module to import, a net to run, a folder to write to, or
the servers and accounts of buckets.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import math
import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register, TaskClassException

from lchunk.tasks.places import is_inside
from lchunk.tasks.price_knobs import Prices
from lchunk.tasks.stage import Stage
from lchunk.tasks.storage import Store
from lchunk.workers.messages import STAGES, Options, TaskMessage

CODE = {
    "Inference": ("framework", "model", "weights", "trust_weights"),
    "Apply": ("function", "knobs"),  # a knob may name a file that the function loads code from
}
"""Knobs that choose the code that runs, by the class that declares them."""
MOST_CHUNKS = 1_000_000
"""Most chunks of one message: the listing of a region holds all of them in memory."""
REMEMBERED = 1024
NO_OPTIONS = contextlib.nullcontext()


class UnfitError(ValueError):
    """A message from which this worker cannot make a task; a worker with another version, cfg or permission may."""


class Knob(NamedTuple):
    """A knob of a stage."""

    stage: type[luigi.Task]
    name: str
    parameter: luigi.Parameter[Any]


@dataclass
class Gate:
    """The limits of what messages may contain.

    Args:
        modules: modules that may be imported, each with all modules below it.
        trust_queue: whether messages may name roots, nets and servers other than those of the worker's cfg.
    """

    modules: Sequence[str] = (STAGES,)
    trust_queue: bool = False
    _passed: set[tuple[type[luigi.Task], str, str | bool]] = field(default_factory=set)

    @contextlib.contextmanager
    def task(self, message: TaskMessage) -> Iterator[luigi.Task]:
        """The task of a message; the message's options are in force in this context.

        Raises:
            UnfitError: this worker cannot make a task from it.
        """
        stage = self.stage(message)
        self._refuse_unknown(message, stage)
        with self._options_in_force(message) if message.options else NO_OPTIONS:
            try:
                task: luigi.Task = stage.from_str_params(message.params)
                _refuse_too_many_chunks(task)
            except Exception as error:
                raise UnfitError(
                    f"the parameters of a message for {message.family} are wrong: {_text(error)}"
                ) from error
            yield task

    def stage(self, message: TaskMessage) -> type[luigi.Task]:
        """The class of a message, whose module is imported.

        Raises:
            UnfitError: the module is not allowed or cannot be imported, or it has no such stage.
        """
        if not _below(message.module, self.modules):
            raise UnfitError(
                f"module of a message must be one of {', '.join(self.modules)}, or below, got {message.module!r}; "
                "allow it with --module if you trust the queue"
            )
        try:
            return _stage(message.module, message.family)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise UnfitError(
                f"a message must name a stage, got {message.family!r} of {message.module!r}: {_text(error)}"
            ) from error

    def _refuse_unknown(self, message: TaskMessage, stage: type[luigi.Task]) -> None:
        """Raise an error if a message has names that this worker does not know, or does not allow."""
        if message.unknown:
            raise UnfitError(
                f"a message must have fields that this version of lchunk knows, got {min(message.unknown)!r}; "
                "update this worker"
            )
        known = _parameters(stage)
        unknown = message.params.keys() - known.names
        if unknown:
            raise UnfitError(f"parameters of a message must be those of {message.family}, got {min(unknown)!r}")
        for knob in known.guarded:
            if knob.name in message.params:
                self._refuse_forbidden(knob, message.params[knob.name])
        knobs = knobs_of(self.modules) if message.options else {}
        for option, text in message.options.items():
            if option not in knobs:
                raise UnfitError(f"options of a message must be <Stage>_<knob> of a stage, got {option!r}")
            if knobs[option].name in _guarded(knobs[option].stage):
                self._refuse_forbidden(knobs[option], text)

    def _refuse_forbidden(self, knob: Knob, value: str | bool) -> None:
        if (knob.stage, knob.name, value) in self._passed:
            return
        if knob.name == "layer_name":
            _refuse_outside(value)
        elif not self.trust_queue:
            _refuse_other_than_own(knob, value)
        if len(self._passed) >= REMEMBERED:
            self._passed.clear()
        self._passed.add((knob.stage, knob.name, value))

    @contextlib.contextmanager
    def _options_in_force(self, message: TaskMessage) -> Iterator[None]:
        words = [_word(name, value) for name, value in message.options.items()]
        with contextlib.ExitStack() as stack:
            said = io.StringIO()
            try:
                with contextlib.redirect_stderr(said):
                    stack.enter_context(CmdlineParser.global_instance([message.family, *words]))
            except SystemExit as error:
                raise UnfitError(
                    f"options of a message must be those of stages, got {dict(message.options)}: "
                    f"{said.getvalue().strip().rpartition('error: ')[2]}"
                ) from error
            yield


def knobs_of(modules: Sequence[str] | None) -> dict[str, Knob]:
    """Every knob of the stages that are imported, by `<Stage>_<knob>`; settings of Luigi itself are left out.

    Args:
        modules: only stages of these modules and of those below them; None: all stages.
    """
    knobs: dict[str, Knob] = {}
    for family in Register.task_names():
        with contextlib.suppress(TaskClassException):  # two classes of one name
            stage = Register.get_task_cls(family)
            wanted = not _below(stage.__module__, ["luigi"]) if modules is None else _below(stage.__module__, modules)
            if stage.use_cmdline_section and wanted:
                knobs |= {f"{family}_{name}": Knob(stage, name, knob) for name, knob in stage.get_params()}
    return knobs


def options_given(line: CmdlineParser) -> Options:
    """The knobs of stages that a command line sets, as `--Stage-knob`; not how buckets are reached, nor prices."""
    knobs = {name for name, knob in knobs_of(None).items() if not issubclass(knob.stage, Store | Prices)}
    return {
        name: value
        for name, value in vars(line.known_args).items()
        if name in knobs and value is not None and value is not False
    }


@functools.cache
def _stage(module: str, family: str) -> type[luigi.Task]:
    """The class of a stage, cached: Luigi's look-up scans all classes."""
    importlib.import_module(STAGES)
    importlib.import_module(module)
    stage: type[luigi.Task] = Register.get_task_cls(family)
    return stage


class Parameters(NamedTuple):
    """Parameters of a stage: the names of all, and those that a message may not choose freely."""

    names: frozenset[str]
    guarded: tuple[Knob, ...]


@functools.cache
def _parameters(stage: type[luigi.Task]) -> Parameters:
    parameters = dict(stage.get_params())
    guarded = [Knob(stage, name, parameters[name]) for name in _guarded(stage) if name in parameters]
    return Parameters(frozenset(parameters), tuple(guarded))


@functools.cache
def _guarded(stage: type[luigi.Task]) -> tuple[str, ...]:
    """Knobs that choose where a stage writes, the code that runs, and the servers that both come from."""
    code = (name for declared in stage.__mro__ for name in CODE.get(declared.__name__, ()))
    servers = [name for name, _ in stage.get_params()] if issubclass(stage, Store) else []
    return ("root", "layer_name", *code, *servers)


def _refuse_other_than_own(knob: Knob, value: str | bool) -> None:
    """Raise an error if a message sets another value than the worker's own cfg."""
    family = knob.stage.get_task_family()
    own = knob.parameter.task_value(family, knob.name)
    got = knob.parameter.parse(value) if isinstance(value, str) else value
    same = _place(str(got)) == _place(str(own)) if knob.name == "root" else got == own
    if not same:
        option = f"{family}-{knob.name}".replace("_", "-")
        raise UnfitError(
            f"{option} of a message must be that of this worker's cfg, {own!r}, got {got!r}; set it in the worker's "
            "cfg, or start the worker with --trust-queue if you trust everyone who can write to the queue"
        )


def _refuse_outside(name: str | bool) -> None:
    """Raise where the name of a layer leads out of the root."""
    if name and not (isinstance(name, str) and is_inside(name)):
        raise UnfitError(f"layer-name of a message must be a folder inside the root, got {name!r}")


def _refuse_too_many_chunks(task: luigi.Task) -> None:
    if not isinstance(task, Stage) or task.region is None:
        return
    sides = zip(task.region.shape, task.chunk_shape, strict=True)
    chunks = math.prod(-(-size // max(side, 1)) for size, side in sides)
    if chunks > MOST_CHUNKS:
        raise ValueError(f"region must be at most {MOST_CHUNKS:,} chunks, got {chunks:,} in {task.region}")


def _place(url: str) -> str:
    """A folder's name, the same for every way to write it."""
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        return os.path.abspath(unquote(parts.path) if parts.scheme else url)
    return f"{parts.scheme}://{parts.netloc}{posixpath.normpath(parts.path or '/')}"


def _below(module: str, modules: Sequence[str]) -> bool:
    return any(module == allowed or module.startswith(f"{allowed}.") for allowed in modules)


def _word(option: str, value: str | bool) -> str:
    flag = f"--{option.replace('_', '-')}"
    return flag if value is True else f"{flag}={value}"


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
