"""`lchunk run`: runs a stage and everything that it needs; the exit code says whether the stage is complete."""

from __future__ import annotations

import argparse
import functools
import logging
import socket
import sys
import urllib.parse
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.execution_summary import LuigiRunResult, LuigiStatusCode
from luigi.retcodes import retcode
from luigi.task_register import Register

from lchunk.chunk_logs import keep_requests, requests_told
from lchunk.cli import codes
from lchunk.cli.boxes import box_lines
from lchunk.cli.console import Console
from lchunk.cli.dry_run import dry_run_lines
from lchunk.cli.interrupts import interrupt_by_ctrl_c
from lchunk.cli.layout import layout_notes
from lchunk.cli.line import ending
from lchunk.cli.lines import find_task, load_module, parsed_line, refuse_wrong_stage, usage_error
from lchunk.cli.locks import held_lock
from lchunk.cli.telling import told
from lchunk.tasks.cfg_check import check_cfg, check_line
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.luigi_settings import scheduler_url, use_central_scheduler
from lchunk.tasks.memory import free_memory
from lchunk.tasks.progress import process_name
from lchunk.tasks.retried import retry_failed
from lchunk.volumes.complete_rows import Look, look
from lchunk.workers.messages import STAGES

logger = logging.getLogger("luigi-interface")

SCHEDULER_SECONDS = 3.0
_FAILED = (LuigiStatusCode.FAILED, LuigiStatusCode.FAILED_AND_SCHEDULING_FAILED)


def luigi_line(arguments: argparse.Namespace) -> list[str]:
    """The words of Luigi's command line."""
    return ["--module", arguments.module, arguments.stage, *arguments.rest]


def run(arguments: argparse.Namespace) -> int:
    """Run a stage and everything that it needs; the exit code says whether the stage is complete.

    Only what is missing is made: run the same command again after an interruption. `lchunk run STAGE --help` explains
    the knobs of a stage; put them after its name, as in `lchunk run MeshManifest --prefix 7`.
    """
    load_module(arguments.module)
    if not arguments.stage or arguments.help:
        from lchunk.cli.teaching import print_help  # noqa: PLC0415 - seldom needed

        print_help(arguments.command, find_task(arguments.stage) if arguments.stage else None)
        if arguments.help:
            return codes.DONE
        raise usage_error("a stage must be named, got none; `lchunk stages` lists them")
    refuse_wrong_stage(arguments)
    central = arguments.central or bool(arguments.scheduler)
    if central:
        use_central_scheduler(arguments.scheduler)
    line_of = parsed_line(luigi_line(arguments))
    with looking(arguments), Console(arguments.rest) as console, requests_told(), line_of as line:
        run_or_foresee = _foresee if arguments.dry_run else functools.partial(_run, console=console, central=central)
        code = ending(lambda: run_or_foresee(line), codes.NOT_PLANNED)
    return int(code or 0)


def _foresee(line: CmdlineParser) -> int:
    """Print what a run would make, and what that takes."""
    check_cfg(strict=True)
    check_line()
    task = line.get_task_obj()
    if task.complete():
        print(f"{task.task_family} is complete: nothing to do")
    else:
        for text in dry_run_lines(task):
            print(text)
        for text in box_lines(task, free_memory(0, "cpu")[0]):
            print(text)
        print("dry run: nothing made")
    return codes.DONE


def _run(line: CmdlineParser, console: Console, *, central: bool) -> int:
    check_cfg(strict=True)
    check_line()
    task = line.get_task_obj()
    console.task = task
    root = getattr(task, "root", None) or Dataset().root
    if task.complete():
        print(f"{task.task_family} is complete in {root}: nothing to do")
        return codes.DONE
    core = luigi.interface.core()
    if not core.local_scheduler:
        _refuse_silence()
        retry_failed(scheduler_url(), root)
    interrupt_by_ctrl_c()
    with ExitStack() as stack:
        if not (central or core.no_lock or core.take_lock or core.lock_size > 1 or not core.local_scheduler):
            holder = stack.enter_context(held_lock(root, task))
            if holder:
                console.reasons.note(
                    f"{task.task_family} of {root} must be run by one process, got another: {holder}; "
                    "wait for its end, or share the work with --central"
                )
                return int(retcode().already_running)
        for note in layout_notes(task):
            print(f"note: {note}", file=sys.stderr)
        said = stack.enter_context(told(task, shared=not core.local_scheduler, on_sigterm=True))
        stack.callback(keep_requests, root, process_name())
        said.begin()
        with console.progress(task):
            result = luigi.build([task], detailed_summary=True, no_lock=not (core.take_lock or core.lock_size > 1))
        code = _code(result, console)
        if code in (codes.DONE, codes.ALREADY_RUNNING) or _is_complete(line):
            print(f"{task.task_family} is complete in {root}")
            return said.ends(codes.DONE)
        return said.ends(code, goes_on=not core.local_scheduler and code == int(retcode().not_run))


