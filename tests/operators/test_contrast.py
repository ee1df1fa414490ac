"""Section contrast: the rule written out slowly, and its laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators.contrast import LEVELS, Stretch, lookup, section_levels, stretched


def slow_lookup(levels: list[int], stretch: Stretch) -> list[int]:
    """The rule, value by value."""
    levels = [0, *levels[1:]]
    total = sum(levels)
    if not total:
        return list(range(LEVELS))
    lower = upper = 0
    seen = 0
    for value, count in enumerate(levels):
        seen += count
        if seen / total <= stretch.lower:
            lower = value
        if seen / total <= 1 - stretch.upper:
            upper = value
    if lower == upper:
        return list(range(LEVELS))
    found = [0]
    for value in range(1, LEVELS):
        moved = (value - lower) * (stretch.most / (upper - lower))
        found.append(round(min(max(moved, stretch.least), stretch.most)))
    return found


@given(
    st.lists(st.integers(0, 30), min_size=LEVELS, max_size=LEVELS),
    st.floats(0, 0.4),
    st.floats(0, 0.4),
    st.integers(1, 100),
    st.integers(101, 255),
)
def test_the_lookup_is_the_rule(levels: list[int], lower: float, upper: float, least: int, most: int) -> None:
    stretch = Stretch(lower, upper, least, most)
    assert lookup(np.array(levels), stretch).tolist() == slow_lookup(levels, stretch)


def test_each_section_gets_its_own_contrast_and_black_stays() -> None:
    rng = np.random.default_rng(0)
    image = np.stack([rng.integers(100, 120, (40, 40)), rng.integers(30, 90, (40, 40)), np.zeros((40, 40))]).astype(
        "u1"
    )
    image[:2, :5] = 0
    output = stretched(image, section_levels(image), Stretch())
    assert (output[image == 0] == 0).all()
    for section in output[:2]:
        bright = section[section > 0]
        assert bright.min() < 20
        assert bright.max() == 255
    assert (np.diff(lookup(section_levels(image)[0], Stretch())[1:].astype(int)) >= 0).all()


def test_counts_of_parts_add_up_to_counts_of_the_whole() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 20, 30)).astype(np.uint8)
    assert np.array_equal(section_levels(image), section_levels(image[:, :7]) + section_levels(image[:, 7:]))
    for z, row in enumerate(section_levels(image)):
        assert row[1:].tolist() == [(image[z] == value).sum() for value in range(1, 256)]


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"lower": 0.6, "upper": 0.5}, "fractions with a sum below 1, got 0.6 and 0.5"),
        ({"lower": -0.1}, "got -0.1"),
        ({"least": 0}, "got 0 and 255"),
        ({"least": 9, "most": 8}, "got 9 and 8"),
    ],
)
def test_a_stretch_that_cannot_be_is_refused(knobs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stretch(**knobs)


def test_levels_must_be_one_row_a_section() -> None:
    with pytest.raises(ValueError, match=r"levels must be \(2, 256\), one row per section, got \(3, 256\)"):
        stretched(np.zeros((2, 3, 4), np.uint8), np.zeros((3, 256), np.int64), Stretch())
