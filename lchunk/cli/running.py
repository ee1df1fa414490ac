"""`lchunk run`: Luigi's own command, with an exit code that tells whether the job stands."""

from __future__ import annotations

import argparse
import logging
from typing import Any

from luigi.cmdline_parser import CmdlineParser
from luigi.configuration import get_config
from luigi.retcodes import run_with_retcodes
from luigi.task_register import Register

from lchunk.workers.messages import STAGES

logger = logging.getLogger("luigi-interface")

DONE = 0
ALREADY_RUNNING = 10
RETCODES = {
    "already_running": ALREADY_RUNNING,
    "missing_data": 20,
    "not_run": 25,
    "task_failed": 30,
    "scheduling_error": 35,
    "unhandled_exception": 40,
}
"""Luigi's own defaults are 0 where a task failed; what the cfg says counts more."""
EXIT_CODES = """\
exit codes: 0 the job stands; 10 the same command runs here already; 20 an input is missing; 25 something is left that
another process may be at; 30 a task failed; 35 a stage could not be planned, as with wrong knobs; 40 anything else"""


def luigi_line(arguments: argparse.Namespace) -> list[str]:
    """The words of Luigi's command line."""
    return ["--module", arguments.module, arguments.stage, *arguments.rest]


def run(arguments: argparse.Namespace) -> int:
    """Run a stage as `luigi --module lchunk.tasks STAGE` does, and say by the exit code whether it stands.

    Luigi's own exit code is not 0 where another process made a part; here the chunk files decide.
    """
    line = luigi_line(arguments)
    for name, code in RETCODES.items():
        if not get_config().has_option("retcode", name):
            get_config().set("retcode", name, str(code))
    try:
        run_with_retcodes(line)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    if code in (DONE, ALREADY_RUNNING):
        return code
    Register.clear_instance_cache()
    with CmdlineParser.global_instance(line) as parsed:
        try:
            complete = parsed.get_task_obj().complete()
        except (ValueError, OSError):
            return code
    if complete:
        logger.info("all that was asked for stands: other processes made a part of it")
    return DONE if complete else code


def add_stage(command: argparse.ArgumentParser) -> None:
    """Options of a command that takes a stage, and what Luigi takes after it."""
    command.add_argument(
        "stage", help="name of a stage; its knobs follow, as --prefix 7 or --Segmentation-threshold 0.5"
    )
    command.add_argument("--module", default=STAGES, help=f"where the stage is; default: {STAGES}")


def add_commands(commands: Any) -> None:
    """Add `run`."""
    command = commands.add_parser(
        "run", help="run a stage; the exit code tells whether it stands", description=run.__doc__, epilog=EXIT_CODES,
        allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_stage(command)
    command.set_defaults(run=run)
