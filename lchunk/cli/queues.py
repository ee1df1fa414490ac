"""Commands that send tasks to a queue, make these tasks, and manage the queue."""

from __future__ import annotations

import argparse
import faulthandler
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from lchunk.chunk_logs import requests_told
from lchunk.cli.boxes import box_lines
from lchunk.cli.lines import parsed_line, require_module
from lchunk.cli.running import add_recheck, add_stage, looking, luigi_line
from lchunk.cli.telling import told
from lchunk.cli.worker_end import told_end
from lchunk.notices.watch import Letters
from lchunk.status.given_up import printable
from lchunk.tasks.cfg_check import check_cfg, check_line
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.levels import Leveled
from lchunk.tasks.memory import free_memory
from lchunk.workers import logs
from lchunk.workers.address import open_queue
from lchunk.workers.enqueue import DeadEndError, NotDrainedError, keep_fed, refuse_undrained, send, summary
from lchunk.workers.gate import options_given
from lchunk.workers.messages import STAGES
from lchunk.workers.notes import Notes
from lchunk.workers.ready import Amount, Job, amounts
from lchunk.workers.routes import Routes, parse_routes
from lchunk.workers.stopping import Stopping
from lchunk.workers.terms import Outcome, Terms
from lchunk.workers.worker import Worker

NOT_DRAINED = 10
FAILED = 30
ENDED_ITSELF = 35
INTERRUPTED = 143
STDERR = 2
"""The number of the file that programs write errors to."""
VISIBILITY = 600.0


def enqueue(arguments: argparse.Namespace) -> int:
    """Send the regions of a stage that can be made now: they are missing, and their inputs are complete.

    With a pipeline's last stage, that is whatever can be made now anywhere in the pipeline; run it again later, or let
    --until-done send each next part as soon as its inputs are complete. No net is loaded: workers check it.
    """
    logs.configure(json_lines=arguments.json_logs)
    with parsed_line(luigi_line(arguments)) as line:
        check_cfg(strict=True)
        check_line()
        options = options_given(line)
        routes = _routes(arguments)
        if arguments.until_done and routes is not None:
            return _keep_fed(arguments, routes, line, options)
        with looking(arguments):
            job = Job.of(line.get_task_obj())
        if job.done:
            print("nothing to send: all of it is complete")
            return 0
        parts = amounts(job.ready)
        for text in (*summary(job, parts, workers=arguments.workers), *_price_lines(parts)):
            print(text)
        if routes is None:
            for text in box_lines(job.root, free_memory(arguments.worker_memory, "cpu")[0]):
                print(text)
            print("dry run: nothing sent")
            return 0
        if not arguments.force:
            try:
                refuse_undrained(routes)
            except NotDrainedError as error:
                print(f"lchunk: Error: {error}", file=sys.stderr)
                return NOT_DRAINED
        send(routes, job.ready, options)
        print(f"sent {len(job.ready)} messages to {routes.addresses}")
    return 0


def _price_lines(parts: Sequence[Amount]) -> Iterator[str]:
    """The price of the hours that are known, if the cfg has or names one."""
    from lchunk.cli.dry_run import price_lines  # noqa: PLC0415 - takes time to import

    return price_lines(sum(part.seconds or 0 for part in parts), None, 0)


def _routes(arguments: argparse.Namespace) -> Routes | None:
    """The queues to send to; None for a dry run."""
    stages = set(Register.task_names())

    def opened(address: str) -> Any:
        return open_queue(address, patient=arguments.until_done)

    if arguments.dry_run:
        for word in arguments.route:
            parse_routes(None, [word], lambda _: None, stages, _last_level)  # type: ignore[arg-type,return-value]
        return None
    return parse_routes(opened(arguments.queue), arguments.route, opened, stages, _last_level)


def _last_level(stage: str) -> int | None:
    task = Register.get_task_cls(stage)
    return task().top if issubclass(task, Leveled) else None


def _keep_fed(arguments: argparse.Namespace, routes: Routes, line: CmdlineParser, options: Any) -> int:
    stopping = Stopping(grace=0)
    stopping.on_signals()

    def letters() -> Letters:
        return Letters(routes.counts().dead, tuple(queue.address for queue in routes.queues))

    with told(line.get_task_obj(), shared=True, letters=letters) as said:
        try:
            keep_fed(
                routes, line.get_task_obj, options, every=arguments.every, until_stopped=stopping.requested.wait,
                unfinished=said.begin, recheck=arguments.recheck,
            )  # fmt: skip
        except DeadEndError as error:
            print(f"lchunk: Error: {error}", file=sys.stderr)
            return said.ends(FAILED)
        if stopping.requested.is_set():
            return said.ends(INTERRUPTED, goes_on=True)
        return said.ends(0)


