"""Servers that the tests of queues share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import KINDS, sqs_server


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, dict[str, str]]]:
    """The variables of each kind of SQS server."""
    with sqs_server(KINDS[0]) as strict, sqs_server(KINDS[1]) as clock:
        yield dict(zip(KINDS, (strict, clock), strict=True))
