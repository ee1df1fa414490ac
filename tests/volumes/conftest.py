"""Servers of objects that the tests of stores share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import gcs_server, set_variables, sqs_server


@pytest.fixture(scope="session")
def s3_servers() -> Iterator[dict[str, str]]:
    """URLs of two servers that speak S3's language, by name, each with the bucket `lchunk`."""
    with sqs_server("clock") as moto, sqs_server("strict") as ministack:
        found = {"moto": moto["AWS_ENDPOINT_URL"], "ministack": ministack["AWS_ENDPOINT_URL"]}
        for url in found.values():
            make_bucket(url)
        yield found


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, and no other AWS configuration."""
    set_variables(monkeypatch)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def gcs_url() -> Iterator[str]:
    """URL of a server that speaks GCS's language, with the bucket `lchunk`."""
    with gcs_server() as url:
        yield url


def make_bucket(url: str, name: str = "lchunk") -> None:
    import boto3  # noqa: PLC0415

    boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    ).create_bucket(Bucket=name)
