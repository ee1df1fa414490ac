"""A task as a message, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from luigi.cmdline_parser import CmdlineParser

from lchunk.tasks import Mesh, Segmentation
from lchunk.workers.messages import STAGES, MessageError, TaskMessage, options_given, options_of


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
    assert message.task([STAGES]).task_id == task.task_id
    assert set(json.loads(message.body)) == {"module", "family", "params"}


def test_the_command_line_of_the_sender_holds_for_the_worker() -> None:
    words = ["--module", STAGES, "MeshManifest", "--prefix", "7", "--Segmentation-threshold", "0.25"]
    with CmdlineParser.global_instance([*words, "--Inference-contrast"]) as line:
        options = options_given(line)
        message = TaskMessage.parse(TaskMessage.of(line.get_task_obj(), options).body)
    assert options == {"Segmentation_threshold": "0.25", "Inference_contrast": True}
    with options_of(message):
        task = message.task([STAGES])
        assert task.prefix == "7"
        assert Segmentation().threshold == 0.25


def test_failures_are_counted_and_change_nothing_else() -> None:
    message = TaskMessage.of(Mesh(), {})
    again = TaskMessage.parse(message.failed_again().failed_again().body)
    assert again.failures == 2
    assert again.key == message.key


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("no json", r"a message must be JSON .* got 'no json'"),
        ("[1]", r"a message must be JSON"),
        ('{"module": "lchunk.tasks"}', r"a message must be JSON .*missing 2 required"),
        ('{"module": "lchunk.tasks", "family": 7, "params": {}}', r"must be text"),
        ('{"module": "lchunk.tasks", "family": "Mesh", "params": []}', r"must be text"),
        ('{"module": "lchunk.tasks", "family": "Mesh", "params": {"a": 1}}', r"must be text"),
    ],
)
def test_a_malformed_message_is_an_error(text: str, wrong: str) -> None:
    with pytest.raises(MessageError, match=wrong):
        TaskMessage.parse(text)


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"module": "os"}, r"module of a message must be one of lchunk\.tasks, or below, got 'os'"),
        ({"module": "lchunk.tasksandmore"}, r"must be one of"),
        ({"module": "lchunk.tasks.none"}, r"must name a stage"),
        ({"family": "Nothing"}, r"must name a stage, got 'Nothing'"),
        ({"params": {"colour": "red"}}, r"parameters of a message must be those of Mesh, got 'colour'"),
        ({"params": {"region": "here"}}, r"the parameters of a message for Mesh are wrong"),
    ],
)
def test_what_makes_no_task_is_an_error(changed: dict[str, object], wrong: str) -> None:
    with pytest.raises(MessageError, match=wrong):
        TaskMessage.parse(body(**changed)).task([STAGES])


def test_an_option_of_no_stage_is_an_error() -> None:
    message = TaskMessage.parse(body(options={"Nothing_knob": "1"}))
    with pytest.raises(MessageError, match=r"options of a message must be those of stages"), options_of(message):
        pass
