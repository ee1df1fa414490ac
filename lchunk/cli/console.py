"""The output of `lchunk run`: progress on a terminal, and reasons at the end; Luigi's log goes to a file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from luigi.configuration import get_config

from lchunk.tasks.cfg import cfg_files
from lchunk.tasks.progress import SHOWN
from lchunk.tasks.reasons import DEBUG, Reasons

KEPT_LOGS = 20
"""Number of log files of earlier runs that are kept."""
_BY_LUIGI = ("Will not run ", "[pid ")
"""Starts of Luigi's messages on failures, which the reasons at the end replace."""


class Console:
    """A context in which Luigi's log goes to a file, unless the cfg or the command line asks for it.

    At the end, it prints the reasons of failures.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self.task: Any = None
        self.reasons = Reasons()
        self.log: Path | None = None

    def __enter__(self) -> Console:
        logger = logging.getLogger("luigi-interface")
        logger.addFilter(self.reasons)
        if os.environ.get(DEBUG):
            get_config().set("core", "log_level", "DEBUG")
        elif not self._wants_luigis_log():
            get_config().set("core", "no_configure_logging", "true")
            self._log_to_file(logger)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        failed = bool(self.reasons.lines())
        if failed and self.log is not None and self.log.exists():
            print(f"Luigi's log: {self.log}", file=sys.stderr)
        self.reasons.print()
        logging.getLogger("luigi-interface").removeFilter(self.reasons)
        self.reasons.shared.close()

    def _wants_luigis_log(self) -> bool:
        keys = ("log_level", "logging_conf_file", "no_configure_logging")
        options = ("--log-level", "--logging-conf-file")
        asked = any(key in file.sections.get("core", {}) for file in cfg_files() for key in keys)
        return asked or any(word.partition("=")[0] in options for word in self.words)

    def _log_to_file(self, logger: logging.Logger) -> None:
        logger.setLevel(logging.INFO)
        shown = logging.StreamHandler()
        shown.addFilter(lambda record: record.levelno >= logging.WARNING or hasattr(record, SHOWN))
        shown.setFormatter(logging.Formatter("lchunk: %(levelname)s: %(message)s"))
        shown.addFilter(lambda record: not record.getMessage().startswith(_BY_LUIGI))
        logger.addHandler(shown)
        with contextlib.suppress(OSError):
            self.log = new_log()
            written = logging.FileHandler(self.log, delay=True)
            written.setFormatter(logging.Formatter("%(asctime)s %(levelname)s: %(message)s"))
            logger.addHandler(written)

    @contextlib.contextmanager
    def progress(self, task: Any) -> Iterator[None]:
        """Show the progress of the job, but only on a terminal, and not together with Luigi's own log."""
        if self.log is not None and sys.stderr.isatty():
            from lchunk.cli.progress import live_progress  # noqa: PLC0415 - imports rich

            with live_progress(task):
                yield
        else:
            yield


def new_log() -> Path:
    """A file for this run's log, in the user's state folder; the oldest logs are removed."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    folder = Path(state) / "lchunk"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"lchunk-logs-{os.getuid()}"
        folder.mkdir(exist_ok=True)
    for old in sorted(folder.glob("*.log"))[: -KEPT_LOGS or None]:
        old.unlink(missing_ok=True)
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
