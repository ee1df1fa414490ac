"""Connections of the package `requests` whose requests are counted."""

from __future__ import annotations

import re
from typing import Any

import requests

from lchunk.volumes.requests_made import Requests, billed, counter, length_in


class CountedAdapter(requests.adapters.HTTPAdapter):
    """Connections of a session, each of whose requests is counted.

    Args:
        connections: the most that are kept open for each host.
        lists: matches the URLs that list objects, without their queries.
    """

    def __init__(self, connections: int, lists: str = "$^") -> None:
        self.lists = re.compile(lists)
        super().__init__(pool_maxsize=connections)

    def send(self, request: requests.PreparedRequest, *rest: Any, **more: Any) -> requests.Response:
        """Make a request."""
        reads = request.method in ("GET", "HEAD") and not self.lists.search(str(request.url).partition("?")[0])
        counter.add(billed(request.method == "DELETE", reads, request.headers))
        answer = super().send(request, *rest, **more)
        if request.method != "HEAD":
            counter.add(Requests(received=length_in(answer.headers)))
        return answer
