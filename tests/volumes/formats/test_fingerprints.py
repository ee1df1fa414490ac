"""Fingerprints of inputs: they change with the files, and only with them."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from lchunk.volumes.formats import fingerprints, open_volume
from tests.volumes.formats.arrays import VOXELS


def write_sections(folder: Path) -> str:
    folder.mkdir()
    for number, section in enumerate(VOXELS):
        tifffile.imwrite(folder / f"s{number}.tif", section)
    return str(folder)


def test_small_files_are_known_by_their_content(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VOXELS)
    url = f"{tmp_path}/a.npy"
    before = open_volume(url).fingerprint()
    assert before.startswith(f"a.npy: {os.path.getsize(url)} bytes, sha256 ")
    os.utime(url, (1, 1))
    assert open_volume(url).fingerprint() == before
    np.save(url, 255 - VOXELS)
    assert open_volume(url).fingerprint() != before


def test_large_files_are_known_by_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "SMALL", 1000)
    np.save(tmp_path / "a.npy", VOXELS)
    os.utime(tmp_path / "a.npy", ns=(0, 1_700_000_000_123_456_789))
    volume = open_volume(f"{tmp_path}/a.npy")
    assert volume.fingerprint() == "a.npy: 9008 bytes, written 2023-11-14T22:13:20.123456789Z"
    os.utime(tmp_path / "a.npy", ns=(0, 1_700_000_000_123_456_790))
    assert volume.fingerprint().endswith("790Z")


@pytest.mark.parametrize("small", [1000, 8_000_000])
@pytest.mark.parametrize("change", ["rewritten", "removed", "renamed"])
def test_folders_are_known_by_every_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int, change: str
) -> None:
    monkeypatch.setattr(fingerprints, "SMALL", small)
    volume = open_volume(write_sections(tmp_path / "stack"))
    before = volume.fingerprint()
    assert before.startswith("6 files s0.tif … s5.tif: ")
    section = tmp_path / "stack/s3.tif"
    if change == "rewritten":
        tifffile.imwrite(section, 255 - VOXELS[3])
    elif change == "removed":
        section.unlink()
        assert " without s3.tif: " in volume.fingerprint()
    else:
        section.rename(tmp_path / "stack/s6.tif")
        volume = open_volume(f"{tmp_path}/stack#gaps=close")
    assert volume.fingerprint() != before


def test_zarr_is_known_by_its_metadata_and_few_chunks(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", data=VOXELS, chunks=(4, 20, 20))
    volume = open_volume(f"{tmp_path}/a.zarr")
    seen = {volume.fingerprint()}
    array[0, 0, 0] = 0
    seen.add(volume.fingerprint())
    array.attrs["resolution"] = [40, 4, 4]
    seen.add(volume.fingerprint())
    assert len(seen) == 3


def test_hdf5_rewritten_in_place_is_another(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = VOXELS
    volume = open_volume(f"{tmp_path}/a.h5:/raw")
    before = volume.fingerprint()
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["raw"][0, 0, 0] = 255
    assert volume.fingerprint() != before
