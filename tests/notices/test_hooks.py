"""Messages reach a webhook and a command; whatever these do, the sender goes on, and shows no secret."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lchunk.notices import hooks as hooks_module
from lchunk.notices.hooks import END, START, Hooks
from tests.notices.receiver import SECRET, receiving
from tests.servers import free_port


class Said(logging.Handler):
    """What is logged, with tracebacks, once each, whatever other tests made of the logger."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))

    @property
    def text(self) -> str:
        return "\n".join(self.messages)


@pytest.fixture
def said() -> Iterator[Said]:
    logger, handler = logging.getLogger("luigi-interface"), Said()
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_a_webhook_gets_what_slack_shows_and_fields_for_programs() -> None:
    with receiving() as receiver:
        Hooks(receiver.url).send(END, "a < b & c > d", {"code": 30})
    assert receiver.messages == [
        {"text": "lchunk: a &lt; b &amp; c &gt; d", "lchunk": {"event": "end", "code": 30}},
    ]


def test_a_command_gets_the_same_on_its_input_and_in_a_variable(tmp_path: Path) -> None:
    Hooks(command=f'cat > {tmp_path}/input; printf %s "$LCHUNK_EVENT" > {tmp_path}/variable').send(START, "go", {})
    told = [json.loads((tmp_path / name).read_text()) for name in ("input", "variable")]
    assert told == [{"text": "lchunk: go", "lchunk": {"event": "start"}}] * 2


def test_events_that_are_not_wanted_are_not_sent() -> None:
    with receiving() as receiver:
        hooks = Hooks(receiver.url, events=(END,))
        hooks.send(START, "start", {})
        hooks.send(END, "end", {})
    assert receiver.events == [END]


def test_nobody_is_told_if_nothing_is_set() -> None:
    assert not Hooks()
    Hooks().send(START, "start", {})


@pytest.mark.parametrize("answer", [500, 404, 302])
def test_an_answer_that_is_no_success_is_one_warning_with_the_host_alone(answer: int, said: Said) -> None:
    with receiving(answer) as receiver:
        hooks = Hooks(receiver.url)
        hooks.send(START, "start", {})
        hooks.send(END, "end", {})
    assert receiver.events == [START, END]  # a redirect is not followed
    (warning,) = said.messages
    assert warning.startswith(f"the webhook at 127.0.0.1 took no message: it answered {answer}")
    assert SECRET not in said.text


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/{secret}", "http://none.invalid/{secret}", "http://h:x/{secret}"]
)
def test_a_host_that_does_not_answer_is_a_warning_without_the_secret(url: str, said: Said) -> None:
    Hooks(url.format(port=free_port(), secret=SECRET)).send(START, "start", {})
    (warning,) = said.messages
    assert "took no message" in warning
    assert SECRET not in said.text


def test_a_server_that_hangs_is_left_alone(said: Said) -> None:
    began = time.monotonic()
    with receiving(hangs=True) as receiver:
        Hooks(receiver.url, timeout=0.2).send(START, "start", {})
    assert time.monotonic() - began < 30
    assert receiver.events == [START]
    assert "TimeoutError" in said.text


def test_a_call_without_any_timeout_of_its_own_is_left_alone(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks_module, "MARGIN", 0.0)
    monkeypatch.setattr(Hooks, "_post", lambda *_: time.sleep(2) or "")
    Hooks("http://host/a", timeout=0.1).send(START, "start", {})
    assert "it did not end within 0.1 s" in said.text


def test_a_command_that_hangs_is_killed_with_what_it_started(tmp_path: Path, said: Said) -> None:
    Hooks(command=f"(sleep 1; touch {tmp_path}/late) & wait", timeout=0.3).send(START, "start", {})
    assert "the command of [Hooks] took no message: it did not end within 0.3 s" in said.text
    time.sleep(1.5)
    assert not list(tmp_path.iterdir())


def test_a_command_that_fails_is_a_warning_without_its_text(said: Said) -> None:
    Hooks(command=f"echo {SECRET} >&2; exit 3").send(START, "start", {})
    assert "it ended with code 3" in said.text
    assert SECRET not in said.text


def test_the_text_of_the_values_shows_no_secret() -> None:
    assert SECRET not in repr(Hooks(f"http://host/{SECRET}", f"curl {SECRET}"))
