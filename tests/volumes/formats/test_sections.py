"""Folders of sections: their order, gaps and kinds."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats import open_volume
from lchunk.volumes.formats.section_names import ordered
from tests.volumes.formats.arrays import VOXELS, read_whole, same


def order(names: Sequence[str], **options: str) -> list[str | None]:
    return list(ordered(names, "folder", **options).names)


@pytest.mark.parametrize(
    "names",
    [
        [f"s{n}.tif" for n in range(1, 13)],
        [f"s{n:03d}.tif" for n in range(7, 19)],
        ["a.tif", "b.tif", "c.tif"],
        ["only.tif"],
        [f"cell2_run7_z{n}.tif" for n in range(9, 12)],
        [f"slice_{n:05d}_z={n * 0.008:.4f}um.tif" for n in range(12)],
        [f"z{n * 40:06d}nm.tif" for n in range(12)],
        [f"z{n}um.tif" for n in (3, 7, 11, 20)],
        [f"img_2019-03-04_12-{30 + n // 4:02d}-{n % 4 * 15 + 1:02d}.tif" for n in range(12)],
        [f"20190304_{123005 + 47 * n}.tif" for n in range(1, 2)],
        ["20190304_123005.tif", "20190304_123052.tif", "20190304_123140.tif", "20190305_000001.tif"],
        [f"2019-03-04T12h0{n}m10s_{n:04d}.tif" for n in range(5)],
        [f"s{n:04d}_dose{n * n + 3}.tif" for n in range(5)],
    ],
    ids=lambda names: names[-1],
)
def test_sections_that_follow_each_other_are_sorted_by_their_numbers(names: list[str]) -> None:
    shuffled = list(np.random.default_rng(0).permutation(names))
    assert order(shuffled) == names


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["s1.tif", "s1.tiff", "s2.tif"], r"must be one file, got s1\.tif and s1\.tiff"),
        (["s1.tif", "S01.tif"], r"must be one file"),
        (["s1_c0.tif", "s1_c1.tif", "s2_c0.tif", "s2_c1.tif"], r"channels or tiles"),
        (["s1_r1.tif", "s2_r1.tif", "s3_r2.tif", "s4_r2.tif"], r"number 2 the same in several: s1_r1\.tif, s2_r1\.tif"),
        (["01_02_03.tif", "01_02_04.tif", "01_03_03.tif"], r"channels or tiles"),
        (["s1_red.tif", "s1_green.tif", "s2_red.tif"], r"the same in several|must count the sections"),
        (["a2.tif", "b1.tif"], r"got two: by name a2\.tif, b1\.tif, by number 1 of the name b1\.tif, a2\.tif"),
        (["s1_3.tif", "s2_2.tif", "s3_1.tif"], r"got two: .*#order=name or #order=2"),
        (["s1_z9.0um.tif", "s2_z8.0um.tif"], r"got two: .*by the height in the name s2_z8"),
        (["s1.tif", "s2.tif", "overview.tif"], r"must have one form, got overview\.tif and s1\.tif"),
    ],
)
def test_orders_that_are_ambiguous_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        order(names)


@pytest.mark.parametrize("numbers", [[7, 8, 10, 11], [0, 2, 4], [1, 2, 3, 5000]])
def test_gaps_are_errors_that_a_person_can_overrule(numbers: list[int]) -> None:
    names = [f"s{n}.tif" for n in numbers]
    with pytest.raises(FileNotFoundError, match=r"without a gap, got none with number .*#gaps=black .*#gaps=close"):
        order(names)
    assert order(names, gaps="close") == names
    if numbers[-1] < 100:
        black = order(names, gaps="black")
        assert len(black) == numbers[-1] - numbers[0] + 1
        assert [name for name in black if name] == names
    else:
        with pytest.raises(ValueError, match="more than a hundredth"):
            order(names, gaps="black")


def test_a_person_can_choose_the_order() -> None:
    names = ["a2.tif", "b1.tif", "c3.tif"]
    assert order(names, order="name") == names
    assert order(names, order="1") == ["b1.tif", "a2.tif", "c3.tif"]


def write(folder: Path, suffix: str = ".tif", numbers: Sequence[int] = range(1, 7)) -> str:
    folder.mkdir()
    for number, section in zip(numbers, VOXELS, strict=False):
        if suffix == ".tif":
            tifffile.imwrite(folder / f"s{number}{suffix}", section, compression="zlib")
        else:
            Image.fromarray(section).save(folder / f"s{number}{suffix}")
    return str(folder)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_folders_with_what_systems_leave_there(tmp_path: Path, suffix: str) -> None:
    url = write(tmp_path / "stack", suffix, range(8, 14))
    for stray in (".DS_Store", f"._s8{suffix}", "Thumbs.db", "desktop.ini", "notes.txt", f".hidden{suffix}"):
        (tmp_path / "stack" / stray).write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "stack" / f"s14{suffix}").mkdir()
    same(url, VOXELS)


def test_jpeg_sections_read_as_pillow_reads_them(tmp_path: Path) -> None:
    url = write(tmp_path / "stack", ".jpg")
    same(url, np.stack([np.asarray(Image.open(tmp_path / f"stack/s{n}.jpg")) for n in range(1, 7)]))
    same(f"{url}/s1.jpg", np.asarray(Image.open(f"{url}/s1.jpg"))[None])


def test_png_of_16_bits_and_truth_values(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "bits").mkdir()
    for number, section in enumerate(VOXELS):
        Image.fromarray(section.astype(np.uint16) * 257).save(tmp_path / f"deep/{number}.png")
        Image.fromarray(section > 128).save(tmp_path / f"bits/{number}.png")
    same(f"{tmp_path}/deep", VOXELS.astype(np.uint16) * 257)
    same(f"{tmp_path}/bits", VOXELS > 128)


def test_palettes_of_png(tmp_path: Path) -> None:
    picture = Image.fromarray(VOXELS[0] % 8).convert("P")
    picture.putpalette([value for n in range(8) for value in (200 - n, 200 - n, 200 - n)])
    picture.save(tmp_path / "grey.png")
    same(f"{tmp_path}/grey.png", (200 - VOXELS[:1] % 8).astype(np.uint8))
    picture.putpalette([value for n in range(8) for value in (n, 7, 200 - n)])
    picture.save(tmp_path / "colours.png")
    with pytest.raises(ValueError, match="must be grey, got colours"):
        open_volume(f"{tmp_path}/colours.png")
    same(f"{tmp_path}/colours.png#palette=indices", VOXELS[:1] % 8)


def test_gaps_read_as_black_sections(tmp_path: Path) -> None:
    url = write(tmp_path / "stack", ".png", [1, 2, 5, 6, 7, 8])
    wanted = np.insert(VOXELS, [2, 2], 0, axis=0)
    same(f"{url}#gaps=black", wanted)
    same(f"{url}#gaps=close", VOXELS)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("empty", r"s3"),
        ("half", r"s3"),
        ("other shape", r"every section .* must be \(40, 37\).*got \(20, 37\) uint8 in s3"),
        ("colours", r"s3\S* must be grey, got"),
        ("text", r"s3"),
    ],
)
def test_a_section_that_is_wrong_is_named_before_work(tmp_path: Path, suffix: str, what: str, message: str) -> None:
    url = write(tmp_path / "stack", suffix)
    path = tmp_path / "stack" / f"s3{suffix}"
    body = path.read_bytes()
    if what in ("empty", "half", "text"):
        path.write_bytes({"empty": b"", "half": body[: len(body) // 2], "text": b"no picture at all" * 9}[what])
    else:
        picture = VOXELS[0, :20] if what == "other shape" else np.repeat(VOXELS[0, ..., None], 3, -1)
        Image.fromarray(picture).save(path)
    with pytest.raises(ValueError, match=message) as raised:
        read_whole(url)
    assert re.search(r"must .*, got .*; ", str(raised.value), re.DOTALL)


def test_a_deeper_section_is_refused_without_a_cast(tmp_path: Path) -> None:
    url = write(tmp_path / "stack")
    tifffile.imwrite(tmp_path / "stack/s3.tif", VOXELS[2].astype(np.uint16) * 257)
    with pytest.raises(ValueError, match=r"uint8 as s1\.tif, got \(40, 37\) uint16 in s3\.tif"):
        open_volume(url).inspect()
    with pytest.raises(ValueError, match=r"got \(40, 37\) uint16 in s3\.tif"):
        open_volume(url).read(Bbox((2, 0, 0), (3, 4, 4)))


def test_a_stack_among_sections_is_refused(tmp_path: Path) -> None:
    url = write(tmp_path / "stack")
    tifffile.imwrite(tmp_path / "stack/s3.tif", VOXELS)
    with pytest.raises(ValueError, match=r"must hold one section, got .*s3\.tif"):
        open_volume(url).inspect()


def test_two_kinds_of_files_are_refused(tmp_path: Path) -> None:
    url = write(tmp_path / "stack")
    Image.fromarray(VOXELS[0]).save(tmp_path / "stack/s7.png")
    with pytest.raises(ValueError, match="one kind, got TIFF and PNG"):
        open_volume(url)


def test_a_section_that_vanishes_is_an_error_or_black(tmp_path: Path) -> None:
    url = write(tmp_path / "stack")
    volume = open_volume(url)
    (tmp_path / "stack/s4.tif").unlink()
    with pytest.raises(FileNotFoundError, match=r"got none at s4\.tif"):
        volume.read(volume.bounds)
    found = volume.read(volume.bounds, fill_missing=True)
    assert not found[3].any()
    assert np.array_equal(found[4:], VOXELS[4:])
