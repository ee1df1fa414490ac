"""Whose fault a failure is: each row of the table, by exceptions as the packages raise them."""

from __future__ import annotations

import concurrent.futures.process
import configparser
import errno
import http.client
import os
import socket
import ssl
import urllib.error
from email.message import Message
from typing import Any

import botocore.exceptions as aws
import numpy as np
import pytest
import requests
import torch
import urllib3.exceptions
from luigi.parameter import MissingParameterException
from luigi.rpc import RPCError

from lchunk.recipe import RecipeMismatchError
from lchunk.tasks.verdicts import (
    CLOUD,
    DISK,
    DISK_FULL,
    FILES,
    GPU,
    GPU_MEMORY,
    KILLED,
    MEMORY,
    NETWORK,
    OF_THE_MACHINE,
    SIGNATURES,
    Verdict,
    chain_of,
    fault_of,
    verdict_of,
)
from lchunk.workers.gate import UnfitError


def disk(name: str) -> OSError:
    number = getattr(errno, name)
    return OSError(number, os.strerror(number), "/data/x")


def answer(code: str, status: int = 400) -> aws.ClientError:
    content: Any = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return aws.ClientError(content, "PutObject")


def over_http(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("no", response=response)


def of_urllib(status: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError("http://a", status, "no", Message(), None)


URL: Any = "http://127.0.0.1:9"
POOL: Any = None
BY_NUMBER = [
    "EIO", "ESTALE", "ENOSPC", "EDQUOT", "EROFS", "ENODEV", "ENOLCK", "ENOMEM", "ENFILE", "EMFILE", "EAGAIN", "EBUSY",
    "EREMOTEIO", "EINTR", "ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "ENETUNREACH", "ENETDOWN",
    "ENETRESET", "EHOSTUNREACH", "EHOSTDOWN", "ENOTCONN", "ESHUTDOWN",
]  # fmt: skip
TRANSIENT: list[BaseException] = [
    *map(disk, BY_NUMBER),
    ConnectionError("gone"),
    TimeoutError("slow"),
    socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
    http.client.RemoteDisconnected("closed"),
    http.client.IncompleteRead(b""),
    urllib.error.ContentTooShortError("short", (b"", {})),  # type: ignore[arg-type]
    RPCError("luigid is away"),
    MemoryError(),
    np._core._exceptions._ArrayMemoryError((1 << 50,), np.dtype(float)),  # type: ignore[attr-defined]
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
    concurrent.futures.process.BrokenProcessPool("a child was killed"),
    aws.EndpointConnectionError(endpoint_url=URL),
    aws.ConnectTimeoutError(endpoint_url=URL),
    aws.ReadTimeoutError(endpoint_url=URL),
    aws.ConnectionClosedError(endpoint_url=URL),
    aws.IncompleteReadError(actual_bytes=1, expected_bytes=2),
    aws.ResponseStreamingError(error="cut"),
    *map(answer, ["SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "InternalError"]),
    *map(answer, ["RequestTimeout", "ServiceUnavailable", "TooManyRequestsException", "RequestThrottled"]),
    answer("Unheard", 503),
    urllib3.exceptions.ProtocolError("Connection broken"),
    urllib3.exceptions.MaxRetryError(POOL, "/a"),
    urllib3.exceptions.ReadTimeoutError(POOL, "/a", "slow"),
    urllib3.exceptions.NewConnectionError(POOL, "refused"),
    requests.ConnectionError("gone"),
    requests.ReadTimeout("slow"),
    requests.exceptions.ChunkedEncodingError("cut"),
    *map(over_http, (408, 429, 500, 502, 503, 504)),
    *map(of_urllib, (429, 503)),
]
DEVICE = [
    "CUDA error: device-side assert triggered",
    "CUDA error: unspecified launch failure",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: uncorrectable ECC error encountered",
    "CUDA error: misaligned address",
    "CUDA error: the launch timed out and was terminated",
    "No CUDA-capable device is detected",
    "CUDA error: all CUDA-capable devices are busy or unavailable",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`",
    "NVML_SUCCESS == r INTERNAL ASSERT FAILED: nvml error",
    "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost. Reboot the system",
]
WORKERS: list[BaseException] = [
    RecipeMismatchError("other knobs"),
    UnfitError("module not allowed"),
    ImportError("no"),
    ModuleNotFoundError("No module named 'torch'", name="torch"),
    PermissionError(errno.EACCES, "Permission denied"),
    PermissionError(errno.EPERM, "Operation not permitted"),
    MissingParameterException("x"),
    configparser.NoSectionError("a"),
    ssl.SSLCertVerificationError(1, "self-signed certificate"),
    aws.NoCredentialsError(),
    aws.NoRegionError(),
    aws.PartialCredentialsError(provider="a", cred_var="b"),
    *map(answer, ["AccessDenied", "ExpiredToken", "SignatureDoesNotMatch", "InvalidAccessKeyId"]),
    answer("Unheard", 403),
    over_http(401),
    ValueError("a chunk of Inference must fit in the memory of the host, 1.0 GB, got 2.0 GB"),
    ValueError("device must be there, got cuda on a machine with 0 GPUs"),
]
UNCLEAR: list[BaseException] = [
    ValueError("threshold must be in [0, 1], got 2"),
    ZeroDivisionError(),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    FileNotFoundError(errno.ENOENT, "No such file"),
    KeyError("a"),
    answer("NoSuchBucket", 404),
    over_http(404),
    SystemExit(503),
]
names = [repr(error)[:60] for error in TRANSIENT]


@pytest.mark.parametrize("error", TRANSIENT, ids=names)
def test_the_machines_and_the_networks_faults_are_transient(error: BaseException) -> None:
    assert verdict_of(error) is Verdict.TRANSIENT


@pytest.mark.parametrize("text", DEVICE)
def test_a_broken_device_ends_its_process(text: str) -> None:
    assert verdict_of(RuntimeError(text)) is Verdict.DEVICE
    assert verdict_of(torch.AcceleratorError(text)) is Verdict.DEVICE
    assert verdict_of(ValueError(text)) is Verdict.UNCLEAR


@pytest.mark.parametrize("error", WORKERS, ids=repr)
def test_what_another_worker_may_be_able_to_do(error: BaseException) -> None:
    assert verdict_of(error) is Verdict.WORKER


@pytest.mark.parametrize("error", UNCLEAR, ids=repr)
def test_the_rest_is_unclear(error: BaseException) -> None:
    assert verdict_of(error) is Verdict.UNCLEAR


def test_each_row_decides_something() -> None:
    errors = [*TRANSIENT, *WORKERS, *map(RuntimeError, DEVICE), *CLOUDS]
    deciding = set()
    for error in errors:
        kinds = frozenset(f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__)
        deciding.add(next(number for number, row in enumerate(SIGNATURES) if row.fits(error, kinds)))
    assert deciding == set(range(len(SIGNATURES)))


def of_cloud(package: str, name: str, **attributes: Any) -> Exception:
    """An exception of a package that is not installed here, as it would look."""
    kind = type(name, (Exception,), {"__module__": f"{package}.exceptions"})
    error: Exception = kind(name)
    vars(error).update(attributes)
    return error


CLOUDS = [
    of_cloud("google", "TransportError"),
    of_cloud("google", "GoogleAPICallError", code=503),
    of_cloud("aiohttp", "ClientConnectionError"),
    of_cloud("aiohttp", "ClientError", status=429),
]


@pytest.mark.parametrize("error", CLOUDS, ids=repr)
def test_clients_of_other_clouds_are_known_by_name(error: Exception) -> None:
    assert verdict_of(error) is Verdict.TRANSIENT


def raised(inner: BaseException, outer: Exception, *, caused: bool) -> Exception:
    try:
        try:
            raise inner
        except BaseException as error:
            if caused:
                raise outer from error
            raise outer  # noqa: B904 - the context alone is looked at
    except Exception as error:
        return error


@pytest.mark.parametrize("caused", [True, False])
def test_the_whole_chain_is_looked_at(caused: bool) -> None:
    error = raised(disk("EIO"), ValueError("cannot be read"), caused=caused)
    for depth in range(5):
        error = raised(error, RuntimeError(f"{depth} chunks failed"), caused=caused)
    assert verdict_of(error) is Verdict.TRANSIENT
    assert verdict_of(ExceptionGroup("some", [KeyError("a"), disk("ENOSPC")])) is Verdict.TRANSIENT


def test_a_chain_that_closes_on_itself_ends() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__context__ = two, one
    assert set(chain_of(one)) == {one, two}


def test_an_exception_that_cannot_say_what_it_is() -> None:
    class MuteError(RuntimeError):
        def __str__(self) -> str:
            raise KeyError("no text")

        @property
        def response(self) -> Any:
            raise KeyError("no answer")

    assert verdict_of(MuteError()) is Verdict.UNCLEAR


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (disk("ENOSPC"), DISK_FULL),
        (disk("EDQUOT"), DISK_FULL),
        (disk("EIO"), DISK),
        (disk("EROFS"), DISK),
        (disk("ENOMEM"), MEMORY),
        (disk("EMFILE"), FILES),
        (disk("EAGAIN"), ""),
        (disk("ECONNRESET"), NETWORK),
        (MemoryError(), MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), GPU_MEMORY),
        (RuntimeError("CUDA error: out of memory"), GPU_MEMORY),
        (RuntimeError("CUDA error: an illegal instruction was encountered"), GPU),
        (concurrent.futures.process.BrokenProcessPool("a child was killed"), KILLED),
        (requests.ConnectionError("gone"), NETWORK),
        (TimeoutError("slow"), NETWORK),
        (answer("SlowDown"), CLOUD),
        (over_http(503), CLOUD),
        (PermissionError(errno.EACCES, "Permission denied"), ""),
        (ValueError("a bug"), ""),
    ],
)
def test_what_failed_is_named(error: BaseException, fault: str) -> None:
    assert fault_of(error) == fault
    assert (fault in OF_THE_MACHINE) == (fault not in ("", NETWORK, CLOUD))