def work(arguments: argparse.Namespace) -> int:
    """Take tasks from a queue and make them, one at a time, until it has to stop.

    SIGTERM: takes no more, ends the current task within the grace, or gives it back. Ctrl-C: gives it back at once.
    """
    logs.configure(json_lines=arguments.json_logs)
    for module in arguments.module:
        require_module(module)
    terms = Terms(
        visibility=arguments.visibility, exit_when_empty=arguments.exit_when_empty, max_tasks=arguments.max_tasks,
        max_minutes=arguments.max_minutes, idle_minutes=arguments.idle_minutes, modules=(STAGES, *arguments.module),
        trust_queue=arguments.trust_queue, scheduler=arguments.scheduler, back_off=arguments.back_off,
    )  # fmt: skip
    stopping = Stopping(arguments.grace)
    stopping.on_signals()
    if arguments.spot:
        stopping.on_spot_notice()
    queue = open_queue(arguments.queue, patient=True)
    worker = Worker(queue, terms, stopping, notes=Notes(Dataset().root, arguments.queue, terms.visibility))
    faulthandler.enable(STDERR)  # says where a process crashed, as for an illegal instruction
    with requests_told(), logs.metrics(arguments.cloudwatch):
        try:
            worker.work()
        except KeyboardInterrupt:
            stopping.why = stopping.why or "Ctrl-C"
            return INTERRUPTED
        finally:
            last = told_end(worker, stopping)
    if last:
        print(f"lchunk: Error: {last}", file=sys.stderr)
        return ENDED_ITSELF
    return FAILED if any(worker.tally[outcome] for outcome in (Outcome.FAILED, Outcome.BURIED, Outcome.UNFIT)) else 0


def create(arguments: argparse.Namespace) -> None:
    """Create a queue and its place for dead letters; one that exists keeps its messages."""
    open_queue(arguments.queue).create(arguments.visibility)
    print(f"{arguments.queue} is ready")


def show(arguments: argparse.Namespace) -> None:
    """Print how many messages a queue holds."""
    counts = open_queue(arguments.queue).counts()
    print(f"{counts.visible} waiting, {counts.in_flight} with workers, {counts.delayed} for later, {counts.dead} dead")


def dead(arguments: argparse.Namespace) -> None:
    """Print the messages that were given up, each with the reason."""
    count = 0
    for letter in open_queue(arguments.queue).dead():
        count += 1
        print(printable(letter.body))
        for text in (
            letter.error or "no worker reported a reason: it was delivered too often, and every worker died"
        ).splitlines():
            print(f"    {printable(text)}")
    print(f"{count} dead letters")


def redrive(arguments: argparse.Namespace) -> None:
    """Send all dead letters again, once their cause is removed."""
    print(f"sent {open_queue(arguments.queue).redrive()} dead letters again")


def purge(arguments: argparse.Namespace) -> None:
    """Remove all messages, or with --dead all dead letters. Chunk files stay, and missing regions can be sent again."""
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
    command.add_argument("--json-logs", action="store_true", help="log to stdout, one JSON object per line")


def _add_enqueue(commands: Any) -> None:
    command = commands.add_parser(
        "enqueue", help="send what can be done now to a queue", description=enqueue.__doc__,
        epilog=f"exit codes: 0 sent, or all is complete; {NOT_DRAINED} the queue still holds messages; "
        f"{FAILED} the rest was given up; {INTERRUPTED} interrupted; 1 anything else, as a queue that does not exist, "
        "is out of reach or refuses the credentials",
    )  # fmt: skip
    add_stage(command)
    _add_queue(command)
    command.add_argument(
        "--route", action="append", default=[], metavar="STAGE[:LEVEL[+]]=QUEUE",
        help="send a stage to its own queue, such as Inference to workers with a GPU; or a level of a tree of boxes, "
        "as Agglomeration:14, or it and all above it, as Agglomeration:14+, to workers with more memory; may be given "
        "several times: the most specific one counts",
    )  # fmt: skip
    command.add_argument(
        "--dry-run", action="store_true", help="say what would be sent, and how large the boxes of trees get"
    )
    command.add_argument(
        "--worker-memory", type=_number(0), default=0, metavar="GB",
        help="memory of a worker, for the dry run, which says what routes larger boxes need; default: this machine's",
    )  # fmt: skip
    command.add_argument("--force", action="store_true", help="send even if the queue is not empty")
    command.add_argument(
        "--until-done", action="store_true", help="continue until the stage is complete; may be killed and restarted"
    )
    add_recheck(command)
    command.add_argument(
        "--every", type=_number(0), default=60, metavar="SECONDS", help="time between two checks; default: 60"
    )
    command.add_argument("--workers", type=_whole(1), default=1, help="number of workers, for the estimate")
    command.set_defaults(run=enqueue)


