"""Sends the tasks that can be made now, once or until a job is complete.

No stage is rehearsed here: the sender may have neither PyTorch nor a GPU, and its memory is not that of a worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import luigi
from luigi.task_register import Register

from lchunk.tasks.checking import without_rehearsal
from lchunk.volumes.complete_rows import Look, look
from lchunk.workers.messages import MessageError, Options, TaskMessage
from lchunk.workers.patience import Patience
from lchunk.workers.ready import Amount, Job, by_stage
from lchunk.workers.routes import Routes

logger = logging.getLogger("luigi-interface")

OUTAGE = 900.0
REQUEST_DOLLARS = 0.4e-6
"""SQS in us-east-1, per request: https://aws.amazon.com/sqs/pricing"""
REQUESTS = 8
"""Requests per message: it is sent, received, renewed a few times, and deleted."""


class NotDrainedError(RuntimeError):
    """A queue still holds messages."""


class DeadEndError(RuntimeError):
    """The rest of a job cannot be made, because its messages were given up."""


def send(routes: Routes, tasks: Sequence[luigi.Task], options: Options) -> None:
    """Send tasks.

    Each stage's layer is created first, so that the sender's knobs count, and a worker with other knobs is refused.
    """
    with without_rehearsal():
        for stage, *_ in by_stage(tasks):
            stage.for_volume.prepare()
    for queue, own in routes.sorted(tasks):
        queue.send([TaskMessage.of(task, options).body for task in own])


def refuse_undrained(routes: Routes) -> None:
    """Raise an error if the queues still hold messages.

    Raises:
        NotDrainedError: they do; the message says how many.
    """
    counts = routes.counts()
    if counts.open:
        raise NotDrainedError(
            f"queue {routes.addresses} must be empty before more is sent, got {counts.visible} waiting messages, "
            f"{counts.in_flight} with workers, {counts.delayed} for later; wait, or send in spite of them with --force"
        )


def keep_fed(
    routes: Routes,
    root: Callable[[], luigi.Task],
    options: Options,
    *,
    every: float,
    until_stopped: Callable[[float], bool],
    unfinished: Callable[[], object] = lambda: None,
    outage: float = OUTAGE,
    recheck: bool = False,
) -> None:
    """Send tasks as they become ready, until the job is complete.

    The only state is the set of tasks that this process has sent since the queues were last empty. After a restart, it
    waits until they are empty, and then sends the missing tasks. A pass does not list again what this process has found
    complete in a bucket, except before it says that the job is complete.

    Args:
        routes: the queues.
        root: makes the task of the job; each pass checks it again.
        options: knobs on the command line, in addition to the cfg.
        every: seconds between two passes.
        until_stopped: waits some seconds, and returns whether it is time to stop.
        unfinished: called by each pass that finds the job incomplete.
        outage: seconds for which a queue, or the store, may be unreachable.
        recheck: whether each pass looks at every chunk file again.

    Raises:
        DeadEndError: the rest was given up.
    """
    passes = Look.ALL if recheck else Look.UNKNOWN
    keeper, patience = _Keeper(routes, root, options, passes), Patience(outage, until_stopped)
    stopped = False
    while not stopped:
        try:
            if keeper.look(unfinished):
                return
        except DeadEndError:
            raise
        except Exception as error:
            patience.bear(error)
            stopped = until_stopped(0)
        else:
            patience.end()
            stopped = until_stopped(every)


class _Keeper:
    """The state of `keep_fed` between two passes."""

    def __init__(self, routes: Routes, root: Callable[[], luigi.Task], options: Options, passes: Look) -> None:
        self.routes, self.root, self.options, self.passes = routes, root, options, passes
        self.sent: set[tuple[str, str]] | None = None
        self.empty = 0
        self.first = True

    def look(self, unfinished: Callable[[], object]) -> bool:
        """Send the tasks that are ready and were not sent. Returns whether the job is complete; if not, says so."""
        is_open = bool(self.routes.counts().open)
        if self.first:
            self.sent, self.first = (None if is_open else set()), False
        self.empty = 0 if is_open else self.empty + 1
        # the counts of SQS are estimates: believe them when they say it twice
        drained = self.empty > 1 or self.sent == set()
        job = self._job(self.passes)
        if job.done and self.passes is Look.UNKNOWN:
            job = self._job(Look.CHANGED)
        if job.done:
            logger.info("%s is complete", job.root)
            return True
        unfinished()
        if drained:
            self.sent = set(_given_up(self.routes))
            if not self._unsent(job):
                raise DeadEndError(
                    f"{job.root} is not complete, and nothing that it needs can be sent: {len(self.sent)} messages "
                    "were given up; "
                    + "; ".join(
                        f"see why with: lchunk queue dead {queue.address}; then send them again with: lchunk queue "
                        f"redrive {queue.address}"
                        for queue in self.routes.queues
                    )
                )
        if self.sent is None:
            logger.info("waiting until the queue is empty: it may hold what is missing")
            return False
        fresh = self._unsent(job)
        send(self.routes, fresh, self.options)
        self.sent |= {TaskMessage.of(task, self.options).key for task in fresh}
        if fresh:
            self.empty = 0
            logger.info("sent %d regions; %d wait for others", len(fresh), job.waiting)
        return False

    def _job(self, at: Look) -> Job:
        Register.clear_instance_cache()
        with look(at):
            return Job.of(self.root())

    def _unsent(self, job: Job) -> list[luigi.Task]:
        sent = self.sent or set()
        return [task for task in job.ready if TaskMessage.of(task, self.options).key not in sent]


def _given_up(routes: Routes) -> Iterator[tuple[str, str]]:
    for letter in routes.dead():
        try:
            yield TaskMessage.parse(letter.body).key
        except MessageError:
            continue  # a message that cannot be read belongs to no region


def summary(job: Job, parts: list[Amount], *, workers: int) -> Iterator[str]:
    """The work that is ready, in one line per stage, and an estimate of its time and of the price of its messages.

    Args:
        job: the job as it is now.
        parts: the amount of work of each stage.
        workers: number of workers that will share it.
    """
    for part in parts:
        took = "no estimate before a chunk is made" if part.seconds is None else f"{_hours(part.seconds)} of one worker"
        yield f"{part.stage:20} {part.regions:>7} regions  {part.chunks:>9} chunks  {took}"
    known = [part.seconds for part in parts if part.seconds is not None]
    if known:
        seconds = sum(known)
        share = f", {_hours(seconds / workers)} with {workers} workers" if workers > 1 else ""
        requests = sum(part.regions for part in parts) * REQUESTS * REQUEST_DOLLARS
        yield f"in all {_hours(seconds)} of one worker{share}; SQS requests ${requests:,.4f}"
    if job.waiting:
        yield f"{job.waiting} regions wait for others"


def _hours(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.1f} min"
        if seconds >= 60
        else f"{seconds:.1f} s"
    )
