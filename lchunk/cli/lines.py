"""A stage's command line: the stage and its options, each found or refused with the nearest right one."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from lchunk.cli import codes
from lchunk.tasks.cfg import families
from lchunk.tasks.cfg_check import nearest
from lchunk.tasks.reasons import DEBUG
from lchunk.workers.messages import STAGES


def usage_error(text: str) -> SystemExit:
    """Print one line about a wrong command line, and return the exit of the command."""
    print(f"lchunk: Error: {text}", file=sys.stderr)
    return SystemExit(codes.USAGE)


def load_module(name: str) -> None:
    """Import the module of a stage. Modules in the current folder are found too, as with `python -m`.

    Raises:
        SystemExit: there is no module of this name, or it cannot be imported.
    """
    _look_in_current_folder(name)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise _absent_module(name, error.name) from error
    except (OSError, ValueError, ImportError, KeyboardInterrupt):
        raise
    except Exception as error:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        raise usage_error(
            f"--module must be a module that can be imported, got {type(error).__name__} in {name}: {error}; "
            "correct it, or add --debug to see where"
        ) from error


def require_module(name: str) -> None:
    """Check that the module of a stage exists, without importing it.

    A worker imports a module when a message needs it. An error in the module then fails that message only.

    Raises:
        SystemExit: there is no module of this name.
    """
    _look_in_current_folder(name)
    try:
        found = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        found = False
    except Exception:  # find_spec imports the packages around the module, and one of them exists but raises
        found = True
    if not found:
        raise _absent_module(name, name)


def _look_in_current_folder(name: str) -> None:
    """Let Python find modules in the current folder, as with `python -m`; refuse a name that no module can have."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    if not all(part.isidentifier() for part in name.split(".")):
        raise usage_error(
            f"--module must be a Python module, as tasks.quickstart, got {name!r}; "
            "write dots for slashes, and leave .py out"
        )


def _absent_module(name: str, absent: str) -> SystemExit:
    return usage_error(
        f"--module must be a Python module, got {name!r}, and there is no {absent}; "
        "modules are searched for in the current folder and in PYTHONPATH"
    )


def runnable() -> dict[str, Any]:
    """Loaded stages and pipelines by name; of lchunk's own classes, only those that lchunk.tasks exports."""
    found = {name: task for name, task in families().items() if not issubclass(task, luigi.Config)}
    own = importlib.import_module(STAGES).__all__
    return {
        name: task
        for name, task in sorted(found.items())
        if name in own or not task.__module__.startswith(f"{STAGES}.")
    }


def find_task(name: str) -> Any:
    """The class of a stage.

    Raises:
        SystemExit: there is no stage of this name.
    """
    tasks = runnable()
    if name not in tasks:
        meant = nearest(name, tasks)
        hint = f"did you mean {meant}? " if meant else ""
        raise usage_error(f"no stage {name!r}; {hint}`lchunk stages` lists them; stages of your own need --module")
    return tasks[name]


def check_words(task: Any, words: Sequence[str]) -> None:
    """Refuse an option that no stage has.

    Raises:
        SystemExit: an option is unknown; the message names the nearest known one.
    """
    known = {f"--{name}".replace("_", "-"): "" for name, _ in task.get_params()}
    for family, no_section, name, _ in Register.get_all_params():
        known[("--" if no_section else f"--{family}-") + name.replace("_", "-")] = family
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("--") and option not in known:
            meant = nearest(option, known)
            hint = f"did you mean {meant}? " if meant else ""
            raise usage_error(f"no option {option}; {hint}`lchunk run {task.task_family} --help` lists them")


def refuse_wrong_stage(arguments: argparse.Namespace) -> None:
    """Refuse a module, a stage or an option that does not exist.

    Raises:
        SystemExit: a name is unknown; the message names the nearest known one.
    """
    load_module(arguments.module)
    check_words(find_task(arguments.stage), arguments.rest)


@contextlib.contextmanager
def parsed_line(words: list[str]) -> Iterator[CmdlineParser]:
    """Luigi's command line, which is active inside the `with` block.

    Raises:
        SystemExit: a word is wrong.
    """
    said = io.StringIO()
    with contextlib.ExitStack() as stack:
        try:
            with contextlib.redirect_stderr(said):
                line = stack.enter_context(CmdlineParser.global_instance(words))
        except SystemExit as error:
            lines = said.getvalue().strip().splitlines() or [str(error)]
            raise usage_error(lines[-1].partition("error: ")[2] or lines[-1]) from error
        yield line
