"""The command line. Only the command that runs is imported, so that `lchunk --help` starts fast."""

from __future__ import annotations

import argparse
import configparser
import difflib
import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lchunk.cfg_file import refuse_unreadable_cfg
from lchunk.cli import codes

COMMANDS = {
    "create": ("creating", "make a volume to try programs with"),
    "new": ("making", "write a cfg for your image"),
    "plan": ("plan", "say what a run takes, and choose chunk shapes"),
    "intensity": ("intensity", "print the range of an image's intensities, for its cfg"),
    "run": ("running", "run a stage; the exit code says whether it is complete"),
    "try": ("trying", "make one chunk aside, to see its time, memory and voxels"),
    "stages": ("teaching", "list the stages: what each reads and writes"),
    "status": ("watching", "print how far a dataset is, what is missing, and what failed"),
    "metrics": ("measuring", "serve the progress of a dataset and its queues to Prometheus"),
    "summary": ("summing", "print how fast the stages ran, and what binds them"),
    "verify": ("verifying", "read all files, and report what is missing or damaged"),
    "remove": ("removing", "remove a layer, or a part of it, and what was made from it"),
    "edit": ("editing", "change the edits of a segmentation: merges and splits"),
    "view": ("looking", "show a dataset, or volumes of any format, in Neuroglancer"),
    "scores": ("reporting", "print scores and the worst segments"),
    "errors": ("errors", "list the places where a segmentation is wrong"),
    "evaluate": ("evaluating", "score a segmentation in any format against true labels"),
    "card": ("card", "print the number and sizes of segments, without true labels"),
    "export": ("exporting", "write a layer, or a table of segments, for other programs"),
    "curve": ("reporting", "print and draw scores by threshold"),
    "enqueue": ("queues", "send what can be done now to a queue"),
    "work": ("queues", "make tasks from a queue"),
    "queue": ("queues", "create, inspect or empty a queue"),
    "new-stage": ("authoring", "write a stage of your own, and its test"),
    "completion": ("completing", "print the completion script of a shell"),
}
"""For each command, the module that adds it, and its line of help."""
NO_DATASET = ("", "create", "new", "intensity", "new-stage", "completion")
"""Commands that do not read a cfg."""
WITH_A_STAGE = ("run", "try", "enqueue", "edit")
"""Commands that accept Luigi's options after their own."""
DEBUG = "LCHUNK_DEBUG"

ABOUT = """\
From a volume of 3D electron microscopy to neurons, stage by stage."""
STEPS = """\
first steps:
  lchunk create --view        look at a test volume
  lchunk view FILE            look at a volume of any format
  lchunk new IMAGE            write luigi.cfg for your image
  lchunk plan                 see what a run takes: memory, bytes, hours
  lchunk stages               see what can be made
  lchunk run STAGE --help     see the knobs of a stage
  lchunk run MeshManifest     make the segmentation and its meshes, and everything that they need
  lchunk status               see how far the dataset is, and what failed
  lchunk view                 look at it

The dataset is described by ./luigi.cfg, or by the file that the variable LUIGI_CONFIG_PATH names.
`luigi --module lchunk.tasks STAGE` runs the same stages with Luigi's own command."""


