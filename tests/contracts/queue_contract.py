"""The guarantees of every queue; a backend's test inherits them."""

from __future__ import annotations

import time

import pytest

from lchunk.workers.queue import LeaseLostError, Message, Queue

SHORT = 1.0
"""A lease that a test waits for; SQS counts whole seconds."""


class QueueContract:
    @pytest.fixture
    def queue(self) -> Queue:
        raise NotImplementedError

    def take(self, queue: Queue, visibility: float = 60, within: float = 10) -> Message:
        until = time.monotonic() + within
        while time.monotonic() < until:
            message = queue.receive(visibility, 1)
            if message is not None:
                return message
        pytest.fail("no message came")

    def test_what_is_sent_comes_once_while_it_is_held(self, queue: Queue) -> None:
        bodies = [f'{{"number": {number}, "text": "é\\n"}}' for number in range(23)]
        queue.send(bodies)
        assert queue.counts().visible == 23
        got = [self.take(queue) for _ in bodies]
        assert sorted(message.body for message in got) == sorted(bodies)
        assert {message.receives for message in got} == {1}
        assert queue.receive(60, 0) is None
        assert (queue.counts().visible, queue.counts().in_flight) == (0, 23)
        for message in got:
            queue.delete(message)
        assert queue.counts().open == 0

    def test_a_lease_that_ends_gives_the_message_to_the_next(self, queue: Queue) -> None:
        queue.send(["a"])
        first = self.take(queue, SHORT)
        time.sleep(SHORT + 0.3)
        second = self.take(queue)
        assert (second.body, second.receives) == ("a", 2)
        assert second.receipt != first.receipt

    def test_a_renewed_lease_keeps_the_message(self, queue: Queue) -> None:
        queue.send(["a"])
        message = self.take(queue, SHORT + 1)
        for _ in range(3):
            time.sleep(1)
            message = queue.renew(message, SHORT + 1)
        assert queue.receive(60, 0) is None
        queue.delete(message)
        assert queue.counts().open == 0

    def test_what_is_given_back_comes_at_once(self, queue: Queue) -> None:
        queue.send(["a"])
        queue.renew(self.take(queue), 0)
        assert self.take(queue, within=3).receives == 2

    def test_what_is_sent_with_a_delay_comes_later(self, queue: Queue) -> None:
        queue.send(["a"], delay=2)
        assert queue.receive(60, 0) is None
        assert queue.counts().delayed == queue.counts().open == 1
        assert self.take(queue).body == "a"

    def test_dead_letters_keep_their_reason_and_can_be_sent_again(self, queue: Queue) -> None:
        queue.send(["a", "b"])
        for _ in range(2):
            message = self.take(queue)
            queue.bury(message, f"Traceback of {message.body}:\n  \x00 ü")
        assert queue.counts().open == 0
        assert queue.counts().dead == 2
        for _ in range(2):  # looking does not take them
            letters = sorted(queue.dead(), key=lambda letter: letter.body)
            assert [letter.body for letter in letters] == ["a", "b"]
            assert letters[0].error.startswith("Traceback of a:\n")
        assert queue.redrive() == 2
        assert queue.counts().dead == 0
        assert {self.take(queue).body, self.take(queue).body} == {"a", "b"}

    def test_dead_letters_of_many_batches_are_all_seen_and_all_sent_again(self, queue: Queue) -> None:
        bodies = sorted(f"letter {number}" for number in range(23))
        queue.send(bodies)
        for _ in bodies:
            queue.bury(self.take(queue), "why")
        for _ in range(2):
            assert sorted(letter.body for letter in queue.dead()) == bodies
        assert queue.redrive() == 23
        assert sorted(self.take(queue).body for _ in bodies) == bodies
        assert queue.counts().dead == 0

    def test_purge_and_discard(self, queue: Queue) -> None:
        queue.send(["a", "b"])
        queue.bury(self.take(queue), "why")
        queue.purge()
        assert (queue.counts().open, queue.counts().dead) == (0, 1)
        queue.discard()
        assert queue.counts().dead == 0

    def test_making_it_again_keeps_what_it_holds(self, queue: Queue) -> None:
        queue.send(["a"])
        queue.create(600)
        queue.create(300)
        assert queue.counts().visible == 1


class StrictQueueContract(QueueContract):
    """The contract of queues that distinguish an old receipt from the last one."""

    def test_an_old_receipt_is_worth_nothing(self, queue: Queue) -> None:
        queue.send(["a"])
        first = self.take(queue, SHORT)
        time.sleep(SHORT + 0.3)
        second = self.take(queue)
        for use in (lambda: queue.renew(first, 60), lambda: queue.delete(first)):
            with pytest.raises(LeaseLostError):
                use()
        queue.delete(second)
        assert queue.counts().open == 0

    def test_what_is_deleted_is_held_by_nobody(self, queue: Queue) -> None:
        queue.send(["a"])
        message = self.take(queue)
        queue.delete(message)
        with pytest.raises(LeaseLostError):
            queue.renew(message, 60)
