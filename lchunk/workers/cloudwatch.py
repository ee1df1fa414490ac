"""Seconds of each chunk as CloudWatch metrics: namespace is the dataset, metric the stage, dimension the device."""

from __future__ import annotations

import logging
import time
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

logger = logging.getLogger("luigi-interface")

BATCH = 500
EVERY_SECONDS = 20.0


class CloudWatch:
    """Collects metrics and sends them every 20 s. One that cannot be sent is lost, with a warning: no run needs it.

    Args:
        namespace: of the metrics: the dataset's name.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.client: Any = boto3.client("cloudwatch")
        self.collected: list[dict[str, Any]] = []
        self.sent = time.monotonic()

    def chunk(self, log: dict[str, Any]) -> None:
        """Take the log of a chunk."""
        self.collected.append(
            {
                "MetricName": log["stage"],
                "Dimensions": [{"Name": "device", "Value": log["device"]}],
                "Timestamp": time.time(),
                "Value": sum(log["seconds"].values()),
                "Unit": "Seconds",
            }
        )
        if len(self.collected) >= BATCH or time.monotonic() - self.sent >= EVERY_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what was collected."""
        batch, self.collected, self.sent = self.collected, [], time.monotonic()
        if not batch:
            return
        try:
            self.client.put_metric_data(Namespace=self.namespace, MetricData=batch)
        except (BotoCoreError, ClientError) as error:
            logger.warning("%d metrics could not be sent to CloudWatch: %s", len(batch), error)
