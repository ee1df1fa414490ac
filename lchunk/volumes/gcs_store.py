"""A bucket of Google Cloud Storage (GCS), or of a server with the GCS API (`[Store] gcs_endpoint`).

Conditional writes: https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

import contextlib
import functools
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import requests
import urllib3
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from lchunk.volumes.asking import ask
from lchunk.volumes.bucket_store import WRITER, BucketError, Page, compression
from lchunk.volumes.counted_adapter import CountedAdapter
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.store_settings import StoreSettings
from lchunk.volumes.view_file import ViewFile
from lchunk.volumes.web_errors import no_answer

Answer = TypeVar("Answer")
PAGE = 1000
FIELDS = "items(name,size),prefixes,nextPageToken"
LISTS = r"/b/[^/]+/o$"
"""Ends of the URLs that list a bucket."""
CREDENTIALS = (
    "run: gcloud auth application-default login, set GOOGLE_APPLICATION_CREDENTIALS, give the machine a service "
    "account, or list the bucket in [Store] anonymous, if it is public"
)
ENDPOINT = "check the network, and [Store] gcs_endpoint or STORAGE_EMULATOR_HOST if one is set"
NO_TRACES = "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"
"""Variable by which Google's library asks for no metadata of a bucket on its own, in threads: it does so for traces."""
LOST = (requests.RequestException, urllib3.exceptions.HTTPError, TransportError, DataCorruption, InvalidResponse)
"""Exceptions of requests that got no answer or a damaged one."""
REFUSALS = (GoogleAPICallError, GoogleAuthError, *LOST)


