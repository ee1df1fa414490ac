"""Recipes as plain data: they are compared, and differences are refused."""

from __future__ import annotations

from typing import Any

import pytest

from lchunk.recipe import FILES, MADE_OF, Mismatch, RecipeMismatchError, compare, digest, refuse
from lchunk.volumes.chunk_files import is_external

RECIPE: dict[str, Any] = {
    "stage": "Blur",
    "knobs": {"gain": "1", "low_end": "0.5"},
    "dataset": {"bounds": "0-4_0-4_0-4"},
    "reads": {"image": "0123456789abcdef"},
    MADE_OF: {"net.py": "aa"},
    FILES: {"chunk_shape": [4, 4, 4]},
}


def differences(change: dict[str, Any], **more: Any) -> tuple[str, ...]:
    """The differences between the recipe and that of a run, in which some parts are changed."""
    mismatch = compare("blur", ["blur"], RECIPE, RECIPE | change, **more)
    assert mismatch is not None
    return mismatch.differences


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("stage", "Sharpen"),
        ("knobs", {"gain": "2", "low_end": "0.5"}),
        ("dataset", {"bounds": "0-4_0-4_0-5"}),
        ("reads", {"image": "fedcba9876543210"}),
        (MADE_OF, {"net.py": "bb"}),
    ],
)
def test_all_that_decides_voxels_is_in_the_digest(part: str, changed: Any) -> None:
    assert digest(RECIPE | {part: changed}) != digest(RECIPE)


def test_how_a_layer_is_cut_into_files_is_not_in_the_digest() -> None:
    assert digest(RECIPE | {FILES: {"chunk_shape": [8, 8, 8]}}) == digest(RECIPE)


def test_a_digest_is_sixteen_characters_and_does_not_depend_on_an_order() -> None:
    assert len(digest(RECIPE)) == 16
    assert digest(dict(reversed(RECIPE.items()))) == digest(RECIPE)


def test_a_digest_is_the_same_in_every_version() -> None:
    # layers on disks hold digests of the layers that they read
    assert digest({"stage": "A", "knobs": {"b": "1"}}) == "16e892e073e23259"


def test_equal_recipes_do_not_differ() -> None:
    assert compare("blur", ["blur"], RECIPE, dict(RECIPE)) is None


def test_a_layer_that_was_made_from_another_layer_differs_without_a_difference_of_its_own() -> None:
    assert differences({"reads": {"image": "fedcba9876543210"}}) == ()


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"stage": "Sharpen"}, "it was made by Blur, not by Sharpen"),
        ({"knobs": {"gain": "2", "low_end": "0.5"}}, "Blur-gain is '1' there, '2' in this run"),
        ({"knobs": {"gain": "1"}}, "Blur-low-end is '0.5' there, absent in this run"),
        ({"knobs": {"gain": "1", "low_end": "0.5", "new": "3"}}, "Blur-new is absent there, '3' in this run"),
        ({"dataset": {"bounds": "0-1_0-1_0-1"}}, "Dataset-bounds is '0-4_0-4_0-4' there, '0-1_0-1_0-1' in this run"),
        ({FILES: {"chunk_shape": [8, 4, 4]}}, "Blur-chunk-shape is [4, 4, 4] there, [8, 4, 4] in this run"),
        ({MADE_OF: {"net.py": "bb"}}, "net.py was aa, and is now bb"),
        ({MADE_OF: {}}, "net.py was aa, and is now absent"),
        ({MADE_OF: {"a.py": "c", "net.py": "aa"}}, "a.py was absent, and is now c"),
        (
            {"reads": {"image": "a.h5:/raw: 3 bytes"}},
            "image was read from a layer of this dataset, and is now read from a.h5:/raw: 3 bytes",
        ),
        (
            {"reads": {"image": "0123456789abcdef", "mask": "m.h5: 1 byte"}},
            "mask was read from nothing, and is now read from m.h5: 1 byte",
        ),
    ],
)
def test_each_difference_is_named(change: dict[str, Any], shown: str) -> None:
    prefix = "Sharpen" if "stage" in change else "Blur"
    assert differences(change) == (shown.replace("Blur-", f"{prefix}-"),)


