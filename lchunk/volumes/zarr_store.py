"""A store as zarr sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.abc.store import Store as ZarrAbstractStore
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from lchunk.volumes.store import Store


class ZarrStore(ZarrAbstractStore):
    """The folder `prefix` of a store, from which zarr only reads."""

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, store: Store, prefix: str) -> None:
        super().__init__(read_only=True)
        self.store = store
        self.prefix = prefix

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZarrStore) and (self.store.url, self.prefix) == (other.store.url, other.prefix)

    def __hash__(self) -> int:
        return hash((self.store.url, self.prefix))

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        start, stop = _limits(byte_range)
        try:
            body = await asyncio.to_thread(self.store.get, self._key(key), start, stop)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(body)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self.store.exists, self._key(key))

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()

    async def delete(self, key: str) -> None:
        self._check_writable()

    async def list(self) -> AsyncIterator[str]:
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        cut = len(self.prefix) + 1 if self.prefix else 0
        for key in self.store.list(self._key(prefix).rstrip("/")):
            yield key[cut:]

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        folder = f"{prefix.rstrip('/')}/" if prefix else ""
        names = {key[len(folder) :].split("/")[0] async for key in self.list_prefix(folder)}
        for name in sorted(names):
            yield name


def _limits(byte_range: ByteRequest | None) -> tuple[int, int | None]:
    match byte_range:
        case None:
            return 0, None
        case RangeByteRequest(start, end):
            return start, end
        case OffsetByteRequest(offset):
            return offset, None
        case SuffixByteRequest(suffix):
            return -suffix, None
        case _:
            raise TypeError(f"a byte range must be one of zarr's, got {byte_range!r}")
