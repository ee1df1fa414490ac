"""Sends the seconds of each chunk to CloudWatch; the metric is the stage, the dimension the device."""

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
    """Collects metrics and sends them every 20 s. Metrics that cannot be sent are lost, with a warning.

    Args:
        namespace: namespace of the metrics, such as the dataset's name.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.client: Any = boto3.client("cloudwatch")
        self.collected: list[dict[str, Any]] = []
        self.sent = time.monotonic()

    def chunk(self, log: dict[str, Any]) -> None:
        """Add the log of a chunk."""
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
        """Send the metrics that were collected."""
        batch, self.collected, self.sent = self.collected, [], time.monotonic()
        if not batch:
            return
        try:
            self.client.put_metric_data(Namespace=self.namespace, MetricData=batch)
        except (BotoCoreError, ClientError) as error:
            logger.warning("%d metrics could not be sent to CloudWatch: %s", len(batch), error)
