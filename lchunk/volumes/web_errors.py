"""Which failures of `requests`, and of what is built on it, came before there was a connection."""

from __future__ import annotations

from lchunk.volumes.asking import UnreachedError

UNREACHED = {"NewConnectionError", "ConnectTimeoutError", "ProxyError", "SSLError"}
"""Exceptions of urllib3, by name, so that it is not imported here."""


def no_answer(error: BaseException, message: str) -> ConnectionError:
    """The error of a request that got no answer.

    Args:
        error: what was raised; what led to it is looked at too.
        message: of the result.
    """
    cause: BaseException | None = error
    while cause is not None:
        if not UNREACHED.isdisjoint(declared.__name__ for declared in type(cause).__mro__):
            return UnreachedError(message)
        cause = cause.__cause__ or cause.__context__
    return ConnectionError(message)
