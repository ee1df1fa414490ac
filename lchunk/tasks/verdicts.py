"""Whose fault a failure is, and what failed: a table of signatures for an exception and all exceptions that led to it.

Types are matched by name, so that neither cloud clients nor PyTorch must be installed, or imported, for the match.
"""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """Whose fault a failure is, which decides what becomes of the message and of the worker."""

    DEVICE = "this process's device; the message is returned, and the process ends"
    TRANSIENT = "the machine's or the network's; the message is returned"
    WORKER = "the worker's own; the message is returned, and it counts against the worker"
    UNCLEAR = "not clear; the message is tried again a few times"
    FINAL = "the task's own; the message is given up"


DISK_FULL, DISK, MEMORY, GPU_MEMORY, GPU, FILES, KILLED, NETWORK, CLOUD = (
    "disk full", "disk failed", "out of memory", "GPU out of memory", "GPU failed", "too many open files",
    "process killed", "network failed", "cloud service failed",
)  # fmt: skip
OF_THE_MACHINE = frozenset({DISK_FULL, DISK, MEMORY, GPU_MEMORY, GPU, FILES, KILLED})
"""What may fail on one machine, and on no other."""


@dataclass(frozen=True)
class Signature:
    """A row of the table. An exception must match one entry of `types`, and one of each other field that is given.

    Args:
        verdict: whose fault it is.
        fault: what failed, for people; empty if the message alone says it.
        types: `package.Class` of the exception or of a class that it inherits; "builtins" is Python's.
        errnos: error numbers of an OSError.
        codes: error codes of an answer of AWS.
        statuses: status codes of an HTTP answer.
        text: a pattern that the message contains; case does not matter.
    """

    verdict: Verdict
    fault: str
    types: frozenset[str]
    errnos: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    text: str = ""

    def fits(self, error: BaseException, names: Iterable[str]) -> bool:
        """Whether an exception, with the names of its classes, is of this kind."""
        return (
            not self.types.isdisjoint(names)
            and (not self.errnos or getattr(error, "errno", None) in self.errnos)
            and (not self.codes or _code(error) in self.codes)
            and (not self.statuses or _status(error) in self.statuses)
            and (not self.text or re.search(self.text, str(error), re.IGNORECASE) is not None)
        )


def _row(
    verdict: Verdict,
    types: str,
    fault: str = "",
    *,
    errnos: str = "",
    codes: str = "",
    statuses: Iterable[int] = (),
    text: str = "",
) -> Signature:
    """A row whose names are given as words of a text."""
    numbers = frozenset(getattr(errno, name) for name in errnos.split())
    return Signature(
        verdict, fault, frozenset(types.split()), numbers, frozenset(codes.split()), frozenset(statuses), text
    )


HTTP_ANSWERS = "botocore.ClientError requests.HTTPError urllib.HTTPError google.GoogleAPICallError aiohttp.ClientError"

