"""A task as a message, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import luigi
import pytest
from luigi.parameter import ParameterVisibility

from lchunk.tasks import Mesh
from lchunk.workers.gate import Gate
from lchunk.workers.messages import MessageError, TaskMessage


@pytest.fixture(autouse=True)
def dataset(configure: Callable[..., None], tmp_path: Path) -> None:
    configure(
        "Dataset", root=tmp_path, image="none.h5:/a", bounds="0-32_0-32_0-32", voxel_size="4,4,4",
        chunk_shape="16,16,16", inner_chunk="8,8,8",
    )  # fmt: skip


def body(**changed: object) -> str:
    return json.dumps(json.loads(TaskMessage.of(Mesh(), {}).body) | changed)


def test_a_message_makes_the_same_task(tmp_path: Path) -> None:
    task = Mesh(region="0-16_16-32_0-16", root=str(tmp_path))
    message = TaskMessage.parse(TaskMessage.of(task, {}).body)
    with Gate().task(message) as made:
        assert made.task_id == task.task_id
    assert set(json.loads(message.body)) == {"module", "family", "params"}


def test_counts_change_nothing_else() -> None:
    message = TaskMessage.of(Mesh(), {})
    returned = message.returned(5.5).returned(9, starved=True).returned(9, starved=True)
    again = TaskMessage.parse(returned.failed_again().failed_again().body)
    assert (again.failures, again.returns, again.since, again.starved) == (2, 3, 5, 2)
    assert again.key == message.key
    assert again.uncounted == message


def test_fields_of_a_newer_version_are_kept_for_workers_that_know_them() -> None:
    message = TaskMessage.parse(body(priority=[7]))
    assert TaskMessage.parse(message.returned(1).body).unknown == {"priority": [7]}


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "",
        "17",
        "null",
        "[1]",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 10_000,
        '{"module": "lchunk.tasks"}',
        "bytes \udcff that are no UTF-8",
        '{"module": "mine", "family": "X", "params": {"a": "\udcff"}}',
    ],
)
def test_a_body_of_no_message_is_an_error(text: str) -> None:
    with pytest.raises(MessageError, match="a message must be JSON"):
        TaskMessage.parse(text)


@pytest.mark.parametrize(
    "changed",
    [
        {"family": 7},
        {"family": ""},
        {"family": "a b"},
        {"module": None},
        {"module": "os"},
        {"module": "os.path"},
        {"module": "../evil"},
        {"module": "lchunk..tasks"},
        {"params": []},
        {"params": {"a": 1}},
        {"params": {"a": {"b": {}}}},
        {"options": {"Mesh_level": False}},
        {"options": ["Mesh_level"]},
        {"failures": -1},
        {"failures": True},
        {"failures": 1.5},
        {"failures": 10**30},
        {"failures": float("nan")},
        {"returns": "3"},
        {"since": -(10**30)},
    ],
)
def test_a_message_of_another_shape_is_an_error(changed: dict[str, object]) -> None:
    with pytest.raises(MessageError, match="a message must be JSON"):
        TaskMessage.parse(body(**changed))


def test_a_stage_in_a_module_named_like_pythons_own_cannot_be_sent() -> None:
    class Hidden(luigi.Task):
        task_module = "code.stages"

    with pytest.raises(ValueError, match=r"must not be named like one of Python's own, got 'code\.stages'; rename it"):
        TaskMessage.of(Hidden(), {})


class KnobsForMessages(luigi.Task):
    """A stage with every kind of knob."""

    region = luigi.Parameter(default="0-1_0-1_0-1")
    gain = luigi.IntParameter(default=1)
    batch = luigi.IntParameter(default=2, significant=False)
    secret = luigi.Parameter(default="s", visibility=ParameterVisibility.HIDDEN)


def test_only_what_decides_the_task_and_may_be_seen_is_sent() -> None:
    message = TaskMessage.of(KnobsForMessages(batch=7), {})
    assert message.params == {"region": "0-1_0-1_0-1", "gain": "1"}


def test_messages_of_one_task_have_one_key() -> None:
    message = TaskMessage("lchunk.tasks", "Mesh", {"a": "1", "b": "2"})
    assert message.key == TaskMessage("lchunk.tasks", "Mesh", {"b": "2", "a": "1"}, {"Mesh_level": "1"}, 3).key
    assert message.key != TaskMessage("lchunk.tasks", "Mesh", {"a": "1", "b": "3"}).key
    assert message.key != TaskMessage("lchunk.tasks", "Other", {"a": "1", "b": "2"}).key


def test_options_are_texts_and_flags() -> None:
    assert TaskMessage.parse(body(options={"Mesh_level": "1", "Mesh_closed": True})).options == {
        "Mesh_level": "1",
        "Mesh_closed": True,
    }


def test_the_largest_count_is_a_million_millions() -> None:
    assert TaskMessage.parse(body(since=10**12)).since == 10**12
    with pytest.raises(MessageError, match="since is not as it must be"):
        TaskMessage.parse(body(since=10**12 + 1))


def test_what_is_missing_is_named_and_the_body_shown_in_part() -> None:
    with pytest.raises(MessageError, match="family is missing"):
        TaskMessage.parse('{"module": "lchunk.tasks"}')
    with pytest.raises(MessageError, match=f"got '{'x' * 200}': "):
        TaskMessage.parse("x" * 300)
