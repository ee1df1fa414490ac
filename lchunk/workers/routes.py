"""The queue for the tasks of each stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import luigi

from lchunk.workers.queue import Counts, DeadLetter, Queue


@dataclass(frozen=True)
class Routes:
    """A default queue, and queues for single stages.

    Args:
        default: the queue of every stage without a queue of its own.
        by_stage: queues by the stage's name.
    """

    default: Queue
    by_stage: Mapping[str, Queue] = field(default_factory=dict)

    @property
    def queues(self) -> list[Queue]:
        """Each queue once."""
        return list({queue.address: queue for queue in (self.default, *self.by_stage.values())}.values())

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

    def sorted(self, tasks: Sequence[luigi.Task]) -> list[tuple[Queue, list[luigi.Task]]]:
        """Tasks, grouped by their queue."""
        by_address: dict[str, tuple[Queue, list[luigi.Task]]] = {}
        for task in tasks:
            queue = self.by_stage.get(task.task_family, self.default)
            by_address.setdefault(queue.address, (queue, []))[1].append(task)
        return list(by_address.values())


def parse_routes(default: Queue, words: Sequence[str], opened: Callable[[str], Queue], stages: set[str]) -> Routes:
    """Parse the routes of a command line.

    Args:
        default: queue of all other stages.
        words: each `STAGE=QUEUE`.
        opened: opens the queue of an address.
        stages: names of all stages.

    Raises:
        ValueError: a word has another form, or names no stage.
    """
    by_stage = {}
    for word in words:
        stage, _, address = word.partition("=")
        if not stage or not address:
            raise ValueError(f"route must be STAGE=QUEUE, got {word!r}; such as --route Inference=mouse-gpu")
        if stage not in stages:
            raise ValueError(f"route must begin with the name of a stage, got {stage!r}; see lchunk enqueue --help")
        by_stage[stage] = opened(address)
    return Routes(default, by_stage)
