"""A web server whose files are read, but never written or listed."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import NoReturn
from urllib.parse import quote

import requests

from lchunk.volumes.asking import ask
from lchunk.volumes.bucket_store import Page, compression
from lchunk.volumes.counted_adapter import CountedAdapter
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.store_settings import StoreSettings
from lchunk.volumes.web_errors import no_answer

LEGAL = "/%:@!$&'()*+,;=~-._"
"""Characters that a path in a URL may contain without quoting."""
BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Status codes after which the request is repeated."""


class HttpServer:
    """The requests to one web server; see `Bucket`. Names are paths.

    Args:
        url: `https://host` or `http://host:port`.
        settings: how many requests to make in parallel, and how long to wait.
    """

    def __init__(self, url: str, settings: StoreSettings) -> None:
        self.url = url
        self.settings = settings

    def get(self, name: str, start: int, stop: int | None) -> bytes:
        part = {} if not start and stop is None else {"Range": f"bytes={start if start < 0 else f'{start}-'}"}
        if stop is not None:
            part["Range"] += str(stop - 1)
        answer = self._ask("GET", name, part)
        if answer.status_code == 416:
            return b""  # the file ends before `start`
        body: bytes = answer.content
        return body if answer.status_code == 206 or not part else body[start:stop]  # some servers ignore ranges

    def get_encoded(self, name: str) -> tuple[bytes, str]:
        answer = self._ask("GET", name, {})
        packing = compression(answer.headers.get("Content-Encoding"))
        # requests decompresses what it can, although the request did not ask for a compressed answer
        return answer.content, "identity" if packing in answer.raw.CONTENT_DECODERS else packing

    def stamp(self, name: str) -> Stamp:
        answer = self._ask("HEAD", name, {})
        size = answer.headers.get("Content-Length")
        if answer.status_code in (405, 501) or size is None:
            answer = self._ask("GET", name, {"Range": "bytes=0-0"})  # some servers do not support HEAD
            size = answer.headers.get("Content-Range", "").rpartition("/")[2] or str(len(answer.content))
        version = answer.headers.get("ETag", "") or f"{size} bytes"
        return Stamp(int(size), _modified(answer.headers), version)

    def put(self, name: str, body: bytes | memoryview, version: str | None = None) -> bool:
        self._refuse(f"{self.url}/{name} must be on a disk or in a bucket, to be written")

    def remove(self, name: str) -> None:
        self._refuse(f"{self.url}/{name} must be on a disk or in a bucket, to be removed")

    def page(self, prefix: str, *, after: str = "", following: str = "", folders: bool = False) -> Page:
        self._refuse(f"{self.url}/{prefix} must be on a disk or in a bucket, to be listed")

    def sweep(self, prefix: str, older_than: float) -> None:
        """Do nothing, because lchunk never writes here."""

    def _refuse(self, rule: str) -> NoReturn:
        raise io.UnsupportedOperation(f"{rule}, got a web server; give another URL")

    def _ask(self, method: str, name: str, headers: Mapping[str, str]) -> requests.Response:
        url = f"{self.url}/{name}"

        def request() -> requests.Response:
            times = (self.settings.connect_seconds, self.settings.read_seconds)
            try:
                answer = _session_of(os.getpid(), self.settings).request(
                    method, f"{self.url}/{quote(name, safe=LEGAL)}", headers={**headers, "Accept-Encoding": "identity"},
                    timeout=times,
                )  # fmt: skip
            except (requests.exceptions.SSLError, requests.exceptions.InvalidURL) as error:
                raise OSError(f"{url} must be read safely, got an error: {_reason(error)}; correct the URL") from error
            except requests.RequestException as error:
                raise no_answer(
                    error,
                    f"the server {self.url} must answer, got none: {_reason(error)}; check the network and the URL",
                ) from error
            if answer.status_code in BUSY:
                raise ConnectionError(
                    f"the server {self.url} must answer, got {answer.status_code} {answer.reason}; run again when it "
                    "does"
                )
            return answer

        answer = ask(request, self.settings, self.url)
        if answer.status_code in (404, 410):
            raise FileNotFoundError(f"{url} must exist, and does not")
        if answer.status_code in (401, 403):
            raise PermissionError(
                f"{url} must be public, got {answer.status_code} {answer.reason}; copy it to a disk first"
            )
        if answer.status_code not in (200, 206, 405, 416, 501):
            raise OSError(f"{url} must be a file, got {answer.status_code} {answer.reason}; correct the URL")
        return answer


@functools.lru_cache(maxsize=4)
def _session_of(process: int, settings: StoreSettings) -> requests.Session:
    session = requests.Session()
    connections = CountedAdapter(settings.connections)
    for scheme in ("https://", "http://"):
        session.mount(scheme, connections)
    session.headers["User-Agent"] = "lchunk"
    return session


def _modified(headers: Mapping[str, str]) -> int:
    """Nanoseconds of the last write; 0 if the server does not report it."""
    try:
        return round(parsedate_to_datetime(headers.get("Last-Modified", "")).timestamp()) * 1_000_000_000
    except ValueError:
        return 0


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
