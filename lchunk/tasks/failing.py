"""Records in the dataset's folder why a region failed, and removes the record once the region is made."""

from __future__ import annotations

import contextlib
import functools
import re
from itertools import islice
from typing import Any

import luigi

from lchunk.failures import FOLDER, MOST_KEYS, Failure, failure_key, keep_failure
from lchunk.tasks.again import command_of
from lchunk.tasks.machine import CRASHED, fault_of_exit
from lchunk.tasks.making import ChunksFailedError
from lchunk.tasks.reasons import reason
from lchunk.tasks.stage import Stage
from lchunk.tasks.verdicts import fault_of
from lchunk.tasks.web_page import trace_of
from lchunk.volumes.chunk_files import missing
from lchunk.volumes.store import open_store

MOST_NAME = 150
"""Most characters of a record's name: a selection of many labels is long."""


def watch_failures() -> None:
    """Make Luigi report the end of each stage, in every process that runs one."""
    Stage.event_handler(luigi.Event.FAILURE)(_failed)
    Stage.event_handler(luigi.Event.PROCESS_FAILURE)(_died)
    Stage.event_handler(luigi.Event.SUCCESS)(_made)


def _failed(stage: Stage, error: BaseException) -> None:
    """Write the reason. If that is impossible, as on a full disk, only the printed reason remains."""
    _keep(
        stage, reason=reason(error), chunks=_chunks(stage, error), traceback=trace_of(error), fault=fault_of(error),
    )  # fmt: skip


def _died(stage: Stage, message: str) -> None:
    """Write why the process died that Luigi had forked for a task: it could not write it itself."""
    found = re.search(r"exit code (-?\d+)$", message)
    fault, why = fault_of_exit(int(found[1])) if found else (CRASHED, f"is gone: {message}")
    chunks = (str(stage.bbox),) if stage.is_chunk else ()
    _keep(stage, reason=f"{stage.task_family}: the process that made it {why}", chunks=chunks, fault=fault)


def _keep(stage: Stage, **values: Any) -> None:
    with contextlib.suppress(OSError, ValueError):
        files = stage.files()
        keys = (key for index in missing(files, stage.bbox) for key in files.keys(index))
        failure = Failure(
            stage=stage.task_family, layer=stage.log_folder, region=_region(stage),
            missing=tuple(islice(keys, MOST_KEYS)), command=command_of(stage), **values,
        )  # fmt: skip
        keep_failure(stage.store, failure)
        _failing(stage.store.url).add(failure_key(failure.layer, failure.region))


def _chunks(stage: Stage, error: BaseException) -> tuple[str, ...]:
    """The chunks that failed; none if the error was raised before the first one."""
    if isinstance(error, ChunksFailedError):
        return tuple(str(failed.bbox) for failed in error.failed)
    return () if stage.delegates or not stage.is_chunk else (str(stage.bbox),)


def _made(stage: Stage) -> None:
    failing = _failing(stage.store.url)
    key = failure_key(stage.log_folder, _region(stage))
    if key in failing:
        failing.discard(key)
        with contextlib.suppress(OSError):
            stage.store.remove(key)


def _region(stage: Stage) -> str:
    selected = "".join(f"-{name}-{getattr(stage, name)}" for name in stage.selects if getattr(stage, name))
    return f"{stage.region or 'whole'}{selected}".replace("/", "_")[:MOST_NAME]


@functools.lru_cache(maxsize=64)
def _failing(url: str) -> set[str]:
    """Keys of the records in a dataset's folder, listed once per process."""
    return set(open_store(url).list(FOLDER))
