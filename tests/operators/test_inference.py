"""Patchwise inference: identity in, identity out; the same for every box; and nets that do not fit."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.inference import Net, check_answer, host_net, identity_net, infer
from lchunk.operators.lattice import BUMPS, Lattice
from lchunk.operators.nets import AUTOCAST, cpu_net, device_net

START = (-10, 200, 300)


def padded_image(image: np.ndarray, bounds: Bbox, seen: Bbox) -> np.ndarray:
    voxels = np.zeros(seen.shape, image.dtype)
    inside = seen.clipped(bounds)
    voxels[inside.slices(seen.start)] = image[inside.slices(bounds.start)]
    return voxels


def run(image: np.ndarray, lattice: Lattice, bbox: Bbox, net: Net, channels: int, **knobs: Any) -> np.ndarray:
    seen = lattice.reach(bbox)
    voxels = padded_image(image, lattice.bounds, seen)
    return infer(voxels, seen, bbox, lattice=lattice, net=net, channels=channels, **knobs)


@st.composite
def lattices(draw: st.DrawFn) -> Lattice:
    inner = triple(draw(st.tuples(*[st.integers(1, 9)] * 3)))
    crop = draw(st.tuples(*[st.integers(0, 2)] * 3))
    overlap = triple(draw(st.integers(0, side - 1)) for side in inner)
    outer = triple(side + 2 * c for side, c in zip(inner, crop, strict=True))
    bump = draw(st.sampled_from(sorted(BUMPS)))
    return Lattice(Bbox.of(START, draw(st.tuples(*[st.integers(1, 20)] * 3))), outer, inner, overlap, bump)


def gives_the_image_back(lattice: Lattice, seed: int, **knobs: Any) -> None:
    image = np.random.default_rng(seed).integers(1, 256, lattice.bounds.shape).astype(np.uint8)
    net = identity_net(2, lattice.crop)
    output = run(image, lattice, lattice.bounds, net, 2, **knobs)
    assert np.abs(output - image / np.float32(255)).max() <= 1e-6
    whole_numbers = run(image, lattice, lattice.bounds, net, 2, dtype=np.uint8, **knobs)
    assert np.array_equal(whole_numbers, np.stack([image, image]))


@given(lattices(), st.integers(0, 1000), st.integers(1, 4))
def test_the_identity_net_gives_the_image_back(lattice: Lattice, seed: int, batch: int) -> None:
    gives_the_image_back(lattice, seed, batch=batch)


@pytest.mark.parametrize("bump", sorted(BUMPS))
@pytest.mark.parametrize(
    ("shape", "input_patch", "output_patch", "overlap"),
    [
        ((33, 300, 310), (20, 256, 256), (20, 256, 256), (4, 64, 64)),
        ((33, 300, 310), (20, 256, 256), (16, 192, 192), (2, 32, 32)),  # the tutorial's production line
        ((30, 90, 100), (16, 32, 32), (16, 32, 32), (8, 16, 16)),  # 50 %
        ((20, 61, 50), (8, 32, 32), (8, 32, 32), (6, 24, 24)),  # 75 %
        ((9, 100, 70), (20, 128, 128), (16, 96, 96), (4, 32, 32)),  # smaller than a patch
        ((31, 67, 73), (10, 20, 20), (7 * 2 - 4, 12, 14), (3, 5, 6)),  # no patch divides it
    ],
)
def test_the_identity_net_gives_the_image_back_at_real_sizes(
    bump: str, shape: Triple, input_patch: Triple, output_patch: Triple, overlap: Triple
) -> None:
    gives_the_image_back(Lattice(Bbox.of(START, shape), input_patch, output_patch, overlap, bump), 0)


@given(lattices())
def test_weights_add_up_to_one_at_every_voxel(lattice: Lattice) -> None:
    for starts, weights, size in zip(lattice.starts, lattice.weights, lattice.bounds.shape, strict=True):
        total = np.zeros(max(size, starts[-1] + weights.shape[1]))
        for start, weight in zip(starts, weights, strict=True):
            total[start : start + weights.shape[1]] += weight
        assert total[:size] == pytest.approx(1, abs=1e-6)


@given(lattices())
def test_the_lattice_knows_how_many_patches_share_a_voxel(lattice: Lattice) -> None:
    shared = np.zeros((40, 40, 40), int)
    for _, patch in lattice.meeting(lattice.bounds):
        shared[patch.slices(START)] += 1
    assert shared.max() == lattice.deepest


def test_inner_voxels_weigh_more_than_border_voxels() -> None:
    lattice = Lattice(Bbox.of(START, (1, 1, 24)), (1, 1, 16), (1, 1, 16), (0, 0, 8))
    first, second = lattice.weights[2]
    assert (first[:8] == 1).all()  # alone there
    assert (np.diff(first[8:]) < 0).all()
    assert second[0] < 0.05
    assert lattice.starts[2] == (0, 8)


class Context(torch.nn.Module):
    """A net whose output depends on everything around a voxel, so that seams would show."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = torch.nn.Conv3d(1, 3, 3, padding=1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.randn(self.conv.weight.shape, generator=generator))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.conv(patches))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("autocast", ["none", "bfloat16"])
