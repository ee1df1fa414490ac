"""Errors of AWS in one line, with what to do. They are matched by name, so that nothing of AWS is imported here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile with AWS_PROFILE, or give the machine a role"
)
ENDPOINT = "check the network, and AWS_ENDPOINT_URL_SQS or AWS_ENDPOINT_URL where one is set"
ADVICE: dict[str, tuple[type[Exception], str]] = {
    "NoRegionError": (ValueError, "the region of AWS must be given, got none; set AWS_DEFAULT_REGION, as us-east-1"),
    "NoCredentialsError": (PermissionError, f"credentials of AWS must be given, got none; {CREDENTIALS}"),
    "PartialCredentialsError": (PermissionError, f"credentials of AWS must be whole, got a part; {CREDENTIALS}"),
    "CredentialRetrievalError": (PermissionError, f"credentials of AWS must be available, got none; {CREDENTIALS}"),
    "TokenRetrievalError": (PermissionError, "the login of AWS must be valid, got none; run: aws sso login"),
    "ProfileNotFound": (ValueError, f"the profile of AWS must exist; {CREDENTIALS}"),
    "ConnectionError": (ConnectionError, f"the server of queues must be in reach; {ENDPOINT}"),
    "HTTPClientError": (ConnectionError, f"the server of queues must answer; {ENDPOINT}"),
}
"""By the name of the exception or of a class that it inherits."""
REFUSED = (
    "AccessDenied", "AccessDeniedException", "AuthFailure", "ExpiredToken", "InvalidAccessKeyId", "InvalidSecurity",
    "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException",
)  # fmt: skip
"""Codes of answers that refuse the credentials."""


def in_one_line(call: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
    """A function whose errors of botocore become Python's own, in one line."""

    @functools.wraps(call)
    def plain(*arguments: Parameters.args, **more: Parameters.kwargs) -> Answer:
        try:
            return call(*arguments, **more)
        except Exception as error:
            found = _plain(error)
            if found is None:
                raise
            raise found from error

    return plain


def _plain(error: Exception) -> Exception | None:
    if not type(error).__module__.startswith("botocore."):
        return None
    for declared in type(error).__mro__:
        if declared.__name__ in ADVICE:
            kind, advice = ADVICE[declared.__name__]
            return kind(f"{advice} ({error})")
    answer: Any = getattr(error, "response", {})
    code = str(answer.get("Error", {}).get("Code", "")).rpartition("#")[2]
    if code in REFUSED:
        return PermissionError(f"these credentials of AWS must be allowed to use the queue; {CREDENTIALS} ({error})")
    return OSError(f"AWS refused: {error}")
