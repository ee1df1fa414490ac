"""Errors of S3 as messages in one line that say what to do."""

from __future__ import annotations

from typing import Any

from lchunk.volumes.asking import UnreachedError
from lchunk.volumes.aws_errors import ABSENT_CREDENTIALS, CREDENTIALS, REFUSED, error_code, known_as
from lchunk.volumes.bucket_store import BucketError

ENDPOINT = "check the network, and [Store] s3_endpoint or AWS_ENDPOINT_URL_S3 if one is set"
LOST: dict[str, tuple[type[ConnectionError], str]] = {
    "ConnectionError": (UnreachedError, ""),
    "HTTPClientError": (ConnectionError, ""),
    "IncompleteReadError": (ConnectionError, ""),
    "ResponseStreamingError": (ConnectionError, ""),
}
"""Exceptions of requests that got no answer or only a part of one."""
BUSY = (
    "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestTimeout",
    "RequestTimeoutException", "InternalError", "ServiceUnavailable", "OperationAborted", "ConditionalRequestConflict",
)  # fmt: skip
"""Error codes after which the request is repeated."""
ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307")
"""Error codes for a wrong region."""


def plain_error(error: Exception, url: str, bucket: str) -> Exception:
    """Convert an error of botocore to one of Python's own exceptions.

    Args:
        error: the exception that was raised.
        url: URL of the object, or of the folder that was listed.
        bucket: URL of the bucket.
    """
    answer: Any = getattr(error, "response", None) or {}
    known = known_as(error, ABSENT_CREDENTIALS)
    if known is not None:
        kind, advice = known
        return kind(f"{advice}; or list {bucket} in [Store] anonymous, if it is public ({error})")
    lost = known_as(error, LOST)
    if lost is not None:
        return lost[0](f"the server of {bucket} must answer, got none: {error}; {ENDPOINT}")
    if not answer:
        said = " ".join(str(error).split())
        return BucketError(f"S3 must accept a request to {bucket}, got: {said}; correct the URL or [Store]")
    return _of_answer(answer, error_code(error), url, bucket)


def _of_answer(answer: Any, code: str, url: str, bucket: str) -> Exception:
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    got = f"{status} {code}: {answer.get('Error', {}).get('Message', '')}".rstrip(": ")
    if code == "NoSuchBucket":
        return BucketError(f"the bucket {bucket} must exist, and does not; create it, or correct the URL")
    if status == 404:
        return FileNotFoundError(f"{url} must exist, and does not")
    if code in BUSY or status == 429 or status >= 500:
        return ConnectionError(f"the server of {bucket} must answer, got {got}; run again when it does")
    if code in ELSEWHERE or status in (301, 307):
        region = _region(answer)
        way_out = f"set [Store] s3_region = {region}" if region else "set [Store] s3_region"
        return BucketError(
            f"the region in use must be the region of {bucket}, got {got}; {way_out}, or AWS_DEFAULT_REGION"
        )
    return _refused(status, code, url, got)


def _region(answer: Any) -> str:
    """The region of the bucket, if the answer names it."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("x-amz-bucket-region") or answer.get("Error", {}).get("Region", ""))


def _refused(status: int, code: str, url: str, got: str) -> Exception:
    if code == "InvalidObjectState":
        return OSError(f"{url} must be in a storage class that can be read immediately, got {got}; restore it first")
    if code in REFUSED or status in (401, 403):
        return PermissionError(
            f"these credentials of AWS must be allowed to use {url}, got {got}; {CREDENTIALS} (without the permission "
            "to list a bucket, S3 also refuses objects that do not exist)"
        )
    return OSError(f"S3 must accept a request to {url}, got {got}; correct the URL or [Store]")
