"""Scores: against scikit-image, waterz and published values."""

import json
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from math import log2

import h5py
import numpy as np
import pytest
import waterz
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import adapted_rand_error, variation_of_information

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators import contingency as contingency_module
from lchunk.operators.contingency import added, added_in_turn, contingency
from lchunk.operators.evaluation import scores, worst
from lchunk.operators.single_chunk import silence
from tests.conftest import DATA


def two_labellings(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 9, (3, 4, 5)), np.ones((4, 4, 4), int)).astype(np.uint64)
    wrong = rng.random(truth.shape) < 0.2
    return truth, np.where(wrong, rng.integers(0, 12, truth.shape), truth * 10**9).astype(np.uint64)


counted = st.dictionaries(st.tuples(*[st.integers(0, 5)] * 2), st.integers(0, 9), max_size=12)


@given(st.lists(counted, min_size=1, max_size=20), st.integers(1, 30))
def test_tables_add_up_in_turn_and_few_are_held(parts: list[dict[tuple[int, int], int]], batch: int) -> None:
    tables, held = [table_of(rows) for rows in parts], []

    def noted(some: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        held.append(sum(len(one["voxels"]) for one in some))
        return added(some)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contingency_module, "BATCH_ROWS", batch)
        patch.setattr(contingency_module, "added", noted)
        found = added_in_turn(iter(tables))
    for name, column in added(tables).items():
        assert np.array_equal(found[name], column)
        assert found[name].dtype == column.dtype
    assert max(held) <= 36 + max(batch, 36) + 12  # pairs of 6 labels, as many again, and one table


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_scikit_image_s_and_waterz_s(seed: int) -> None:
    truth, segmentation = two_labellings(seed)
    ours = scores(contingency(truth, segmentation))
    labelled = truth != 0
    dense = np.unique(segmentation, return_inverse=True)[1].reshape(truth.shape)
    split, merge = variation_of_information(truth[labelled], dense[labelled])
    assert (ours["voi_split"], ours["voi_merge"]) == pytest.approx((split, merge), abs=1e-9)
    error, _, _ = adapted_rand_error(truth[labelled].astype(int), dense[labelled])
    assert ours["adapted_rand_error"] == pytest.approx(error, abs=1e-9)
    with silence():
        theirs = waterz.evaluate((dense + 1).astype(np.uint64), truth)
    for name in ("rand_split", "rand_merge", "voi_split", "voi_merge"):
        assert ours[name] == pytest.approx(theirs[name], abs=1e-6)
    assert ours["cremi_score"] == pytest.approx(np.sqrt((split + merge) * error), abs=1e-9)
    assert ours["voxels"] == labelled.sum()


def test_chunks_add_up() -> None:
    truth, segmentation = two_labellings(0)
    grid = Grid(Bbox((0, 0, 0), truth.shape), (5, 7, 9))
    parts = [contingency(truth[chunk.slices()], segmentation[chunk.slices()]) for chunk in map(grid.chunk, grid)]
    assert scores(added(parts)) == scores(contingency(truth, segmentation))


@pytest.mark.parametrize(
    ("file", "labels", "expected"),
    [
        ("fib25_trn2_small", "supervoxels", (2.8280, 0.2587, 0.3357, 0.9599)),
        ("fib25_trn2_small", "ffn_segmentation", (1.0449, 0.4526, 0.5648, 0.9434)),
        ("gala_fib_train", "supervoxels", (1.3356, 0.1212, 0.6072, 0.9819)),
        ("snemi_mini", "supervoxels", (5.3116, 0.2021, 0.0357, 0.9481)),
    ],
)
def test_reference_scores_of_real_em(file: str, labels: str, expected: tuple[float, ...]) -> None:
    path = DATA / f"{file}.h5"
    if not path.exists():
        pytest.skip(f"needs {file}.h5: set LCHUNK_DATA to its folder")
    with h5py.File(path) as volume:
        truth = volume["volumes/labels/neuron_ids"][:]
        found: list[np.ndarray] = []
        volume.visititems(lambda name, node: found.append(node[:]) if name.endswith(labels) else None)
    ours = scores(contingency(truth, found[0]))
    assert [round(ours[k], 4) for k in ("voi_split", "voi_merge", "rand_split", "rand_merge")] == list(expected)