def test_what_was_an_external_volume_and_is_a_layer_now_is_named() -> None:
    stored = RECIPE | {"reads": {"image": "a.h5:/raw: 3 bytes"}}
    mismatch = compare("blur", ["blur"], stored, RECIPE)
    assert mismatch is not None
    assert mismatch.differences == (
        "image was read from a.h5:/raw: 3 bytes, and is now read from a layer of this dataset",
    )


def test_differences_are_sorted() -> None:
    shown = differences({"knobs": {"gain": "2", "low_end": "1"}, MADE_OF: {"b": "1", "a": "1", "net.py": "aa"}})
    assert [text.split()[0] for text in shown] == ["a", "b", "Blur-gain", "Blur-low-end"]


def test_a_layer_of_an_unknown_maker_is_said_to_be_of_another_program() -> None:
    mismatch = compare("blur", ["blur"], {}, RECIPE)
    assert mismatch is not None
    assert mismatch.differences[0] == "it was made by another program or version, not by Blur"


def test_knobs_are_those_of_the_stage_that_names_the_layer() -> None:
    knobs = {"knobs": {"gain": "2", "low_end": "0.5"}}
    assert differences(knobs, named_by="Pyramid") == ("Pyramid-gain is '1' there, '2' in this run",)
    mismatch = compare("blur", ["blur", "logs/blur"], RECIPE, RECIPE | knobs, named_by="Pyramid")
    assert mismatch is not None
    assert (mismatch.named_by, mismatch.folders, mismatch.layer) == ("Pyramid", ("blur", "logs/blur"), "blur")
    again = compare("blur", ["blur"], RECIPE, RECIPE | knobs)
    assert again is not None
    assert (again.named_by, again.stage) == ("Blur", "Blur")


def test_a_volume_is_described_and_a_layer_has_a_digest() -> None:
    assert is_external("a.h5:/raw: 3 bytes")
    assert not is_external("0123456789abcdef")


def mismatch(layer: str, *folders: str, named_by: str = "", differences: tuple[str, ...] = ()) -> Mismatch:
    return Mismatch(layer, "Blur", folders, differences, named_by or "Blur")


def test_nothing_is_refused_where_nothing_differs() -> None:
    refuse([], "/data")


def test_a_refusal_names_every_layer_and_the_two_ways_out() -> None:
    found = [
        mismatch("blur", "blur", differences=("Blur-gain is '1' there, '2' in this run", "a was b, and is now c")),
        mismatch("sum", "blur/sum", "sum up", "blur", named_by="Sum"),
        mismatch("sum2", "blurred", named_by="Sum"),
    ]
    with pytest.raises(RecipeMismatchError) as error:
        refuse(found, "/data")
    assert str(error.value).splitlines() == [
        "layers in /data must be made with one set of knobs, got others:",
        "  blur (Blur): Blur-gain is '1' there, '2' in this run; a was b, and is now c",
        "  sum (Blur): it was made from layers that differ or are gone",
        "  sum2 (Blur): it was made from layers that differ or are gone",
        "set the knobs back, or take one of two ways out:",
        "  write to other layers: --Blur-layer-name NAME",
        "  remove what differs: rm -r /data/blur '/data/sum up' /data/blurred",
    ]
    with pytest.raises(RecipeMismatchError) as error:
        refuse(found[1:], "gs://lab/data")
    assert str(error.value).splitlines()[-1] == (
        "  remove what differs: lchunk remove 'sum up' gs://lab/data --yes; lchunk remove blur gs://lab/data --yes; "
        "lchunk remove blurred gs://lab/data --yes"
    )


def test_layers_that_only_read_others_need_no_name_unless_there_is_no_other_way() -> None:
    for found, stages in (
        ([mismatch("a", named_by="A"), mismatch("b", named_by="B", differences=("b",))], ["B"]),
        (
            [mismatch("a", named_by="A", differences=("a",)), mismatch("b", named_by="B", differences=("b",))],
            ["A", "B"],
        ),
        ([mismatch("a", named_by="A"), mismatch("b", named_by="B")], ["A", "B"]),
    ):
        with pytest.raises(RecipeMismatchError) as error:
            refuse(found, "/data")
        names = " ".join(f"--{stage}-layer-name NAME" for stage in stages)
        assert f"  write to other layers: {names}\n" in str(error.value)


def test_a_mismatch_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        mismatch("blur").layer = "other"  # type: ignore[misc]
