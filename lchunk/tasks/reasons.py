"""Why a run was refused or failed, in one place: collected while Luigi logs, and printed as the last lines.

Luigi's summary says how many tasks failed. The reason is in a traceback far above it, or in the log of another process.
"""

from __future__ import annotations

import atexit
import configparser
import json
import logging
import os
import re
import sys
import tempfile
import types
from collections.abc import Iterable
from typing import IO, Any

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.parameter import ParameterException
from luigi.task_register import TaskClassException

from lchunk.tasks.cfg import families, origin
from lchunk.tasks.cfg_check import check_line

DEBUG = "LCHUNK_DEBUG"
"""Variable that keeps tracebacks, as `lchunk run --debug` does."""
EXPECTED = (ValueError, OSError, ImportError, MemoryError, configparser.Error, ParameterException, TaskClassException)
MOST = 10
"""Largest number of different reasons that are printed."""
_CHECKS = ("validate", "rehearse", "compute", "compute_chunk", "_check_chunk_shapes", "open_external")
"""Functions that refuse a stage's own knobs; the stage is their `self` or `stage`."""
_UNCAUGHT = "Uncaught exception in luigi"
_TRACEBACK = "Traceback (most recent call last)"


def is_expected(error: BaseException | None) -> bool:
    """Whether an error is a refusal that its message explains, so that no traceback is needed."""
    return isinstance(error, EXPECTED) or (isinstance(error, RuntimeError) and is_expected(error.__cause__))


def reason(error: BaseException, task: luigi.Task | None = None) -> str:
    """The stage and the message of an error, and the sources of the values that the message mentions.

    Args:
        error: the error that was raised.
        task: the task that ran; if it called another stage, which raised the error, that stage is named instead.
    """
    task = blamed(error) or task
    message = str(error).strip()
    if isinstance(error, TaskClassException):
        message = " ".join(message.split())  # Luigi lists its candidates in lines
    if isinstance(error, OSError) and error.strerror:
        message = ": ".join([error.strerror, *(str(name) for name in (error.filename,) if name)])
    if not is_expected(error):
        message = f"unexpected {type(error).__name__}: {message or 'no message'}; run again with --debug to see where"
    return reason_of_text(message or type(error).__name__, task)


def blamed(error: BaseException) -> luigi.Task | None:
    """The stage that raised an error: the innermost one in the traceback, because a check may call many stages."""
    found: luigi.Task | None = None
    trace = error.__traceback__
    while trace is not None:
        names = trace.tb_frame.f_locals
        caller = names.get("self", names.get("stage"))
        found = caller if isinstance(caller, luigi.Task) and trace.tb_frame.f_code.co_name in _CHECKS else found
        trace = trace.tb_next
    return found


def reason_of_text(message: str, task: luigi.Task | None = None) -> str:
    """Like `reason`, for errors of which Luigi has kept only the message."""
    family = getattr(task, "task_family", "")
    first, *more = message.splitlines()
    origins = _origins(message, [family, "Dataset"] if family else [])
    first = f"{first} ({'; '.join(origins)})" if origins else first
    named = family if family and family not in first else ""
    return "\n".join([f"{named}: {first}" if named else first, *more])


def _origins(message: str, near: list[str]) -> list[str]:
    """The sources of the knobs that a message mentions; empty if the message itself names them."""
    if "on the command line" in message or re.search(r"\[\w+\] \w+ in ", message):
        return []
    known = {family: [name for name, _ in stage.get_params()] for family, stage in families().items()}
    pairs = [(family, knob.replace("-", "_")) for family, knob in re.findall(r"\b([A-Z]\w+)-([a-z][\w-]*)", message)]
    rule = message.partition(" must ")
    leading = re.findall(r"[\w-]+", rule[0])[:1] if rule[1] else []
    for word in leading:
        knob = word.replace("-", "_")
        having = [family for family, knobs in known.items() if knob in knobs and origin(family, knob)]
        having = [family for family in near if family in having] or having
        having = sorted(having, key=lambda family: "command line" not in origin(family, knob)) if not near else having
        # the rule may compare the knob with others of its stage
        others = set(re.findall(r"\w+", rule[2])) if having else set()
        pairs += [(family, other) for family in having[:1] for other in (knob, *sorted(others - {knob}))]
    found = [origin(family, knob) for family, knob in pairs if knob in known.get(family, [])]
    return [text for text in dict.fromkeys(found) if text][:4]