def test_the_worst_add_up_and_come_first() -> None:
    truth, segmentation = two_labellings(0)
    table = contingency(truth, segmentation)
    total, found = scores(table), worst(table, 1000)
    for kind, name, key in (("splits", "truth", "voi_split"), ("merges", "segment", "voi_merge")):
        shares = [row["voi"] for row in found[kind]]
        assert sum(shares) == pytest.approx(total[key])
        assert shares == sorted(shares, reverse=True)
        assert found[kind][:3] == worst(table, 3)[kind]
        labels, others = (truth, segmentation) if name == "truth" else (segmentation, truth)
        for row in found[kind][:3]:
            inside = others[(labels == row[name]) & (truth != 0)]
            parts, voxels = np.unique(inside, return_counts=True)
            assert row["parts"] == len(parts)
            assert voxels[parts == row["largest"]] == voxels.max()
            share = voxels / voxels.sum()
            assert row["voi"] == pytest.approx(-(share * np.log2(share)).sum() * voxels.sum() / (truth != 0).sum())


def test_the_same_labelling_has_no_error() -> None:
    truth, _ = two_labellings(0)
    result = scores(contingency(truth, truth * np.uint64(7)))
    assert (result["rand_split"], result["rand_merge"]) == (1, 1)
    assert (result["voi_split"], result["voi_merge"], result["adapted_rand_error"]) == (0, 0, 0)


LABELS = st.integers(1, 6) | st.integers(2**64 - 9, 2**64 - 4) | st.integers(2**53 - 2, 2**53 + 2)
COUNTS = st.integers(1, 9) | st.integers(1, 10**9) | st.integers(10**15, 10**16)


def table_of(rows: dict[tuple[int, int], int]) -> dict[str, np.ndarray]:
    truth, segment = np.array(list(rows), np.uint64).reshape(-1, 2).T
    return {"truth": truth, "segment": segment, "voxels": np.array(list(rows.values()), np.int64)}


@given(voxels=st.lists(COUNTS, min_size=1, max_size=300), data=st.randoms())
def test_a_perfect_segmentation_under_other_names_scores_exactly_perfect(voxels: list[int], data: object) -> None:
    names = list(range(2**53, 2**53 + len(voxels)))
    data.shuffle(names)  # type: ignore[attr-defined]
    result = scores(table_of({(n + 1, name): v for n, (name, v) in enumerate(zip(names, voxels, strict=True))}))
    assert result == {
        "rand_split": 1.0, "rand_merge": 1.0, "voi_split": 0.0, "voi_merge": 0.0, "adapted_rand_error": 0.0,
        "cremi_score": 0.0, "voxels": sum(voxels),
    }  # fmt: skip
    assert "-" not in json.dumps(result, allow_nan=False)  # no -0.0 either
    assert worst(table_of({(1, 1): 2**60, (2, 2): 1})) == {"splits": [], "merges": []}


@given(rows=st.dictionaries(st.tuples(LABELS, LABELS), COUNTS, min_size=1, max_size=40), data=st.randoms())
def test_scores_are_exact_within_their_laws_and_of_any_order(rows: dict[tuple[int, int], int], data: object) -> None:
    result = scores(table_of(rows))
    true, segment = (dict.fromkeys(labels, 0) for labels in zip(*rows, strict=True))
    for (t, s), n in rows.items():
        true[t] += n
        segment[s] += n
    pairs, ts, ss = (sum(n * n for n in counts.values()) for counts in (rows, true, segment))
    total = sum(rows.values())
    assert result["voxels"] == total
    assert result["rand_split"] == float(Fraction(pairs, ts))
    assert result["rand_merge"] == float(Fraction(pairs, ss))
    both = ts + ss - 2 * total
    assert result["adapted_rand_error"] == (float(Fraction(ts + ss - 2 * pairs, both)) if both else 0)
    split = sum(n / total * log2(Fraction(true[t], n)) for (t, _), n in rows.items())
    merge = sum(n / total * log2(Fraction(segment[s], n)) for (_, s), n in rows.items())
    assert (result["voi_split"], result["voi_merge"]) == pytest.approx((split, merge), rel=1e-9, abs=1e-12)
    assert min(result.values()) >= 0
    assert max(result[name] for name in ("rand_split", "rand_merge", "adapted_rand_error")) <= 1
    assert (result["voi_split"] == 0) == (len(true) == len(rows))
    shuffled = list(rows.items())
    data.shuffle(shuffled)  # type: ignore[attr-defined]
    cut = len(shuffled) // 2
    parts = [table_of(dict(shuffled[:cut])), table_of(dict(shuffled[cut:]))]
    assert scores(table_of(dict(shuffled))) == result
    assert scores(added(parts)) == scores(added(parts[::-1])) == result
    assert worst(table_of(dict(shuffled)), 99) == worst(table_of(rows), 99)
    json.dumps([result, worst(table_of(rows), 99)], allow_nan=False)


