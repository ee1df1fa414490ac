"""The progress of a dataset as metrics of Prometheus, and the board that draws them."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lchunk.cli import measuring
from lchunk.status.facts import facts_of
from lchunk.status.metrics import Progress
from lchunk.volumes.store import FileStore
from lchunk.workers.address import open_queue
from tests.cli.commands import REPOSITORY, lchunk
from tests.status.made_layer import FAILED, SPEED, layer_of, write_failures, write_layer

PROMETHEUS = REPOSITORY / "docker/prometheus"
AFFINITIES = {"layer": "affinities", "stage": "Inference"}


def values(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels, as Prometheus' own parser reads them."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """The layer of 12 chunks that is counted by hand, with its failures."""
    store = FileStore(tmp_path / "out")
    write_failures(store, write_layer(store))
    return store


def test_the_numbers_are_those_that_are_counted_by_hand(store: FileStore) -> None:
    progress = Progress()
    assert values(progress.text())[key("lchunk_up")] == 0  # before the first look
    progress.facts, progress.up = facts_of(store), True
    progress.queues = {"regions": {"visible": 3, "dead": 1}}
    found = values(progress.text())
    assert found[key("lchunk_up")] == 1
    for state, count in (("done", 6), ("failed", 1), ("missing", 5)):
        assert found[key("lchunk_chunks", **AFFINITIES, state=state)] == count
    assert found[key("lchunk_voxels_per_second", **AFFINITIES)] == pytest.approx(SPEED, rel=0.01)
    # six lines in the hour, five of them with 150 s of computing, each with 50 s of reading
    assert found[key("lchunk_hour_chunks", **AFFINITIES)] == 6
    assert found[key("lchunk_hour_seconds", **AFFINITIES, step="read")] == 300
    assert found[key("lchunk_hour_seconds", **AFFINITIES, step="compute")] == 750
    assert found[key("lchunk_failed_regions")] == 2  # one of three was made later
    assert found[key("lchunk_queue_messages", queue="regions", state="dead")] == 1
    assert found[key("lchunk_look_timestamp_seconds")] == pytest.approx(progress.facts.now)


def test_one_look_is_printed_with_the_messages_of_the_queue(store: FileStore, tmp_path: Path) -> None:
    queue = open_queue(f"{tmp_path}/queue/")
    queue.create(60)
    queue.send(["a", "b"])
    said = lchunk(tmp_path, "metrics", "out", "--once", LCHUNK_QUEUE=f"{tmp_path}/queue/")
    assert said.code == 0, said.err
    found = values(said.out)
    assert found[key("lchunk_queue_messages", queue=queue.address, state="visible")] == 2
    assert found[key("lchunk_chunks", **AFFINITIES, state="done")] == 6


def test_what_is_served_follows_the_run_and_says_when_it_cannot_look(store: FileStore, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lchunk.cli", "metrics", "out", "--port", "0", "--every", "1"],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = re.findall(r"http://\S+/metrics", process.stdout.readline())[0]
        assert read(url)[key("lchunk_chunks", **AFFINITIES, state="done")] == 6
        layer = layer_of(store)
        chunk = layer.grid.chunk(FAILED)
        layer.write(chunk, np.ones(chunk.shape, np.uint8))
        wait_for(url, key("lchunk_chunks", **AFFINITIES, state="done"), 7)
        (tmp_path / "out").rename(tmp_path / "away")
        wait_for(url, key("lchunk_up"), 0)
        assert read(url)[key("lchunk_chunks", **AFFINITIES, state="done")] == 7  # what was known last
        (tmp_path / "away").rename(tmp_path / "out")
        wait_for(url, key("lchunk_up"), 1)
    finally:
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "lchunk: not measured: a dataset's folder must hold a layer" in complaints


def read(url: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    with urllib.request.urlopen(url) as answer:
        return values(answer.read().decode())


def wait_for(url: str, name: tuple[str, frozenset[tuple[str, str]]], value: float) -> None:
    """Read the metrics until one of them has a value."""
    for _ in range(600):
        if read(url).get(name) == value:
            return
        time.sleep(0.1)
    raise AssertionError(f"{name} must become {value}, got {read(url).get(name)}")


def test_a_taken_port_is_explained(store: FileStore, tmp_path: Path) -> None:

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = lchunk(tmp_path, "metrics", "out", "--port", str(port))
    assert f"--port must be free on an address of this machine, got {port} on 127.0.0.1" in said.last


def expressions() -> list[str]:
    """What the board and the alerts ask Prometheus for."""
    board: dict[str, Any] = json.loads((PROMETHEUS / "grafana/board.json").read_text())
    rules = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"][0]["rules"]
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [*asked, *(rule["expr"] for rule in rules)]


@pytest.mark.parametrize("expression", expressions())
def test_the_board_and_the_alerts_ask_for_metrics_that_exist(store: FileStore, expression: str) -> None:
    progress = Progress()
    progress.facts, progress.queues = facts_of(store), {"regions": {"visible": 0, "in_flight": 1, "dead": 2}}
    known: dict[str, dict[str, set[str]]] = {}
    for name, labels in values(progress.text()):
        for label, value in labels:
            known.setdefault(name, {}).setdefault(label, set()).add(value)
        known.setdefault(name, {})
    asked = re.findall(r"(lchunk_\w+)(?:\{(\w+)=~?\"([\w|]+)\"\})?", expression)
    assert asked
    for name, label, wanted in asked:
        assert name in known
        assert not label or set(wanted.split("|")) <= known[name][label]
    for label in re.findall(r"by \((\w+)\)", expression):
        assert all(label in known[name] for name, *_ in asked)


def test_the_board_finds_its_source_of_data() -> None:
    board = json.loads((PROMETHEUS / "grafana/board.json").read_text())
    (source,) = yaml.safe_load((PROMETHEUS / "grafana/datasource.yaml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}
    (job, _) = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text())["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [f"metrics:{measuring.PORT}"]