def _add_work(commands: Any) -> None:
    command = commands.add_parser(
        "work", help="make the tasks of a queue", description=work.__doc__,
        epilog=f"exit codes: 0 all that came was made, or given back for the machine's or the network's fault; "
        f"{FAILED} some failed, or this worker could not do them; {ENDED_ITSELF} the worker ended itself, as the fault "
        f"may be its own (cfg, version, modules, device); {INTERRUPTED} interrupted; 1 anything else, as a queue that "
        "does not exist, is out of reach or refuses the credentials",
    )  # fmt: skip
    _add_queue(command)
    command.add_argument(
        "--visibility", type=_number(1), default=VISIBILITY, metavar="SECONDS",
        help="lease of a message, renewed every third of it; after a kill, others get the message when it ends; at "
        f"least 300 for nets; default: {VISIBILITY:g}",
    )  # fmt: skip
    command.add_argument(
        "--grace", type=_number(0), default=25, metavar="SECONDS",
        help="time to finish the current task after SIGTERM, before a KILL: Kubernetes 30, spot 120; default: 25",
    )  # fmt: skip
    command.add_argument(
        "--exit-when-empty",
        action="store_true",
        help="exit once the queue is empty and no other worker holds a message",
    )
    command.add_argument(
        "--idle-minutes", type=_number(0), default=0, metavar="N", help="exit after N minutes without a message"
    )
    command.add_argument("--max-tasks", type=_whole(0), default=0, metavar="N", help="exit after N messages")
    command.add_argument("--max-minutes", type=_number(0), default=0, metavar="N", help="take nothing after N minutes")
    command.add_argument(
        "--back-off", type=_number(0), default=30, metavar="SECONDS", help="time until a failed message comes again"
    )
    command.add_argument(
        "--module", action="append", default=[], help=f"also allow stages of this module, in addition to {STAGES}"
    )
    command.add_argument(
        "--trust-queue", action="store_true",
        help="let messages name other roots, nets and servers than this worker's cfg; senders then run code here",
    )  # fmt: skip
    command.add_argument("--scheduler", default="", metavar="HOST:PORT", help="report to this luigid; default: none")
    command.add_argument("--spot", action="store_true", help="stop on AWS's notice that the machine will be taken back")
    command.add_argument(
        "--cloudwatch", default="", metavar="NAMESPACE", help="send the seconds of each chunk to CloudWatch"
    )
    command.set_defaults(run=work)


def _add_queue_commands(commands: Any) -> None:
    queue = commands.add_parser("queue", help="create, look at, empty a queue", description="Look after a queue.")
    actions = queue.add_subparsers(required=True, metavar="ACTION")
    for action in (create, show, dead, redrive, purge):
        name = "status" if action is show else action.__name__
        command = actions.add_parser(name, help=action.__doc__, description=action.__doc__)
        command.add_argument(
            "queue", nargs="?", default=os.environ.get("LCHUNK_QUEUE", ""), help="default: the variable LCHUNK_QUEUE"
        )
        if action is create:
            command.add_argument(
                "--visibility", type=_number(1), default=VISIBILITY, help="seconds, for other programs"
            )
        if action is purge:
            command.add_argument("--dead", action="store_true", help="remove the dead letters instead of the messages")
        command.set_defaults(run=action)


def add_commands(commands: Any) -> None:
    """Add `enqueue`, `work` and `queue`."""
    _add_enqueue(commands)
    _add_work(commands)
    _add_queue_commands(commands)


def _number(least: float) -> Callable[[str], float]:
    """Reads a finite number of at least `least`."""

    def number(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and value >= least):
            raise argparse.ArgumentTypeError(f"must be a number of at least {least:g}, got {text}")
        return value

    return number


def _whole(least: int) -> Callable[[str], int]:
    """Reads a whole number of at least `least`."""

    def whole(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, got {text}")
        return value

    return whole
