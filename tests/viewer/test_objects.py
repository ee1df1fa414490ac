"""The viewer's server over a bucket: objects of layers, in ranges, and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import tornado.httpclient
import tornado.testing
import tornado.web

from lchunk.viewer.objects import DataObjects
from lchunk.volumes.bucket_store import BucketStore
from tests.volumes.test_bucket_store import MemoryBucket

BODY = bytes(range(100))


class TestObjects(tornado.testing.AsyncHTTPTestCase):
    def get_app(self) -> tornado.web.Application:
        self.bucket = bucket = MemoryBucket(
            {"root/image/0/zarr.json", "root/notes/a", "other/0/zarr.json", "root/image/.hidden"}
        )
        bucket.objects["root/image/0/c/0"] = BODY
        self.pool = ThreadPoolExecutor(2)
        more = {"store": BucketStore(bucket, "root"), "readers": self.pool}
        return tornado.web.Application([(r"/data/(.*)", DataObjects, more)])

    def tearDown(self) -> None:
        super().tearDown()
        self.pool.shutdown()

    def asked(self, path: str, wanted: str = "", method: str = "GET") -> tornado.httpclient.HTTPResponse:
        return self.fetch(f"/data/{path}", method=method, headers={"Range": wanted} if wanted else {})

    def test_objects_come_whole_and_in_ranges(self) -> None:
        whole = self.asked("image/0/c/0")
        assert (whole.code, whole.body) == (200, BODY)
        assert self.asked("image/0/zarr.json").headers["Content-Type"] == "application/json"
        for wanted, start, stop in (("bytes=10-19", 10, 20), ("bytes=90-", 90, 100), ("bytes=-5", 95, 100)):
            part = self.asked("image/0/c/0", wanted)
            assert (part.code, part.body) == (206, BODY[start:stop])
            assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/100"
        assert self.asked("image/0/c/0", "bytes=100-").code == 416

    def test_a_whole_object_is_one_request_and_a_range_two(self) -> None:
        self.asked("image/0/zarr.json")  # that the layer exists is remembered for some seconds
        self.bucket.requests.clear()
        self.asked("image/0/c/0")
        assert [what for what, *_ in self.bucket.requests] == ["get"]
        self.asked("image/0/c/0", "bytes=0-9")
        self.asked("image/0/c/0", "bytes=10-19")  # the size is remembered, too
        assert [what for what, *_ in self.bucket.requests] == ["get", "stamp", "get", "get"]

    def test_the_size_is_known_without_the_bytes(self) -> None:
        head = self.asked("image/0/c/0", method="HEAD")
        assert (head.code, head.headers["Content-Length"], head.body) == (200, "100", b"")

    def test_only_objects_of_layers_are_served(self) -> None:
        for path in (
            "image/0/c/1",
            "notes/a",
            "image",
            "../other/0/zarr.json",
            "image/.hidden",
            "image/../notes/a",
            "",
        ):
            assert self.asked(path).code == 404, path
