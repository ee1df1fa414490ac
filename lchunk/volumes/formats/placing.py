"""The placement of a volume: its voxel size in nanometres, and its first voxel."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lchunk.geometry.bbox import Triple, triple
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.refusals import RefusedVolumeError
from lchunk.volumes.formats.units import is_no_unit, nanometers
from lchunk.volumes.volume import VoxelSize

_EXACT = 0.01
"""Voxels by which an offset may differ from a whole number, because of rounding."""


@dataclass(frozen=True)
class Placement:
    """Voxel size and first voxel of a volume.

    Args:
        voxel_size: nanometres zyx; None where the file does not give it.
        start: its first voxel, zyx.
        placed: whether the file or the URL gives the first voxel.
        note: why there is no voxel size, for a message.
    """

    voxel_size: VoxelSize | None = None
    start: Triple = (0, 0, 0)
    placed: bool = False
    note: str = ""


def overruled(found: Placement, options: Options) -> Placement:
    """The placement of the file, with the values of the URL in place of the file's."""
    size = options.voxel_size or found.voxel_size
    if options.offset is None:
        return replace(found, voxel_size=size)
    return replace(found, voxel_size=size, start=options.offset, placed=True)


def size_of(numbers: Iterable[Any], units: Sequence[float] | float, what: str) -> VoxelSize:
    """A voxel size in nanometres.

    Args:
        numbers: z, y, x in `units`.
        units: nanometres of a unit, per axis or for all axes.
        what: the volume's name in messages.

    Raises:
        RefusedVolumeError: a number is not above 0, or not finite.
    """
    scales = [units] * 3 if isinstance(units, float) else list(units)
    given = list(numbers)
    try:
        z, y, x = (float(number) * scale for number, scale in zip(given, scales, strict=True))
    except (TypeError, ValueError) as error:
        raise RefusedVolumeError(
            f"the voxel size of {what} must be three numbers z, y, x, got {given}; "
            "write the right one after its URL: #voxel_size=z,y,x in nanometres"
        ) from error
    if not all(0 < size < math.inf for size in (z, y, x)):
        raise RefusedVolumeError(
            f"the voxel size of {what} must be above 0 on every axis, got {z:g}, {y:g}, {x:g} nm (z, y, x); "
            "write the right one after its URL: #voxel_size=z,y,x in nanometres"
        )
    return z, y, x


def start_of(voxels: Sequence[float], what: str) -> Triple:
    """The first voxel, from an offset in voxels that must be whole numbers.

    Raises:
        RefusedVolumeError: a number is not whole.
    """
    if (
        not all(math.isfinite(number) for number in voxels)
        or max(abs(number - round(number)) for number in voxels) > _EXACT
    ):
        raise RefusedVolumeError(
            f"the offset of {what} must be a whole number of voxels, got {', '.join(f'{n:g}' for n in voxels)} "
            "(z, y, x); write the right one after its URL: #offset=z,y,x in voxels"
        )
    return triple(round(number) for number in voxels)


def first_voxel(centres: Sequence[float], what: str, *, finest: bool = True) -> Triple:
    """The first voxel, from the position of its centre or corner in voxels.

    Some programs write the centre, (first + 0.5) voxels, others the corner: the position rounded down is the same for
    both. The position of a coarser level of a pyramid may be anywhere in the first half of its voxel.

    Raises:
        RefusedVolumeError: the position is neither a corner nor a centre.
    """
    lower = [math.floor(position + _EXACT) for position in centres]
    rest = [position - low for position, low in zip(centres, lower, strict=True)]
    if all(abs(r) <= _EXACT or abs(r - 0.5) <= _EXACT or (not finest and 0 <= r < 0.5) for r in rest):
        return triple(lower)
    raise RefusedVolumeError(
        f"the translation of {what} must be a whole number of voxels, or half a voxel more, got "
        f"{', '.join(f'{n:g}' for n in centres)} voxels (z, y, x); "
        "write the first voxel after its URL: #offset=z,y,x"
    )


def exported_start(corner: Sequence[float], recorded: Any) -> Triple | None:
    """The first voxel of lchunk's export of a coarser mip, whose position may lie at a fraction of a voxel.

    A mip begins where its volume begins, and its first voxel is numbered by rounding down. The position alone does not
    tell this fraction from the half voxel by which some programs move it.

    Args:
        corner: position of the low corner, in voxels zyx.
        recorded: what the export has under the name `lchunk`, possibly as JSON: `voxel_offset`, its first voxel in
            voxels of mip 0, and `factor`, how many of them a voxel covers along each axis.

    Returns:
        None if nothing is recorded, or if another program has moved the volume by a fraction of a voxel since.

    >>> exported_start([4.5, 2.0, 7.0], {"voxel_offset": [9, 4, 14], "factor": [2, 2, 2]})
    (4, 2, 7)
    """
    try:
        found = json.loads(recorded) if isinstance(recorded, str | bytes) else recorded
        offset, factor = triple(found["voxel_offset"]), triple(found["factor"])
        lower = [at - first % f / f for at, first, f in zip(corner, offset, factor, strict=True)]
        whole = [round(voxel) for voxel in lower]
    except (TypeError, ValueError, KeyError, ArithmeticError):
        return None
    near = zip(lower, whole, factor, strict=True)
    return triple(whole) if all(abs(voxel - number) <= _EXACT / f for voxel, number, f in near) else None


