"""A web server for a folder that supports ranges and ETags, which Python's http.server does not."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote

from tests.servers import served


@contextlib.contextmanager
def file_server(folder: Path, *, ranges: bool = True, head: bool = True) -> Iterator[str]:
    """Run a server on the loopback interface, and yield its URL.

    Args:
        folder: folder of the files.
        ranges: whether it supports ranges; otherwise it sends whole files.
        head: whether it supports HEAD.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            if head:
                self.do_GET()
            else:
                self._send(405, b"")

        def do_GET(self) -> None:
            path = folder / unquote(self.path).lstrip("/")
            if not path.is_file():
                self._send(404, b"no such file")
                return
            body, found = path.read_bytes(), path.stat()
            headers = {"ETag": f'"{found.st_mtime_ns:x}"', "Last-Modified": formatdate(found.st_mtime, usegmt=True)}
            asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
            if not asked or not ranges:
                self._send(200, body, headers)
                return
            first, last = asked.groups()
            start = int(first) if first else max(0, len(body) - int(last))
            stop = min(len(body), int(last) + 1) if first and last else len(body)
            if start >= len(body):
                self._send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            else:
                self._send(206, body[start:stop], headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"})

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response_only(status)
            for name, text in (headers or {}).items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with served(Handler) as url:
        yield url
