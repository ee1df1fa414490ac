"""Hours and prices follow from what is given, and nothing is made up."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from lchunk.cli.planning.forecast import Patches, Row, patches_of
from lchunk.cli.planning.hours import Speed, hours_of
from lchunk.cli.planning.price import TABLE, Prices, known_prices, prices_of
from lchunk.cli.planning.sampling import Sample
from lchunk.geometry.bbox import Bbox
from lchunk.operators.blending import Selection
from lchunk.operators.footprint import Footprint
from lchunk.operators.lattice import Lattice
from lchunk.summary.course import Course
from lchunk.tasks.luigi_settings import packaged
from lchunk.volumes.requests_made import Requests

LATTICE = Lattice(Bbox.of((0, 0, 0), (100, 100, 100)), (20, 20, 20), (20, 20, 20), (0, 0, 0))
FOOTPRINT = Footprint(LATTICE, Selection(3), "uint8", 1, 0)
CHUNK = (20, 50, 100)


def patches() -> Patches:
    return patches_of(FOOTPRINT, CHUNK, None, alone=True, on_device=False)


ROW = Row("Inference", "affinities", 10, 10, 10, CHUNK, 10**6, 1, 3 * 10**6)
OTHER = Row("Mesh", "mesh", 4, 4, 4, CHUNK, 10**6, None, None)


def test_patches_at_borders_count_in_each_chunk() -> None:
    plan = patches()
    assert plan.of_volume == (5, 5, 5)
    assert plan.of_chunk == (1, 3, 5)
    assert plan.computed == 5 * (3 + 3) * 5
    assert plan.border == pytest.approx(6 / 5)
    assert plan.shared == 1
    assert plan.input_chunk == (20, 60, 100)
    assert plan.halo == (0, 10, 0)


def test_hours_are_those_of_all_patches_shared_by_machines() -> None:
    (one,) = hours_of([ROW], patches(), Speed(seconds_per_patch=36), None, {}, machines=1)
    assert one.work == one.hours == pytest.approx(150 * 36 / 3600)
    (ten,) = hours_of([ROW], patches(), Speed(seconds_per_patch=36), None, {}, machines=10)
    assert ten.work == pytest.approx(1.5)
    assert ten.hours == pytest.approx((150 / 10 + 15 * 0.9) * 36 / 3600)  # 15 patches in the largest chunk
    assert "36 s per patch, as given" in ten.source
    blocks = replace(ROW, tasks=2)
    (two,) = hours_of([blocks], patches(), Speed(seconds_per_patch=36), None, {}, machines=10)
    assert two.hours == pytest.approx((150 / 10 + 75 * 0.9) * 36 / 3600)


def test_what_is_given_counts_more_than_logs_and_logs_more_than_a_measurement() -> None:
    course = Course(chunks=5, voxels=500_000, seconds={"compute": 3600.0}, time=1800.0)
    sample = Sample(seconds=3.0, patches=2, device="cpu")
    logs = {"Inference": course, "Mesh": course}
    rows = [ROW, OTHER]
    given, meshes = hours_of(rows, patches(), Speed(mvoxels_per_second=1 / 7200), sample, logs, machines=1)
    assert given.hours == pytest.approx(2)
    assert meshes.hours == pytest.approx(1)
    net, _ = hours_of(rows, patches(), Speed(), sample, logs, machines=1)
    assert net.hours == pytest.approx(1)
    assert net.source == "the logs of 5 chunks"
    (measured,) = hours_of(rows, patches(), Speed(), sample, {}, machines=1)
    assert measured.hours == pytest.approx(150 * 1.5 / 3600)
    assert "measured here on 2 patches (cpu)" in measured.source
    assert hours_of(rows, patches(), Speed(), None, {}, machines=1) == []


def test_only_what_has_a_price_and_an_amount_is_priced() -> None:
    everything = Prices(hour=2.0, million_writes=5.0, million_reads=0.4, gb_month=0.02)
    amounts = [price.amount for price in prices_of(everything, 3.0, 4, Requests(2_000_000, 500_000), 10**12)]
    assert amounts == pytest.approx([24.0, 10.0, 0.2, 20.0])
    assert list(prices_of(Prices(), 3.0, 4, Requests(1, 1), 10**12)) == []
    assert [price.what for price in prices_of(everything, None, 4, None, 10**12)] == ["storage for a month"]


def test_the_table_holds_prices_with_their_source_and_date() -> None:
    rows = packaged(TABLE)
    assert len(rows) >= 4
    for values in rows.values():
        assert values["source"]
        assert re.fullmatch(r"20\d\d(-\d\d-\d\d)?", values["date"])
        numbers = {name: float(text) for name, text in values.items() if name not in ("source", "date")}
        assert set(numbers) in ({"hour"}, {"million_writes", "million_reads", "gb_month"})
        assert min(numbers.values()) > 0


def test_a_plan_s_own_prices_take_precedence_over_the_cfg(configure: Callable[..., None]) -> None:
    configure("Prices", hour=7, bucket="s3-us-east-1", million_reads=2)
    found, notes = known_prices(Prices(gb_month=1.0))
    assert found == Prices(hour=7, million_writes=5, million_reads=2, gb_month=1)
    assert len(notes) == 1
    assert known_prices(Prices(1.0, 1.0, 1.0, 1.0)) == (Prices(1.0, 1.0, 1.0, 1.0), [])
