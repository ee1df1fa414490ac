"""Which errors of AWS are about credentials. They are matched by name, so that nothing of AWS is imported here."""

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
"""By the name of the exception or of a class that it inherits."""
REFUSED = (
    "AccessDenied", "AccessDeniedException", "AuthFailure", "ExpiredToken", "InvalidAccessKeyId", "InvalidSecurity",
    "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException",
)  # fmt: skip
"""Codes of answers that refuse the credentials."""


def error_code(error: Exception) -> str:
    """The code of an answer that is an error; empty where there was no answer."""
    answer = getattr(error, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", "")).rpartition("#")[2]


def known_as(error: Exception, names: Mapping[str, tuple[type[Failure], str]]) -> tuple[type[Failure], str] | None:
    """What a table of exceptions says of one, by its class or one that it inherits; None where it says nothing."""
    found = (names[declared.__name__] for declared in type(error).__mro__ if declared.__name__ in names)
    return next(found, None)
