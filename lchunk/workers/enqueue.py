"""Sending what can be done now; and going on so until a job stands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import luigi
from luigi.task_register import Register

from lchunk.workers.messages import MessageError, Options, TaskMessage
from lchunk.workers.queue import Queue
from lchunk.workers.ready import Amount, Job, by_stage

logger = logging.getLogger("luigi-interface")

REQUEST_DOLLARS = 0.4e-6
"""SQS, us-east-1, a request: https://aws.amazon.com/sqs/pricing"""
REQUESTS = 8
"""A message's: sent, received, renewed a few times, deleted."""


class NotDrainedError(RuntimeError):
    """A queue holds messages that are not done."""


class DeadEndError(RuntimeError):
    """What is left of a job cannot be done: its messages were given up."""


def send(queue: Queue, tasks: Sequence[luigi.Task], options: Options) -> None:
    """Send tasks.

    Each stage's layer is made first, so that a worker whose knobs differ is refused, and is not the one that decides.
    """
    for stage, *_ in by_stage(tasks):
        stage.for_volume.prepare()
    queue.send([TaskMessage.of(task, options).body for task in tasks])


def refuse_undrained(queue: Queue) -> None:
    """Raise where messages are not done.

    Raises:
        NotDrainedError: with how many.
    """
    counts = queue.counts()
    if counts.open:
        raise NotDrainedError(
            f"queue {queue.address} must be empty before more is sent, got {counts.visible} messages to be had, "
            f"{counts.in_flight} with workers, {counts.delayed} for later; wait, or send beside them with --force"
        )


def keep_fed(
    queue: Queue,
    root: Callable[[], luigi.Task],
    options: Options,
    *,
    every: float,
    until_stopped: Callable[[float], bool],
) -> None:
    """Send what becomes ready, until the job stands.

    Nothing is kept but what this process has sent since the queue was last empty. Started anew, it waits until the
    queue is empty, and then sends what is missing.

    Args:
        queue: where to.
        root: makes the task to be done; each pass looks at it anew.
        options: what the command line says beside the cfg.
        every: seconds between two passes.
        until_stopped: waits some seconds; whether it is time to stop.

    Raises:
        DeadEndError: what is left was given up.
    """
    sent: set[tuple[str, str]] | None = set() if not queue.counts().open else None
    empty = 0
    while True:
        Register.clear_instance_cache()
        empty = empty + 1 if not queue.counts().open else 0
        drained = empty > 1 or sent == set()  # the counts of SQS are estimates: believe them when they say it twice
        job = Job.of(root())
        if job.done:
            logger.info("%s stands", job.root)
            return
        if drained:
            sent = set(_given_up(queue))
            if not _new(job, sent, options):
                raise DeadEndError(
                    f"{job.root} does not stand, and nothing that it needs can be sent: {len(sent)} messages were "
                    f"given up; see why with: lchunk queue dead {queue.address}; then send them anew with: "
                    f"lchunk queue redrive {queue.address}"
                )
        if sent is None:
            logger.info("waiting for the queue to be empty: what is in it may be what is missing")
        else:
            fresh = _new(job, sent, options)
            send(queue, fresh, options)
            sent |= {TaskMessage.of(task, options).key for task in fresh}
            if fresh:
                empty = 0
                logger.info("sent %d regions; %d wait for others", len(fresh), job.waiting)
        if until_stopped(every):
            return


def _new(job: Job, sent: set[tuple[str, str]], options: Options) -> list[luigi.Task]:
    return [task for task in job.ready if TaskMessage.of(task, options).key not in sent]


def _given_up(queue: Queue) -> Iterator[tuple[str, str]]:
    for letter in queue.dead():
        try:
            yield TaskMessage.parse(letter.body).key
        except MessageError:
            continue  # malformed: no region waits for it


def summary(job: Job, parts: list[Amount], *, workers: int, price: float) -> Iterator[str]:
    """What there is to do now, a line a stage, and what it will take.

    Args:
        job: as it stands.
        parts: how much of each stage is ready.
        workers: how many will share it.
        price: dollars an hour of one.
    """
    for part in parts:
        took = "no chunk made yet, so no estimate" if part.seconds is None else f"{_hours(part.seconds)} of one worker"
        yield f"{part.stage:20} {part.regions:>7} regions  {part.chunks:>9} chunks  {took}"
    known = [part.seconds for part in parts if part.seconds is not None]
    if known:
        seconds = sum(known)
        share = f", {_hours(seconds / workers)} with {workers} workers" if workers > 1 else ""
        requests = sum(part.regions for part in parts) * REQUESTS * REQUEST_DOLLARS
        dollars = f", ${seconds / 3600 * price:,.2f} at ${price:g} an hour" if price else ""
        yield f"in all {_hours(seconds)} of one worker{share}{dollars}; SQS requests ${requests:,.4f}"
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
