"""The queue for the tasks of each stage, and for single levels of a tree of boxes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import luigi

from lchunk.tasks.levels import Leveled
from lchunk.workers.queue import Counts, DeadLetter, Queue

_LEVELS = re.compile(r"(\d+)(\+?)")


@dataclass(frozen=True)
class LevelRoute:
    """The queue of some levels of a stage.

    Args:
        stage: the stage's name.
        levels: the numbers of the levels.
        queue: their queue.
    """

    stage: str
    levels: range
    queue: Queue


@dataclass(frozen=True)
class Routes:
    """A default queue, and queues for single stages and levels. The most specific one counts.

    Args:
        default: the queue of every stage without a queue of its own.
        by_stage: queues by the stage's name.
        by_level: queues of levels; among several for a level, that of the fewest levels counts, and then the last one.
    """

    default: Queue
    by_stage: Mapping[str, Queue] = field(default_factory=dict)
    by_level: Sequence[LevelRoute] = ()

    @property
    def queues(self) -> list[Queue]:
        """Each queue once."""
        every = (self.default, *self.by_stage.values(), *(route.queue for route in self.by_level))
        return list({queue.address: queue for queue in every}.values())

    @property
    def addresses(self) -> str:
        """The addresses of all queues, for a message."""
        return ", ".join(queue.address for queue in self.queues)

    def counts(self) -> Counts:
        """The numbers of messages in all queues together."""
        each = [queue.counts() for queue in self.queues]
        return Counts(
            sum(counts.visible for counts in each), sum(counts.in_flight for counts in each),
            sum(counts.delayed for counts in each), sum(counts.dead for counts in each),
        )  # fmt: skip

    def dead(self) -> Iterator[DeadLetter]:
        """The dead letters of all queues."""
        for queue in self.queues:
            yield from queue.dead()

    def queue_of(self, task: luigi.Task) -> Queue:
        """The queue for a task."""
        if isinstance(task, Leveled):
            named = [each for each in self.by_level if each.stage == task.task_family and task.height in each.levels]
            if named:
                return min(reversed(named), key=lambda each: len(each.levels)).queue
        return self.by_stage.get(task.task_family, self.default)

    def sorted(self, tasks: Sequence[luigi.Task]) -> list[tuple[Queue, list[luigi.Task]]]:
        """Tasks, grouped by their queue."""
        by_address: dict[str, tuple[Queue, list[luigi.Task]]] = {}
        for task in tasks:
            queue = self.queue_of(task)
            by_address.setdefault(queue.address, (queue, []))[1].append(task)
        return list(by_address.values())


def parse_routes(
    default: Queue,
    words: Sequence[str],
    opened: Callable[[str], Queue],
    stages: set[str],
    last_level: Callable[[str], int | None],
) -> Routes:
    """Parse the routes of a command line.

    Args:
        default: queue of all other stages.
        words: each `STAGE=QUEUE`, `STAGE:LEVEL=QUEUE`, or `STAGE:LEVEL+=QUEUE` for a level and those above it.
        opened: opens the queue of an address.
        stages: names of all stages.
        last_level: returns the last level of a stage, which is one box; None if the stage has no levels.

    Raises:
        ValueError: a word has another form, or names no stage, or no level of it.
    """
    by_stage, by_level = {}, []
    for word in words:
        selected, _, address = word.partition("=")
        stage, colon, levels = selected.partition(":")
        if not stage or not address:
            raise ValueError(
                f"route must be STAGE=QUEUE or STAGE:LEVEL+=QUEUE, got {word!r}; such as --route Inference=mouse-gpu"
            )
        if stage not in stages:
            raise ValueError(f"route must begin with the name of a stage, got {stage!r}; see lchunk enqueue --help")
        if colon:
            by_level.append(LevelRoute(stage, _levels(stage, levels, last_level(stage)), opened(address)))
        else:
            by_stage[stage] = opened(address)
    return Routes(default, by_stage, tuple(by_level))


def _levels(stage: str, text: str, last: int | None) -> range:
    """The levels that a route names.

    Raises:
        ValueError: the text is no level, or the stage has no such level.
    """
    if last is None:
        raise ValueError(
            f"route must name a stage with levels before a colon, as Agglomeration, got {stage}:{text}; write "
            f"{stage}=QUEUE"
        )
    found = _LEVELS.fullmatch(text)
    if not found or int(found[1]) > last:
        raise ValueError(
            f"route must name a level of {stage} from 0 to {last}, the last box of this dataset, got {text!r}; "
            f"write {stage}:{last}=QUEUE, or {stage}:{max(last - 2, 0)}+=QUEUE for this level and all above it"
        )
    first = int(found[1])
    return range(first, last + 1 if found[2] else first + 1)
