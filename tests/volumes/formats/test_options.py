"""The options of a URL after `#`, paths with special characters, and the intensities of a volume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lchunk.volumes.formats import open_volume
from lchunk.volumes.formats.intensity import percentiles
from lchunk.volumes.formats.pieces import Pieces
from tests.volumes.formats.arrays import VOXELS, same


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("#chanel=0", "must be one of channel, t, .* got chanel"),
        ("#channel=-1", "channel must be a position from 0, got '-1'"),
        ("#channel=0", "channel must be left out where .* has no channels"),
        ("#t=0", "t must be left out where .* has no time axis"),
        ("#t=0#t=1", "must be given once, got t twice"),
        ("#axes=zyxx", "axes must be one letter for each axis, all different"),
        ("#axes=zy", "axes must name each of the 3 axes"),
        ("#axes=zyq", "must have the axes z, y and x once each"),
        ("#voxel_size=40,4", "voxel_size must be three numbers above 0"),
        ("#voxel_size=40,0,4", "voxel_size must be three numbers above 0"),
        ("#voxel_size=40,nan,4", "voxel_size must be three numbers above 0"),
        ("#offset=1.5,0,0", "offset must be three whole numbers"),
        ("#order=size", "order must be name, or which number"),
        ("#gaps=fill", "gaps must be close or black"),
        ("#mip=1", "mip must be left out for this format"),
        ("#mip=-1", "mip must be a level from 0, the finest, got '-1'"),
        ("#order=name", "order must be left out for this format"),
        ("#gaps=close", "gaps must be left out for this format"),
        ("#palette=indices", "palette must be left out for this format"),
        ("#fill_missing=maybe", "fill_missing must be yes or no"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: str, message: str) -> None:
    np.save(tmp_path / "a.npy", VOXELS)
    with pytest.raises(ValueError, match=message):
        open_volume(f"{tmp_path}/a.npy{options}")


@pytest.mark.parametrize("folder", ["with space", "ümläut 神経", "a#b", "a#t=1", "a%20b", "a?b", "a:b", "a[1]*"])
def test_paths_with_strange_letters(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    np.save(tmp_path / folder / "a.npy", VOXELS)
    same(f"{tmp_path}/{folder}/a.npy", VOXELS)
    same(f"{tmp_path}/{folder}/a.npy#voxel_size=40,4,4", VOXELS, voxel_size=(40, 4, 4))


def test_file_urls_are_decoded(tmp_path: Path) -> None:
    np.save(tmp_path / "a b.npy", VOXELS)
    same(f"file://{tmp_path}/a%20b.npy#offset=1,2,3", VOXELS, placed=True)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint64", "float16", "float32", "float64"]
)
def test_percentiles_are_exact(tmp_path: Path, dtype: str) -> None:
    kind = np.dtype(dtype)
    draw = np.random.default_rng(3)
    voxels: np.ndarray[Any, Any] = draw.normal(0 if kind.kind != "u" else 90, 30, (9, 70, 33)).clip(
        *((0, 250) if kind.kind == "u" else (-120, 120))
    )
    if kind.itemsize > 2:
        voxels = voxels * 1000
    voxels = voxels.astype(kind)
    np.save(tmp_path / "a.npy", voxels)
    shares = [0, 0.1, 1, 25, 50, 99.9, 100]
    found = percentiles(open_volume(f"{tmp_path}/a.npy"), shares)
    wanted = np.percentile(voxels.ravel(), shares, method="inverted_cdf")
    assert np.array_equal(found, wanted.astype(float))


def test_pieces_are_kept_up_to_their_bytes() -> None:
    pieces, decoded = Pieces(most_bytes=1000), []

    def piece(key: int, size: int = 100) -> None:
        def decode() -> np.ndarray:
            decoded.append(key)
            return np.full(size, key, np.uint8)

        assert pieces.get(key, decode)[0] == key

    for _ in range(20):
        for key in range(9):
            piece(key)
    assert decoded == list(range(9))
    decoded.clear()
    for _ in range(20):
        for key in range(20):
            piece(key)
    # twice as many as fit: a share is found, whatever the order
    assert 200 <= len(decoded) <= 360
    assert pieces._bytes == 1000 == sum(kept.nbytes for kept in pieces._kept.values())
    piece(100, 900)
    assert 100 not in pieces._kept