@pytest.mark.parametrize("chunk_shape", [(10, 16, 18), (7, 11, 13), (24, 32, 5)])
def test_any_grid_gives_the_voxels_of_the_whole_bit_by_bit(chunk_shape: Triple, autocast: str, batch: int) -> None:
    lattice = Lattice(Bbox.of(START, (24, 32, 36)), (12, 14, 16), (8, 10, 12), (2, 3, 4))
    image = np.random.default_rng(0).integers(0, 256, lattice.bounds.shape).astype(np.uint8)
    image[8:, 20:] = 0  # some patches are black
    net = cpu_net(Context().eval(), AUTOCAST[autocast])
    for dtype in (np.float32, np.uint8):
        whole = run(image, lattice, lattice.bounds, net, 3, batch=batch, dtype=dtype)
        assert whole.std() > 0.01
        grid = Grid(lattice.bounds, chunk_shape)
        for chunk in map(grid.chunk, grid):
            part = run(image, lattice, chunk, net, 3, batch=batch, dtype=dtype)
            assert np.array_equal(part, whole[(slice(None), *chunk.slices(START))])


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("bbox", ["-10-14_200-232_300-336", "-5-8_203-222_305-331"])
def test_what_runs_on_a_device_gives_what_the_host_gives(bbox: str, dtype: type, batch: int) -> None:
    lattice = Lattice(Bbox.of(START, (24, 32, 36)), (12, 14, 16), (8, 10, 12), (5, 3, 4))
    image = np.random.default_rng(0).integers(0, 256, lattice.bounds.shape).astype(np.uint8)
    model = Context().eval()
    box = Bbox.parse(bbox)
    for knobs in ({}, {"keep": (1, 0)}, {"myelin_threshold": 0.5}):
        host = run(image, lattice, box, cpu_net(model, None), 3, dtype=dtype, batch=batch, **knobs)
        device = run(image, lattice, box, device_net(model, torch.device("cpu")), 3, dtype=dtype, batch=batch, **knobs)
        assert np.array_equal(host, device)


def test_channels_are_picked_and_myelin_erases_the_others() -> None:
    lattice = Lattice(Bbox.of(START, (6, 9, 10)), (4, 6, 6), (4, 6, 6), (1, 2, 2))
    image = np.random.default_rng(0).integers(1, 256, lattice.bounds.shape).astype(np.uint8)

    def predict(patches: np.ndarray) -> np.ndarray:
        return np.concatenate([patches * share for share in (0.1, 0.2, 0.3, 1)], axis=1)

    expected = run(image, lattice, lattice.bounds, host_net(predict), 4)
    picked = run(image, lattice, lattice.bounds, host_net(predict), 4, keep=(2, 0))
    assert np.array_equal(picked, expected[[2, 0]])
    erased = run(image, lattice, lattice.bounds, host_net(predict), 4, myelin_threshold=0.6)
    assert np.array_equal(erased, np.where(expected[3] > 0.6, 0, expected[:3]))
    assert 0.1 < (erased == 0).mean() < 0.9
    with pytest.raises(ValueError, match="keep must be channels from 0 to 2, got 3"):
        run(image, lattice, lattice.bounds, host_net(predict), 4, keep=(3,), myelin_threshold=0.6)


