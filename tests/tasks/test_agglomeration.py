"""Agglomeration level by level: the merges of the whole graph, for every grid, with and without ties."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.agglomeration import agglomerate_graph
from lchunk.operators.cut import Names
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Agglomeration, Segmentation, SegmentNames
from lchunk.tasks.levels import level_grid, top_level
from tests.conftest import build, files_of, smooth_affinities, write_hdf5
from tests.operators.test_agglomeration import cut, whole_graph

SHAPE = (20, 36, 40)
START = (-10, 200, 300)
GRIDS = {"20,36,40": 0, "20,18,20": 2, "8,12,16": 6, "5,36,6": 5}
SAMPLE = Path(__file__).parent.parent.parent / "sample"


def boundary_affinities() -> np.ndarray:
    """Real EM, full of ties: a voxel and the one before it are as alike as their grey values."""
    with h5py.File(SAMPLE / "fib25.h5") as file:
        image = file["volumes/raw"][:20, :36, :40]
    darker = [np.minimum(image, np.roll(image, 1, axis)) for axis in (2, 1, 0)]
    return np.stack(darker) // 8 * 8


VOLUMES = {
    "float": smooth_affinities(SHAPE, 7),
    "uint8": (smooth_affinities(SHAPE, 8) * 40).astype(np.uint8) * 6,
    "real": boundary_affinities(),
}


@pytest.fixture
def segmented(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., Path]:
    def run(affinities: np.ndarray, grid: str, threshold: float, **knobs: object) -> Path:
        root = tmp_path / f"{grid}_{threshold}"
        url = write_hdf5(tmp_path / f"{root.name}.h5", "a", affinities, (40, 4, 4), START)
        configure("Dataset", root=root, image=url, chunk_shape=grid, inner_chunk=grid)
        configure("Inference", external=url)
        configure("Segmentation", threshold=threshold, **knobs)
        assert build(Segmentation())
        return root

    return run


def voxels(root: Path, layer: str = "segmentation") -> np.ndarray:
    return zarr.open_array(root / layer / "0", mode="r")[:]


def whole(affinities: np.ndarray, threshold: float) -> np.ndarray:
    """The volume as one graph, by the operators alone."""
    fragments, graph = whole_graph(affinities)
    return cut(fragments, agglomerate_graph(graph)[0], threshold)


@pytest.mark.parametrize("threshold", [0, 0.5, 0.7])
@pytest.mark.parametrize("volume", VOLUMES)
def test_every_grid_merges_what_the_whole_graph_merges(
    segmented: Callable[..., Path], volume: str, threshold: float
) -> None:
    expected = whole(VOLUMES[volume], threshold)
    labels, sizes = np.unique(expected[expected > 0], return_counts=True)
    assert len(labels) > 10
    for grid, top in GRIDS.items():
        root = segmented(VOLUMES[volume], grid, threshold)
        levels = sorted(path.name for path in (root / "agglomeration").iterdir())
        assert levels == [str(n) for n in range(top + 1)]
        assert np.array_equal(voxels(root), expected), grid
        assert sizes_in(root) == dict(zip(labels.tolist(), sizes.tolist(), strict=True))


def sizes_in(root: Path) -> dict[int, int]:
    """Every segment's size, as each chunk knows it."""
    stage = SegmentNames(threshold=Segmentation().threshold)
    sizes: dict[int, int] = {}
    for names in map(Names.of_table, stage.files().records(stage.bounds)):
        for label, size in zip(names.roots.tolist(), names.sizes.tolist(), strict=True):
            assert sizes.setdefault(label, size) == size
    return sizes


def test_other_thresholds_cut_the_tree_that_is_there(
    segmented: Callable[..., Path], configure: Callable[..., None]
) -> None:
    configure("Agglomeration", highest_threshold=1)
    root = segmented(VOLUMES["float"], "8,12,16", 0.5)
    tree = {key: body for key, body in files_of(root).items() if key.startswith(("agglomeration/", "region_graph/"))}
    times = {key: (root / key).stat().st_mtime_ns for key in tree}
    for threshold in (0.0, 0.3, 0.9):
        configure("Segmentation", threshold=threshold, layer_name=f"at_{threshold}")
        assert build(Segmentation())
        assert np.array_equal(voxels(root, f"at_{threshold}"), whole(VOLUMES["float"], threshold))
    assert {key: (root / key).stat().st_mtime_ns for key in tree} == times


