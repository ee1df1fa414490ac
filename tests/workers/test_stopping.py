"""When a worker has to stop, and how much time it still has."""

from __future__ import annotations

import http.server
import logging
import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from lchunk.workers import stopping as stopping_module
from lchunk.workers.stopping import SPOT_GRACE, Stopping, spot_notice


class Recorded(Stopping):
    """Records how much time the current task gets."""

    def __init__(self, grace: float) -> None:
        super().__init__(grace)
        self.given: list[float] = []
        self.asked = threading.Event()

    def _insist(self, grace: float) -> None:
        self.given.append(grace)
        self.asked.set()


@pytest.mark.parametrize(("grace", "given"), [(SPOT_GRACE + 500, SPOT_GRACE), (20, 20)])
def test_a_spot_notice_leaves_no_more_than_a_spot_machine_has(
    grace: float, given: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping_module, "NOTICE_SECONDS", 0.01)
    monkeypatch.setattr(stopping_module, "spot_notice", lambda: True)
    stopping = Recorded(grace)
    stopping.on_spot_notice()
    assert stopping.asked.wait(10)
    assert stopping.requested.is_set()
    assert stopping.given == [given]


def test_only_the_first_request_counts() -> None:
    stopping = Recorded(30)
    stopping.request("SIGTERM")
    assert stopping.asked.wait(10)
    stopping.request("spot notice", 1)
    assert stopping.given == [30]


def test_a_spot_notice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Metadata(http.server.BaseHTTPRequestHandler):
        noticed = False

        def do_PUT(self) -> None:
            self.answer(200, b"token")

        def do_GET(self) -> None:
            allowed = self.headers["X-aws-ec2-metadata-token"] == "token"
            self.answer(200 if self.noticed and allowed else 404, b"{}")

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    assert not spot_notice()
    Metadata.noticed = True
    assert spot_notice()
    server.shutdown()
    server.server_close()
    assert not spot_notice()


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records what a worker that insists would do, in order, without doing it."""
    happened: list[str] = []
    monkeypatch.setattr(
        stopping_module, "time", SimpleNamespace(sleep=lambda seconds: happened.append(f"wait {seconds:g}"))
    )
    monkeypatch.setattr(
        stopping_module,
        "_thread",
        SimpleNamespace(interrupt_main=lambda number: happened.append(f"interrupt {number}")),
    )
    monkeypatch.setattr(stopping_module.os, "_exit", lambda status: happened.append(f"exit {status}"))
    monkeypatch.setattr(logging, "shutdown", lambda: happened.append("logs are written"))
    return happened


def test_a_worker_between_tasks_is_not_interrupted(happened: list[str]) -> None:
    Stopping(7)._insist(7)
    assert happened == ["wait 7"]


def test_a_task_that_takes_too_long_is_interrupted(happened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = Stopping(7)
    stopping.busy = True

    def interrupt(number: int) -> None:
        happened.append(f"interrupt {number}")
        stopping.busy = False

    monkeypatch.setattr(stopping_module, "_thread", SimpleNamespace(interrupt_main=interrupt))
    stopping._insist(7)
    assert happened == ["wait 7", f"interrupt {signal.SIGINT}", f"wait {stopping_module.LAST_RESORT:g}"]


def test_a_task_that_cannot_be_interrupted_is_given_back_and_the_process_ends(happened: list[str]) -> None:
    stopping = Stopping(7)
    stopping.busy = True
    stopping.interrupt = signal.SIGUSR2
    stopping.release = lambda: happened.append("given back")
    stopping._insist(7)
    assert happened == [
        "wait 7", f"interrupt {signal.SIGUSR2}", f"wait {stopping_module.LAST_RESORT:g}", "given back",
        "logs are written", "exit 143",
    ]  # fmt: skip


@pytest.mark.parametrize("ignored", [False, True])
def test_sigterm_is_a_request_and_an_ignored_sigint_gets_a_stand_in(
    ignored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: dict[int, Any] = {signal.SIGINT: signal.SIG_IGN if ignored else signal.default_int_handler}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(signal, "getsignal", handlers.get)
    stopping = Recorded(30)
    stopping.on_signals()
    assert not stopping.requested.is_set()
    handlers[signal.SIGTERM](signal.SIGTERM, None)
    assert stopping.requested.is_set()
    assert stopping.asked.wait(10)
    assert stopping.given == [30]
    assert stopping.interrupt == (signal.SIGUSR2 if ignored else signal.SIGINT)
    assert handlers.get(signal.SIGUSR2) is (signal.default_int_handler if ignored else None)


def test_no_thread_of_stopping_keeps_the_process_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    daemons: list[bool] = []

    class Noted:
        def __init__(self, *, daemon: bool, **_: object) -> None:
            daemons.append(daemon)

        def start(self) -> None:
            pass

    monkeypatch.setattr(stopping_module.threading, "Thread", Noted)
    stopping = Stopping(1)
    assert not stopping.busy
    stopping.on_spot_notice()
    stopping.request("a test")
    assert daemons == [True, True]


def test_the_watch_of_notices_ends_with_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(stopping_module, "NOTICE_SECONDS", 0.0)
    stopping = Recorded(30)

    def notice() -> bool:
        looked.append(1)
        return len(looked) == 3

    monkeypatch.setattr(stopping_module, "spot_notice", notice)
    stopping._watch_notices()
    assert len(looked) == 3
    stopping._watch_notices()
    assert len(looked) == 3