SIGNATURES = (
    # a device whose driver is in a broken state: nothing works any more in this process
    _row(
        Verdict.DEVICE,
        "builtins.RuntimeError",
        GPU,
        text="device-side assert|unspecified launch failure|illegal memory access|illegal instruction was encountered|"
        "misaligned address|uncorrectable ecc|ecc error|device is lost|gpu is lost|fallen off the bus|"
        "cuda-capable device.* busy or unavailable|no cuda-capable device|driver shutting down|launch timed out|"
        "cudnn_status_(execution_failed|internal_error|not_initialized)|"
        "cublas_status_(execution_failed|internal_error|not_initialized)|nvml.*error",
    ),
    # memory, of the machine and of the device
    _row(Verdict.TRANSIENT, "builtins.MemoryError", MEMORY),
    _row(Verdict.TRANSIENT, "torch.OutOfMemoryError", GPU_MEMORY),
    _row(Verdict.TRANSIENT, "concurrent.BrokenExecutor", KILLED),
    _row(
        Verdict.TRANSIENT,
        "builtins.RuntimeError",
        GPU_MEMORY,
        text="cuda error: out of memory|cuda out of memory|status_alloc_failed",
    ),
    _row(
        Verdict.TRANSIENT,
        "builtins.RuntimeError",
        MEMORY,
        text="can't allocate memory|not enough memory: you tried to allocate",
    ),
    # disks
    _row(Verdict.TRANSIENT, "builtins.OSError", DISK_FULL, errnos="ENOSPC EDQUOT"),
    _row(Verdict.TRANSIENT, "builtins.OSError", DISK, errnos="EIO ESTALE EROFS ENODEV ENOLCK EREMOTEIO"),
    _row(Verdict.TRANSIENT, "builtins.OSError", MEMORY, errnos="ENOMEM"),
    _row(Verdict.TRANSIENT, "builtins.OSError", FILES, errnos="ENFILE EMFILE"),
    _row(Verdict.TRANSIENT, "builtins.OSError", errnos="EAGAIN EBUSY EINTR"),
    # the network
    _row(
        Verdict.TRANSIENT,
        "builtins.OSError",
        NETWORK,
        errnos="ECONNABORTED ECONNREFUSED ECONNRESET EHOSTDOWN EHOSTUNREACH ENETDOWN ENETRESET ENETUNREACH ENOTCONN "
        "EPIPE ESHUTDOWN ETIMEDOUT",
    ),
    _row(Verdict.WORKER, "ssl.SSLCertVerificationError"),
    _row(
        Verdict.TRANSIENT,
        "builtins.ConnectionError builtins.TimeoutError socket.gaierror ssl.SSLError http.IncompleteRead "
        "http.BadStatusLine urllib.ContentTooShortError luigi.RPCError",
        NETWORK,
    ),
    _row(
        Verdict.TRANSIENT,
        "botocore.ConnectionError botocore.HTTPClientError botocore.IncompleteReadError boto3.RetriesExceededError "
        "s3transfer.RetriesExceededError",
        NETWORK,
    ),
    _row(
        Verdict.TRANSIENT,
        "urllib3.ProtocolError urllib3.TimeoutError urllib3.RequestError urllib3.SSLError urllib3.ProxyError "
        "urllib3.IncompleteRead requests.ConnectionError requests.Timeout requests.ChunkedEncodingError "
        "requests.RetryError",
        NETWORK,
    ),
    _row(
        Verdict.TRANSIENT,
        "aiohttp.ClientConnectionError aiohttp.ClientPayloadError google.TransportError google.RetryError",
        NETWORK,
    ),
    # a cloud that asks for patience
    _row(
        Verdict.TRANSIENT,
        "botocore.ClientError",
        CLOUD,
        codes="Throttling ThrottlingException ThrottledException RequestThrottled RequestThrottledException "
        "TooManyRequestsException RequestLimitExceeded BandwidthLimitExceeded LimitExceededException "
        "ProvisionedThroughputExceededException SlowDown PriorRequestNotComplete EC2ThrottledException "
        "TransactionInProgressException RequestTimeout RequestTimeoutException InternalError InternalFailure "
        "InternalServerError ServiceUnavailable ServiceUnavailableException OverLimit",
    ),
    _row(Verdict.TRANSIENT, HTTP_ANSWERS, CLOUD, statuses=(408, 429, 500, 502, 503, 504)),
    # the versions, files and permissions of this worker, which other workers may not share
    _row(Verdict.WORKER, HTTP_ANSWERS, statuses=(401, 403)),
    _row(
        Verdict.WORKER,
        "botocore.NoCredentialsError botocore.PartialCredentialsError botocore.CredentialRetrievalError "
        "botocore.TokenRetrievalError botocore.SSOError botocore.ProfileNotFound botocore.NoRegionError "
        "google.DefaultCredentialsError google.RefreshError",
    ),
    _row(
        Verdict.WORKER,
        "botocore.ClientError",
        codes="AccessDenied AccessDeniedException AuthFailure ExpiredToken ExpiredTokenException InvalidAccessKeyId "
        "InvalidClientTokenId InvalidToken RequestExpired RequestTimeTooSkewed SignatureDoesNotMatch "
        "UnrecognizedClientException",
    ),
    _row(Verdict.WORKER, "builtins.OSError", errnos="EACCES EPERM"),
    _row(
        Verdict.WORKER,
        "lchunk.RecipeMismatchError lchunk.UnfitError builtins.ImportError configparser.Error luigi.ParameterException",
    ),
    _row(Verdict.WORKER, "builtins.ValueError", text="must fit in the memory of|^device must be"),
)
"""The first row that matches any exception of a chain decides."""


def verdict_of(error: BaseException) -> Verdict:
    """Whose fault an exception is, by the table; unclear if no row matches."""
    row = _row_of(error)
    return row.verdict if row else Verdict.UNCLEAR


def fault_of(error: BaseException) -> str:
    """What failed, by the table; empty if the message of the exception alone says it."""
    row = _row_of(error)
    return row.fault if row else ""


def _row_of(error: BaseException) -> Signature | None:
    """The first row that matches any exception of a chain."""
    chain = [(link, frozenset(_names(link))) for link in chain_of(error)]
    for row in SIGNATURES:
        with contextlib.suppress(Exception):  # a user's own exception may even fail in `str`
            if any(row.fits(link, names) for link, names in chain):
                return row
    return None


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An exception, and all exceptions that led to it: causes, contexts, and members of groups."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        link = waiting.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield link
            waiting += [link.__cause__, link.__context__, *getattr(link, "exceptions", ())]


def _names(error: BaseException) -> Iterator[str]:
    return (f"{declared.__module__.partition('.')[0]}.{declared.__name__}" for declared in type(error).__mro__)


def _code(error: BaseException) -> str:
    answer = getattr(error, "response", None)
    details = answer.get("Error") if isinstance(answer, dict) else None
    return str(details.get("Code", "")).rpartition("#")[2] if isinstance(details, dict) else ""


def _status(error: BaseException) -> int | None:
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(answer, "status_code", None) or getattr(error, "status", None) or getattr(error, "code", None)
    return status if isinstance(status, int) else None
