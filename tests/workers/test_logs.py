"""The logs of a worker: lines, JSON, CloudWatch."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import numpy as np
import pytest

from lchunk.tasks import Ingest
from lchunk.tasks.progress import chunk_listeners
from lchunk.workers import logs
from tests.conftest import build, write_hdf5


def test_seconds_of_chunks_reach_cloudwatch(
    servers: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch, configure: Callable[..., None], tmp_path: Path
) -> None:
    for name, value in servers["clock"].items():
        monkeypatch.setenv(name, value)
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros((8, 4, 4), np.uint8), (4, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=f"{tmp_path}/a.h5:/raw", chunk_shape="4,4,4", inner_chunk="4,4,4")
    with logs.metrics("mouse"):
        assert build(Ingest())
    assert not chunk_listeners
    client, now = boto3.client("cloudwatch"), datetime.now(UTC)
    (metric,) = client.list_metrics(Namespace="mouse")["Metrics"]
    assert (metric["MetricName"], metric["Dimensions"]) == ("Ingest", [{"Name": "device", "Value": "cpu"}])
    (point,) = client.get_metric_statistics(
        Namespace="mouse", MetricName="Ingest", Dimensions=metric["Dimensions"], StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1), Period=7200, Statistics=["SampleCount", "Sum"],
    )["Datapoints"]  # fmt: skip
    (log_file,) = (tmp_path / "out/logs/image").iterdir()
    written = [json.loads(line) for line in log_file.read_text().splitlines()]
    assert point["SampleCount"] == len(written) == 2
    assert point["Sum"] == pytest.approx(sum(sum(log["seconds"].values()) for log in written))
    assert point["Unit"] == "Seconds"


def test_metrics_that_cannot_be_sent_harm_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with logs.metrics("mouse"):
        chunk_listeners[-1]({"stage": "Ingest", "device": "cpu", "seconds": {"read": 1.0}})
    assert "1 metrics could not be sent to CloudWatch" in caplog.text


def test_a_line_is_an_object() -> None:
    record = logging.LogRecord("a", logging.WARNING, "b.py", 1, "took %s\n", ("Mesh",), None)
    content = json.loads(logs.JsonLines().format(record))
    assert content.pop("time")
    assert content == {"level": "warning", "message": "took Mesh\n"}
