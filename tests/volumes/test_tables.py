"""The format of tables: every column comes back, damage is an error, equal contents are equal bytes."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lchunk.volumes import packing
from lchunk.volumes.checksum import checksum
from lchunk.volumes.tables import TABLE

WHOLE = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
DTYPES = (*WHOLE, "?", "f4", "f8", ">u4", ">i8")
SMALL = {"ids": np.array([3, 70, 900, 901], np.uint64), "mean": np.array([0.5, np.inf], np.float32)}


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def read(body: bytes) -> dict[str, np.ndarray]:
    table = TABLE.decode(io.BytesIO(body))
    return {name: table[name] for name in table}


@st.composite
def columns(draw: st.DrawFn) -> np.ndarray:
    """Any shape, any values, also the least and the largest of the type; some ascending."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    column = draw(arrays.arrays(dtype, arrays.array_shapes(max_dims=3, min_side=0, max_side=6)))
    if dtype.kind in "iu" and column.size and draw(st.booleans()):
        column.flat[0], column.flat[-1] = np.iinfo(dtype).min, np.iinfo(dtype).max
    return np.sort(column, axis=-1) if column.size and draw(st.booleans()) else column


@given(columns(), st.sampled_from([1, packing.MANY]))
def test_every_column_comes_back(column: np.ndarray, many: int) -> None:
    before = packing.MANY
    packing.MANY = many
    try:
        body = TABLE.encode({"a": column, "b": column[::-1]})
    finally:
        packing.MANY = before
    table = read(body)
    assert same(table["a"], column)
    assert same(table["b"], column[::-1])


@pytest.mark.parametrize("dtype", WHOLE)
def test_long_columns_come_back(dtype: str) -> None:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    column = rng.integers(info.min, info.max, 3 * packing.MANY, dtype, endpoint=True)
    late = np.sort(column)
    late[5000], late[5001] = late[5001], late[5000]  # beyond the part that tells most columns that do not ascend
    for values in (column, np.sort(column), np.sort(column)[::-1], late, np.full(packing.MANY, info.min, dtype)):
        assert same(read(TABLE.encode({"a": values}))["a"], values)


def test_numbers_cost_what_they_differ_by() -> None:
    steps = np.random.default_rng(0).integers(0, 200, 20_000)
    far = {"ids": np.cumsum(steps) + 2**60, "counts": steps + 2**60, "signed": steps - 100}
    assert len(TABLE.encode(far)) < 3 * 20_000 * 1.03


def test_equal_contents_are_equal_bytes() -> None:
    column = np.arange(40_000, dtype=np.int64).reshape(200, 200) * 77 % 1000
    views = column.copy(), np.asfortranarray(column), np.repeat(column, 2, axis=1)[:, ::2]
    assert {TABLE.encode({"a": view}) for view in views} == {TABLE.encode({"a": column})}


def test_a_flipped_bit_anywhere_is_an_error() -> None:
    body = TABLE.encode(SMALL)
    for place in range(len(body)):
        for bit in range(8):
            torn = bytearray(body)
            torn[place] ^= 1 << bit
            with pytest.raises(ValueError):  # noqa: PT011 - whatever the damage
                read(bytes(torn))


def test_a_short_file_is_an_error() -> None:
    body = TABLE.encode(SMALL)
    for length in range(len(body)):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever is absent
            read(body[:length])


def with_header(body: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A table's file with another header, whose checksum is right."""
    _, length, _ = struct.unpack_from("<8sII", body)
    kinds = json.loads(body[16 : 16 + length])
    change(kinds)
    header = json.dumps(kinds).encode()
    return struct.pack("<8sII", body[:8], len(header), checksum(header)) + header + body[16 + length :]


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [5]}, {"shape": [3]}, {"frames": [1, 2]}, {"frames": []}, {"frames": [10**6]}, {"bytes": 4},
        {"bytes": 1}, {"bytes": 3}, {"bytes": 8, "dtype": "<u4"}, {"dtype": "<u1"},
    ],
)  # fmt: skip
def test_columns_that_are_not_what_the_file_says_are_refused(change: dict[str, Any]) -> None:
    body = with_header(TABLE.encode(SMALL), lambda kinds: kinds["ids"].update(change))
    table = TABLE.decode(io.BytesIO(body))
    assert same(table["mean"], SMALL["mean"])
    with pytest.raises(ValueError, match=r"must be a whole \.table file"):
        table["ids"]


def test_one_column_is_read_without_the_others() -> None:
    class Noting(io.BytesIO):
        read_bytes = 0

        def read(self, size: int | None = -1) -> bytes:
            body = super().read(size)
            self.read_bytes += len(body)
            return body

    many = {f"c{n}": np.random.default_rng(n).integers(0, 2**60, 1000) for n in range(20)}
    file = Noting(TABLE.encode(many))
    assert same(TABLE.decode(file)["c7"], many["c7"])
    assert file.read_bytes < len(file.getvalue()) / 5
