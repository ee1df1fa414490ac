"""Errors of AWS about credentials. They are matched by name, so that this module needs no package of AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Failure = TypeVar("Failure", bound=Exception)

CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile with AWS_PROFILE, or give the machine a role"
)
ABSENT_CREDENTIALS: dict[str, tuple[type[Exception], str]] = {
    "NoRegionError": (ValueError, "the region of AWS must be given, got none; set AWS_DEFAULT_REGION, as us-east-1"),
    "NoCredentialsError": (PermissionError, f"credentials of AWS must be given, got none; {CREDENTIALS}"),
    "PartialCredentialsError": (PermissionError, f"credentials of AWS must be whole, got a part; {CREDENTIALS}"),
    "CredentialRetrievalError": (PermissionError, f"credentials of AWS must be available, got none; {CREDENTIALS}"),
    "TokenRetrievalError": (PermissionError, "the login of AWS must be valid, got none; run: aws sso login"),
    "ProfileNotFound": (ValueError, f"the profile of AWS must exist; {CREDENTIALS}"),
}
"""Replacement and message by name of the exception or of one of its base classes."""
REFUSED = (
    "AccessDenied", "AccessDeniedException", "AuthFailure", "ExpiredToken", "InvalidAccessKeyId", "InvalidSecurity",
    "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException",
)  # fmt: skip
"""Error codes for refused credentials."""


def error_code(error: Exception) -> str:
    """The error code of an answer; empty if there was no answer."""
    answer = getattr(error, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", "")).rpartition("#")[2]


def known_as(error: Exception, names: Mapping[str, tuple[type[Failure], str]]) -> tuple[type[Failure], str] | None:
    """Look up an exception in a table, by the name of its class or of a base class; None if the table has none."""
    found = (names[declared.__name__] for declared in type(error).__mro__ if declared.__name__ in names)
    return next(found, None)
