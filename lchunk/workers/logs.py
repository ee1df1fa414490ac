"""Logs of a worker: lines for people, JSON for machines, and seconds of chunks for CloudWatch."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from luigi.configuration import get_config

from lchunk.tasks.progress import chunk_listeners

NAME = "luigi-interface"


class JsonLines(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        content = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content)


def configure(*, json_lines: bool) -> None:
    """Log to stderr, or as JSON to stdout, instead of Luigi's own setting."""
    get_config().set("core", "no_configure_logging", "true")
    handler = logging.StreamHandler(sys.stdout if json_lines else sys.stderr)
    handler.setFormatter(JsonLines() if json_lines else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(_ours)
    logger = logging.getLogger(NAME)
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.INFO)


def _ours(record: logging.LogRecord) -> bool:
    """Whether a record is not one of Luigi's, which logs each step of a task, and each failure a second time."""
    folder, _, file = record.pathname.rpartition("/")
    of_luigi = folder.endswith("/luigi")
    return not of_luigi or (record.levelno >= logging.WARNING and file != "worker.py")


@contextmanager
def metrics(namespace: str) -> Iterator[None]:
    """A context that sends the seconds of each chunk to CloudWatch, if a namespace is given."""
    if not namespace:
        yield
        return
    from lchunk.workers.cloudwatch import CloudWatch  # noqa: PLC0415 - boto3 takes a third of a second

    watch = CloudWatch(namespace)
    chunk_listeners.append(watch.chunk)
    try:
        yield
    finally:
        chunk_listeners.remove(watch.chunk)
        watch.flush()