class Parser(argparse.ArgumentParser):
    """A parser that prints errors in one line, with the nearest known option. Options cannot be abbreviated."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Print one line and exit."""
        options = [option for action in self._actions for option in action.option_strings]
        unknown = [word for word in message.partition("unrecognized arguments: ")[2].split() if word.startswith("--")]
        wrong, known = (unknown[0].partition("=")[0], options) if unknown else ("", [])
        if choice := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            wrong, known = choice[1], re.findall(r"'([^']*)'", choice[2])
        meant = difflib.get_close_matches(wrong, known, 1)
        hint = f"did you mean {meant[0]}? " if meant else ""
        self.exit(codes.USAGE, f"{self.prog}: {message}; {hint}`{self.prog} --help` explains it\n")


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command line.

    Args:
        only: the command that will run; the others only get their line of help. None: all commands are complete.
    """
    top = Parser(
        prog="lchunk", description=ABOUT, epilog=STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--version", action="store_true", help="print the version")
    commands = top.add_subparsers(metavar="COMMAND")
    wanted = [module for name, (module, _) in COMMANDS.items() if only in (None, name)]
    for name, (module, text) in COMMANDS.items():
        if module not in wanted:
            commands.add_parser(name, help=text)
    for module in dict.fromkeys(wanted):
        importlib.import_module(f"lchunk.cli.{module}").add_commands(_Described(commands))
    return top


class _Described:
    """Adds the commands of a module, with the lines of help in COMMANDS as default."""

    def __init__(self, commands: Any) -> None:
        self.commands = commands

    def add_parser(self, name: str, **options: Any) -> Any:
        return self.commands.add_parser(name, **{"help": COMMANDS[name][1], **options})


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; an expected error is the last line, without a traceback."""
    words = sys.argv[1:] if words is None else list(words)
    if "--debug" in words:
        words = [word for word in words if word != "--debug"]
        os.environ[DEBUG] = "1"
    command = next((word for word in words if not word.startswith("-")), "")
    try:
        code = ending(lambda: _run(command, words), codes.NOT_PLANNED if command == "run" else codes.REFUSED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader, such as `head`, has closed the pipe
    else:
        if code:
            sys.exit(code)


def ending(run: Callable[[], int | str | None], refused: int = codes.REFUSED) -> int | str | None:
    """Run a function, and turn an error with a clear message into one line and an exit code."""
    try:
        return run()
    except KeyboardInterrupt:
        print("lchunk: interrupted; run the same command again to make what is missing", file=sys.stderr)
        return codes.INTERRUPTED
    except BrokenPipeError:
        raise
    except (ValueError, OSError, ImportError, MemoryError, configparser.Error) as error:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        text = _text(error)
    except Exception as error:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        known = sys.modules.get("lchunk.tasks.reasons")
        expected = known is not None and known.is_expected(error)
        text = _text(error) if expected else f"unexpected {type(error).__name__}: {error}; run again with --debug"
        refused = refused if expected else codes.UNEXPECTED
    if refused == codes.REFUSED:
        return f"lchunk: Error: {text}"
    print(f"lchunk: Error: {text}", file=sys.stderr)
    return refused


def _text(error: BaseException) -> str:
    known = sys.modules.get("lchunk.tasks.reasons")
    if known is not None:
        return str(known.reason(error))
    if isinstance(error, OSError) and error.strerror:
        return ": ".join([error.strerror, *(str(name) for name in (error.filename,) if name)])
    return str(error)


def _run(command: str, words: Sequence[str]) -> int | str | None:
    if command and command not in COMMANDS:
        meant = difflib.get_close_matches(command, COMMANDS, 1)
        hint = f"did you mean {meant[0]}? " if meant else ""
        print(f"lchunk: no command {command!r}; {hint}`lchunk --help` lists the commands", file=sys.stderr)
        return codes.USAGE
    if command not in NO_DATASET:
        refuse_unreadable_cfg()
    line = parser(command)
    arguments, rest = line.parse_known_args(words)
    if arguments.version:
        from lchunk import __version__  # noqa: PLC0415 - looks the package up

        print(f"lchunk {__version__}")
        return codes.DONE
    if not command:
        line.print_help()
        print("lchunk: a command must follow, got none; the first lines above list them", file=sys.stderr)
        return codes.USAGE
    if rest and command not in WITH_A_STAGE:
        _of_command(line, command).error(f"unrecognized arguments: {' '.join(rest)}")
    if command == "work":
        importlib.import_module("lchunk.tasks.cfg_check").check_cfg()  # otherwise every message would fail
    arguments.rest = rest
    if command == "enqueue":
        importlib.import_module("lchunk.cli.lines").refuse_wrong_stage(arguments)
    result: int | str | None = arguments.run(arguments)
    return result


def _of_command(line: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    """The parser of a command."""
    choices: Any = next(action.choices for action in line._actions if action.choices)
    found: argparse.ArgumentParser = choices[command]
    return found
