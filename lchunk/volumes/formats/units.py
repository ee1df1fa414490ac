"""Units of length, in nanometres."""

from __future__ import annotations

_PREFIXES = {
    "yocto": -24, "zepto": -21, "atto": -18, "femto": -15, "pico": -12, "nano": -9, "micro": -6, "milli": -3,
    "centi": -2, "deci": -1, "": 0, "hecto": 2, "kilo": 3, "mega": 6, "giga": 9, "tera": 12, "peta": 15, "exa": 18,
    "zetta": 21, "yotta": 24,
}  # fmt: skip

NANOMETERS = {f"{prefix}meter": 10.0 ** (power + 9) for prefix, power in _PREFIXES.items()} | {
    "angstrom": 0.1,
    "inch": 25.4e6,
    "foot": 304.8e6,
    "yard": 914.4e6,
    "mile": 1609.344e9,
    "parsec": 3.0856775814913673e25,
}
"""The names of OME-NGFF's list (https://ngff.openmicroscopy.org/0.5/#axes-md)."""

_SHORT = {
    "pm": "picometer", "nm": "nanometer", "um": "micrometer", "µm": "micrometer", "μm": "micrometer",
    "micron": "micrometer", "microns": "micrometer", "mm": "millimeter", "cm": "centimeter", "dm": "decimeter",
    "m": "meter", "km": "kilometer", "Å": "angstrom", "å": "angstrom", "A": "angstrom", "in": "inch", "ft": "foot",
    "yd": "yard",
}  # fmt: skip
"""Short forms that ImageJ, OME-TIFF, NRRD and N5 write."""


def nanometers(unit: str) -> float | None:
    r"""How many nanometres a unit is; None where the unit is not known.

    >>> nanometers("micrometer"), nanometers("nm"), nanometers("furlong")
    (1000.0, 1.0, None)
    >>> nanometers("\\u00B5m")  # as ImageJ writes it
    1000.0
    """
    name = unit.strip().strip('"').replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    name = _SHORT.get(name, name.lower().replace("metre", "meter"))
    if name not in NANOMETERS and name.endswith("s"):
        name = name[:-1]
    return NANOMETERS.get(name)


def is_no_unit(unit: str | None) -> bool:
    """Whether a text means "no unit", like ImageJ's "pixel"."""
    return unit is None or unit.strip().lower() in ("", "pixel", "pixels", "voxel", "voxels", "null", "none")
