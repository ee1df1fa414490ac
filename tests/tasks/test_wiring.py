"""How stages are connected: what a region requires, and what is read in place of a stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import pytest

from lchunk.geometry import regions
from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.tasks import Ingest, progress, running, web_page, wiring
from lchunk.tasks.progress import Reporter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import DOCUMENT
from tests.conftest import build, write_hdf5

IMAGE = np.random.default_rng(0).integers(1, 255, (8, 16, 16)).astype(np.uint8)
FIRST = "0-4_0-8_0-8"


class WiredForTest(Stage):
    """Reads a little beyond its chunk."""

    reads = (Reads(Ingest, (0, 0, 0), (0, 0, 1)),)
    layer = "wired"

    only: str = luigi.Parameter(default="", description="what is picked", significant=False)

    selects = ("only",)

    def compute(self, image: Any) -> Any:
        return 255 - image


class NotesOfWired(Stage):
    """Records, of which the last stage needs all before it starts."""

    reads = (Reads(WiredForTest), Reads(Ingest))
    layer = "wired_notes"
    format = DOCUMENT

    def compute(self, wired: Any, image: Any) -> Any:
        return {"sum": int(wired.sum()) + int(image.sum())}


class AllOfWired(Stage):
    """One number of all notes."""

    reads = (Reads(NotesOfWired, waits_for_all=True),)
    layer = "wired_all"
    format = DOCUMENT
    single_chunk = True
    file = "all"

    def compute(self, notes: Any) -> Any:
        return {"sum": sum(note["sum"] for note in notes)}


class OfSingle(Stage):
    """Reads a single chunk whole, from each of its chunks."""

    reads = (Reads(AllOfWired),)
    layer = "of_single"
    same_grid = False

    def compute_chunk(self, chunk: Any, totals: Any) -> Any:
        return np.full(chunk.bbox.shape, len(list(totals)), np.uint8)


@pytest.fixture
def root(tmp_path: Path, configure: Callable[..., None]) -> Path:
    image = write_hdf5(tmp_path / "image.h5", "raw", IMAGE, (40, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=image, chunk_shape="4,8,8", inner_chunk="4,4,4")
    return tmp_path / "out"


def names(stages: list[Stage]) -> list[str]:
    return [f"{type(stage).__name__} {stage.region or 'whole'}" for stage in stages]


@pytest.mark.parametrize(
    ("region", "nearest"),
    [
        ("0-3_0-8_0-8", "0-4_0-8_0-8"),
        ("1-5_0-8_9-12", "0-8_0-8_8-16"),
        ("100-104_0-8_0-8", "0-8_0-16_0-16"),
        ("0-8_0-16_0-17", "0-8_0-16_0-16"),
    ],
)
def test_the_nearest_region_of_whole_chunks_is_named(region: str, nearest: str) -> None:
    grid = Grid(Bbox((0, 0, 0), (8, 16, 16)), (4, 8, 8))
    with pytest.raises(ValueError, match=f"got {region}; the nearest is {nearest}$"):
        regions.whole_chunks(Bbox.parse(region), grid)
    whole = Bbox.parse(nearest)
    assert regions.whole_chunks(whole, grid) is whole


def test_a_chunk_requires_the_chunks_that_it_reads(root: Path) -> None:
    assert names(WiredForTest(region=FIRST).requires()) == ["Ingest 0-4_0-8_0-8", "Ingest 0-4_0-8_8-16"]
    assert names(WiredForTest(region="0-4_0-8_8-16").requires()) == ["Ingest 0-4_0-8_8-16"]


def test_what_touches_all_blocks_requires_the_whole(root: Path, configure: Callable[..., None]) -> None:
    configure("Dataset", max_blocks=2)
    assert names(WiredForTest(region="0-8_0-16_0-16").requires()) == ["Ingest whole"]


def test_the_whole_requires_its_blocks_that_miss_chunks_in_order(root: Path, configure: Callable[..., None]) -> None:
    assert build(WiredForTest())
    (root / "wired/0/c/1/1/0").unlink()
    (root / "wired/0/c/0/1/1").unlink()
    assert names(WiredForTest().requires()) == ["WiredForTest 0-4_8-16_8-16", "WiredForTest 4-8_8-16_0-8"]


def test_what_waits_for_all_requires_the_whole(root: Path) -> None:
    assert names(AllOfWired().requires()) == ["NotesOfWired whole"]
    assert names(NotesOfWired(region=FIRST).requires()) == [f"WiredForTest {FIRST}", f"Ingest {FIRST}"]


def test_an_external_volume_requires_nothing_and_is_never_required(
    root: Path, configure: Callable[..., None], tmp_path: Path
) -> None:
    configure("Ingest", external=f"{tmp_path}/image.h5:/raw")
    assert Ingest().requires() == []
    assert WiredForTest(region=FIRST).requires() == []
    assert names(NotesOfWired(region=FIRST).requires()) == [f"WiredForTest {FIRST}"]
    stage = WiredForTest(region=FIRST)
    assert stage.source(stage.reads[0]) is stage.upstream(stage.reads[0]).external_volume


def test_an_input_is_read_from_the_layer_of_its_stage(root: Path) -> None:
    stage = WiredForTest(region=FIRST)
    source: Any = stage.source(stage.reads[0])
    assert (source.store.url, source.name) == (str(root), "image")


def test_upstream_comes_first_and_once(root: Path, configure: Callable[..., None], tmp_path: Path) -> None:
    assert names(list(wiring.with_upstream(AllOfWired(), set()))) == [
        "Ingest whole", "WiredForTest whole", "NotesOfWired whole", "AllOfWired whole",
    ]  # fmt: skip
    assert names(list(wiring.with_upstream(WiredForTest(region=FIRST), set()))) == [
        "Ingest whole",
        "WiredForTest whole",
    ]
    seen = {WiredForTest().task_id}
    assert names(list(wiring.with_upstream(NotesOfWired(), seen))) == ["Ingest whole", "NotesOfWired whole"]


def test_nothing_is_upstream_of_an_external_volume(root: Path, configure: Callable[..., None], tmp_path: Path) -> None:
    configure("WiredForTest", external=f"{tmp_path}/image.h5:/raw")
    assert names(list(wiring.with_upstream(WiredForTest(), set()))) == ["WiredForTest whole"]


def test_records_cannot_come_from_outside(root: Path, configure: Callable[..., None], tmp_path: Path) -> None:
    configure("NotesOfWired", external="elsewhere")
    with pytest.raises(ValueError, match=r"NotesOfWired-external must be empty.*got elsewhere; remove the option"):
        NotesOfWired().complete()


def test_an_external_volume_is_sampled_once_for_all_regions(
    root: Path, configure: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("WiredForTest", external=f"{tmp_path}/image.h5:/raw")
    sampled: list[str] = []
    monkeypatch.setattr(type(WiredForTest().external_volume), "sample", lambda self: sampled.append("once"))
    for stage in (WiredForTest(), WiredForTest(region=FIRST), WiredForTest()):
        wiring.sample_external(stage)
    assert sampled == ["once"]
    wiring.sample_external(Ingest())  # not external


class ManyChannels:
    """A volume of three channels of four bytes."""

    channels = 3
    dtype = np.dtype(np.float32)


def test_the_bytes_of_an_input_are_counted_with_its_halo(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = WiredForTest()
    assert wiring.voxel_bytes(stage, stage.reads[0], Bbox.parse(FIRST)) == 4 * 8 * 9
    assert wiring.voxel_bytes(AllOfWired(), AllOfWired.reads[0], Bbox.parse(FIRST)) is None
    monkeypatch.setattr(WiredForTest, "source", lambda self, reads: ManyChannels())
    assert wiring.voxel_bytes(stage, stage.reads[0], Bbox.parse(FIRST)) == 4 * 8 * 9 * 3 * 4


def test_a_single_chunk_is_read_whole_by_every_chunk(root: Path) -> None:
    assert build(OfSingle())
    job = running.job_of(OfSingle(region=FIRST), Bbox.parse(FIRST))
    assert [one.bbox for one in job.inputs] == [AllOfWired().bounds]
    layer = OfSingle().voxels
    assert (layer.read(layer.bounds) == 1).all()


def test_absent_chunks_of_an_external_volume_are_zeros_only_where_its_stage_says_so(
    root: Path, configure: Callable[..., None], tmp_path: Path
) -> None:
    filled = []
    for external, fill in (("", True), ("{tmp}/image.h5:/raw", False), ("{tmp}/image.h5:/raw", True)):
        configure("Ingest", external=external.format(tmp=tmp_path), fill_missing=fill)
        (one,) = running.job_of(WiredForTest(), Bbox.parse(FIRST)).inputs
        filled.append(one.fill_missing)
    assert filled == [False, False, True]
    configure("WiredForTest", external=f"{tmp_path}/image.h5:/raw")  # a stage that has no such choice
    configure("Ingest", external="")
    assert [one.fill_missing for one in running.job_of(NotesOfWired(), Bbox.parse(FIRST)).inputs] == [False, False]


def test_a_task_is_shown_with_its_region_and_what_it_picks(root: Path) -> None:
    assert repr(WiredForTest()) == f"WiredForTest whole in {root}/wired"
    assert repr(WiredForTest(region=FIRST, only="z")) == f"WiredForTest {FIRST} only=z in {root}/wired"


def test_a_task_leads_to_its_middle_in_the_viewer(
    root: Path, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("Dataset", viewer="http://host:9000/")
    assert build(Ingest())
    urls: list[str] = []
    task = WiredForTest(region="4-8_0-8_8-16")
    task.set_tracking_url = urls.append
    task.run()
    assert urls == ["http://host:9000/?at=0.75,0.25,0.75"]
    configure("Dataset", viewer="", bounds="4-8_8-16_0-16")
    assert web_page._middle(WiredForTest(region="4-8_8-16_0-8")) == "0.5,0.5,0.25"
    without = Ingest(layer_name="without", region="4-8_8-16_0-8")
    without.set_tracking_url = urls.append
    without.run()
    assert len(urls) == 1


def test_the_whole_sweeps_what_killed_writers_left(root: Path) -> None:
    assert build(WiredForTest())
    swept: list[tuple[str, float]] = []

    class Sweeping:
        def sweep(self, prefix: str, older_than: float) -> None:
            swept.append((prefix, older_than))

    whole = WiredForTest()
    assert whole.delegates
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WiredForTest, "store", Sweeping())
        whole.run()
        assert swept == [("wired", 24 * 3600.0)]


def test_a_block_reports_what_it_made_and_says_why_it_failed(
    root: Path, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("Dataset", max_blocks=1)
    assert build(Ingest(), WiredForTest(region=FIRST))
    for index in ("0/1/0", "1/1/1"):
        (root / "image/0/c" / index).unlink()
    reported: list[tuple[int, int]] = []
    monkeypatch.setattr(Reporter, "chunk", lambda self, made, chunks: reported.append((made, chunks)))
    block = WiredForTest(region="0-8_0-16_0-16")
    with pytest.raises(RuntimeError) as error:
        block.run()
    text, cause = str(error.value), error.value.__cause__
    # two chunks are absent, and one beside the second reads it with its halo
    beginning = "3 of 8 chunks of WiredForTest failed, the first at 0-4_8-16_0-8, 4-8_8-16_0-8, 4-8_8-16_8-16: "
    assert text.startswith(f"{beginning}{type(cause).__name__}: {cause}")
    assert text.endswith("; 5 chunks are complete; run again when the cause is gone")
    assert "0/0/1/0" in str(cause) or "0-4_8-16_0-8" in str(cause)
    assert reported == [*((made, 8) for made in range(1, 8)), (5, 8)]


def test_a_task_starts_a_new_measurement_of_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(progress, "chunk_listeners", [told.append])
    monkeypatch.setattr(progress, "MEMORY_SECONDS", 0.0)
    monkeypatch.setattr(progress.watched_memory, "before", None)
    assert build(Ingest(region=FIRST))
    (entry,) = told
    few_pages = 1 << 20  # Linux adds up the pages of threads from time to time
    assert 0 < entry["memory"]["before"] <= entry["memory"]["peak"] + few_pages
