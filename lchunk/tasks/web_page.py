"""What the web page of Luigi's scheduler shows of a stage: short rows, links into the maps, the reason of a failure.

The page itself is Luigi's. A row has the parameters of a task that are public; its dialog of an error has what
`Task.on_failure` returns.
"""

from __future__ import annotations

import contextlib
import textwrap
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

from luigi.parameter import ParameterVisibility

from lchunk.tasks.again import command_of, telling_knobs
from lchunk.tasks.making import ChunksFailedError
from lchunk.tasks.reasons import reason
from lchunk.tasks.verdicts import fault_of

if TYPE_CHECKING:
    from lchunk.tasks.stage import Stage

WIDTH = 68
"""Characters of a line of the dialog, which wraps no lines."""


def visibilities(stage: Stage) -> dict[str, int]:
    """Which parameters a row shows, as Luigi's scheduler takes them.

    A row shows the region, and the knobs that are not those of the cfg: two rows of a dataset differ in one of them.
    The row of a whole volume also shows the root. The parameters themselves stay public, because Luigi leaves out of a
    task's id what is not, and the scheduler keeps the values of those that it hides.
    """
    whole = stage.for_volume
    if whole.known.telling is None:
        whole.known.telling = frozenset(name for name, _, _ in telling_knobs(whole))
    shown = whole.known.telling | {"root" if stage.region is None else "region"}
    return {
        name: int(ParameterVisibility.PUBLIC if name in shown else ParameterVisibility.HIDDEN)
        for name, _ in stage.get_params()
    }


def link(stage: Stage) -> str:
    """The address of the region in `lchunk view`, which maps the chunks; empty if the cfg names no viewer."""
    viewer = stage.dataset.viewer.rstrip("/")
    return f"{viewer}/?at={_middle(stage)}" if viewer else ""


def _middle(stage: Stage) -> str:
    """The middle of the region in fractions of the volume, zyx, which are the same at every mip."""
    sides = zip(stage.bbox.start, stage.bbox.stop, stage.bounds.start, stage.bounds.shape, strict=True)
    return ",".join(f"{((start + stop) / 2 - origin) / size:.6g}" for start, stop, origin, size in sides)


def explanation(stage: Stage, error: BaseException) -> str:
    """Why a task failed: the reason, the command that runs it again, the link to its place, and the traceback."""
    try:
        return "\n".join(_lines(stage, error))
    except Exception:  # a user's own exception may even fail in `str`, and Luigi would end the process
        return trace_of(error)


def _lines(stage: Stage, error: BaseException) -> Iterator[str]:
    fault = fault_of(error)
    for line in f"{reason(error, stage)}{f' ({fault})' if fault else ''}".splitlines():
        yield from textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    with contextlib.suppress(OSError, ValueError):  # the cfg may be what is wrong
        yield from ("", "run it again:", command_of(stage))
        if address := link(stage):
            yield from ("", "look at its place:", address)
    yield ""
    yield trace_of(error)


def trace_of(error: BaseException) -> str:
    """Where an error was raised, as text; of several chunks that failed, that of the first one."""
    if isinstance(error, ChunksFailedError):
        return error.failed[0].trace
    return "".join(traceback.format_exception(error))
