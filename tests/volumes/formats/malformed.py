"""Malformed volumes, made from a seed: truncated, with flipped bits, emptied, swapped, of another kind.

    python -m tests.volumes.formats.malformed COUNT [SEED]

tries many of them, and prints those that were neither refused well nor read as another program reads them.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nrrd
import numpy as np
import numpy.typing as npt
import tensorstore
import tifffile
import zarr
from PIL import Image

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats import open_volume

Voxels = npt.NDArray[Any]
Reader = Callable[[], Voxels]


@dataclass(frozen=True)
class Written:
    """A volume, and its voxels as another program reads them."""

    url: str
    read: Reader


def _tiff(path: Path, voxels: Voxels, **options: Any) -> Written:
    tifffile.imwrite(path / "a.tif", voxels, photometric="minisblack", **options)
    return Written(f"{path}/a.tif", lambda: _tiff_voxels(path / "a.tif"))


def _tiff_voxels(path: Path) -> Voxels:
    with tifffile.TiffFile(path) as file:
        voxels = file.asarray()
        return ~voxels if file.pages[0].photometric == 0 else voxels


def _sections(path: Path, voxels: Voxels, suffix: str) -> Written:
    for number, section in enumerate(voxels):
        if suffix == ".tif":
            tifffile.imwrite(path / f"s{number}.tif", section, photometric="minisblack")
        else:
            Image.fromarray(section).save(path / f"s{number}{suffix}")
    one = _tiff_voxels if suffix == ".tif" else lambda file: np.asarray(Image.open(file))
    # without its first or last section, a folder is a whole one of fewer
    return Written(str(path), lambda: np.stack([one(file) for file in sorted(path.glob(f"s*{suffix}"))]))


def _npy(path: Path, voxels: Voxels) -> Written:
    np.save(path / "a.npy", voxels)
    return Written(f"{path}/a.npy", lambda: np.load(path / "a.npy"))


def _nrrd(path: Path, voxels: Voxels, encoding: str) -> Written:
    nrrd.write(str(path / "a.nrrd"), voxels, {"encoding": encoding}, index_order="C")
    return Written(f"{path}/a.nrrd", lambda: nrrd.read(str(path / "a.nrrd"), index_order="C")[0])


def _hdf5(path: Path, voxels: Voxels, **options: Any) -> Written:
    with h5py.File(path / "a.h5", "w") as file:
        file.create_dataset("raw", data=voxels, **options)
        file["raw"].attrs["resolution"] = [40.0, 4.0, 4.0]

    def read() -> Voxels:
        with h5py.File(path / "a.h5") as file:
            return np.asarray(file["raw"])

    return Written(f"{path}/a.h5:/raw", read)


def _zarr(path: Path, voxels: Voxels, zarr_format: Any, ome: bool) -> Written:
    group = zarr.create_group(path / "a.zarr", zarr_format=zarr_format)
    group.create_array("0", data=voxels, chunks=(2, 20, 20))
    if ome:
        axes = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
        scale = {"type": "scale", "scale": [40, 4, 4]}
        image = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]}]
        group.attrs.update({"multiscales": image} if zarr_format == 2 else {"ome": {"multiscales": image}})
    return Written(f"{path}/a.zarr{'' if ome else '/0'}", lambda: _stored(path / "a.zarr/0", f"zarr{zarr_format}"))


def _n5(path: Path, voxels: Voxels, kind: str) -> Written:
    compression = {"type": kind} | ({"cname": "lz4", "clevel": 5, "shuffle": 1} if kind == "blosc" else {})
    metadata = {
        "compression": compression, "dataType": str(voxels.dtype), "dimensions": list(voxels.shape[::-1]),
        "blockSize": [20, 20, 2],
    }  # fmt: skip
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{path}/a.n5"}, "metadata": metadata}
    tensorstore.open(spec, create=True).result().write(voxels.T).result()
    return Written(f"{path}/a.n5", lambda: _stored(path / "a.n5", "n5").T)


def _stored(path: Path, driver: str) -> Voxels:
    kind = {"zarr2": "zarr"}.get(driver, driver)
    store = tensorstore.open({"driver": kind, "kvstore": {"driver": "file", "path": str(path)}}, open=True).result()
    if store.size > 1_000_000:
        raise ValueError("too large to be what was written")
    return np.asarray(store.read().result())


WRITERS: dict[str, Callable[[Path, Voxels], Written]] = {
    "tiff": _tiff,
    "tiff deflate": lambda path, voxels: _tiff(path, voxels, compression="zlib"),
    "tiff tiles": lambda path, voxels: _tiff(path, voxels, tile=(16, 16)),
    "tiff strips": lambda path, voxels: _tiff(path, voxels, rowsperstrip=5, compression="lzw"),
    "tiff imagej": lambda path, voxels: _tiff(path, voxels, imagej=True, metadata={"axes": "ZYX"}),
    "tiff big": lambda path, voxels: _tiff(path, voxels, bigtiff=True, metadata=None),
    "sections tiff": lambda path, voxels: _sections(path, voxels, ".tif"),
    "sections png": lambda path, voxels: _sections(path, voxels, ".png"),
    "sections jpeg": lambda path, voxels: _sections(path, voxels.astype(np.uint8), ".jpg"),
    "npy": _npy,
    "nrrd raw": lambda path, voxels: _nrrd(path, voxels, "raw"),
    "nrrd gzip": lambda path, voxels: _nrrd(path, voxels, "gzip"),
    "hdf5": _hdf5,
    "hdf5 gzip": lambda path, voxels: _hdf5(path, voxels, chunks=(2, 20, 20), compression="gzip"),
    "zarr 2": lambda path, voxels: _zarr(path, voxels, 2, ome=False),
    "zarr 3": lambda path, voxels: _zarr(path, voxels, 3, ome=False),
    "ome-zarr 0.4": lambda path, voxels: _zarr(path, voxels, 2, ome=True),
    "ome-zarr 0.5": lambda path, voxels: _zarr(path, voxels, 3, ome=True),
    "n5 gzip": lambda path, voxels: _n5(path, voxels, "gzip"),
    "n5 blosc": lambda path, voxels: _n5(path, voxels, "blosc"),
    "n5 raw": lambda path, voxels: _n5(path, voxels, "raw"),
}


def _cut(file: Path, others: list[Path], draw: random.Random) -> None:
    body = file.read_bytes()
    file.write_bytes(body[: draw.randrange(len(body))] if body else body)


def _flip(file: Path, others: list[Path], draw: random.Random) -> None:
    body = bytearray(file.read_bytes())
    for _ in range(draw.choice((1, 3, 20))):
        body[draw.randrange(min(len(body), draw.choice((64, 400, len(body)))))] ^= 1 << draw.randrange(8)
    file.write_bytes(body)


def _blank(file: Path, others: list[Path], draw: random.Random) -> None:
    body = bytearray(file.read_bytes())
    start = draw.randrange(len(body))
    length = min(len(body) - start, draw.choice((4, 50, 4096)))
    body[start : start + length] = bytes(length)
    file.write_bytes(body)


def _swap(file: Path, others: list[Path], draw: random.Random) -> None:
    other = draw.choice(others)
    one, two = file.read_bytes(), other.read_bytes()
    file.write_bytes(two)
    other.write_bytes(one)


def _remove(file: Path, others: list[Path], draw: random.Random) -> None:
    file.unlink()


def _foreign(file: Path, others: list[Path], draw: random.Random) -> None:
    file.write_bytes(
        draw.choice((b"", b"<html>404</html>", b"\x89PNG\r\n\x1a\n" + bytes(60), b"II*\0" + bytes(40), b"{}"))
    )


def _number(file: Path, others: list[Path], draw: random.Random) -> None:
    """Another number in a text: a shape, a unit, a scale."""
    body = file.read_bytes()
    found = list(re.finditer(rb"(?<![\w.])\d+(?![\w.])", body[:4000]))
    if found:
        match = draw.choice(found)
        new = draw.choice((b"0", b"-1", b"7", b"1e3", b"null", b"99999999", b'"x"'))
        file.write_bytes(body[: match.start()] + new + body[match.end() :])


MISHAPS = {
    "cut": _cut,
    "flip": _flip,
    "blank": _blank,
    "swap": _swap,
    "remove": _remove,
    "foreign": _foreign,
    "number": _number,
}


def tried(number: int, seed: int, folder: Path) -> str:
    """What is wrong with the way in which a malformed volume was handled; empty if nothing is.

    Args:
        number: number of the volume; formats and mishaps alternate.
        seed: the seed of all volumes.
        folder: an empty folder.
    """
    draw = random.Random(seed * 1_000_003 + number)
    kinds = list(itertools.product(WRITERS, MISHAPS))
    name, mishap = kinds[number % len(kinds)]
    dtype = draw.choice((np.uint8, np.uint16))
    voxels = np.random.default_rng(number).integers(1, 255, (4, 30, 33)).astype(dtype)
    written = WRITERS[name](folder, voxels)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    file = draw.choice([f for f in files if f.stat().st_size] or files)
    MISHAPS[mishap](file, [f for f in files if f != file] or [file], draw)
    why = _met(written, voxels)
    return f"{number}: {name}, {mishap} of {file.relative_to(folder)}: {why}" if why else ""


def _met(written: Written, voxels: Voxels) -> str:
    try:
        volume = open_volume(written.url)
        volume.inspect()
        found = [volume.read(box) for box in _boxes(volume.bounds)]
    except (ValueError, FileNotFoundError) as error:
        text = str(error)
        clear = re.search(r"must .*(got|which is not) ?.*; \w", text, re.DOTALL) and "/" in text
        return "" if clear else f"refused without rule, value or way out: {type(error).__name__}: {text}"
    except Exception as error:
        return f"a bare {type(error).__name__}: {error}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = written.read()
    except Exception as error:
        # a program may refuse defects that do not matter for reading
        whole = zip(_boxes(volume.bounds), found, strict=True)
        same = all(np.array_equal(part, voxels[box.slices()]) for box, part in whole)
        return "" if same else f"read, but another program refuses it: {error}"
    start = volume.bounds.start
    known = wanted.reshape((1,) * (3 - wanted.ndim) + wanted.shape)
    for box, part in zip(_boxes(volume.bounds), found, strict=True):
        if not np.array_equal(part, known[(..., *box.slices(start))]):
            return "other voxels than another program reads"
    return ""


def _boxes(bounds: Bbox) -> Iterator[Bbox]:
    """The first and the last voxels: a wrong number may claim a volume of any size."""
    shape = tuple(min(side, 40) for side in bounds.shape)
    yield Bbox.of(bounds.start, shape)
    yield Bbox.of(tuple(stop - side for stop, side in zip(bounds.stop, shape, strict=True)), shape)


def main(words: list[str]) -> None:
    """Try many, and print a line for each that failed."""
    count, seed = int(words[0]), int(words[1]) if len(words) > 1 else 0
    failed = []
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            failed.append(tried(number, seed, Path(folder)))
    problems = [line for line in failed if line]
    sys.stdout.write(
        "".join(f"{line}\n" for line in problems) + json.dumps({"tried": count, "failed": len(problems)}) + "\n"
    )
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main(sys.argv[1:])
