"""Who pays for a request, and the region of a bucket: what the requests say, and what an answer of S3 leads to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from lchunk.volumes.bucket_store import BucketError, BucketStore
from lchunk.volumes.s3_store import PART_BYTES
from tests.servers import served
from tests.volumes import test_gcs_store, test_s3_store
from tests.volumes.faulty_proxy import proxy

pytestmark = pytest.mark.usefixtures("aws")


def use(store: BucketStore) -> None:
    """Make each kind of request."""
    assert store.create("a", b"x")
    assert not store.create("a", b"y")
    store.put("large", bytes(2 * PART_BYTES))
    assert store.get("a", 0, 1) == b"x"
    assert store.exists("a")
    assert not store.exists("absent")
    assert sorted(store.list("")) == ["a", "large"]
    assert store.folders() == ()
    store.sweep("", older_than=500)
    store.remove("a")


@pytest.mark.parametrize(("payer", "said"), [((), None), (("s3://other",), None), (("s3://lchunk",), "requester")])
def test_S3_is_told_who_pays_for_the_buckets_that_are_listed(  # noqa: N802
    s3_servers: dict[str, str], payer: tuple[str, ...], said: str | None
) -> None:
    asked: list[str] = []
    headers: list[dict[str, str]] = []
    with proxy(s3_servers["moto"], lambda number, method: "", asked=asked, headers=headers) as url:
        use(test_s3_store.store_at(url, requester_pays=payer))
    assert {request.split()[0] for request in asked} == {"GET", "HEAD", "PUT", "POST", "DELETE"}
    of_bucket = [request.startswith("HEAD /lchunk") and "/tests/" not in request for request in asked]
    told = {
        each.get("x-amz-request-payer") for each, bucket in zip(headers, of_bucket, strict=True) if not bucket
    }  # S3 takes no payer for HEAD of a bucket
    assert told == {said}


@pytest.mark.parametrize(("payer", "said"), [((), ""), (("gs://other",), ""), (("gs://lchunk",), "userProject=mine")])
def test_GCS_is_told_which_project_pays_for_the_buckets_that_are_listed(  # noqa: N802
    gcs_url: str, payer: tuple[str, ...], said: str
) -> None:
    asked: list[str] = []
    with proxy(gcs_url, lambda number, method: "", asked=asked) as url:
        use(test_gcs_store.store_at(url, gcs_project="mine", requester_pays=payer))
    assert len(asked) > 8
    for request in (one for one in asked if "upload_id=" not in one):  # the upload was begun for the project
        assert (said in request) if said else ("userProject" not in request), request


@contextlib.contextmanager
def bucket_in(region: str, status: int, asked: list[str], *, obeys: bool = True) -> Iterator[str]:
    """A server of S3 with a bucket in a region: it refuses requests that are signed for another one.

    Args:
        region: of the bucket.
        status: 301 or 400, the two ways in which S3 refuses.
        asked: list to which the region of each request is added.
        obeys: whether it takes requests that are signed for its region.
    """
    code = {301: "PermanentRedirect", 400: "AuthorizationHeaderMalformed"}[status]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def any_method(self) -> None:
            signed_for = self.headers["Authorization"].split("/")[2]
            asked.append(signed_for)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if obeys and signed_for == region:
                self.answer(200, b"" if self.command == "PUT" else b"x")
            else:
                where = f"<Region>{region}</Region>" if status == 400 else ""
                body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Said.</Message>{where}</Error>"
                self.answer(status, b"" if self.command == "HEAD" else body.encode())

        do_GET = do_HEAD = do_PUT = any_method  # noqa: N815

        def answer(self, number: int, body: bytes) -> None:
            self.send_response_only(number)
            self.send_header("x-amz-bucket-region", region)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"1"')
            self.send_header("Last-Modified", "Wed, 25 Nov 2026 09:36:50 GMT")
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with served(Handler) as url:
        yield url


CALLS: dict[str, Callable[[BucketStore], Any]] = {
    "get": lambda store: store.get("a"),
    "put": lambda store: store.put("a", b"x"),
    "stamp": lambda store: store.stamp("a"),
}


@pytest.mark.parametrize("status", [301, 400])
@pytest.mark.parametrize("call", list(CALLS))
def test_a_wrong_region_is_corrected_by_the_region_in_the_answer(status: int, call: str) -> None:
    asked: list[str] = []
    with bucket_in("eu-west-1", status, asked) as url:
        store = test_s3_store.store_at(url, s3_region="us-east-1")
        CALLS[call](store)
        assert asked[0] == "us-east-1"
        assert asked[-1] == "eu-west-1"


@pytest.mark.parametrize(("call", "status"), [("get", 301), ("get", 400), ("put", 301), ("put", 400), ("stamp", 301)])
def test_a_wrong_region_is_one_line_that_names_the_right_one(call: str, status: int) -> None:
    asked: list[str] = []
    with bucket_in("eu-west-1", status, asked, obeys=False) as url:
        store = test_s3_store.store_at(url, s3_region="us-east-1")
        with pytest.raises(
            BucketError, match=r"must be the region of s3://lchunk, got .*s3_region = eu-west-1"
        ) as found:
            CALLS[call](store)
    assert "\n" not in str(found.value)
    assert len(asked) < 8
