"""A bucket of S3, or of a server with the S3 API (`[Store] s3_endpoint`, `AWS_ENDPOINT_URL_S3`).

Conditional writes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import parse_timestamp

from lchunk.volumes.asking import ask
from lchunk.volumes.aws_errors import error_code
from lchunk.volumes.bucket_store import WRITER, BucketError, Page, compression
from lchunk.volumes.parallel import parallel
from lchunk.volumes.requests_made import Requests, billed, counter, length_in
from lchunk.volumes.s3_errors import plain_error
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.store_settings import StoreSettings

PART_BYTES = 1 << 24
"""Size of a part. Objects of two or more parts are uploaded in parts. S3 accepts 10,000 parts per object."""
PAGE = 1000
"""Most objects that S3 lists per request."""


class S3Bucket:
    """The requests to one bucket; see `Bucket`.

    Args:
        name: name of the bucket.
        settings: settings of the service.
    """

    def __init__(self, name: str, settings: StoreSettings) -> None:
        self.name = name
        self.url = f"s3://{name}"
        self.settings = settings
        self._common: dict[str, Any] = {"Bucket": name}
        if self.url in settings.requester_pays:
            self._common["RequestPayer"] = "requester"

    def get(self, name: str, start: int, stop: int | None) -> bytes:
        return self._got(name, start, stop)[0]

    def get_encoded(self, name: str) -> tuple[bytes, str]:
        return self._got(name, 0, None)

    def _got(self, name: str, start: int, stop: int | None) -> tuple[bytes, str]:
        """Bytes of an object, and the compression of the whole object."""
        part = {"Range": _range_header(start, stop)} if start or stop is not None else {}

        def read(**arguments: Any) -> tuple[bytes, str]:
            answer = self._client.get_object(**arguments)
            return answer["Body"].read(), compression(answer.get("ContentEncoding"))

        try:
            found: tuple[bytes, str] = self._ask(read, name, **part)
        except ClientError as error:
            if error_code(error) == "InvalidRange":
                return b"", ""  # the object ends before `start`
            raise self._plain(error, name) from error
        return found

    def put(self, name: str, body: bytes | memoryview, version: str | None = None) -> bool:
        writer = uuid.uuid4().hex
        more: dict[str, Any] = {"Metadata": {WRITER: writer}}
        if self.settings.s3_storage_class:
            more["StorageClass"] = self.settings.s3_storage_class
        condition = {} if version is None else {"IfMatch": version} if version else {"IfNoneMatch": "*"}
        view = memoryview(body).cast("B")
        try:
            if len(view) >= 2 * PART_BYTES:
                self._put_parts(name, view, more, condition)
            else:
                self._ask(self._client.put_object, name, Body=bytes(view), **more, **condition)
        except ClientError as error:
            lost = error_code(error) in ("PreconditionFailed", "NoSuchUpload", "412")
            if lost and self._written_by(name) == writer:
                return True  # an earlier attempt wrote it, but its answer was lost
            if error_code(error) in ("PreconditionFailed", "412") and condition:
                return False
            raise self._plain(error, name) from error
        return True

    def _put_parts(self, name: str, view: memoryview, more: dict[str, Any], condition: dict[str, Any]) -> None:
        """Upload in parts; the last request turns them into an object."""
        upload = self._ask(self._client.create_multipart_upload, name, **more)["UploadId"]

        def part(start: int) -> dict[str, Any]:
            number, body = start // PART_BYTES + 1, bytes(view[start : start + PART_BYTES])
            answer = self._ask(self._client.upload_part, name, UploadId=upload, PartNumber=number, Body=body)
            return {"PartNumber": number, "ETag": answer["ETag"]}

        try:
            starts = range(0, len(view), PART_BYTES)
            parts = {"Parts": list(parallel(part, starts, self.settings.connections, "parts"))}
            self._ask(self._client.complete_multipart_upload, name, UploadId=upload, MultipartUpload=parts, **condition)
        except BaseException:
            with contextlib.suppress(ClientError, OSError, ValueError):
                self._ask(self._client.abort_multipart_upload, name, UploadId=upload)
            raise

    def _written_by(self, name: str) -> str:
        with self._in_one_line(name):
            answer = self._ask(self._client.head_object, name)
        return str(answer.get("Metadata", {}).get(WRITER, ""))

    def stamp(self, name: str) -> Stamp:
        try:
            answer = self._ask(self._client.head_object, name)
        except ClientError as error:
            if error_code(error) == "404":
                _require_bucket(os.getpid(), self)  # the answer has no body to tell the two cases apart
            raise self._plain(error, name) from error
        modified = round(answer["LastModified"].timestamp()) * 1_000_000_000
        return Stamp(int(answer["ContentLength"]), modified, str(answer["ETag"]))

    def remove(self, name: str) -> None:
        with self._in_one_line(name):
            self._ask(self._client.delete_object, name)

    def page(self, prefix: str, *, after: str = "", following: str = "", folders: bool = False) -> Page:
        more = {"ContinuationToken": following, "Delimiter": "/" if folders else "", "StartAfter": after}
        with self._in_one_line(prefix):
            answer = self._ask(
                self._client.list_objects_v2,
                "",
                Prefix=prefix,
                MaxKeys=PAGE,
                **{key: text for key, text in more.items() if text},
            )
        return Page(
            [(entry["Key"], entry["Size"]) for entry in answer.get("Contents", [])],
            [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])],
            answer.get("NextContinuationToken", "") if answer.get("IsTruncated") else "",
        )

    def sweep(self, prefix: str, older_than: float) -> None:
        before = time.time() - older_than
        more: dict[str, str] = {}
        while True:
            try:
                answer = self._ask(self._client.list_multipart_uploads, "", Prefix=prefix, **more)
            except ClientError as error:
                if error_code(error) in ("AccessDenied", "NotImplemented"):
                    return  # only a lifecycle rule of the bucket can remove them
                raise self._plain(error, prefix) from error
            for upload in answer.get("Uploads", []):
                if upload["Initiated"].timestamp() < before:
                    with contextlib.suppress(ClientError):  # completed, or swept by another process
                        self._ask(self._client.abort_multipart_upload, upload["Key"], UploadId=upload["UploadId"])
            if not answer.get("IsTruncated"):
                return
            more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    @property
    def _client(self) -> Any:
        with self._in_one_line(""):
            return _client_of(os.getpid(), self.settings, self.url in self.settings.anonymous)

    def _ask(self, call: Callable[..., Any], name: str, **arguments: Any) -> Any:
        """Make a request for an object, or for the bucket if the name is empty.

        Raises:
            ClientError: S3 refused the request, and would refuse it again.
        """
        key = {"Key": name} if name else {}

        def request() -> Any:
            try:
                return call(**self._common, **key, **arguments)
            except (BotoCoreError, ClientError) as error:
                plain = self._plain(error, name)
                if isinstance(error, ClientError) and not isinstance(plain, ConnectionError):
                    raise
                raise plain from error

        return ask(request, self.settings, self.url)

    def _plain(self, error: Exception, name: str) -> Exception:
        return plain_error(error, f"{self.url}/{name}", self.url)

    @contextlib.contextmanager
    def _in_one_line(self, name: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise self._plain(error, name) from error


@functools.lru_cache(maxsize=64)
def _require_bucket(process: int, bucket: S3Bucket) -> None:
    """Raise an error if the bucket does not exist. Once it was found, no further request is made."""
    try:
        bucket._ask(lambda **_: bucket._client.head_bucket(Bucket=bucket.name), "")  # takes no payer
    except ClientError as error:
        if error_code(error) in ("404", "NoSuchBucket"):
            raise BucketError(
                f"the bucket {bucket.url} must exist, and does not; create it, or correct the URL"
            ) from error


@functools.lru_cache(maxsize=16)
def _client_of(process: int, settings: StoreSettings, anonymous: bool) -> Any:
    """The client of a process. A client inherited by a fork would share the connections of its parent."""
    endpoint = settings.s3_endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config = Config(
        connect_timeout=settings.connect_seconds,
        read_timeout=settings.read_seconds,
        max_pool_connections=settings.connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
        # servers other than AWS have no host name per bucket
        s3={"addressing_style": "path" if endpoint else "auto"},
        # servers other than AWS may not support the checksums that S3 has added
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent="lchunk",
        **({"signature_version": UNSIGNED} if anonymous else {}),
    )
    core = botocore.session.Session()
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time_of)
    session = boto3.session.Session(
        botocore_session=core, profile_name=settings.s3_profile or None, region_name=settings.s3_region or None
    )
    client = session.client("s3", endpoint_url=settings.s3_endpoint or None, config=config)
    client.meta.events.register("before-send.s3", _count)
    client.meta.events.register("response-received.s3", _count_answer)
    return client


def _count(request: Any, event_name: str, **_: Any) -> None:
    """Count a request, one more for each attempt."""
    operation = event_name.rpartition(".")[2]
    free, read = operation.startswith(("Delete", "Abort")), operation.startswith(("Get", "Head"))
    counter.add(billed(free, read, request.headers))


def _count_answer(response_dict: dict[str, Any] | None, event_name: str, **_: Any) -> None:
    if response_dict is not None and ".Head" not in event_name:  # HEAD tells the length of what it does not send
        counter.add(Requests(received=length_in(response_dict["headers"])))


def _time_of(text: Any) -> datetime.datetime:
    """A time in an answer. Of the time to parse a list, botocore's own way to parse times would take six sevenths."""
    try:
        return datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        parsed: datetime.datetime = parse_timestamp(text)
        return parsed


def _range_header(start: int, stop: int | None) -> str:
    """The Range header of a request.

    >>> _range_header(0, 10), _range_header(5, None), _range_header(-4, None)
    ('bytes=0-9', 'bytes=5-', 'bytes=-4')
    """
    if start < 0:
        return f"bytes={start}"
    return f"bytes={start}-{'' if stop is None else stop - 1}"
