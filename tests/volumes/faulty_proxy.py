"""A proxy in front of an object store that fails as networks and services do."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.servers import served

Fault = Callable[[int, str], str]
"""Returns the kind of failure of a request, from its number (from 1) and its method; empty for no failure."""

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


def every(count: int, kind: str) -> Fault:
    """Let one request in `count` fail."""
    return lambda number, method: kind if number % count == 0 else ""


@contextlib.contextmanager
def proxy(
    upstream: str,
    fault: Fault,
    *,
    port: int = 0,
    silence: float = 3.0,
    asked: list[str] | None = None,
    headers: list[dict[str, str]] | None = None,
) -> Iterator[str]:
    """Run a proxy on the loopback interface, and yield its URL.

    Args:
        upstream: `http://host:port` of the server.
        fault: chooses the failure of each request. `500` and `503` answer with this status; `truncated` sends half of
            the answer; `slow` sends nothing for a while; `reset` closes the connection before the server receives the
            request, and `lost` closes it afterwards.
        port: port to listen on; 0 for any free port.
        silence: seconds that `slow` waits.
        asked: list to which each request is added, as `GET /path`.
        headers: list to which the headers of each request are added, with names in lower case.
    """
    host = urlsplit(upstream).netloc
    numbers = itertools.count(1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.onward = http.client.HTTPConnection(host, timeout=60)

        def finish(self) -> None:
            self.onward.close()
            with contextlib.suppress(OSError):
                super().finish()

        def any_method(self) -> None:
            kind = fault(next(numbers), self.command)
            if asked is not None:
                asked.append(f"{self.command} {self.path}")
            if headers is not None:
                headers.append({name.lower(): text for name, text in self.headers.items()})
            body = self._body()
            if kind in ("500", "503"):
                self._answer(int(kind), {"Content-Type": "application/xml"}, SLOW_DOWN)
            elif kind == "reset":
                self.close_connection = True
            else:
                if kind == "slow":
                    time.sleep(silence)
                self._forward(body, kind)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = do_PATCH = any_method  # noqa: N815

        def _body(self) -> bytes:
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _forward(self, body: bytes, kind: str) -> None:
            dropped = ("connection", "content-length", "expect", "transfer-encoding")
            kept = {name: text for name, text in self.headers.items() if name.lower() not in dropped}
            self.onward.request(self.command, self.path, body, kept | {"Content-Length": str(len(body))})
            answer = self.onward.getresponse()
            content = answer.read()
            if kind == "lost":
                self.close_connection = True
                return
            self._answer(answer.status, dict(answer.getheaders()), content, torn=kind == "truncated")

        def _answer(self, status: int, headers: dict[str, str], body: bytes, *, torn: bool = False) -> None:
            self.send_response_only(status)
            length = headers.get("Content-Length") if self.command == "HEAD" else str(len(body))
            for name, text in headers.items():
                if name.lower() not in ("connection", "content-length", "transfer-encoding", "keep-alive"):
                    self.send_header(name, text)
            if length is not None:
                self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if torn else body)
            self.close_connection = self.close_connection or torn

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with served(Handler, port) as url:
        yield url