class Reasons(logging.Filter):
    """Collects reasons from Luigi's log, and removes the tracebacks of refusals from it.

    This works across the processes that `--workers` forks: they write their reasons into a shared file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, None] = {}
        self.process = os.getpid()
        self.shared: IO[bytes] = tempfile.TemporaryFile("ab+", buffering=0)  # noqa: SIM115 - open until the end

    def note(self, text: str) -> None:
        """Keep a reason for the end."""
        if os.getpid() == self.process:
            self.found.setdefault(text)
        else:
            self.shared.write(json.dumps(text).encode() + b"\n")

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and record.msg == _UNCAUGHT and is_luigi_command():
            error = _of_the_line(sys.argv[1:]) or error
        if error is not None and (ours(error) or record.msg == _UNCAUGHT):
            arguments: Any = record.args if isinstance(record.args, tuple) else ()
            task = next((each for each in arguments if isinstance(each, luigi.Task)), None)
            self.note(reason(error, task))
            if is_expected(error) and not os.environ.get(DEBUG):
                record.exc_info = record.exc_text = None
        elif _TRACEBACK in record.getMessage():
            self._shorten(record)
        return True

    def _shorten(self, record: logging.LogRecord) -> None:
        """Shorten Luigi's warning that a task cannot be scheduled, which has the traceback as text."""
        before, _, traceback = record.getMessage().partition(_TRACEBACK)
        name, message = last_error(traceback)
        if "/lchunk/" not in traceback and "lchunk." not in traceback:
            return
        kind = name.rpartition(".")[2]
        expected = any(kind == each.__name__ for each in _subclasses(EXPECTED))
        task = re.match(r"Will not run (\w+)", before)
        registered = families().get(task[1]) if task else None
        text = message if expected else f"unexpected {kind}: {message}; run again with --debug to see where"
        self.note(reason_of_text(text, registered))
        if expected and not os.environ.get(DEBUG):
            record.msg, record.args = before.strip().removesuffix(":"), ()

    def lines(self) -> list[str]:
        """The lines to print at the end."""
        self.shared.seek(0)
        for line in self.shared.read().splitlines():
            self.found.setdefault(json.loads(line))
        texts = list(self.found)
        more = [f"and {len(texts) - MOST} more reasons, in the log"] if len(texts) > MOST else []
        return [*texts[:MOST], *more]

    def print(self) -> None:
        """Print the reasons as the last lines."""
        if os.getpid() != self.process:
            return
        lines = self.lines()
        self.found.clear()
        if lines:
            print(*(f"lchunk: Error: {line}" for line in lines), sep="\n", file=sys.stderr, flush=True)  # noqa: T201


def last_error(traceback: str) -> tuple[str, str]:
    """Name and message of the error at the end of a traceback's text.

    >>> last_error('  File "a.py", line 1, in f\\n    g()\\nlchunk.recipe.MixError: two sets\\n  of knobs\\n')
    ('lchunk.recipe.MixError', 'two sets\\n  of knobs')
    """
    lines = traceback.rstrip().splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    rest = lines[frames[-1] + 1 if frames else 0 :]
    start = next((number for number, line in enumerate(rest) if line and not line.startswith(" ")), 0)
    name, _, message = "\n".join(rest[start:]).partition(": ")
    return name, message


def ours(error: BaseException) -> bool:
    """Whether lchunk raised an error, or passed it on."""
    trace: types.TracebackType | None = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == "lchunk":
            return True
        trace = trace.tb_next
    return False


def _of_the_line(words: list[str]) -> ValueError | None:
    """The refusal of a value on Luigi's command line, which Luigi itself raises without the option's name."""
    try:
        with CmdlineParser.global_instance(words, allow_override=True):
            check_line()
    except ValueError as error:
        return error
    return None


def _subclasses(classes: Iterable[type]) -> Iterable[type]:
    for each in classes:
        yield each
        yield from _subclasses(each.__subclasses__())


def tell_at_the_end() -> Reasons:
    """Print reasons as the last lines of this process; for `luigi --module lchunk.tasks …`."""
    reasons = Reasons()
    logging.getLogger("luigi-interface").addFilter(reasons)
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
        if is_expected(error) and not os.environ.get(DEBUG):
            reasons.note(reason(error))
        else:
            usual(kind, error, trace)

    sys.excepthook = hook
    atexit.register(reasons.print)
    return reasons


def is_luigi_command() -> bool:
    """Whether this process is `luigi …` or `python -m luigi …`, not another program that uses lchunk."""
    program = os.path.normpath(sys.argv[0])
    return os.path.basename(program) == "luigi" or program.endswith(os.path.join("luigi", "__main__.py"))
