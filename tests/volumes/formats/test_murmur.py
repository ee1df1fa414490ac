"""The hash that selects shards."""

from cloudvolume.datasource.precomputed import mmh3
from hypothesis import given
from hypothesis import strategies as st

from lchunk.volumes.formats.murmur import murmur_hash


@given(st.integers(0, 2**64 - 1))
def test_the_hash_of_shards_is_that_of_cloud_volume(number: int) -> None:
    lower, _ = mmh3.hash64(number.to_bytes(8, "little"), x64arch=False)
    assert murmur_hash(number) == lower % 2**64
