"""Scores: against scikit-image, waterz and published values."""

import h5py
import numpy as np
import pytest
import waterz
from skimage.metrics import adapted_rand_error, variation_of_information

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.evaluation import added, contingency, scores, worst
from lchunk.operators.single_chunk import silence
from tests.conftest import DATA


def two_labellings(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 9, (3, 4, 5)), np.ones((4, 4, 4), int)).astype(np.uint64)
    wrong = rng.random(truth.shape) < 0.2
    return truth, np.where(wrong, rng.integers(0, 12, truth.shape), truth * 10**9).astype(np.uint64)


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
    total, found = scores(table), worst(table, 10**6)
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


def test_nothing_labelled_is_an_error() -> None:
    with pytest.raises(ValueError, match="must label a voxel"):
        scores(contingency(np.zeros((2, 2, 2)), np.ones((2, 2, 2))))
    with pytest.raises(ValueError, match="one shape"):
        contingency(np.zeros((2, 2, 2)), np.ones((2, 2, 3)))