class GcsBucket:
    """The requests to one bucket; see `Bucket`.

    Args:
        name: name of the bucket.
        settings: settings of the service.
    """

    def __init__(self, name: str, settings: StoreSettings) -> None:
        self.name = name
        self.url = f"gs://{name}"
        self.settings = settings
        self._times = {"timeout": (settings.connect_seconds, settings.read_seconds), "retry": None}

    def get(self, name: str, start: int, stop: int | None) -> bytes:
        return self._got(name, start, stop)[0]

    def get_encoded(self, name: str) -> tuple[bytes, str]:
        return self._got(name, 0, None)

    def _got(self, name: str, start: int, stop: int | None) -> tuple[bytes, str]:
        """Bytes of an object as they are stored, and the compression of the whole object."""

        def read() -> tuple[bytes, str]:
            blob = self._blob(name)
            body: bytes = blob.download_as_bytes(
                start=start or None, end=None if stop is None else stop - 1, raw_download=True,
                single_shot_download=True, **self._times,
            )  # fmt: skip
            return body, compression(blob.content_encoding)

        try:
            return self._ask(read, name)
        except GoogleAPICallError as error:
            if error.code == 416:
                return b"", ""  # the object ends before `start`
            raise self._plain(error, name) from error

    def put(self, name: str, body: bytes | memoryview, version: str | None = None) -> bool:
        writer = uuid.uuid4().hex
        view = memoryview(body).cast("B")

        def write() -> None:
            blob = self._blob(name)
            blob.metadata = {WRITER: writer}
            blob.upload_from_file(
                ViewFile(view), size=len(view), if_generation_match=None if version is None else int(version or 0),
                **self._times,
            )  # fmt: skip

        try:
            self._ask(write, name)
        except GoogleAPICallError as error:
            if error.code == 412 and version is not None:
                return self._written_by(name) == writer  # by an earlier attempt whose answer was lost
            raise self._plain(error, name) from error
        return True

    def _written_by(self, name: str) -> str:
        with self._in_one_line(name):
            return str((self._loaded(name).metadata or {}).get(WRITER, ""))

    def _loaded(self, name: str) -> Any:
        def load() -> Any:
            blob = self._blob(name)
            blob.reload(**self._times)
            return blob

        return self._ask(load, name)

    def stamp(self, name: str) -> Stamp:
        with self._in_one_line(name):
            blob = self._loaded(name)
        return Stamp(int(blob.size), round(blob.updated.timestamp() * 1000) * 1_000_000, str(blob.generation))

    def remove(self, name: str) -> None:
        with self._in_one_line(name), contextlib.suppress(FileNotFoundError):
            try:
                self._ask(lambda: self._blob(name).delete(**self._times), name)
            except GoogleAPICallError as error:
                raise self._plain(error, name) from error

    def page(self, prefix: str, *, after: str = "", following: str = "", folders: bool = False) -> Page:
        def listed() -> Page:
            found = self._bucket().list_blobs(
                prefix=prefix, start_offset=after or None, page_token=following or None,
                delimiter="/" if folders else None, page_size=PAGE, fields=FIELDS, **self._times,
            )  # fmt: skip
            objects = [(blob.name, int(blob.size)) for blob in next(found.pages, ())]
            return Page(
                [each for each in objects if each[0] != after], sorted(found.prefixes), found.next_page_token or ""
            )

        with self._in_one_line(prefix):
            return self._ask(listed, prefix)

    def sweep(self, prefix: str, older_than: float) -> None:
        """Do nothing: an upload that was not completed is never visible, and GCS removes it after a week."""

    def _bucket(self) -> Any:
        client = _client_of(os.getpid(), self.settings, self.url in self.settings.anonymous)
        pays = self.settings.gcs_project if self.url in self.settings.requester_pays else None
        return client.bucket(self.name, user_project=pays)

    def _blob(self, name: str) -> Any:
        return self._bucket().blob(name)

    def _ask(self, call: Callable[[], Answer], name: str) -> Answer:
        """Make a request.

        Raises:
            GoogleAPICallError: GCS refused the request, and would refuse it again.
        """

        def request() -> Answer:
            try:
                return call()
            except REFUSALS as error:
                plain = self._plain(error, name)
                if isinstance(error, GoogleAPICallError) and not isinstance(plain, ConnectionError):
                    raise
                raise plain from error

        return ask(request, self.settings, self.url)

    def _plain(self, error: Exception, name: str) -> Exception:
        """The error as one of Python's own exceptions, with a message in one line."""
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        if isinstance(error, LOST):
            return no_answer(error, f"the server of {self.url} must answer, got none: {said}; {ENDPOINT}")
        if isinstance(error, GoogleAuthError):
            return PermissionError(
                f"credentials of Google must be given for {self.url}, got none: {said}; {CREDENTIALS}"
            )
        return self._of_answer(error, f"{self.url}/{name}")

    def _of_answer(self, error: Any, url: str) -> Exception:
        status, message = int(error.code or 0), (str(error.message).strip().splitlines() or [""])[0]
        got = f"{status} {message.rpartition(': ')[2][:200]}".strip()
        if status == 404 and "bucket does not exist" in str(error):
            return BucketError(f"the bucket {self.url} must exist, and does not; create it, or correct the URL")
        if status == 404:
            return FileNotFoundError(f"{url} must exist, and does not")
        if status in (408, 429) or status >= 500:
            return ConnectionError(f"the server of {self.url} must answer, got {got}; run again when it does")
        if status in (401, 403):
            return PermissionError(
                f"these credentials of Google must be allowed to use {url}, got {got}; {CREDENTIALS} (without the "
                "permission to list a bucket, GCS also refuses objects that do not exist)"
            )
        return OSError(f"GCS must accept a request to {url}, got {got}; correct the URL or [Store]")

    @contextlib.contextmanager
    def _in_one_line(self, name: str) -> Iterator[None]:
        try:
            yield
        except REFUSALS as error:
            raise self._plain(error, name) from error


@functools.lru_cache(maxsize=16)
def _client_of(process: int, settings: StoreSettings, anonymous: bool) -> Any:
    """The client of a process. A client inherited by a fork would share the connections of its parent."""
    os.environ.setdefault(NO_TRACES, "true")
    client = storage.Client(
        project=None,
        credentials=AnonymousCredentials() if anonymous else None,  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": settings.gcs_endpoint} if settings.gcs_endpoint else None,
    )
    connections = CountedAdapter(settings.connections, LISTS)
    for scheme in ("https://", "http://"):
        client._http.mount(scheme, connections)
    return client
