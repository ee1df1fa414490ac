"""The progress of a dataset as metrics of Prometheus. They come from chunk files and logs, so no worker serves any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from lchunk.status.chunks import DONE, FAILED, MISSING
from lchunk.status.facts import Facts

STATES = {"done": DONE, "failed": FAILED, "missing": MISSING}
OF_LAYER = ("layer", "stage")

Queues = Mapping[str, Mapping[str, int]]
"""For the address of each queue, the number of its messages by state."""


class Progress(Collector):
    """What was found last; it is told anew from time to time, and Prometheus reads it at any time."""

    def __init__(self) -> None:
        self.facts: Facts | None = None
        self.queues: Queues = {}
        self.up = False
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """All metrics; at first, that nothing is known."""
        yield GaugeMetricFamily("lchunk_up", "1 if the last look at the dataset succeeded", float(self.up))
        if self.facts is not None:
            yield from _of_layers(self.facts)
        messages = GaugeMetricFamily("lchunk_queue_messages", "Messages of a queue", labels=("queue", "state"))
        for queue, counts in self.queues.items():
            for state, count in counts.items():
                messages.add_metric((queue, state), count)
        yield messages

    def text(self) -> str:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry).decode()

    def serve(self, port: int, address: str) -> int:
        """Serve them below `/metrics`, in threads of their own. Returns the port.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
        """
        server, _ = start_http_server(port, address, self.registry)
        return int(server.server_port)


def _of_layers(facts: Facts) -> Iterator[Metric]:
    yield GaugeMetricFamily("lchunk_look_timestamp_seconds", "When the dataset was looked at last", facts.now)
    yield GaugeMetricFamily("lchunk_failed_regions", "Regions that failed and were not mended", len(facts.failures))
    chunks = GaugeMetricFamily("lchunk_chunks", "Chunks of a layer by state", labels=(*OF_LAYER, "state"))
    speed = GaugeMetricFamily("lchunk_voxels_per_second", "Voxels per second over the last hour", labels=OF_LAYER)
    shards = GaugeMetricFamily("lchunk_shards_per_second", "Shards of labels per second", labels=OF_LAYER)
    left = GaugeMetricFamily("lchunk_left_seconds", "Time until a layer is complete, at this speed", labels=OF_LAYER)
    working = GaugeMetricFamily("lchunk_working_processes", "Processes that made a chunk lately", labels=OF_LAYER)
    last = GaugeMetricFamily("lchunk_last_chunk_timestamp_seconds", "When the last chunk was made", labels=OF_LAYER)
    made = GaugeMetricFamily("lchunk_hour_chunks", "Chunks that were made in the last hour", labels=OF_LAYER)
    seconds = GaugeMetricFamily(
        "lchunk_hour_seconds", "Seconds of all processes in the last hour, by step", labels=(*OF_LAYER, "step")
    )
    for layer in facts.layers:
        names = (layer.layer.part.path, layer.layer.stage)
        for state, code in STATES.items():
            chunks.add_metric((*names, state), layer.count(code))
        working.add_metric(names, layer.working)
        made.add_metric(names, layer.pace.chunks)
        known = (
            (speed, layer.speed), (shards, layer.shards_per_second), (left, layer.seconds_left),
            (last, layer.pace.last),
        )  # fmt: skip
        for family, value in known:
            if value is not None:
                family.add_metric(names, value)
        for step, spent in sorted(layer.pace.seconds.items()):
            seconds.add_metric((*names, step), spent)
    yield from (chunks, speed, shards, left, working, last, made, seconds)