def test_a_tree_that_ends_at_a_threshold_is_the_whole_tree_up_to_it(
    segmented: Callable[..., Path], configure: Callable[..., None]
) -> None:
    configure("Agglomeration", highest_threshold=0.5)
    root = segmented(VOLUMES["uint8"], "8,12,16", 0.5)
    assert np.array_equal(voxels(root), whole(VOLUMES["uint8"], 0.5))
    configure("Segmentation", threshold=0.6)
    with pytest.raises(ValueError, match=r"threshold must be at most Agglomeration-highest-threshold, 0\.5, got 0\.6"):
        Segmentation().complete()


def test_dust_is_decided_by_the_size_in_the_whole_volume(segmented: Callable[..., Path]) -> None:
    expected = whole(VOLUMES["float"], 0.5)
    labels, sizes = np.unique(expected, return_counts=True)
    dust = labels[(sizes < 30) & (labels > 0)]
    assert 0 < len(dust) < len(labels) - 1
    for grid in list(GRIDS)[1:]:
        root = segmented(VOLUMES["float"], grid, 0.5, dust_threshold=30)
        assert np.array_equal(voxels(root), np.where(np.isin(expected, dust), 0, expected))


def test_a_level_that_is_missing_or_truncated_is_named_and_made_again(segmented: Callable[..., Path]) -> None:
    grid = "20,18,20"
    root = segmented(VOLUMES["float"], grid, 0.5)
    before = files_of(root)
    made = [key for key in before if key.endswith(".table") or "/0/c/" in key]
    up, down = "agglomeration", "segmentation/names"
    made_of_it = {up: (up, "segmentation"), down: ("segmentation",)}
    for level in range(GRIDS[grid] + 1):
        for layer, stage in ((up, Agglomeration(level=level)), (down, SegmentNames(level=level, threshold=0.5))):
            gone = next(key for key in made if key.startswith(f"{layer}/{level}/"))
            (root / gone).unlink()
            assert build(stage)
            assert files_of(root) == before
            (root / gone).write_bytes(before[gone][: len(before[gone]) // 2])
            with pytest.raises(ValueError, match=rf"{gone} must be a whole \.table file.*remove it and run its stage"):
                list(stage.files().records(stage.bounds))
            for key in made:
                if key.startswith(made_of_it[layer]) and key != gone:
                    (root / key).unlink()
            assert not build(Segmentation())
            (root / gone).unlink()
            assert build(Segmentation())
            assert files_of(root) == before


def test_levels_end_in_one_box() -> None:
    for shape, chunk, top in (
        ((9, 9, 9), (9, 9, 9), 0),
        ((9, 9, 9), (3, 9, 9), 2),
        ((64, 1, 1), (1, 1, 1), 6),
        ((8, 8, 8), (2, 4, 8), 3),
    ):
        chunks = Grid(Bbox.of((-5, 0, 0), shape), chunk)
        assert top_level(chunks) == top
        assert len(level_grid(chunks, top)) == 1
        assert top == 0 or len(level_grid(chunks, top - 1)) == 2


def test_another_threshold_is_refused_with_ways_out_that_work(
    segmented: Callable[..., Path], configure: Callable[..., None]
) -> None:
    root = segmented(VOLUMES["float"], "20,18,20", 0.5)
    before = files_of(root)
    configure("Segmentation", threshold=0.6)
    with pytest.raises(RecipeMismatchError) as error:
        Segmentation().complete()
    text = str(error.value)
    assert "Segmentation-threshold is '0.5' there, '0.6' in this run" in text
    assert "write to other layers: --Segmentation-layer-name NAME\n" in text
    assert text.endswith(f"rm -r {root}/segmentation")
    configure("Segmentation", layer_name="coarser")
    assert build(Segmentation())
    after = files_of(root)
    assert {key: after[key] for key in before} == before
    assert {key.split("/")[0] for key in after.keys() - before.keys()} == {"coarser"}
