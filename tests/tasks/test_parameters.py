"""Parameters: text forms round-trip, each value has one form, and wrong values are refused with the reason."""

from typing import Any

import luigi
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from luigi.cmdline_parser import CmdlineParser
from luigi.configuration import LuigiConfigParser

from lchunk.geometry.bbox import Bbox
from lchunk.tasks.parameters import (
    BboxParameter,
    CountParameter,
    PrefixParameter,
    RangeParameter,
    TextParameter,
    TupleParameter,
    WordsParameter,
    size_parameter,
)

FRACTIONS_RULE = "numbers in [0, 1], separated by commas"


def labels_parameter(**kwargs: Any) -> TupleParameter:
    return TupleParameter(
        rule="whole numbers above 0 and below 2^64",
        valid=lambda labels: all(0 < label < 1 << 64 for label in labels),
        distinct=True,
        **kwargs,
    )


def fractions_parameter(**kwargs: Any) -> TupleParameter:
    return TupleParameter(
        of=float, rule=FRACTIONS_RULE, valid=lambda numbers: all(0 <= number <= 1 for number in numbers), **kwargs
    )


class KnobsForTest(luigi.Task):
    overlap = TupleParameter(default=(0, 0, 0))
    region = BboxParameter(default=None)
    voxel_size = size_parameter(default=())
    threshold = RangeParameter(least=0, most=1, default=0.5)
    mips = CountParameter(least=1, default=1)
    ids = labels_parameter(default=())
    prefix = PrefixParameter(default="")
    thresholds = fractions_parameter(default=())
    text = TextParameter(default="none")


@given(st.tuples(*[st.integers(-999, 999)] * 3))
def test_triples_round_trip(value: tuple[int, int, int]) -> None:
    parameter = TupleParameter()
    assert parameter.parse(parameter.serialize(value)) == value
    assert parameter.parse(" ".join(map(str, value))) == value


@given(st.sets(st.integers(1, 2**63)))
def test_labels_round_trip(value: set[int]) -> None:
    parameter = labels_parameter()
    assert parameter.parse(parameter.serialize(parameter.normalize(value))) == tuple(sorted(value))


FRACTIONS = st.floats(0, 1)
SIZES = st.floats(min_value=0, max_value=1e12, exclude_min=True)


@given(FRACTIONS, st.lists(FRACTIONS), st.tuples(SIZES, SIZES, SIZES))
def test_numbers_keep_all_their_digits(one: float, many: list[float], size: tuple[float, ...]) -> None:
    for parameter, value in (
        (RangeParameter(least=0, most=1), one),
        (fractions_parameter(), tuple(many)),
        (size_parameter(), size),
    ):
        assert parameter.parse(parameter.serialize(value)) == value


def test_values_that_differ_in_a_late_digit_are_two_tasks() -> None:
    for name, one, other in (
        ("threshold", 0.30000001, 0.30000002),
        ("thresholds", (0.30000001,), (0.30000002,)),
        ("voxel_size", (40.1234567, 4, 4), (40.1234899, 4, 4)),
    ):
        assert KnobsForTest(**{name: one}).task_id != KnobsForTest(**{name: other}).task_id


def test_whole_numbers_are_written_as_before() -> None:
    # a layer's recipe holds these texts
    assert size_parameter().serialize((40.0, 4.0, 4.5)) == "40,4,4.5"
    assert RangeParameter(least=0, most=1).serialize(1) == "1.0"


def test_a_number_outside_the_range_may_have_a_meaning_of_its_own() -> None:
    parameter = RangeParameter(least=0, most=9, other=-1)
    assert [parameter.parse(text) for text in ("-1", "0", "9")] == [-1, 0, 9]
    for text in ("-0.5", "10", "nan"):
        with pytest.raises(ValueError, match=rf"must be in \[0, 9\], or -1, got {text}"):
            parameter.parse(text)
    with pytest.raises(ValueError, match=r"must be in \[0, 9\], got -1"):
        RangeParameter(least=0, most=9).parse("-1")


@pytest.mark.parametrize("words", [["--text", ""], ["--KnobsForTest-text", ""]])
def test_an_empty_text_on_the_command_line_is_a_value(words: list[str], cfg: LuigiConfigParser) -> None:
    cfg.set("KnobsForTest", "text", "of the cfg")
    with CmdlineParser.global_instance(["KnobsForTest"]) as line:
        assert line.get_task_obj().text == "of the cfg"
    with CmdlineParser.global_instance(["KnobsForTest", *words]) as line:
        assert line.get_task_obj().text == ""


