"""Precomputed volumes on a disk, compared with what cloud-volume and tensorstore wrote."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import compresso
import crackle
import numpy as np
import numpy.typing as npt
import pytest
from cloudvolume import CloudVolume
from cloudvolume.datasource.precomputed.common import compressed_morton_code
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.geometry.morton import morton_code
from lchunk.volumes.formats import open_volume
from lchunk.volumes.formats.packed_labels import check_compressed_labels
from lchunk.volumes.formats.precomputed_codecs import decode
from lchunk.volumes.formats.precomputed_scale import Scale
from lchunk.volumes.formats.refusals import RefusedVolumeError
from lchunk.volumes.precomputed import encode_labels
from tests.volumes.formats.arrays import VOXELS, same
from tests.volumes.formats.precomputed_volumes import (
    BOUNDS,
    CHUNK,
    LABELS,
    OFFSET,
    SHARDING,
    SIZE,
    by_tensorstore,
    write_cloud_volume,
    write_tensorstore,
)

PLACE = {"voxel_size": SIZE, "bounds": BOUNDS, "placed": True}
LOSSLESS = [
    *(("raw", dtype) for dtype in ("uint8", "int8", "uint16", "int32", "uint64", "float32")),
    ("png", "uint8"),
    ("png", "uint16"),
    *((kind, dtype) for kind in ("compressed_segmentation", "compresso", "crackle") for dtype in ("uint32", "uint64")),
]


@pytest.mark.parametrize(("encoding", "dtype"), LOSSLESS)
def test_every_encoding_of_cloud_volume(tmp_path: Path, encoding: str, dtype: str) -> None:
    voxels = LABELS if dtype == "uint64" else VOXELS.astype(dtype) * (100 if dtype == "uint16" else 1)
    # cloud-volume writes no PNG of 16 bits
    write = write_tensorstore if (encoding, dtype) == ("png", "uint16") else write_cloud_volume
    url = write(tmp_path / "a", voxels, encoding)
    same(url, voxels, **PLACE)
    same(f"precomputed://file://{url}", voxels, **PLACE)
    same(f"precomputed://{url}", voxels, **PLACE)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("write", [write_cloud_volume, write_tensorstore])
def test_jpeg_is_what_tensorstore_reads(tmp_path: Path, write: Callable[..., str], channels: int) -> None:
    smooth = gaussian_filter(VOXELS.astype(float), 3) * 3
    voxels = np.stack([np.roll(smooth, 9 * number, 2) % 256 for number in range(channels)]).astype(np.uint8)
    url = write(tmp_path / "a", voxels, "jpeg")
    wanted = by_tensorstore(tmp_path / "a")
    assert abs(wanted.astype(int) - voxels).mean() < 20
    same(url, wanted if channels > 1 else wanted[0], **PLACE)


@pytest.mark.parametrize(("channels", "dtype"), [(2, "uint8"), (3, "uint16"), (4, "uint8")])
def test_png_with_channels(tmp_path: Path, channels: int, dtype: str) -> None:
    voxels = np.stack([np.roll(VOXELS.astype(dtype) * (200 if dtype == "uint16" else 1), n) for n in range(channels)])
    same(write_tensorstore(tmp_path / "a", voxels, "png"), voxels, **PLACE)


@pytest.mark.parametrize("compress", ["gzip", "br", "zstd"])
def test_files_that_cloud_volume_packs(tmp_path: Path, compress: str) -> None:
    url = write_cloud_volume(tmp_path / "a", VOXELS, compress=compress)
    assert all(path.suffix == {"gzip": ".gz"}.get(compress, f".{compress}") for path in chunk_files(tmp_path / "a"))
    same(url, VOXELS, **PLACE)


@pytest.mark.parametrize("encoding", ["raw", "compressed_segmentation"])
@pytest.mark.parametrize("data", ["raw", "gzip"])
@pytest.mark.parametrize("index", ["raw", "gzip"])
@pytest.mark.parametrize("hashing", ["identity", "murmurhash3_x86_128"])
def test_shards_of_tensorstore(tmp_path: Path, encoding: str, data: str, index: str, hashing: str) -> None:
    bits: dict[str, Any] = {"data_encoding": data, "minishard_index_encoding": index, "hash": hashing}
    url = write_tensorstore(tmp_path / "a", LABELS, encoding, SHARDING | bits)
    assert len(list((tmp_path / "a/s0").glob("*.shard"))) > 1
    same(url, LABELS, **PLACE)


@pytest.mark.parametrize("bits", [(0, 0, 5), (2, 3, 0), (4, 0, 9)])
def test_shards_of_other_sizes(tmp_path: Path, bits: tuple[int, int, int]) -> None:
    names = ("preshift_bits", "minishard_bits", "shard_bits")
    sharding = SHARDING | dict(zip(names, bits, strict=True))
    same(write_tensorstore(tmp_path / "a", LABELS, "raw", sharding), LABELS, **PLACE)


@given(st.tuples(*[st.integers(1, 9)] * 3), st.data())
def test_chunks_are_numbered_as_cloud_volume_numbers_them(counts: tuple[int, int, int], data: st.DataObject) -> None:
    index = data.draw(st.tuples(*(st.integers(0, count - 1) for count in counts)))
    wanted = compressed_morton_code(np.array(index[::-1]), np.array(counts[::-1]))
    assert morton_code(index, counts) == int(wanted)


def test_channels_come_first_and_one_can_be_picked(tmp_path: Path) -> None:
    voxels = np.stack([VOXELS, 255 - VOXELS, VOXELS // 2])
    url = write_cloud_volume(tmp_path / "a", voxels)
    same(url, voxels, **PLACE)
    same(f"{url}#channel=1", voxels[1], **PLACE)


def test_mips_are_counted_from_the_finest(tmp_path: Path) -> None:
    url = write_cloud_volume(tmp_path / "a", VOXELS, max_mip=1)
    volume = CloudVolume(f"file://{url}", mip=1, compress=False, progress=False)
    half = VOXELS[:, 20:, 18:]
    assert half.shape == tuple(volume.shape[2::-1])
    volume[...] = np.ascontiguousarray(half.transpose())
    same(f"{url}#mip=0", VOXELS, **PLACE)
    found = same(f"{url}#mip=1", half, voxel_size=(40, 9, 8), placed=True)
    assert found.bounds.start == (-10, 1, 35)
    with pytest.raises(
        ValueError,
        match=r"mips of .*, 2, got 2; its mips are \(x, y, z\) 0: \[37, 40, 6\] of",
    ):
        open_volume(f"{url}#mip=2")


def test_what_the_url_says_counts_more(tmp_path: Path) -> None:
    url = write_cloud_volume(tmp_path / "a", VOXELS)
    same(f"{url}#voxel_size=1,2,3#offset=7,8,9", VOXELS, voxel_size=(1, 2, 3), bounds=Bbox.of((7, 8, 9), VOXELS.shape))
    with pytest.raises(ValueError, match="gaps must be left out"):
        open_volume(f"{url}#gaps=close")


def chunk_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in ("info", "provenance"))


@pytest.mark.parametrize("sharded", [False, True])
def test_an_absent_chunk_is_an_error_that_names_it_unless_told(tmp_path: Path, sharded: bool) -> None:
    url = write_tensorstore(tmp_path / "a", LABELS, "compressed_segmentation", SHARDING if sharded else None)
    gone = chunk_files(tmp_path / "a")[0]
    gone.unlink()
    volume = open_volume(url)
    with pytest.raises(FileNotFoundError, match=r"a must have every chunk, got none at \S+/\d+-\d+_\d+-\d+_-\d+--\d+;"):
        volume.read(BOUNDS)
    filled = open_volume(f"{url}#fill_missing=yes").read(BOUNDS)
    assert np.array_equal(filled, volume.read(BOUNDS, fill_missing=True))
    assert 0 < (filled == 0).sum() < filled.size
    assert np.array_equal(filled[filled > 0], LABELS[filled > 0])


def test_a_volume_without_any_chunk_is_an_error_unless_told(tmp_path: Path) -> None:
    url = write_cloud_volume(tmp_path / "a", VOXELS)
    for path in chunk_files(tmp_path / "a"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="must have every chunk"):
        open_volume(url).read(BOUNDS)
    assert not open_volume(f"{url}#fill_missing=yes").read(BOUNDS).any()


UNSEEN = [
    ("png", False, "one more byte"),
    ("png", False, "all but a byte"),
    ("jpeg", False, "one more byte"),
    ("raw", "br", "one more byte"),
]


@pytest.mark.parametrize("left", ["nothing", "half", "all but a byte", "one more byte"])
@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        *((kind, False) for kind in ("raw", "png", "jpeg", "compressed_segmentation", "compresso", "crackle")),
        *(("raw", kind) for kind in ("gzip", "br", "zstd")),
    ],
)
def test_a_torn_chunk_is_an_error_that_names_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], encoding: str, compress: Any, left: str
) -> None:
    voxels = LABELS if encoding.startswith("c") else VOXELS
    url = write_cloud_volume(tmp_path / "a", voxels, encoding, compress=compress)
    wanted = open_volume(url).read(BOUNDS)
    torn = chunk_files(tmp_path / "a")[3]
    body = torn.read_bytes()
    lengths = {"nothing": 0, "half": len(body) // 2, "all but a byte": len(body) - 1}
    torn.write_bytes(body[: lengths[left]] if left in lengths else body + b"x")
    capfd.readouterr()
    volume = open_volume(f"{url}#fill_missing=yes")
    # some encodings say where they end, and the last byte of some says nothing
    if (encoding, compress, left) in UNSEEN:
        assert np.array_equal(volume.read(BOUNDS), wanted)
    else:
        with pytest.raises(ValueError, match=rf"^{torn} must be a whole .*; copy it again$"):
            volume.read(BOUNDS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("shape", [(4, 16, 16), (2, 5, 9), (9, 17, 8)])
def test_no_length_of_packed_labels_leads_the_decoder_astray(shape: tuple[int, int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 2**60, shape).astype(np.uint64)
    labels[: shape[0] // 2] = 7
    body = encode_labels(labels)
    check_compressed_labels(body, (1, *shape), (8, 8, 8), 8)
    for length in range(len(body)):
        with pytest.raises(ValueError, match=r"^(it|its|a table) .*(end|word|multiple of 4)"):
            check_compressed_labels(body[:length], (1, *shape), (8, 8, 8), 8)


def test_no_flipped_bit_of_packed_labels_leads_the_decoder_astray(tmp_path: Path) -> None:
    url = write_cloud_volume(tmp_path / "a", LABELS, "compressed_segmentation")
    file = chunk_files(tmp_path / "a")[0]
    body, dice = file.read_bytes(), np.random.default_rng(1)
    for place in (*range(0, 160), *dice.integers(0, 8 * len(body), 100).tolist()):
        flipped = bytearray(body)
        flipped[place // 8] ^= 1 << place % 8
        file.write_bytes(flipped)
        with contextlib.suppress(RefusedVolumeError):
            assert open_volume(url).read(BOUNDS).shape == LABELS.shape


def flipped_bits(body: bytes, places: range) -> Iterator[bytes]:
    for place in places:
        flipped = bytearray(body)
        flipped[place // 8] ^= 1 << place % 8
        yield bytes(flipped)


def scale_of(labels: npt.NDArray[Any], encoding: str) -> Scale:
    grid = Grid(Bbox((0, 0, 0), labels.shape), labels.shape)
    return Scale("s0", grid, SIZE, labels.dtype, 1, encoding, (8, 8, 8), None)


def one_chunk(encoding: str) -> tuple[npt.NDArray[np.uint64], Scale]:
    labels = np.random.default_rng(0).integers(0, 5, (2, 4, 4)).repeat(4, 1).repeat(4, 2).astype(np.uint64) + 2**40
    return labels, scale_of(labels, encoding)


@pytest.mark.parametrize("labels", [np.ones((16, 64, 192), np.uint8), VOXELS[:2, :9, :12].astype(np.uint32)])
@pytest.mark.parametrize("pack", [compresso.compress, crackle.compress])
def test_no_length_of_compresso_or_crackle_leads_the_decoder_astray(
    labels: npt.NDArray[Any], pack: Callable[..., bytes]
) -> None:
    scale = scale_of(labels, pack.__module__.partition(".")[0])
    body = pack(np.asfortranarray(labels.T))
    assert np.array_equal(decode(body, (1, *labels.shape), scale)[0], labels)
    for length in range(len(body)):
        with pytest.raises(Exception, match=r"."):
            decode(body[:length], (1, *labels.shape), scale)


def test_a_flipped_bit_in_what_crackle_has_a_checksum_of_is_an_error() -> None:
    labels, scale = one_chunk("crackle")
    body = crackle.compress(np.asfortranarray(labels.T))
    assert np.array_equal(decode(body, (1, *labels.shape), scale)[0], labels)
    head = crackle.codec.header(body)
    end = head.header_bytes + head.grid_index_bytes + head.num_label_bytes
    for flipped in flipped_bits(body, range(8 * 5, 8 * end)):
        with pytest.raises(Exception, match=r"CRC|crc32c|checksum|header says"):
            decode(flipped, (1, *labels.shape), scale)


def test_a_flipped_bit_in_a_header_of_compresso_does_not_end_the_process() -> None:
    labels, scale = one_chunk("compresso")
    body = compresso.compress(np.asfortranarray(labels.T))
    assert np.array_equal(decode(body, (1, *labels.shape), scale)[0], labels)
    errors = 0
    for flipped in flipped_bits(body, range(8 * 36)):
        try:
            assert decode(flipped, (1, *labels.shape), scale).shape == (1, *labels.shape)
        except (ValueError, compresso.DecodeError, TypeError):
            errors += 1
    assert errors > 200


@pytest.mark.parametrize("left", [0, 8, 30, 40, 0.5, -1])
def test_a_torn_shard_is_an_error_that_names_it(tmp_path: Path, left: float) -> None:
    url = write_tensorstore(tmp_path / "a", LABELS, "raw", SHARDING)
    torn = chunk_files(tmp_path / "a")[1]
    body = torn.read_bytes()
    torn.write_bytes(body[: int(left * len(body))] if left == 0.5 else body[: int(left)])
    with pytest.raises(ValueError, match=rf"^{torn} must .*; copy it again$"):
        open_volume(f"{url}#fill_missing=yes").read(BOUNDS)


def changed_info(folder: Path, **changes: Any) -> None:
    info = json.loads((folder / "info").read_text())
    (folder / "info").write_text(json.dumps(info | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"@type": "neuroglancer_legacy_mesh"}, "must describe a volume, got neuroglancer_legacy_mesh"),
        ({"scales": []}, "must describe a volume, got neuroglancer|must describe a volume, got one without scales"),
        ({"redirect": "gs://b/other"}, "must be the volume itself, got a redirect; open precomputed://gs://b/other"),
        ({"app": {"supported_api_versions": [1]}}, "must be a precomputed volume, got a graphene one"),
        ({"data_type": "complex64"}, "the type of .* must be one of uint8, .* got complex64"),
        ({"num_channels": 0}, "must have voxels along each axis .* and 0 channels"),
    ],
)
def test_an_info_of_something_else_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    url = write_cloud_volume(tmp_path / "a", VOXELS)
    changed_info(tmp_path / "a", **changes)
    with pytest.raises(ValueError, match=message):
        open_volume(url)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoding": "webp"}, "the encoding of .* must be one of raw, .* got webp"),
        ({"resolution": [4, 0, 40]}, "must be above 0 on every axis"),
        ({"voxel_offset": [0, 0.5, 0]}, "must be a whole number of voxels"),
        ({"sharding": {"@type": "other", "hash": "identity"}}, "must be neuroglancer_uint64_sharded_v1, .* got other"),
        ({"sharding": {"@type": "neuroglancer_uint64_sharded_v1", "hash": "identity"}}, "must be a whole info"),
        ({"size": [37, 40]}, "must be a whole info of a precomputed volume"),
        ({"chunk_sizes": [[16, 0, 4]]}, "must have voxels along each axis"),
    ],
)
def test_a_scale_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    url = write_cloud_volume(tmp_path / "a", VOXELS)
    (scale,) = json.loads((tmp_path / "a/info").read_text())["scales"]
    changed_info(tmp_path / "a", scales=[scale | changes])
    with pytest.raises(ValueError, match=message):
        open_volume(url)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"image must be an existing folder, got precomputed://.*/gone"):
        open_volume(f"precomputed://{tmp_path}/gone")
    with pytest.raises(FileNotFoundError, match="with an info file, got none"):
        open_volume(f"precomputed://{tmp_path}")
    (tmp_path / "info").write_text("{")
    with pytest.raises(ValueError, match="info must be a JSON object"):
        open_volume(str(tmp_path))


@pytest.mark.parametrize("url", ["graphene://https://a.org/x", "precomputed://graphene://https://a.org/x"])
def test_graphene_is_refused_with_the_reason(url: str) -> None:
    with pytest.raises(ValueError, match="a graphene volume changes while people edit it"):
        open_volume(url)


def test_a_package_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = write_cloud_volume(tmp_path / "a", LABELS, "crackle")
    monkeypatch.setitem(sys.modules, "crackle", None)
    way_out = r"^to read crackle, crackle must be installed, and is not: pip install 'lchunk\[precomputed\]'$"
    with pytest.raises(ImportError, match=way_out):
        open_volume(url)


def test_the_fingerprint_changes_with_the_info_and_with_few_chunks(tmp_path: Path) -> None:
    url = write_cloud_volume(tmp_path / "a", VOXELS, compress="gzip")
    volume = open_volume(url)
    seen = {volume.fingerprint()}
    assert open_volume(url).fingerprint() in seen
    file = chunk_files(tmp_path / "a")[0]
    shutil.copy(chunk_files(tmp_path / "a")[1], file)
    seen.add(volume.fingerprint())
    file.unlink()
    seen.add(volume.fingerprint())
    changed_info(tmp_path / "a", type="segmentation")
    seen.add(open_volume(url).fingerprint())
    assert len(seen) == 4
    with pytest.raises(ValueError, match=r"info must not change while it is read"):
        volume.read(BOUNDS)


def test_a_box_reads_only_the_chunks_that_it_touches(tmp_path: Path) -> None:
    url = write_cloud_volume(tmp_path / "a", VOXELS)
    for path in chunk_files(tmp_path / "a"):
        if not path.name.endswith("_3-19_-10--6"):
            path.unlink()
    box = Bbox.of(OFFSET, (CHUNK[0], CHUNK[1], 20))
    assert np.array_equal(open_volume(url).read(box), VOXELS[:4, :16, :20])
