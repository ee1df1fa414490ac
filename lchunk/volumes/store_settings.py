"""How buckets and servers are talked to: what no URL says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreSettings:
    """The values of `[Store]`; see there.

    Args:
        s3_endpoint: address of a server that speaks S3's language; empty for AWS.
        s3_region: of the buckets; empty for what the AWS configuration says.
        s3_profile: of the AWS configuration; empty for the usual search for credentials.
        s3_storage_class: of what is written; empty for the bucket's.
        gcs_endpoint: address of a server that speaks GCS's language; empty for Google.
        gcs_project: that pays for requests to the buckets of `requester_pays`.
        anonymous: buckets, as `s3://name`, that are asked without credentials.
        requester_pays: buckets whose requests are paid for by who asks.
        connections: requests of a process at one time.
        connect_seconds: how long a connection may take.
        read_seconds: how long a server may be silent.
        patience_seconds: how long a request is made again while the server fails.
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
