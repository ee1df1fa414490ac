"""The only state dict of a checkpoint that fits a net is found, or the choices are named."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from lchunk.operators.checkpoints import KEYS, state_dicts, weights_for

NET = {"conv.weight": (3, 1), "norm.bias": (3,), "norm.num_batches_tracked": ()}


def values(seed: int = 0, prefix: str = "", names: dict[str, tuple[int, ...]] = NET) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"{prefix}{name}": rng.random(shape) for name, shape in names.items()}


def found(loaded: dict[str, object], wanted: dict[str, tuple[int, ...] | None] = NET) -> dict[str, np.ndarray]:  # type: ignore[assignment]
    states = state_dicts(loaded, lambda value: isinstance(value, np.ndarray))
    return dict(weights_for(states, wanted, "the net", "w.pt"))


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


PREFIXES = ("", "module.", "_orig_mod.", "model.", "module._orig_mod.", "model.net.", "my_net.")


@pytest.mark.parametrize(("key", "prefix"), list(product(("", *KEYS, "generator"), PREFIXES)))
def test_every_key_with_every_prefix(key: str, prefix: str) -> None:
    state = values(prefix=prefix)
    rest = {"epoch": 3, "optimizer": {"state": {0: {"step": np.zeros(1)}}, "param_groups": [{"lr": 1}]}, "args": None}
    assert same(found({key: state, **rest} if key else state), values())


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod."])
def test_a_net_that_is_wrapped_itself_takes_plain_names_and_parts_inside_may_be_wrapped(wrapper: str) -> None:
    wrapped = {f"{wrapper}{name}": shape for name, shape in NET.items()}
    assert same(found(values(), wrapped), values(prefix=wrapper))
    inside = {name.replace("conv.", f"conv.{wrapper}"): value for name, value in values().items()}
    assert same(found(inside), values())


def test_what_evaluation_does_not_read_may_be_absent() -> None:
    state = {name: value for name, value in values().items() if not name.endswith("tracked")}
    assert same(found({"state_dict": state}), state)


def test_other_parts_of_a_training_program_beside_the_net_are_left_out() -> None:
    assert same(found({"state_dict": values(prefix="model.") | values(1, "loss.") | values(2, "ema.")}), values())


def test_one_and_the_same_state_dict_under_two_keys_is_no_choice() -> None:
    state = values()
    assert same(found({"state_dict": state, "model": state}), state)


@pytest.mark.parametrize(
    ("loaded", "choices"),
    [
        ({"state_dict": values(0), "model": values(1)}, "state_dict, model"),
        ({"ema": values(0), "student": values(1)}, "ema, student"),
        (values(0, "student.") | values(1, "teacher."), "the top level under student., the top level under teacher."),
    ],
)
def test_several_that_fit_are_named(loaded: dict[str, object], choices: str) -> None:
    with pytest.raises(ValueError, match=rf"hold one state dict that fits the net, got 2 in w\.pt: {choices}; save"):
        found(loaded)


def test_a_usual_key_comes_before_another() -> None:
    assert same(found({"state_dict": values(0), "ema": values(1)}), values(0))


def test_how_the_closest_differs_is_reported_briefly() -> None:
    wrong = values(names={"conv.weight": (3, 2), **{f"head{n}.weight": (1,) for n in range(9)}})
    with pytest.raises(ValueError, match="weights must fit the net") as error:
        found({"state_dict": {f"module.{name}": value for name, value in wrong.items()}})
    assert str(error.value) == (
        "weights must fit the net, got w.pt: 1 missing: norm.bias; 9 unexpected: head0.weight, head1.weight, "
        "head2.weight …; 1 of another shape: conv.weight is (3, 2), the net wants (3, 1); use the model file that the "
        "weights were trained with, or write load_model(path) in it"
    )


def test_a_part_of_a_net_or_more_than_a_net_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"1 missing: norm\.bias"):
        found(values(names={"conv.weight": (3, 1)}))
    with pytest.raises(ValueError, match=r"1 unexpected: head\.bias"):
        found(values(names={**NET, "head.bias": (1,)}))
    with pytest.raises(ValueError, match=r"2 unexpected: conv\.weight, norm\.bias"):
        found(values(names={"conv.weight": (3, 1), "norm.bias": (3,)}), {})


def test_a_shape_that_is_known_only_after_the_load_fits_any() -> None:
    assert same(found(values(), {**NET, "conv.weight": None}), values())
