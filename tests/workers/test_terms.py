"""The default settings of a worker."""

from __future__ import annotations

from lchunk.workers.terms import Terms


def test_the_defaults_are_those_that_the_documentation_tells() -> None:
    assert Terms() == Terms(
        visibility=600, wait=20, most_failures=4, most_receives=10, most_returns=24, transient_hours=24, most_starved=6,
        in_a_row=5, back_off=30, outage=15 * 60, exit_when_empty=False, idle_minutes=0, max_tasks=0, max_minutes=0,
        modules=("lchunk.tasks",), trust_queue=False, scheduler="",
    )  # fmt: skip


def test_waits_grow_and_are_never_longer_than_a_quarter_of_an_hour() -> None:
    terms = Terms(back_off=30)
    assert [terms.after_failure(count) for count in (1, 2, 3, 5, 6, 10**9)] == [30, 60, 120, 480, 900, 900]
    assert [terms.after_return(count) for count in (1, 2, 10, 30, 31, 10**9)] == [30, 60, 300, 900, 900, 900]
