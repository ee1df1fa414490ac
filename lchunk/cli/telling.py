"""Tells the hooks of the cfg how a command's run goes."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

import luigi

from lchunk.cli import codes
from lchunk.cli.interrupts import handle_outside_forks
from lchunk.cli.layout import job_stages
from lchunk.notices.watch import COMPLETE, Job, Letters, Watch
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.hooks import Hooks
from lchunk.tasks.stage import Stage
from lchunk.volumes.store import open_store


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came: the process ends as by Ctrl-C, but with that signal."""


class Told:
    """What a command says about its run: that it begins, and with which code it ends."""

    def __init__(self, watch: Watch | None) -> None:
        self.watch = watch
        self.code = codes.UNEXPECTED
        self.goes_on = False

    def begin(self) -> None:
        """The run has something to make."""
        if self.watch is not None:
            self.watch.begin()

    def ends(self, code: int, *, goes_on: bool = False) -> int:
        """The run ends with a code. Returns the code.

        Args:
            code: the exit code.
            goes_on: whether other processes may make the rest, and send the end.
        """
        self.code, self.goes_on = code, goes_on
        return code


@contextlib.contextmanager
def told(
    task: luigi.Task, *, shared: bool, letters: Callable[[], Letters] | None = None, on_sigterm: bool = False
) -> Iterator[Told]:
    """A context in which the hooks of the cfg, if there are any, get messages about a run; its end is the last one.

    Args:
        task: the task that the run makes.
        shared: whether other processes go on with it when this one is interrupted.
        letters: the dead letters as they are now, of a run through queues.
        on_sigterm: whether SIGTERM, which would kill the process at once, is told as well.
    """
    hooks = Hooks()
    receivers = hooks.receivers()
    said = Told(None)
    if receivers:
        root = str(getattr(task, "root", None) or Dataset().root)
        stall = 60 * hooks.stall_minutes
        said = Told(Watch(open_store(root), _job(task, root), receivers, stall=stall, letters=letters))
        if on_sigterm:
            _interrupt_on_sigterm()
    try:
        yield said
    except KeyboardInterrupt as error:
        said.ends(codes.TERMINATED if isinstance(error, TerminatedError) else codes.INTERRUPTED, goes_on=shared)
        raise
    finally:
        if said.watch is not None:
            outcome = COMPLETE if said.code == codes.DONE else codes.MEANING.get(said.code, f"exit code {said.code}")
            said.watch.end(outcome, said.code, goes_on=said.goes_on)
        if said.code == codes.TERMINATED:
            os.kill(os.getpid(), signal.SIGTERM)


def _interrupt_on_sigterm() -> None:
    """Interrupt this process on the first SIGTERM. The second one, and the first one in a forked process, kill."""
    own = os.getpid()

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() == own:
            raise TerminatedError
        os.kill(os.getpid(), signal.SIGTERM)

    handle_outside_forks(signal.SIGTERM, interrupt)


def _job(task: luigi.Task, root: str) -> Job:
    result = f"{root.rstrip('/')}/{task.path}" if isinstance(task, Stage) else ""
    stages = frozenset(stage.task_family for stage in job_stages(task))
    return Job(task.task_id, task.task_family, stages, Dataset().viewer, result)
