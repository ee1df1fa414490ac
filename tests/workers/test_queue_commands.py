"""The commands of queues: what they refuse, what they print, how they exit."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from luigi.configuration import get_config

from lchunk.cli import parser
from lchunk.workers.folder_queue import FolderQueue
from lchunk.workers.messages import TaskMessage
from tests.conftest import write_hdf5

MODULE = "tests.workers.stages_that_fail"


@pytest.fixture
def queue(tmp_path: Path, configure: Callable[..., None]) -> FolderQueue:
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros((8, 4, 4), np.uint8), (4, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=f"{tmp_path}/a.h5:/raw", chunk_shape="4,4,4", inner_chunk="4,4,4")
    queue = FolderQueue(tmp_path / "queue")
    queue.create(60)
    return queue


def run(*words: str) -> int:
    arguments, rest = parser().parse_known_args(list(words))
    arguments.rest = rest
    return int(arguments.run(arguments) or 0)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--visibility", "0"), ("--visibility", "nan"), ("--grace", "-1"), ("--max-tasks", "-1"),
        ("--max-minutes", "inf"), ("--idle-minutes", "-2"), ("--back-off", "-1"), ("--back-off", "soon"),
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_are_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("work", "--queue", "a/", option, value)
    assert f"argument {option}: " in capsys.readouterr().err


def test_dead_letters_of_any_bytes_are_printed_for_a_terminal(
    queue: FolderQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    (queue.messages / "000000000000000.0.abc.json").write_bytes(b"\xff\x1b[2J\x00{")
    assert run("work", "--queue", queue.address, "--exit-when-empty") == 30
    capsys.readouterr()
    run("queue", "dead", queue.address)
    said = capsys.readouterr().out
    assert said.startswith("\\udcff\\x1b[2J\\x00{\n    a message must be JSON")
    assert said.endswith("1 dead letters\n")
    run("queue", "status", queue.address)
    assert capsys.readouterr().out == "0 waiting, 0 with workers, 0 for later, 1 dead\n"


def test_a_route_of_no_stage_is_refused_before_anything_is_sent(queue: FolderQueue) -> None:
    for more in ([], ["--dry-run"]):
        words = ["enqueue", "--module", MODULE, "Failing", "--queue", queue.address, "--route", "Faling=gpu/", *more]
        with pytest.raises(ValueError, match="route must begin with the name of a stage, got 'Faling'"):
            run(*words)
    assert queue.counts().open == 0


def test_a_wrong_knob_is_refused_by_its_option_before_anything_is_sent(
    queue: FolderQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["enqueue", "LocalComponents", "--queue", queue.address, "--connectivity", "7"]
    with pytest.raises(ValueError, match=r"connectivity must be one of 6, 18, 26, got '7' \(--LocalComponents-connect"):
        run(*words)
    assert queue.counts().open == 0


@pytest.mark.parametrize("place", ["file", "file/queue"])
def test_a_queue_that_is_a_file_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    address = f"{tmp_path}/{place}"
    for words in (["create"], ["status"], ["dead"], ["redrive"], ["purge"]):
        with pytest.raises(NotADirectoryError, match=f"queue {address} must be a folder, got a file, or a path thr"):
            run("queue", *words, address)
    assert (tmp_path / "file").is_file()


def test_the_exit_code_says_whether_a_worker_could_do_what_came(
    queue: FolderQueue, configure: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    get_config().set("core", "no_configure_logging", "true")
    enqueue = ["enqueue", "--module", MODULE, "Failing", "--queue", queue.address]
    work = ["work", "--queue", queue.address, "--back-off", "0", "--max-tasks", "2", "--exit-when-empty"]
    assert run(*enqueue) == 0
    assert run(*enqueue) == 10
    assert run(*work) == 30
    assert "worked on 2 messages: 2 returned, because this worker cannot do it" in capsys.readouterr().out
    configure("Failing", how="0-4_0-4_0-4:disk,4-8_0-4_0-4:disk")
    assert run(*work, "--module", MODULE) == 0
    assert "2 returned, because the machine or the network failed" in capsys.readouterr().out
    configure("Failing", how="0-4_0-4_0-4:device")
    assert run(*work, "--module", MODULE) == 35
    configure("Failing", how="")
    assert run(*work, "--module", MODULE) == 0
    assert run(*enqueue) == 0
    assert "nothing to send: all of it is complete" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["mine", "package.mine"])
def test_a_module_that_raises_fails_its_own_messages_only(
    queue: FolderQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    get_config().set("core", "no_configure_logging", "true")
    file = tmp_path / "mine.py" if name == "mine" else tmp_path / "package/__init__.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text("undefined_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    queue.send([TaskMessage(name, "Any", {"region": "0-4_0-4_0-4"}).body])
    assert run("enqueue", "Ingest", "--queue", queue.address, "--force") == 0
    capsys.readouterr()
    run("work", "--queue", queue.address, "--module", name, "--back-off", "0", "--max-tasks", "3", "--exit-when-empty")
    assert "worked on 3 messages: " in (said := capsys.readouterr().out)
    assert "2 made" in said
    assert queue.counts().open == 1
    assert run("enqueue", "Ingest", "--queue", queue.address, "--force") == 0
    assert "nothing to send: all of it is complete" in capsys.readouterr().out


def test_help_documents_exit_codes() -> None:
    texts = [command.format_help() for command in subcommands(parser()) if command.prog.endswith(("work", "enqueue"))]
    assert len(texts) == 2
    assert all("exit codes: 0 " in text and "1 anything else" in text for text in texts)


def subcommands(top: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    (actions,) = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    return list(actions.choices.values())


def test_the_hours_are_priced_as_the_cfg_or_the_line_says_and_messages_have_no_price(
    queue: FolderQueue, configure: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    logs = queue.folder.parent / "out/logs/failing"
    logs.mkdir(parents=True)
    (logs / "a.jsonl").write_text('{"voxels": 64, "seconds": {"compute": 1800, "write": 1800}}\n')
    configure("Prices", hour=0.5, processes=2)
    words = ("enqueue", "--module", MODULE, "Failing", "--queue", queue.address)
    run(*words, "--dry-run")
    hours = 2  # of two chunks, an hour each
    price = f"price     {hours / 4:,.2f} for machines: a machine for {hours / 2:.3g} hours at 0.5"
    assert price in capsys.readouterr().out.splitlines()
    run(*words, "--Prices-hour", "2")
    assert f"price     {hours:,.2f} for machines: " in capsys.readouterr().out
    message = queue.receive(1, 0)
    assert message is not None
    assert "rices" not in message.body