def test_a_petavoxel_volume_is_counted_exactly() -> None:
    result = scores(table_of({(1, 1): 10**15, (1, 2): 1, (2, 3): 3 * 10**15}))
    assert result["voxels"] == 4 * 10**15 + 1
    assert result["rand_split"] == (10**30 + 1 + 9 * 10**30) / ((10**15 + 1) ** 2 + 9 * 10**30)
    assert 0 < result["voi_split"] < 1e-13
    assert result["voi_merge"] == 0


@pytest.mark.parametrize("others", [0, 1000])
def test_one_wrong_voxel_of_many_is_seen_with_every_digit(others: int) -> None:
    body = 10**12
    rows = {(n + 2, n + 2): body + n for n in range(others)} | {(1, 1): body - 1, (1, 1_000_000): 1}
    split = scores(table_of(rows))
    with localcontext(Context(prec=60)):
        bits = (body * Decimal(body).ln() - (body - 1) * Decimal(body - 1).ln()) / Decimal(2).ln()
        expected = float(bits / sum(rows.values()))
    assert split["voi_split"] == pytest.approx(expected, rel=1e-14)
    assert split["voi_merge"] == 0
    merge = scores(table_of({(segment, truth): voxels for (truth, segment), voxels in rows.items()}))
    assert (merge["voi_merge"], merge["voi_split"]) == (split["voi_split"], 0)
    (entry,) = worst(table_of(rows))["splits"]
    assert entry == {"truth": 1, "voi": split["voi_split"], "parts": 2, "largest": 1}


def test_more_of_the_worst_than_sums_remember_is_refused() -> None:
    with pytest.raises(ValueError, match="most must be from 0 to 1000, got 1001"):
        worst(table_of({(1, 1): 1}), 1001)


def test_labels_of_different_types_keep_all_their_digits() -> None:
    one = {"truth": np.array([2**53 + 1]), "segment": np.array([7], np.uint8), "voxels": np.array([5], np.uint16)}
    other = {name: np.array([value], np.uint64) for name, value in zip(one, (2**64 - 4, 2**63 + 1, 6), strict=True)}
    found = added([one, other])
    assert found["truth"].tolist() == [2**53 + 1, 2**64 - 4]
    assert found["segment"].tolist() == [7, 2**63 + 1]
    assert found["voxels"].tolist() == [5, 6]


def test_pairs_without_voxels_do_not_count() -> None:
    rows = {(1, 1): 5, (1, 2): 0, (2, 2): 3, (4, 4): 0}
    assert scores(table_of(rows)) == scores(table_of({(1, 1): 5, (2, 2): 3}))
    with pytest.raises(ValueError, match="must label a voxel"):
        scores(table_of({(1, 1): 0}))


def test_equal_shares_come_in_the_order_of_labels() -> None:
    rows = {(9, 4): 5, (9, 2): 5, (2**63, 8): 5, (2**63, 7): 5, (3, 11): 1, (3, 10): 1}
    splits = worst(table_of(rows))["splits"]
    assert [(row["truth"], row["largest"]) for row in splits] == [(9, 2), (2**63, 7), (3, 10)]


@pytest.mark.parametrize(
    ("voxels", "reason"), [(np.array([1.5]), "whole numbers, got float64"), (np.array([-1]), "at least 0.* got -1")]
)
def test_counts_that_are_none_are_refused(voxels: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=f"voxels must be {reason}"):
        scores({"truth": np.array([1]), "segment": np.array([1]), "voxels": voxels})


def test_nothing_labelled_is_an_error() -> None:
    with pytest.raises(ValueError, match="must label a voxel"):
        scores(contingency(np.zeros((2, 2, 2)), np.ones((2, 2, 2))))
    with pytest.raises(ValueError, match="the same shape"):
        contingency(np.zeros((2, 2, 2)), np.ones((2, 2, 3)))