def _code(result: LuigiRunResult, console: Console) -> int:
    """The exit code for what Luigi says; a cfg may give other numbers."""
    cfg, status = retcode(), result.status
    if status in (LuigiStatusCode.SUCCESS, LuigiStatusCode.SUCCESS_WITH_RETRY):
        return codes.DONE
    if status in _FAILED:
        return int(cfg.task_failed)
    if status is LuigiStatusCode.SCHEDULING_FAILED:
        return int(cfg.scheduling_error)
    if status is LuigiStatusCode.MISSING_EXT:
        return int(cfg.missing_data)
    console.reasons.note("something is left that another process may be making: run the command again")
    return int(cfg.not_run)


def _is_complete(line: CmdlineParser) -> bool:
    """Whether all files exist, whatever Luigi says: another process may have made a part."""
    Register.clear_instance_cache()
    try:
        return bool(line.get_task_obj().complete())
    except (ValueError, OSError):
        return False


def _refuse_silence() -> None:
    """Raise an error if no central scheduler answers: Luigi would retry for minutes."""
    url = scheduler_url()
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise ValueError(f"a scheduler's address must be HOST:PORT or a URL, got {url}: {error}; correct it") from error
    if not parts.scheme.startswith("http"):
        raise ValueError(f"a scheduler's URL must be http:// or https://, got {url}; name it HOST:PORT")
    try:
        socket.create_connection((parts.hostname or "localhost", port), SCHEDULER_SECONDS).close()
    except OSError as error:
        raise ConnectionError(
            f"a scheduler must answer at {url}, got: {error}; start one with scripts/scheduler or `luigid --address "
            "127.0.0.1`, name another with --scheduler HOST:PORT, or use --local-scheduler"
        ) from error


def add_stage(command: argparse.ArgumentParser, **options: Any) -> None:
    """Add the options of a command that takes a stage; Luigi takes the words after it."""
    command.add_argument(
        "stage", help="name of a stage; its knobs follow, such as --prefix 7 or --Segmentation-threshold 0.5", **options
    )
    command.add_argument("--module", default=STAGES, help=f"where the stage is; default: {STAGES}")


def add_recheck(command: argparse.ArgumentParser) -> None:
    """Add the option that looks at every chunk file."""
    command.add_argument(
        "--recheck", action="store_true",
        help="look at every chunk file, also in folders that have not changed since they were found complete",
    )  # fmt: skip


def looking(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """A context in which chunk files are looked for as the options say."""
    return look(Look.ALL if arguments.recheck else Look.CHANGED)


def add_commands(commands: Any) -> None:
    """Add `run`."""
    code_lines = [f"  {code:3} {meaning}" for code, meaning in codes.MEANING.items()]
    command = commands.add_parser(
        "run", description=run.__doc__, epilog="\n".join(["exit codes:", *code_lines]),
        add_help=False, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_stage(command, nargs="?", default="")
    command.add_argument("-h", "--help", action="store_true", help="explain this command, or the stage named before")
    command.add_argument(
        "--central", action="store_true", help="share the work through Luigi's central scheduler, at 127.0.0.1:8082"
    )
    command.add_argument("--scheduler", default="", metavar="HOST:PORT", help="share it through this scheduler")
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="say what is missing, how large the boxes of trees get, and, by the logs of chunks that exist, the hours, "
        "memory and price",
    )
    add_recheck(command)
    command.add_argument("--debug", action="store_true", help="show tracebacks, and Luigi's log in full")
    command.set_defaults(run=run, command=command)
