"""Settings of buckets and servers that are not part of a URL."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreSettings:
    """The values of the section `[Store]` of a cfg.

    Args:
        s3_endpoint: address of a server with the S3 API; empty for AWS.
        s3_region: region of the buckets; empty for the region of the AWS configuration.
        s3_profile: profile of the AWS configuration; empty for boto3's usual search for credentials.
        s3_storage_class: storage class of objects that are written; empty for the bucket's default.
        gcs_endpoint: address of a server with the GCS API; empty for Google.
        gcs_project: project that pays for requests to the buckets of `requester_pays`.
        anonymous: buckets that are accessed without credentials, each as `s3://name`.
        requester_pays: buckets whose requests are paid for by the requester.
        connections: how many requests a process makes in parallel.
        connect_seconds: timeout for a connection.
        read_seconds: timeout for a response.
        patience_seconds: how long a request is repeated while the server fails.
    """

    s3_endpoint: str = ""
    s3_region: str = ""
    s3_profile: str = ""
    s3_storage_class: str = ""
    gcs_endpoint: str = ""
    gcs_project: str = ""
    anonymous: tuple[str, ...] = ()
    requester_pays: tuple[str, ...] = ()
    connections: int = 16
    connect_seconds: float = 5.0
    read_seconds: float = 60.0
    patience_seconds: float = 60.0