@pytest.mark.parametrize("nonsense", [np.nan, np.inf])
@pytest.mark.parametrize("on_device", [False, True])
def test_numbers_that_are_none_are_refused(nonsense: float, on_device: bool) -> None:
    lattice = Lattice(Bbox.of(START, (6, 9, 10)), (4, 6, 6), (4, 6, 6), (1, 2, 2))

    def model(patches: torch.Tensor) -> torch.Tensor:
        answer = patches.clone()
        answer[0, 0, 2, 2, 2] = nonsense
        return answer

    net = device_net(model, torch.device("cpu")) if on_device else cpu_net(model, None)
    with pytest.raises(ValueError, match="a net must return finite numbers, got NaN or infinity at -10--"):
        run(np.ones((6, 9, 10), np.uint8), lattice, lattice.bounds, net, 1)


def test_black_patches_are_not_computed() -> None:
    lattice = Lattice(Bbox.of(START, (4, 4, 12)), (4, 4, 4), (4, 4, 4), (0, 0, 0))
    image = np.zeros(lattice.bounds.shape, np.uint8)
    image[:, :, 4:8] = 9
    seen = []

    def net(patches: np.ndarray) -> np.ndarray:
        seen.append(patches)
        return np.ones_like(patches)

    output = run(image, lattice, lattice.bounds, host_net(net), 1)
    assert len(seen) == 1
    assert output.sum() == output[:, :, :, 4:8].sum() == 64


@pytest.mark.parametrize("knobs", [{}, {"myelin_threshold": 0.9}])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("overlap", [(0, 0, 0), (3, 3, 3)])
def test_black_sections_deeper_than_a_patch_change_nothing_around_them(
    overlap: Triple, on_device: bool, dtype: type, knobs: dict
) -> None:
    lattice = Lattice(Bbox.of(START, (40, 6, 6)), (4, 4, 4), (4, 4, 4), overlap)
    image = np.zeros(lattice.bounds.shape, np.uint8)
    for bright in (slice(9, 12), slice(26, 29)):  # black before, between and after
        image[bright] = np.random.default_rng(0).integers(1, 256, image[bright].shape)

    def model(patches: torch.Tensor) -> torch.Tensor:
        return torch.cat([patches, patches / 2], 1)

    net = device_net(model, torch.device("cpu")) if on_device else cpu_net(model, None)
    output = run(image, lattice, lattice.bounds, net, 2, dtype=dtype, **knobs)
    expected = image if dtype is np.uint8 else image / np.float32(255)
    assert output[0] == pytest.approx(expected, abs=1e-6)


def test_progress_counts_patches() -> None:
    lattice = Lattice(Bbox.of(START, (4, 4, 12)), (4, 4, 4), (4, 4, 4), (0, 0, 0))
    told = []
    image = np.ones(lattice.bounds.shape, np.uint8)
    net = identity_net(1, (0, 0, 0))
    infer(
        image, lattice.bounds, lattice.bounds, lattice=lattice, net=net, channels=1, progress=lambda *n: told.append(n)
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("outer", "inner", "overlap", "message"),
    [
        ((4, 4, 4), (4, 5, 4), (0, 0, 0), "output_patch must be positive, at most input_patch.*along y"),
        ((4, 4, 5), (4, 4, 4), (0, 0, 0), "an even number of voxels smaller.*along x"),
        ((4, 4, 4), (4, 4, 4), (4, 0, 0), "overlap must be at least 0 and less than output_patch.*along z"),
    ],
)
def test_patches_that_do_not_fit_are_refused(outer: Triple, inner: Triple, overlap: Triple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lattice(Bbox.of(START, (9, 9, 9)), outer, inner, overlap)


def test_a_net_s_answer_must_fit() -> None:
    lattice = Lattice(Bbox.of(START, (9, 9, 9)), (6, 6, 6), (4, 4, 4), (0, 0, 0))
    check_answer((2, 3, 4, 4, 4), 2, 3, lattice)
    check_answer((2, 3, 6, 6, 6), 2, 3, lattice)
    for wrong in ((2, 2, 6, 6, 6), (1, 3, 6, 6, 6), (2, 3, 5, 5, 5), (2, 3, 6, 6)):
        with pytest.raises(ValueError, match=r"must return \(batch, channel, z, y, x\) = \(2, 3, 4, 4, 4\) or"):
            check_answer(wrong, 2, 3, lattice)
