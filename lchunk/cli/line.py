"""The command line: what is beside the stages, which `luigi --module lchunk.tasks` runs."""

from __future__ import annotations

import argparse
import sys

from lchunk.cli import looking, queues, running, verifying


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="lchunk",
        description="Tools beside the stages. A stage runs with: luigi --module lchunk.tasks STAGE --help",
        allow_abbrev=False,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    looking.add_commands(commands)
    verifying.add_commands(commands)
    running.add_commands(commands)
    queues.add_commands(commands)
    return top


def main() -> None:
    """Run the command line; an expected error is one line, and exit code 1."""
    line = parser()
    arguments, rest = line.parse_known_args()
    if rest and not hasattr(arguments, "stage"):
        line.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        code = arguments.run(arguments)
    except BrokenPipeError:
        sys.stderr.close()  # the reader, as `head`, has seen enough
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"lchunk: {error}")
    else:
        if code:
            sys.exit(code)