def from_attributes(attributes: Mapping[str, Any], names: Sequence[str], options: Options, what: str) -> Placement:
    """The placement in the attributes of an array, as CREMI (`resolution`, `offset`), funlib (`voxel_size`, `offset`,
    `units`) and PlantSeg (`element_size_um`) write it.

    Args:
        attributes: attributes of the array.
        names: names of its axes, in its order; three numbers follow the order of z, y and x there.
        options: options of the URL.
        what: the volume's name in messages.
    """
    size = options.voxel_size or _attribute_size(attributes, names, what)
    if options.offset is not None or attributes.get("offset") is None:
        return overruled(Placement(size), options)
    offset = _zyx(attributes["offset"], names, "offset", what)
    if not any(offset):
        return Placement(size, placed=True)
    nm = _attribute_size(attributes, names, what) if _has_size(attributes) else size
    if nm is None:
        raise RefusedVolumeError(
            f"{what} must give its voxel size with its offset, got offset {offset} nm alone; "
            "write it after its URL: #voxel_size=z,y,x in nanometres"
        )
    units = _units(attributes, names, what)
    corner = [o * u / s for o, u, s in zip(offset, units, nm, strict=True)]
    start = exported_start(corner, attributes.get("lchunk")) or start_of(corner, what)
    return Placement(size, start, placed=True)


def _has_size(attributes: Mapping[str, Any]) -> bool:
    return any(attributes.get(name) is not None for name in ("resolution", "voxel_size", "element_size_um"))


def _attribute_size(attributes: Mapping[str, Any], names: Sequence[str], what: str) -> VoxelSize | None:
    found: dict[str, VoxelSize] = {}
    for name in ("resolution", "voxel_size", "element_size_um"):
        if attributes.get(name) is not None:
            units = [1000.0] * 3 if name == "element_size_um" else _units(attributes, names, what)
            found[name] = size_of(_zyx(attributes[name], names, name, what), units, what)
    if not found:
        return None
    first = next(iter(found))
    for name, size in found.items():
        if not np.allclose(size, found[first], rtol=1e-3):
            raise RefusedVolumeError(
                f"{what} must have one voxel size, got {first} {found[first]} and {name} {size} nm; "
                "write the right one after its URL: #voxel_size=z,y,x in nanometres"
            )
    return found[first]


def _zyx(numbers: Any, names: Sequence[str], attribute: str, what: str) -> list[float]:
    """Numbers of an attribute in the order z, y, x."""
    try:
        given = [float(number) for number in np.asarray(numbers).ravel()]
    except (TypeError, ValueError) as error:
        raise RefusedVolumeError(
            f"the attribute {attribute} of {what} must be three numbers, got {numbers!r}; correct it"
        ) from error
    spatial = [name for name in names if name in ("z", "y", "x")]
    order = list(names) if len(given) == len(names) else spatial
    if len(given) != len(order):
        raise RefusedVolumeError(
            f"the attribute {attribute} of {what} must be three numbers z, y, x, got {given}; correct it, or write "
            "after its URL #voxel_size=z,y,x in nanometres and #offset=z,y,x in voxels"
        )
    by_name = dict(zip(order, given, strict=True))
    default = 0.0 if attribute == "offset" else 1.0
    return [by_name.get(name, default) for name in ("z", "y", "x")]


def _units(attributes: Mapping[str, Any], names: Sequence[str], what: str) -> list[float]:
    """Nanometres of the unit of each axis, zyx; nanometres where none is given."""
    units = attributes.get("units", attributes.get("unit"))
    if units is None:
        return [1.0, 1.0, 1.0]
    words = [units] * 3 if isinstance(units, (str, bytes)) else list(np.asarray(units).ravel())
    texts = [word.decode() if isinstance(word, bytes) else str(word) for word in words]
    spatial = [name for name in names if name in ("z", "y", "x")]
    order = list(names) if len(texts) == len(names) else spatial
    by_name = dict(zip(order, texts, strict=False))
    return [unit_of(by_name.get(name, "nm"), what) for name in ("z", "y", "x")]


def unit_of(unit: str, what: str) -> float:
    """Nanometres of a unit.

    Raises:
        RefusedVolumeError: the unit is unknown.
    """
    known = None if is_no_unit(unit) else nanometers(unit)
    if known is None:
        raise RefusedVolumeError(
            f"the unit of {what} must be a unit of length, such as nanometer or micrometer, got {unit!r}; "
            "write the voxel size after its URL: #voxel_size=z,y,x in nanometres"
        )
    return known
