"""The viewer's server among clients that are many, odd, slow or hostile: it serves its layers, and nothing else."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h5py
import numpy as np
import pytest
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.web import Application

from lchunk.viewer.elsewhere import Elsewhere
from lchunk.viewer.objects import DataObjects
from lchunk.viewer.screenshot import served
from lchunk.viewer.server import application
from lchunk.volumes.store import FileStore
from tests.viewer.test_viewer import write_layers

READERS = 200
RANGES = (
    "bytes=5-3", "bytes=-0", "bytes=-999999", "bytes=999999-", "bytes=0-999999", "bytes=a-b", "bytes=", "bytes=0-1,3-4",
    "items=0-1", "bytes=0-1-2", "bytes=--1", "bytes=18446744073709551616-", "bytes=0-18446744073709551616",
    "bytes=+1-2", "bytes = 0-1", "bytes=٣-٤", "\xff",
)  # fmt: skip
"""Of which some are right, some ask for nothing, and some are no ranges."""
CHUNK = "/data/image/0/c/0/0/0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_layers(tmp_path / "root")
    with h5py.File(tmp_path / "truth.h5", "w") as file:
        file["labels"] = np.arange(4 * 6 * 8, dtype=np.uint16).reshape(4, 6, 8)
    (tmp_path / "secret").write_text("a secret")
    return tmp_path


def with_server(folder: Path, act: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Serve the folder, act, and then expect that the server still answers as at first."""
    truth = Elsewhere("ground_truth", f"{folder}/truth.h5:/labels", labels=True)
    whole = (folder / "root/image/0/c/0/0/0").read_bytes()

    async def run() -> None:
        async with served(application(str(folder / "root"), elsewhere=[truth])) as url:
            port = urlsplit(url).port or 0
            await act(port)
            head, body = await answer(port, request(CHUNK))
            assert (head.split()[1], body) == (b"200", whole)

    asyncio.run(asyncio.wait_for(run(), 120))


def request(target: str, *headers: str, method: str = "GET") -> bytes:
    """A request as a client that composes it by hand would send it."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def answer(port: int, sent: bytes) -> tuple[bytes, bytes]:
    """The head and the body of the answer to bytes; both are empty if the server closes the connection instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        received = await asyncio.wait_for(reader.read(), 30)
    except ConnectionError:
        return b"", b""
    finally:
        writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def test_odd_ranges_get_a_part_of_the_file_all_of_it_or_an_error(folder: Path) -> None:
    whole = (folder / "root/image/0/c/0/0/0").read_bytes()

    async def act(port: int) -> None:
        for wanted in RANGES:
            head, body = await answer(port, request(CHUNK, f"Range: {wanted}"))
            code = int(head.split()[1])
            assert code in (200, 206, 400, 416), wanted
            if code == 200:
                assert body == whole
            elif code == 206:
                assert body
                assert body in whole

    with_server(folder, act)


def test_odd_ranges_of_an_object_do_the_same(folder: Path) -> None:
    """The handler for buckets, over the same files."""
    whole = (folder / "root/image/0/c/0/0/0").read_bytes()

    async def run() -> None:
        with ThreadPoolExecutor(2) as readers:
            more = {"store": FileStore(folder / "root"), "readers": readers}
            async with served(Application([(r"/data/(.*)", DataObjects, more)])) as url:
                for wanted in RANGES:
                    head, body = await answer(urlsplit(url).port or 0, request(CHUNK, f"Range: {wanted}"))
                    code = int(head.split()[1])
                    assert code in (200, 206, 400, 416), wanted
                    if code in (200, 206):
                        assert body
                        assert body == whole if code == 200 else body in whole

    asyncio.run(run())


def test_paths_written_by_hand_lead_nowhere_else(folder: Path) -> None:
    async def act(port: int) -> None:
        for target in (
            "/data/../secret", "/data/image/../../secret", "/data/image/%2e%2e/%2e%2e/secret", "//data/../secret",
            "/data/image/..%2f..%2fsecret", "/data/image/%252e%252e/%252e%252e/secret", "/data//etc/passwd",
            "/data/image/..\\..\\secret", f"/data/{folder}/secret", "/v/lchunk/../../../../../../etc/passwd",
            "/v/lchunk/%2e%2e/%2e%2e/%2e%2e/__init__.py", "/volumes/ground_truth/../../secret", "http://evil.example/secret",
            "/volumes/..%2f..%2fsecret/zarr.json", "/data/image/0/c/0/0/0%00.json", "*",
        ):  # fmt: skip
            head, body = await answer(port, request(target))
            assert head.split()[1] in (b"400", b"403", b"404"), target
            assert b"a secret" not in body
            assert b"root:" not in body

    with_server(folder, act)


def test_requests_that_are_too_large_or_no_requests_end_their_own_connection_alone(folder: Path) -> None:
    async def act(port: int) -> None:
        for sent in (
            request(CHUNK, "X-Filler: " + "x" * (1 << 20)),
            request(CHUNK, *(f"X-{n}: {n}" for n in range(20_000))),
            request("/" + "x" * (1 << 20)),
            b"\x00\xff" * 1000 + b"\r\n\r\n",
            request("/state/x", f"Content-Length: {1 << 40}", method="POST"),
            request("/state/x", "Content-Length: -1", method="POST"),
            request(CHUNK, method="DELETE"),
            request(CHUNK, method="PUT"),
        ):
            head, _ = await answer(port, sent)
            assert not head or int(head.split()[1]) in range(400, 500), head[:100]

    with_server(folder, act)


def test_200_readers_at_once_each_get_what_they_asked_for(folder: Path) -> None:
    whole = (folder / "root/image/0/c/0/0/0").read_bytes()
    truth = np.arange(4 * 6 * 8, dtype="<u2").tobytes()

    async def act(port: int) -> None:
        async def one(number: int) -> bool:
            path, expected = ((CHUNK, whole), ("/volumes/ground_truth/0/c/0/0/0", truth))[number % 2]
            head, body = await answer(port, request(path))
            return head.split()[1] == b"200" and body == expected

        assert all(await asyncio.gather(*map(one, range(READERS))))

    with_server(folder, act)


async def hanging(port: int, number: int) -> AsyncIterator[asyncio.StreamWriter]:
    """Clients that send half a request, or a whole one whose answer they never read."""
    for each in range(number):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        sent = request(CHUNK)
        writer.write(sent[: len(sent) // 2] if each % 2 else sent.replace(b"close", b"keep-alive") * 20)
        yield writer


def test_clients_that_hang_keep_no_one_waiting(folder: Path) -> None:
    async def act(port: int) -> None:
        writers = [writer async for writer in hanging(port, 100)]
        client = SimpleAsyncHTTPClient(force_instance=True)
        for path in (CHUNK, "/volumes/ground_truth/0/c/0/0/0", "/state.json"):
            assert (await client.fetch(f"http://127.0.0.1:{port}{path}", request_timeout=20)).code == 200
        for writer in writers:
            writer.close()

    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 300
    with_server(folder, act)
