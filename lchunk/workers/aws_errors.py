"""Errors of AWS in one line, with what to do. They are matched by name, so that nothing of AWS is imported here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from lchunk.volumes.aws_errors import ABSENT_CREDENTIALS, CREDENTIALS, REFUSED, error_code, known_as

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

ENDPOINT = "check the network, and AWS_ENDPOINT_URL_SQS or AWS_ENDPOINT_URL where one is set"
ADVICE: dict[str, tuple[type[Exception], str]] = ABSENT_CREDENTIALS | {
    "ConnectionError": (ConnectionError, f"the server of queues must be in reach; {ENDPOINT}"),
    "HTTPClientError": (ConnectionError, f"the server of queues must answer; {ENDPOINT}"),
}
"""By the name of the exception or of a class that it inherits."""


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
    known = known_as(error, ADVICE)
    if known is not None:
        kind, advice = known
        return kind(f"{advice} ({error})")
    if error_code(error) in REFUSED:
        return PermissionError(f"these credentials of AWS must be allowed to use the queue; {CREDENTIALS} ({error})")
    return OSError(f"AWS refused: {error}")
