"""Maps of chunks in the viewer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tornado.httpclient import AsyncHTTPClient

from lchunk.cli import mapped
from lchunk.cli.mapped import COLOURS, maps_of
from lchunk.status.chunks import DONE
from lchunk.status.chunks import FAILED as FAILED_STATE
from lchunk.viewer.screenshot import served
from lchunk.viewer.server import application
from lchunk.volumes.store import FileStore
from tests.status.made_layer import DONE as DONE_CHUNKS
from tests.status.made_layer import FAILED, layer_of, write_failures, write_layer


def layer_with_failures(folder: Path) -> FileStore:
    """The counted layer, with the dataset in its recipe as stages write it."""
    store = FileStore(folder)
    layer = write_layer(store)
    write_failures(store, layer)
    path = folder / "affinities/0/zarr.json"
    metadata = json.loads(path.read_text())
    metadata["attributes"]["lchunk"]["recipe"]["dataset"] = {"bounds": str(layer.bounds), "voxel_size": "40,4,4"}
    path.write_text(json.dumps(metadata))
    return store


def expected() -> Any:
    states = np.zeros((3, 2, 2), np.uint8)
    states[tuple(np.transpose(DONE_CHUNKS))] = DONE
    states[FAILED] = FAILED_STATE
    return states


def test_a_map_has_a_voxel_per_chunk_where_the_chunk_is(tmp_path: Path) -> None:
    store = layer_with_failures(tmp_path)
    ((shown, view),) = maps_of(store)
    assert (shown.name, shown.hidden, shown.colours) == ("chunks of affinities", False, COLOURS)
    array = json.loads(view.get("0/zarr.json"))
    assert array["shape"] == [3, 2, 2]
    assert np.array_equal(np.frombuffer(view.get("0/c/0/0/0"), np.uint8).reshape(3, 2, 2), expected())
    scale, centre = json.loads(view.get("zarr.json"))["attributes"]["ome"]["multiscales"][0]["datasets"][0][
        "coordinateTransformations"
    ]
    assert scale["scale"] == [4 * 40, 8 * 4, 4 * 4]
    # the grid begins at voxel (-4, 0, 8); a translation is that of the first voxel's centre
    assert centre["translation"] == [-4 * 40 + 80, 16, 8 * 4 + 8]


def test_what_changes_is_seen_once_the_states_are_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = layer_with_failures(tmp_path)
    ((_, view),) = maps_of(store)
    layer = layer_of(store)
    chunk = layer.grid.chunk(FAILED)
    layer.write(chunk, np.ones(chunk.shape, np.uint8))
    assert view.volume.read(view.volume.bounds)[FAILED] == FAILED_STATE  # looked up a moment ago
    monkeypatch.setattr(mapped, "AFRESH_SECONDS", 0.0)
    assert view.volume.read(view.volume.bounds)[FAILED] == DONE
    (tmp_path / "affinities/0/zarr.json").unlink()
    write_layer(FileStore(tmp_path / "other")).create({})
    (tmp_path / "other/affinities").rename(tmp_path / "renamed")
    assert not view.volume.read(view.volume.bounds).any()


def test_the_viewer_shows_it_over_the_layer_without_selecting_it(tmp_path: Path) -> None:
    store = layer_with_failures(tmp_path)

    async def answers() -> tuple[dict[str, Any], bytes]:
        async with served(application(str(tmp_path), maps=maps_of(store))) as url:
            state = json.loads((await AsyncHTTPClient().fetch(f"{url}state.json")).body)
            source = state["layers"][-1]["source"][0]["url"].removesuffix("|zarr3:")
            return state, (await AsyncHTTPClient().fetch(f"{source}0/c/0/0/0")).body

    state, chunk = asyncio.run(answers())
    layer = state["layers"][-1]
    assert (layer["name"], layer["type"], layer["visible"]) == ("chunks of affinities", "segmentation", True)
    assert layer["segmentColors"] == {"1": "#2e9e5b", "2": "#d62728"}
    assert chunk == expected().tobytes()
    assert state["selectedLayer"]["layer"] == "affinities"


def test_a_complete_layer_and_one_of_unknown_voxels_have_no_map(tmp_path: Path) -> None:
    assert not list(maps_of(FileStore(layer_without_a_dataset(tmp_path))))
    store = layer_with_failures(tmp_path / "complete")
    layer = layer_of(store)
    for index in layer.grid:
        chunk = layer.grid.chunk(index)
        layer.write(chunk, np.ones(chunk.shape, np.uint8))
    assert not list(maps_of(store))


def layer_without_a_dataset(folder: Path) -> Path:
    write_layer(FileStore(folder / "plain"))
    return folder / "plain"
