"""JSON objects in a store: metadata that other programs read, and lchunk's own documents with a checksum."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from lchunk.volumes.checksum import checksum, refuse_damaged
from lchunk.volumes.store import Store

CHECKSUM = "crc32c"
"""Key of an object's checksum, which is that of the object without this key, as `_canonical` writes it."""

Document = dict[str, Any] | list[dict[str, Any]]
"""A JSON object, or a list of them."""


def encode_json(content: Any) -> bytes:
    """The bytes of a JSON document, indented for people.

    Args:
        content: anything that `json.dumps` takes; None stands for a number that does not exist.

    Raises:
        ValueError: a number is infinite or NaN, which JSON cannot express.
    """
    try:
        return json.dumps(content, indent=1, allow_nan=False).encode()
    except ValueError:
        for place, number in _not_finite(content, ""):
            raise ValueError(
                f"a JSON document must hold finite numbers, got {number} at {place or 'its top level'}; "
                "write None where there is no number"
            ) from None
        raise


def parse_json(body: bytes | str, name: str) -> Any:
    """The content of a JSON document.

    Args:
        body: its bytes.
        name: its name in messages, such as its URL.

    Raises:
        ValueError: it is not JSON, or has a number that is not finite.
    """

    def refuse(number: str) -> NoReturn:
        raise ValueError(f"it holds {number}")

    try:
        return json.loads(body, parse_constant=refuse)
    except ValueError as error:
        raise ValueError(
            f"{name} must be JSON with finite numbers, but {error}; remove it and run its stage again"
        ) from error


def read_json(store: Store, key: str) -> dict[str, Any] | None:
    """Read a JSON object from a store; None where there is no such file.

    Raises:
        ValueError: the file is not a JSON object.
    """
    try:
        body = store.get(key)
    except (FileNotFoundError, NotADirectoryError):
        return None
    document = parse_json(body, f"{store.url}/{key}")
    if not isinstance(document, dict):
        raise ValueError(f"{store.url}/{key} must be a JSON object, got {type(document).__name__}")
    return document


def encode_document(content: Document) -> bytes:
    """The bytes of a document with its checksum; in a list, each object has its own.

    >>> decode_document(encode_document({"voi": 1.5}))
    {'voi': 1.5}
    """
    plain = json.loads(encode_json(content))  # as it will be read: keys are text, tuples are lists
    if isinstance(plain, list):
        return encode_json([_signed(row) for row in plain])
    return encode_json(_signed(plain))


def decode_document(body: bytes) -> Document:
    """The content of a document.

    Raises:
        ValueError: it is not such a document.
        ChecksumError: it differs from what was written.
    """
    content = json.loads(body)
    return [_checked(row) for row in content] if isinstance(content, list) else _checked(content)


def _signed(row: dict[str, Any]) -> dict[str, Any]:
    return row | {CHECKSUM: f"{checksum(_canonical(row)):08x}"}


def _checked(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict) or CHECKSUM not in row:
        raise ValueError(f"a document must be a JSON object with a {CHECKSUM}, got {str(row)[:60]!r}")
    content = {name: value for name, value in row.items() if name != CHECKSUM}
    refuse_damaged(_canonical(content), int(str(row[CHECKSUM]), 16))
    return content


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def create_document(store: Store, key: str, content: dict[str, Any]) -> dict[str, Any]:
    """Write a JSON object unless another writer was first. Returns the object that the file then holds."""
    there = read_json(store, key)
    if there is not None:
        return there
    if store.create(key, encode_json(content)):
        return content
    return read_json(store, key) or {}


def _not_finite(content: Any, place: str) -> Iterator[tuple[str, float]]:
    """Numbers that JSON cannot express, each with the keys that lead to it."""
    if isinstance(content, float) and not math.isfinite(content):
        yield place, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _not_finite(value, f"{place}/{key}")
    elif isinstance(content, list | tuple):
        for number, value in enumerate(content):
            yield from _not_finite(value, f"{place}/{number}")


def read_document(store: Store, key: str) -> Any:
    """A document of a store.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged.
    """
    try:
        return decode_document(store.get(key))
    except ValueError as error:
        raise ValueError(
            f"{store.url}/{key} must be a whole document, but {error}; remove it and run its stage again"
        ) from error
