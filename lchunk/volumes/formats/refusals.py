"""The errors of volumes that cannot be read."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator

from lchunk.volumes.bucket_store import BucketError

TRANSIENT = frozenset({
    errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.ENOMEM, errno.EMFILE, errno.ENFILE,
    errno.ENOTCONN, errno.ECONNRESET, errno.ECONNREFUSED, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN,
    errno.ENETUNREACH, errno.EREMOTEIO,
})  # fmt: skip
"""Errors of the machine or the network. The file itself may be intact, so they are raised unchanged."""


class RefusedVolumeError(ValueError):
    """A volume is damaged, of the wrong kind, or ambiguous."""


class AbsentVoxelsError(FileNotFoundError):
    """A file, or a part of one, that holds voxels is absent."""


@contextlib.contextmanager
def readable(what: object, rule: str, instead: str) -> Iterator[None]:
    """Turn any error of a library into a refusal that names the file.

    Args:
        what: the file or dataset.
        rule: what it must be, such as "a whole TIFF file".
        instead: what to do about it.

    Raises:
        RefusedVolumeError: the library could not read it.
        OSError: the machine or the network failed; the library's own error.
    """
    try:
        yield
    except (RefusedVolumeError, AbsentVoxelsError, MemoryError):
        raise
    except BucketError as error:
        raise RefusedVolumeError(str(error)) from error
    except PermissionError as error:
        if error.errno is None:  # a server's, and in one line
            raise RefusedVolumeError(str(error)) from error
        raise RefusedVolumeError(f"{what} must be readable, got an error: {error}; change its permissions") from error
    except Exception as error:
        if isinstance(error, ConnectionError | TimeoutError):
            raise
        if isinstance(error, OSError) and _number(error) in TRANSIENT:
            raise
        raise RefusedVolumeError(f"{what} must be {rule}, got an error: {reason(error)}; {instead}") from error


def reason(error: BaseException) -> str:
    """The first line of an error's text, or the name of its type."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _number(error: OSError) -> int | None:
    """The error number, which HDF5 writes only into its text."""
    written = re.search(r"errno = (\d+)", str(error))
    return int(written[1]) if written else error.errno