def test_one_value_is_one_task() -> None:
    ids = {KnobsForTest(overlap=value).task_id for value in ((4, 64, 64), [4, 64, 64], np.array([4, 64, 64]))}
    assert len(ids) == 1
    assert KnobsForTest(region="0-1_0-2_0-3").task_id == KnobsForTest(region=Bbox((0, 0, 0), (1, 2, 3))).task_id
    assert KnobsForTest(ids=[7, 5, 5]).ids == (5, 7)


def test_a_task_comes_back_from_its_text() -> None:
    task = KnobsForTest(overlap=(1, 2, 3), region="-10--2_0-2_0-3", voxel_size=(40, 4, 4), ids=(3, 9), prefix="7:")
    assert KnobsForTest.from_str_params(task.to_str_params()) == task


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("overlap", "1,2", "overlap must be three whole numbers z,y,x, got '1,2'"),
        ("overlap", "1,2,x", "overlap must be three whole numbers"),
        ("region", "1-2", "must be written z0-z1_y0-y1_x0-x1, got '1-2'"),
        ("voxel_size", "4,4", "voxel-size must be three positive numbers"),
        ("voxel_size", "4,-4,4", "voxel-size must be three positive numbers"),
        ("threshold", "1.5", r"threshold must be in \[0, 1\], got 1.5"),
        ("voxel_size", "4,nan,4", "voxel-size must be three positive numbers"),
        ("voxel_size", "4,inf,4", "voxel-size must be three positive numbers"),
        ("threshold", "nan", r"threshold must be in \[0, 1\], got nan"),
        ("threshold", "0,5", r"threshold must be in \[0, 1\], got '0,5'"),
        ("thresholds", "0.5,nan", r"thresholds must be numbers in \[0, 1\], separated by commas, got '0.5,nan'"),
        ("mips", "0", "mips must be at least 1, got 0"),
        ("mips", "1.5", "mips must be a whole number, at least 1, got '1.5'"),
        ("ids", "5,0", "ids must be whole numbers above 0"),
        ("ids", "5,a", "ids must be whole numbers above 0"),
        ("ids", f"5,{1 << 64}", r"ids must be whole numbers above 0 and below 2\^64, got '5,18446744073709551616'"),
        ("prefix", "0", "never start with 0.*got '0'"),
        ("prefix", "7x", "first digits of labels.*got '7x'"),
        ("prefix", ":", "got ':'"),
    ],
)
def test_a_wrong_value_is_answered_with_the_rule(name: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KnobsForTest.from_str_params({name: value})


def test_prefixes_one_to_nine_and_their_ends_cover_every_label() -> None:
    labels = [*range(1, 250), 999, 1000, 123456]

    def starting(prefix: str) -> list[int]:
        return [label for label in labels if f"{label}:".startswith(prefix)]

    one_digit = [label for digit in range(1, 10) for label in starting(str(digit))]
    two_digits = [label for digit in range(1, 10) for label in starting(f"{digit}:")]
    two_digits += [label for digits in range(10, 100) for label in starting(str(digits))]
    assert sorted(one_digit) == sorted(two_digits) == sorted(labels)
    assert starting("7:") == [7]


@pytest.mark.parametrize(
    ("parameter", "text", "message"),
    [
        (TupleParameter(), "1,2,2.5", "must be three whole numbers z,y,x, got '1,2,2.5'"),
        (TupleParameter(rule="counts", valid=lambda counts: len(counts) < 3), "1,2,3", "must be counts, got '1,2,3'"),
        (WordsParameter(of=("z", "xy")), "z,w", "must be of z, xy, got 'w'"),
    ],
)
def test_a_value_that_breaks_the_rule_of_its_own_parameter_is_refused(
    parameter: luigi.Parameter, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        parameter.parse(text)


def test_words_have_one_order_and_channels_keep_theirs() -> None:
    words = WordsParameter(of=("z", "y", "xy"))
    assert words.parse("xy,z") == words.parse("z xy") == words.parse(words.serialize(("z", "xy"))) == ("z", "xy")
    channels = TupleParameter(valid=lambda _: True)
    assert channels.parse(channels.serialize((2, 0, 2))) == (2, 0, 2)
