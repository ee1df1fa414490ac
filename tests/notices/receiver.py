"""A web server that takes messages about runs, and answers as a test says."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.servers import served

SECRET = "T0SECRET/B1SECRET"
"""The part of the URL that may be written nowhere."""


@dataclass
class Receiver:
    """What came to a server.

    Args:
        url: the secret URL.
        messages: the messages, in their order.
        answer: the status that is answered.
        let_go: until this is set, a server that hangs answers nothing.
    """

    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    answer: int = 200
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def events(self) -> list[str]:
        return [message["lchunk"]["event"] for message in self.messages]

    def of(self, event: str) -> dict[str, Any]:
        """The only message of an event."""
        (found,) = (message["lchunk"] for message in self.messages if message["lchunk"]["event"] == event)
        return dict(found)


@contextlib.contextmanager
def receiving(answer: int = 200, *, hangs: bool = False) -> Iterator[Receiver]:
    """A server for messages; `answer` is its status."""
    receiver = Receiver(answer=answer)
    if not hangs:
        receiver.let_go.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/json"
            assert self.path == f"/services/{SECRET}"
            receiver.messages.append(json.loads(body))
            receiver.let_go.wait(60)
            self.send_response(receiver.answer)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            receiver.messages.append({"lchunk": {"event": f"GET {self.path}"}})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with served(Handler) as url:
        receiver.url = f"{url}/services/{SECRET}"
        yield receiver
        receiver.let_go.set()
