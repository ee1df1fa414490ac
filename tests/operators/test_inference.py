"""Patchwise inference: identity in, identity out; the same for every box; and nets that do not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.affinities import quantised
from lchunk.operators.inference import Net, identity_net, infer, output_patch
from lchunk.operators.lattice import Lattice
from lchunk.operators.nets import torch_net

START = (-10, 200, 300)


def padded_image(image: np.ndarray, bounds: Bbox, seen: Bbox) -> np.ndarray:
    voxels = np.zeros(seen.shape, image.dtype)
    inside = seen.clipped(bounds)
    voxels[inside.slices(seen.start)] = image[inside.slices(bounds.start)]
    return voxels


def run(image: np.ndarray, lattice: Lattice, bbox: Bbox, net: Net, channels: int) -> np.ndarray:
    seen = lattice.reach(bbox)
    return infer(padded_image(image, lattice.bounds, seen), seen, bbox, lattice=lattice, net=net, channels=channels)


@st.composite
def lattices(draw: st.DrawFn) -> Lattice:
    inner = triple(draw(st.tuples(*[st.integers(1, 9)] * 3)))
    crop = draw(st.tuples(*[st.integers(0, 2)] * 3))
    overlap = triple(draw(st.integers(0, side - 1)) for side in inner)
    outer = triple(side + 2 * c for side, c in zip(inner, crop, strict=True))
    return Lattice(Bbox.of(START, draw(st.tuples(*[st.integers(1, 20)] * 3))), outer, inner, overlap)


@given(lattices(), st.integers(0, 1000))
def test_the_identity_net_gives_the_image_back(lattice: Lattice, seed: int) -> None:
    image = np.random.default_rng(seed).integers(1, 256, lattice.bounds.shape).astype(np.uint8)
    output = run(image, lattice, lattice.bounds, identity_net(2, lattice.crop), 2)
    assert np.abs(output - image / np.float32(255)).max() <= 1e-6
    assert np.array_equal(quantised(output, np.uint8), np.stack([image, image]))


@given(lattices())
def test_weights_add_up_to_one_at_every_voxel(lattice: Lattice) -> None:
    for starts, weights, size in zip(lattice.starts, lattice.weights, lattice.bounds.shape, strict=True):
        total = np.zeros(max(size, starts[-1] + weights.shape[1]))
        for start, weight in zip(starts, weights, strict=True):
            total[start : start + weights.shape[1]] += weight
        assert total[:size] == pytest.approx(1, abs=1e-6)


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


@pytest.mark.parametrize("chunk_shape", [(10, 16, 18), (7, 11, 13), (24, 32, 5)])
def test_any_grid_gives_the_voxels_of_the_whole_bit_by_bit(chunk_shape: Triple) -> None:
    lattice = Lattice(Bbox.of(START, (24, 32, 36)), (12, 14, 16), (8, 10, 12), (2, 3, 4))
    image = np.random.default_rng(0).integers(0, 256, lattice.bounds.shape).astype(np.uint8)
    module = Context().eval()

    def net(patches: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(patches.copy())).numpy()

    whole = run(image, lattice, lattice.bounds, net, 3)
    assert whole.std() > 0.01
    grid = Grid(lattice.bounds, chunk_shape)
    for chunk in map(grid.chunk, grid):
        part = run(image, lattice, chunk, net, 3)
        assert np.array_equal(part, whole[(slice(None), *chunk.slices(START))])


def test_black_patches_are_not_computed() -> None:
    lattice = Lattice(Bbox.of(START, (4, 4, 12)), (4, 4, 4), (4, 4, 4), (0, 0, 0))
    image = np.zeros(lattice.bounds.shape, np.uint8)
    image[:, :, 4:8] = 9
    seen = []

    def net(patches: np.ndarray) -> np.ndarray:
        seen.append(patches)
        return np.ones_like(patches)

    output = run(image, lattice, lattice.bounds, net, 1)
    assert len(seen) == 1
    assert output.sum() == output[:, :, :, 4:8].sum() == 64


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
    assert output_patch(np.zeros((1, 3, 4, 4, 4), np.float32), 3, lattice).shape == (3, 4, 4, 4)
    assert output_patch(np.zeros((1, 3, 6, 6, 6), np.float32), 3, lattice).shape == (3, 4, 4, 4)
    with pytest.raises(ValueError, match=r"got \(1, 2, 6, 6, 6\).*channels"):
        output_patch(np.zeros((1, 2, 6, 6, 6), np.float32), 3, lattice)


MODEL = """
import torch
InstantiatedModel = torch.nn.Conv3d(1, 3, 1)
def pre_process(patch):
    return patch * 2
def post_process(output):
    return output + 1
"""


def test_a_model_file_with_its_weights_and_processing(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    state = {"weight": torch.full((3, 1, 1, 1, 1), 0.5), "bias": torch.tensor([0.0, 1.0, 2.0])}
    for saved in (state, {"state_dict": state}):
        weights = tmp_path / f"{len(saved)}.pt"
        torch.save(saved, weights)
        net = torch_net(str(tmp_path / "model.py"), str(weights), "cpu")
        output = net(np.full((1, 1, 2, 2, 2), 3, np.float32))
        assert output[0, :, 0, 0, 0].tolist() == [4.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "must define InstantiatedModel"),
        ("InstantiatedModel = 3", "got int"),
        ("InstantiatedModel = None", "got NoneType"),
    ],
)
def test_a_model_file_without_a_model_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "model.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        torch_net(str(tmp_path / "model.py"), "", "cpu")


def test_weights_that_do_not_fit_or_are_not_plain_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    torch.save({"weight": torch.zeros(4)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"weights must fit"):
        torch_net(str(tmp_path / "model.py"), str(tmp_path / "other.pt"), "cpu")
    torch.save({"state_dict": Path}, tmp_path / "code.pt")
    with pytest.raises(ValueError, match="must be plain tensors"):
        torch_net(str(tmp_path / "model.py"), str(tmp_path / "code.pt"), "cpu")
    with pytest.raises(FileNotFoundError, match=r"nothing\.pt"):
        torch_net(str(tmp_path / "model.py"), str(tmp_path / "nothing.pt"), "cpu")
    with pytest.raises(FileNotFoundError, match=r"nothing\.py"):
        torch_net(str(tmp_path / "nothing.py"), "", "cpu")
