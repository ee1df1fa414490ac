"""S3: the contract on two servers, and the behaviour that is specific to S3."""

import multiprocessing
import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lchunk.volumes import bucket_store, s3_store
from lchunk.volumes.bucket_store import BucketError, BucketStore
from lchunk.volumes.s3_errors import plain_error
from lchunk.volumes.s3_store import PART_BYTES, S3Bucket
from lchunk.volumes.store import Store, StoreSettings, configure, open_store
from tests.contracts.store_contract import StoreContract

pytestmark = pytest.mark.usefixtures("aws")


def store_at(url: str, bucket: str = "lchunk", **more: Any) -> BucketStore:
    """A new folder in a bucket."""
    settings = StoreSettings(s3_endpoint=url, patience_seconds=5, **more)
    return BucketStore(S3Bucket(bucket, settings), f"tests/{uuid.uuid4().hex}")


class OnS3(StoreContract):
    def uploads(self, store: BucketStore) -> list[str]:
        bucket: Any = store.bucket
        answer = bucket._client.list_multipart_uploads(Bucket=bucket.name, Prefix=store.prefix)
        return [upload["Key"] for upload in answer.get("Uploads", [])]

    def test_uploads_that_were_never_completed_are_no_objects_and_are_swept_by_age(
        self, store: BucketStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket: Any = store.bucket
        listed = bucket._client.list_multipart_uploads

        def begun_now(**arguments: Any) -> Any:
            answer = listed(**arguments)
            for upload in answer.get("Uploads", []):  # moto reports the year 2010
                upload["Initiated"] = datetime.now(UTC)
            return answer

        monkeypatch.setattr(bucket._client, "list_multipart_uploads", begun_now)
        upload = bucket._client.create_multipart_upload(Bucket=bucket.name, Key=f"{store.prefix}/a/1")["UploadId"]
        bucket._client.upload_part(
            Bucket=bucket.name, Key=f"{store.prefix}/a/1", UploadId=upload, PartNumber=1, Body=b"half"
        )
        assert not store.exists("a/1")
        assert list(store.list("")) == []
        store.sweep("a", older_than=500)
        assert self.uploads(store) == [f"{store.prefix}/a/1"]
        store.sweep("b", older_than=-5)
        assert self.uploads(store) == [f"{store.prefix}/a/1"]
        store.sweep("a", older_than=-5)
        assert self.uploads(store) == []

    def test_an_upload_that_fails_leaves_the_old_object_and_no_parts(
        self, store: BucketStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put("a", b"old")
        bucket: Any = store.bucket
        client, calls = bucket._client, []

        def broken(**arguments: Any) -> None:
            calls.append(arguments["PartNumber"])
            raise ClientError({"Error": {"Code": "EntityTooSmall"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "")

        monkeypatch.setattr(client, "upload_part", broken)
        with pytest.raises(OSError, match=r"S3 must accept a request to s3://lchunk/.*/a, got 400 EntityTooSmall"):
            store.put("a", bytes(2 * PART_BYTES))
        assert calls
        assert store.get("a") == b"old"
        assert self.uploads(store) == []

    def test_a_large_object_is_created_once(self, store: BucketStore) -> None:
        body = bytes(2 * PART_BYTES + 1)
        assert store.create("a", body)
        assert not store.create("a", body)
        assert self.uploads(store) == []

    def test_a_missing_bucket_is_no_absent_object(self, store: BucketStore) -> None:
        bucket: Any = store.bucket
        absent = BucketStore(S3Bucket("lchunk-absent", bucket.settings), "")
        calls: list[Callable[[], Any]] = [
            lambda: absent.get("a"), lambda: absent.exists("a"), lambda: absent.put("a", b""),
            lambda: absent.create("a", b"x"), lambda: list(absent.list("")), absent.folders,
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(ValueError, match="bucket s3://lchunk-absent must exist, and does not; create it"):
                call()


class TestMoto(OnS3):
    @pytest.fixture
    def store(self, s3_servers: dict[str, str]) -> Store:
        return store_at(s3_servers["moto"])

    def test_what_an_object_is_written_with(self, s3_servers: dict[str, str]) -> None:
        store = store_at(s3_servers["moto"], s3_storage_class="STANDARD_IA")
        store.put("a", b"x")
        store.put("b", bytes(2 * PART_BYTES))
        bucket: Any = store.bucket
        for key in "ab":
            found = bucket._client.head_object(Bucket="lchunk", Key=f"{store.prefix}/{key}")
            assert found["StorageClass"] == "STANDARD_IA"

    def test_a_listing_of_many_pages_is_whole(
        self, s3_servers: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3_store, "PAGE", 5)
        monkeypatch.setattr(bucket_store, "SERIAL", 2)  # the rest is listed in runs of folders, in parallel
        store = store_at(s3_servers["moto"])
        keys = [f"c/{z}/{y}/{x}" for z in range(4) for y in range(3) for x in range(4)]
        keys += ["c/last", "zarr.json"]
        for key in keys:
            store.put(key, b"x")
        assert sorted(store.list("")) == sorted(keys)
        assert sorted(store.list("c")) == sorted(keys[:-1])
        assert sorted(store.list("c/2")) == [key for key in keys if key.startswith("c/2/")]
        assert store.folders("c") == ("0", "1", "2", "3")

    def test_a_forked_process_makes_a_client_of_its_own(self, store: BucketStore) -> None:
        store.put("a", b"parent")
        bucket: Any = store.bucket
        own = bucket._client
        context = multiprocessing.get_context("fork")
        results: Any = context.SimpleQueue()

        def child() -> None:
            results.put((bucket._client is own, store.get("a"), [bytes(p) for p in store.get_ranges("a", [(0, 2)])]))

        children = [context.Process(target=child) for _ in range(3)]
        for process in children:
            process.start()
        assert [results.get() for _ in children] == [(False, b"parent", [b"pa"])] * 3
        for process in children:
            process.join()
            assert process.exitcode == 0
        assert bucket._client is own

    def test_the_lines_of_a_forked_process_are_its_own_and_are_written_when_it_ends(self, store: BucketStore) -> None:
        store.append("logs/a/parent.jsonl", b"one\n")
        store.append("logs/a/parent.jsonl", b"two\n")
        process = multiprocessing.get_context("fork").Process(target=store.append, args=("logs/a/child.jsonl", b"x\n"))
        process.start()
        process.join()
        store.flush()
        found = {key: store.get(key) for key in store.list("logs")}
        assert sorted(found.values()) == [b"one\ntwo\n", b"x\n"]

    def test_a_public_bucket_is_asked_without_credentials(
        self, s3_servers: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = store_at(s3_servers["moto"])
        bucket: Any = store.bucket
        for key in ("a", "private"):
            store.put(key, b"x")
        bucket._client.put_object_acl(Bucket="lchunk", Key=f"{store.prefix}/a", ACL="public-read")
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        settings = StoreSettings(s3_endpoint=s3_servers["moto"], s3_region="us-east-1")
        with pytest.raises(PermissionError, match="credentials of AWS must be given, got none; set AWS_ACCESS_KEY_ID"):
            BucketStore(S3Bucket("lchunk", settings), store.prefix).get("a")
        public = StoreSettings(s3_endpoint=s3_servers["moto"], s3_region="us-east-1", anonymous=("s3://lchunk",))
        open_to_all = BucketStore(S3Bucket("lchunk", public), store.prefix)
        assert open_to_all.get("a") == b"x"
        with pytest.raises(PermissionError, match=r"must be allowed to use s3://lchunk/.*/private, got 403"):
            open_to_all.get("private")


class TestMinistack(OnS3):
    @pytest.fixture
    def store(self, s3_servers: dict[str, str]) -> Store:
        return store_at(s3_servers["ministack"])


@pytest.mark.parametrize(
    ("status", "code", "kind", "message"),
    [
        (503, "SlowDown", ConnectionError, "server of s3://b must answer, got 503 SlowDown: said; run again"),
        (400, "RequestTimeout", ConnectionError, "must answer"),
        (409, "ConditionalRequestConflict", ConnectionError, "must answer"),
        (403, "AccessDenied", PermissionError, "must be allowed to use s3://b/a, got 403 AccessDenied: said; set AWS_"),
        (403, "403", PermissionError, "must be allowed"),
        (400, "ExpiredToken", PermissionError, "must be allowed"),
        (404, "NoSuchKey", FileNotFoundError, "s3://b/a must exist"),
        (404, "NoSuchBucket", BucketError, "the bucket s3://b must exist"),
        (301, "PermanentRedirect", BucketError, r"must be the region of s3://b, got .*; set \[Store\] s3_region"),
        (400, "AuthorizationHeaderMalformed", BucketError, "region of s3://b"),
        (403, "InvalidObjectState", OSError, "restore it first"),
        (400, "KeyTooLongError", OSError, "must accept a request to s3://b/a, got 400 KeyTooLongError"),
    ],
)
def test_what_S3_refuses_is_one_line_with_a_way_out(status: int, code: str, kind: type, message: str) -> None:  # noqa: N802
    answer: Any = {"Error": {"Code": code, "Message": "said"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    found = plain_error(ClientError(answer, "GetObject"), "s3://b/a", "s3://b")
    assert type(found) is kind
    with pytest.raises(kind, match=message):
        raise found
    assert "\n" not in str(found)


def test_a_url_opens_the_folder_of_a_bucket(s3_servers: dict[str, str]) -> None:
    configure(StoreSettings(s3_endpoint=s3_servers["moto"]))
    try:
        store = open_store("s3://lchunk/some/folder/")
        store.put("a", b"x")
        assert store.url == "s3://lchunk/some/folder"
        assert open_store("s3://lchunk/some").get("folder/a") == b"x"
        assert open_store("s3://lchunk").exists("some/folder/a")
        assert "some" in open_store("s3://lchunk").folders()
    finally:
        configure(StoreSettings())
