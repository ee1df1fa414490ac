"""Commands that send tasks to a queue, work it off, and look after it."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from luigi.cmdline_parser import CmdlineParser

from lchunk.cli.running import add_stage, luigi_line
from lchunk.workers import logs
from lchunk.workers.address import open_queue
from lchunk.workers.enqueue import DeadEndError, NotDrainedError, keep_fed, refuse_undrained, send, summary
from lchunk.workers.messages import STAGES, options_given
from lchunk.workers.ready import Job, amounts
from lchunk.workers.stopping import Stopping
from lchunk.workers.worker import Outcome, Terms, Worker

NOT_DRAINED = 10
FAILED = 30
INTERRUPTED = 143
VISIBILITY = 600.0


def enqueue(arguments: argparse.Namespace) -> int:
    """Send what of a stage can be done now: regions that are missing, and have all that they are made from.

    With a pipeline's last stage, that is what can be done now anywhere in the pipeline; run it again when that is done,
    or let --until-done send each next part as soon as it can be done.
    """
    logs.configure(json_lines=arguments.json_logs)
    queue = open_queue(arguments.queue) if arguments.queue or not arguments.dry_run else None
    with CmdlineParser.global_instance(luigi_line(arguments)) as line:
        options = options_given(line)
        if arguments.until_done and queue is not None and not arguments.dry_run:
            stopping = Stopping(grace=0)
            stopping.on_signals()
            try:
                keep_fed(
                    queue, line.get_task_obj, options, every=arguments.every, until_stopped=stopping.requested.wait
                )
            except DeadEndError as error:
                print(f"lchunk: {error}", file=sys.stderr)
                return FAILED
            return INTERRUPTED if stopping.requested.is_set() else 0
        job = Job.of(line.get_task_obj())
        if job.done:
            print("nothing to send: all of it stands")
            return 0
        for text in summary(job, amounts(job.ready), workers=arguments.workers, price=arguments.price):
            print(text)
        if queue is None or arguments.dry_run:
            print("dry run: nothing sent")
            return 0
        if not arguments.force:
            try:
                refuse_undrained(queue)
            except NotDrainedError as error:
                print(f"lchunk: {error}", file=sys.stderr)
                return NOT_DRAINED
        send(queue, job.ready, options)
        print(f"sent {len(job.ready)} messages to {queue.address}")
    return 0


def work(arguments: argparse.Namespace) -> int:
    """Take tasks from a queue and make them, one at a time, until told to stop.

    SIGTERM: takes no more, ends the task at hand within the grace, or gives it back. Ctrl-C: gives it back at once.
    """
    logs.configure(json_lines=arguments.json_logs)
    terms = Terms(
        visibility=arguments.visibility, exit_when_empty=arguments.exit_when_empty, max_tasks=arguments.max_tasks,
        max_minutes=arguments.max_minutes, modules=(STAGES, *arguments.module), scheduler=arguments.scheduler,
        back_off=arguments.back_off,
    )  # fmt: skip
    stopping = Stopping(arguments.grace)
    stopping.on_signals()
    if arguments.spot:
        stopping.on_spot_notice()
    worker = Worker(open_queue(arguments.queue), terms, stopping)
    with logs.metrics(arguments.cloudwatch):
        try:
            worker.work()
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            told = [f"{count} {outcome.value}" for outcome, count in worker.tally.items()]
            print(f"worked on {worker.tally.total()} messages: {', '.join(told) or 'none came'}", flush=True)
    return FAILED if worker.tally[Outcome.FAILED] + worker.tally[Outcome.BURIED] else 0


def create(arguments: argparse.Namespace) -> None:
    """Make a queue and its place for dead letters; one that is there keeps its messages."""
    open_queue(arguments.queue).create(arguments.visibility)
    print(f"{arguments.queue} is there")


def show(arguments: argparse.Namespace) -> None:
    """Print how many messages a queue holds."""
    counts = open_queue(arguments.queue).counts()
    print(
        f"{counts.visible} to be had, {counts.in_flight} with workers, {counts.delayed} for later, {counts.dead} dead"
    )


def dead(arguments: argparse.Namespace) -> None:
    """Print the messages that were given up, each with the reason."""
    count = 0
    for letter in open_queue(arguments.queue).dead():
        count += 1
        print(letter.body)
        for text in (
            letter.error or "no worker said why: it came too often, and no worker lived to answer"
        ).splitlines():
            print(f"    {text}")
    print(f"{count} dead letters")


def redrive(arguments: argparse.Namespace) -> None:
    """Send all dead letters anew, when their cause is gone."""
    print(f"sent {open_queue(arguments.queue).redrive()} dead letters anew")


def purge(arguments: argparse.Namespace) -> None:
    """Remove all messages; with --dead, all dead letters. Chunk files stay: what is missing can be sent again."""
    queue = open_queue(arguments.queue)
    if arguments.dead:
        queue.discard()
    else:
        queue.purge()
    print(f"removed the {'dead letters' if arguments.dead else 'messages'} of {arguments.queue}")


def _add_queue(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--queue",
        default=os.environ.get("LCHUNK_QUEUE", ""),
        help="name or https:// URL of an SQS queue, or a folder (with a /); default: the variable LCHUNK_QUEUE",
    )
    command.add_argument("--json-logs", action="store_true", help="log to stdout, a JSON object a line")


def _add_enqueue(commands: Any) -> None:
    command = commands.add_parser(
        "enqueue", help="send what can be done now to a queue", description=enqueue.__doc__, allow_abbrev=False,
        epilog=f"exit codes: 0 sent, or all stands; {NOT_DRAINED} the queue still holds messages; "
        f"{FAILED} what is left was given up; 1 anything else",
    )  # fmt: skip
    add_stage(command)
    _add_queue(command)
    command.add_argument("--dry-run", action="store_true", help="say what would be sent")
    command.add_argument("--force", action="store_true", help="send even if the queue is not empty")
    command.add_argument(
        "--until-done", action="store_true", help="go on until the stage stands; start it anew any time"
    )
    command.add_argument("--every", type=float, default=60, metavar="SECONDS", help="between two looks; default: 60")
    command.add_argument("--workers", type=int, default=1, help="how many will share the work, for the estimate")
    command.add_argument("--price", type=float, default=0, help="dollars an hour of one worker, for the estimate")
    command.set_defaults(run=enqueue)


def _add_work(commands: Any) -> None:
    command = commands.add_parser(
        "work", help="make tasks from a queue", description=work.__doc__, allow_abbrev=False,
        epilog=f"exit codes: 0 all that came was made, or given back; {FAILED} some failed; {INTERRUPTED} interrupted; "
        "1 anything else",
    )  # fmt: skip
    _add_queue(command)
    command.add_argument(
        "--visibility", type=float, default=VISIBILITY, metavar="SECONDS",
        help="lease of a message, renewed every third of it; others get it that long after a kill; at least 300 "
        f"where a net runs; default: {VISIBILITY:g}",
    )  # fmt: skip
    command.add_argument(
        "--grace", type=float, default=25, metavar="SECONDS",
        help="to end the task at hand after SIGTERM, before a KILL comes: Kubernetes 30, spot 120; default: 25",
    )  # fmt: skip
    command.add_argument(
        "--exit-when-empty", action="store_true", help="end when no message is left, with others neither"
    )
    command.add_argument("--max-tasks", type=int, default=0, metavar="N", help="end after N messages")
    command.add_argument("--max-minutes", type=float, default=0, metavar="N", help="take nothing after N minutes")
    command.add_argument("--back-off", type=float, default=30, metavar="SECONDS", help="until what failed comes again")
    command.add_argument(
        "--module", action="append", default=[], help=f"also allow stages of this module, beside {STAGES}"
    )
    command.add_argument("--scheduler", default="", metavar="HOST:PORT", help="report to this luigid; default: none")
    command.add_argument("--spot", action="store_true", help="stop on AWS's notice that it takes the machine back")
    command.add_argument(
        "--cloudwatch", default="", metavar="NAMESPACE", help="send seconds of each chunk to CloudWatch"
    )
    command.set_defaults(run=work)


def _add_queue_commands(commands: Any) -> None:
    queue = commands.add_parser("queue", help="make, look at, empty a queue", description="Look after a queue.")
    actions = queue.add_subparsers(required=True, metavar="ACTION")
    for action in (create, show, dead, redrive, purge):
        name = "status" if action is show else action.__name__
        command = actions.add_parser(name, help=action.__doc__, description=action.__doc__)
        command.add_argument(
            "queue", nargs="?", default=os.environ.get("LCHUNK_QUEUE", ""), help="default: the variable LCHUNK_QUEUE"
        )
        if action is create:
            command.add_argument("--visibility", type=float, default=VISIBILITY, help="seconds, for other programs")
        if action is purge:
            command.add_argument("--dead", action="store_true", help="the dead letters in place of the messages")
        command.set_defaults(run=action)


def add_commands(commands: Any) -> None:
    """Add `enqueue`, `work` and `queue`."""
    _add_enqueue(commands)
    _add_work(commands)
    _add_queue_commands(commands)
