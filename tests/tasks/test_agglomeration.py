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
from lchunk.operators.pair_sums import added
from lchunk.operators.union import relabelled
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Agglomeration, RegionGraph, Segmentation
from lchunk.tasks.agglomeration import level_grid, top_level
from tests.conftest import build, files_of, smooth_affinities, write_hdf5

SHAPE = (20, 36, 40)
START = (-10, 200, 300)
GRIDS = {"20,36,40": 0, "20,18,20": 1, "8,12,16": 2, "5,36,6": 3}
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
def segmented(tmp_path: Path, configure: Callable[..., None]) -> Callable[[np.ndarray, str, float], Path]:
    def run(affinities: np.ndarray, grid: str, threshold: float) -> Path:
        root = tmp_path / f"{grid}_{threshold}"
        url = write_hdf5(tmp_path / f"{root.name}.h5", "a", affinities, (40, 4, 4), START)
        configure("Dataset", root=root, image=url, chunk_shape=grid, inner_chunk=grid)
        configure("Inference", external=url)
        configure("Agglomeration", threshold=threshold)
        assert build(Segmentation())
        return root

    return run


@pytest.mark.parametrize("threshold", [0.5, 0.7])
@pytest.mark.parametrize("volume", VOLUMES)
def test_every_grid_merges_what_the_whole_graph_merges(
    segmented: Callable[..., Path], volume: str, threshold: float
) -> None:
    tables, voxels = [], []
    for grid, top in GRIDS.items():
        root = segmented(VOLUMES[volume], grid, threshold)
        assert sorted(path.name for path in (root / "agglomeration/levels").iterdir()) == [
            str(n) for n in range(top + 1)
        ]
        (table,) = Agglomeration().files().read(Agglomeration().bounds)
        tables.append({name: table[name] for name in ("changed", "roots", "labels", "sizes")})
        voxels.append(zarr.open_array(root / "segmentation/0", mode="r")[:])
    graphs = [dict(graph.items()) for graph in RegionGraph().files().read(RegionGraph().bounds)]
    merged = agglomerate_graph(
        added([{name: graph[name] for name in ("u", "v", "sum", "count")} for graph in graphs]), threshold=threshold
    )
    assert len(merged.changed) > 20
    for table, found in zip(tables, voxels, strict=True):
        assert np.array_equal(table["changed"], merged.changed)
        assert np.array_equal(table["roots"], merged.roots)
        assert np.array_equal(found, voxels[0])
        labels, sizes = np.unique(found[found > 0], return_counts=True)
        assert np.array_equal(table["labels"], labels)
        assert np.array_equal(table["sizes"], sizes)
    fragments = zarr.open_array(root / "fragments/0", mode="r")[:]
    assert np.array_equal(relabelled(fragments, merged.changed, merged.roots), voxels[0])


def test_a_level_that_is_gone_or_torn_is_told_by_name_and_made_again(segmented: Callable[..., Path]) -> None:
    root = segmented(VOLUMES["float"], "8,12,16", 0.5)
    before = files_of(root)
    levels = [key for key in before if key.startswith("agglomeration/levels/") and key.endswith(".npz")]
    assert {key.split("/")[2] for key in levels} == {"0", "1", "2"}
    for level in ("0", "1", "2"):
        gone = next(key for key in levels if key.split("/")[2] == level)
        for key in (gone, "agglomeration/table.npz"):
            (root / key).unlink()
        assert build(Agglomeration())
        assert files_of(root) == before
        (root / gone).write_bytes(before[gone][: len(before[gone]) // 2])
        (root / "agglomeration/table.npz").unlink()
        assert not build(Agglomeration())
        with pytest.raises(ValueError, match=rf"{gone} must be a whole \.npz file.*remove it and run its stage again"):
            list(Agglomeration().inputs()[int(level)])
        (root / gone).unlink()
        assert build(Agglomeration())
        assert files_of(root) == before


def test_levels_end_in_one_box() -> None:
    for shape, chunk, top in (((9, 9, 9), (9, 9, 9), 0), ((9, 9, 9), (3, 9, 9), 2), ((64, 1, 1), (1, 1, 1), 6)):
        chunks = Grid(Bbox.of((-5, 0, 0), shape), chunk)
        assert top_level(chunks) == top
        assert len(level_grid(chunks, top)) == 1
        assert top == 0 or len(level_grid(chunks, top - 1)) > 1


def test_another_threshold_is_refused_with_ways_out_that_work(
    segmented: Callable[..., Path], configure: Callable[..., None]
) -> None:
    root = segmented(VOLUMES["float"], "20,18,20", 0.5)
    before = files_of(root)
    configure("Agglomeration", threshold=0.6)
    with pytest.raises(RecipeMismatchError) as error:
        Segmentation().complete()
    text = str(error.value)
    assert "Agglomeration-threshold is '0.5' there, '0.6' in this run" in text
    assert "write to other layers: --Agglomeration-layer-name NAME --Segmentation-layer-name NAME\n" in text
    assert text.endswith(f"rm -r {root}/agglomeration {root}/segmentation")
    configure("Agglomeration", layer_name="more")
    configure("Segmentation", layer_name="coarser")
    assert build(Segmentation())
    after = files_of(root)
    assert {key: after[key] for key in before} == before
    assert {key.split("/")[0] for key in after.keys() - before.keys()} == {"more", "coarser"}
