"""Settings for buckets and web servers: the `[Store]` section of the cfg."""

from __future__ import annotations

from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.configuration import get_config

from lchunk.tasks.parameters import BucketsParameter, CountParameter, EndpointParameter, RangeParameter, TextParameter
from lchunk.volumes.store import StoreSettings, configure

DAY = 24 * 3600.0
_handed: dict[str, Any] = {}


class Store(luigi.Config):
    """Settings of stores that are not on a disk. Each value can also be given as `--Store-…`.

    Credentials are never values of a cfg: boto3 and Google's library look for them in their usual places.
    """

    s3_endpoint: str = EndpointParameter(
        default="", description="address of a server with the S3 API, as MinIO; default: AWS"
    )
    s3_region: str = TextParameter(default="", description="region of the S3 buckets; default: AWS_DEFAULT_REGION")
    s3_profile: str = TextParameter(default="", description="profile of the AWS configuration; default: AWS_PROFILE")
    s3_storage_class: str = TextParameter(
        default="", description="storage class of new S3 objects, as INTELLIGENT_TIERING; default: STANDARD"
    )
    gcs_endpoint: str = EndpointParameter(
        default="", description="address of a server with the API of Google Cloud Storage; default: Google"
    )
    gcs_project: str = TextParameter(default="", description="project that pays for requests to requester_pays")
    anonymous: tuple[str, ...] = BucketsParameter(
        default=(), description="public buckets that are read without credentials, as s3://one,gs://other"
    )
    requester_pays: tuple[str, ...] = BucketsParameter(
        default=(), description="buckets whose requests you pay for, as s3://one,gs://other"
    )
    connections: int = CountParameter(default=16, least=1, description="requests that a process makes in parallel")
    connect_seconds: float = RangeParameter(least=0.1, most=DAY, default=5.0, description="timeout for a connection")
    read_seconds: float = RangeParameter(least=0.1, most=DAY, default=60.0, description="timeout for a response")
    patience_seconds: float = RangeParameter(
        least=0, most=DAY, default=60.0, description="how long a request is repeated while a server fails"
    )

    def settings(self) -> StoreSettings:
        """The values in the form that stores take."""
        values: dict[str, Any] = {name: getattr(self, name) for name, _ in self.get_params()}
        return StoreSettings(**values)


def hand_over() -> None:
    """Apply the values of the cfg and the command line to the stores that are opened from now on.

    Every stage calls this, so it returns immediately if nothing has changed.
    """
    cfg, line = get_config(), CmdlineParser.get_instance()
    values = dict(cfg._sections.get("Store", {}))
    if _handed.get("cfg") is cfg and _handed.get("line") is line and _handed.get("values") == values:
        return
    configure(Store().settings())
    _handed.update(cfg=cfg, line=line, values=values)
