"""The rights in docs/storage.md suffice, and none of them is more than is needed."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.s3_store import PART_BYTES, S3Bucket
from lchunk.volumes.store import StoreSettings
from tests.cli.commands import REPOSITORY, lchunk
from tests.conftest import write_identity_job
from tests.servers import gcs_server, set_variables, sqs_server
from tests.volumes import test_gcs_store
from tests.volumes.conftest import make_bucket
from tests.volumes.faulty_proxy import proxy

BUCKET, FOLDER = "my-bucket", "mouse"
DOCUMENT = REPOSITORY / "docs/storage.md"


def documented() -> list[Any]:
    """The JSON blocks of the document: S3's policies of a worker and a viewer, then GCS's roles of the two."""
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)]


WORKER, VIEWER, GCS_WORKER, GCS_VIEWER = documented()


def actions(policy: Any) -> list[str]:
    return [action for statement in policy["Statement"] for action in statement["Action"]]


def without(policy: Any, action: str) -> Any:
    """The policy without one of its rights."""
    kept = [
        each | {"Action": [one for one in each["Action"] if one != action]}
        for each in policy["Statement"]
        if each["Action"] != [action]
    ]
    return policy | {"Statement": kept}


@dataclass
class Account:
    """A user of S3 with a policy, on a server that enforces it."""

    url: str
    iam: Any

    def allow(self, policy: Any) -> None:
        self._enforce("inf")
        self.iam.put_user_policy(UserName="user", PolicyName="own", PolicyDocument=json.dumps(policy))
        self._enforce("0")

    def allow_all(self) -> None:
        self._enforce("inf")

    def _enforce(self, after: str) -> None:
        """Let moto check the rights of each request, after so many requests."""
        headers = {"Content-Type": "text/plain"}
        urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/moto-api/reset-auth", after.encode(), headers)
        ).close()

    def store(self, folder: str = FOLDER) -> BucketStore:
        settings = StoreSettings(s3_endpoint=self.url, patience_seconds=2)
        return BucketStore(S3Bucket(BUCKET, settings), folder)


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    import boto3  # noqa: PLC0415

    with sqs_server("clock") as moto, pytest.MonkeyPatch.context() as variables:
        url = moto["AWS_ENDPOINT_URL"]
        make_bucket(url, BUCKET)
        set_variables(variables)
        iam = boto3.client("iam", endpoint_url=url)
        iam.create_user(UserName="user")
        key = iam.create_access_key(UserName="user")["AccessKey"]
        user = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        set_variables(variables, user)
        yield Account(url, iam)


@pytest.fixture
def folder(account: Account, tmp_path: Path) -> Path:
    """A folder with an image and a cfg whose root is in the bucket."""
    write_identity_job(tmp_path, (16, 16, 20), (0, 0, 0))
    text = (tmp_path / "luigi.cfg").read_text().replace(f"root = {tmp_path}/out", f"root = s3://{BUCKET}/{FOLDER}")
    (tmp_path / "luigi.cfg").write_text(f"{text}\n[Store]\ns3_endpoint = {account.url}\n")
    return tmp_path


def test_a_worker_runs_a_job_and_a_viewer_looks_at_it_and_changes_nothing(account: Account, folder: Path) -> None:
    account.allow(WORKER)
    assert lchunk(folder, "run", "MeshManifest").code == 0
    account.allow(VIEWER)
    for words in (("status",), ("verify",), ("export", "segmentation", "seg.h5"), ("run", "MeshManifest")):
        said = lchunk(folder, *words)
        assert said.code == 0, said.err
    for action in actions(VIEWER):
        account.allow(without(VIEWER, action))
        said = lchunk(folder, "status")
        assert said.code == 1
        assert "must be allowed to use s3://my-bucket/mouse" in said.last, said.err
    account.allow(VIEWER)
    said = lchunk(folder, "run", "Segmentation", "--Segmentation-layer-name", "other")
    assert said.code != 0
    assert "must be allowed to use s3://my-bucket/mouse/other" in said.err
    assert "Traceback" not in said.err


def uploads(account: Account) -> int:
    """How many uploads were begun and never completed."""
    account.allow_all()
    bucket: Any = account.store().bucket
    return len(bucket._client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))


def sweep(account: Account) -> None:
    """Sweep uploads; without the rights to do so, nothing is swept, and that is no error."""
    account.store().sweep("", older_than=500)  # moto says that uploads are of 2010
    if uploads(account):
        raise PermissionError


USES: dict[str, Callable[[Account], Any]] = {
    "s3:ListBucket": lambda account: list(account.store().list("")),
    "s3:GetObject": lambda account: account.store().get("a"),
    "s3:PutObject": lambda account: account.store().put("large", bytes(2 * PART_BYTES)),
    "s3:DeleteObject": lambda account: account.store().remove("a"),
    "s3:ListBucketMultipartUploads": sweep,
    "s3:AbortMultipartUpload": sweep,
}


def test_each_right_of_a_worker_is_needed(account: Account) -> None:
    assert sorted(actions(WORKER)) == sorted(USES)
    for action, use in USES.items():
        account.allow(WORKER)
        account.store().put("a", b"x")
        bucket: Any = account.store().bucket
        bucket._client.create_multipart_upload(Bucket=BUCKET, Key=f"{FOLDER}/begun")
        account.allow(without(WORKER, action))
        with pytest.raises(PermissionError):
            use(account)
        account.allow(WORKER)
        use(account)


def test_a_worker_has_no_rights_in_other_folders(account: Account) -> None:
    account.allow(WORKER)
    for call in (lambda: account.store("elsewhere").get("a"), lambda: account.store("elsewhere").put("a", b"x")):
        with pytest.raises(PermissionError, match="must be allowed to use s3://my-bucket/elsewhere/a"):
            call()


def test_without_the_right_to_read_a_lost_race_is_one_line(account: Account) -> None:
    account.allow(WORKER)
    account.store().put("mine", b"x")
    account.allow(without(WORKER, "s3:GetObject"))
    with pytest.raises(PermissionError, match="must be allowed to use s3://my-bucket/mouse/mine"):
        account.store().create("mine", b"y")


def gcs_right(request: str) -> str:
    """The right that a request to GCS needs; https://cloud.google.com/storage/docs/access-control/iam-json."""
    method, _, target = request.partition(" ")
    path = target.partition("?")[0]
    if path.startswith("/upload/"):
        return "storage.objects.create"
    if path.endswith("/o"):
        return "storage.objects.list"
    if "/o/" in path:
        return {"GET": "storage.objects.get", "DELETE": "storage.objects.delete"}[method]
    raise ValueError(f"a request to GCS must be of an object or a listing, got {request}")


def test_the_rights_in_GCS_are_those_of_the_requests() -> None:  # noqa: N802
    asked: list[str] = []
    with gcs_server() as server, proxy(server, lambda number, method: "", asked=asked) as url:
        store = test_gcs_store.store_at(url)
        store.create("a", b"x")
        store.put("large", bytes(9 << 20))  # uploaded in parts
        store.sweep("", older_than=0)
        written = len(asked)
        store.get("a", 0, 1)
        assert store.exists("a")
        assert not store.exists("absent")
        list(store.list(""))
        store.folders()
        read = len(asked)
        store.remove("a")
    wanted = {gcs_right(request) for request in asked}
    assert wanted == set(GCS_WORKER["includedPermissions"])
    assert {gcs_right(request) for request in asked[written:read]} == set(GCS_VIEWER["includedPermissions"])
