"""Exit codes of every command, in one place. docs/commands.md shows the same table."""

from __future__ import annotations

DONE = 0
REFUSED = 1
USAGE = 2
ALREADY_RUNNING = 10
MISSING_DATA = 20
NOT_RUN = 25
FAILED = 30
NOT_PLANNED = 35
UNEXPECTED = 40
INTERRUPTED = 130
TERMINATED = 143

MEANING = {
    DONE: "done: everything that was requested is complete",
    REFUSED: "refused by a command other than `run`: the last line says why",
    USAGE: "the command line is wrong: no such command, stage, option or module",
    ALREADY_RUNNING: "another process runs the same stage of this dataset, or the queue still holds messages",
    MISSING_DATA: "an input is missing",
    NOT_RUN: "something is still missing, which another process may be making: run the command again",
    FAILED: "a task failed, or a message was given up",
    NOT_PLANNED: "refused before any work: a wrong value or cfg, an unusable input, other knobs than a layer has",
    UNEXPECTED: "an unexpected error, which is a bug in lchunk or in a stage of yours",
    INTERRUPTED: "interrupted by Ctrl-C",
    TERMINATED: "ended by SIGTERM",
}
