"""When a worker has to stop, and how long it may still take."""

from __future__ import annotations

import http.server
import threading

import pytest

from lchunk.workers import stopping as stopping_module
from lchunk.workers.stopping import SPOT_GRACE, Stopping, spot_notice


class Recorded(Stopping):
    """Notes how long the task at hand is given."""

    def __init__(self, grace: float) -> None:
        super().__init__(grace)
        self.given: list[float] = []
        self.asked = threading.Event()

    def _insist(self, grace: float) -> None:
        self.given.append(grace)
        self.asked.set()


@pytest.mark.parametrize(("grace", "given"), [(SPOT_GRACE + 500, SPOT_GRACE), (20, 20)])
def test_a_spot_notice_leaves_no_more_than_a_spot_machine_has(
    grace: float, given: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping_module, "NOTICE_SECONDS", 0.01)
    monkeypatch.setattr(stopping_module, "spot_notice", lambda: True)
    stopping = Recorded(grace)
    stopping.on_spot_notice()
    assert stopping.asked.wait(10)
    assert stopping.requested.is_set()
    assert stopping.given == [given]


def test_only_the_first_request_counts() -> None:
    stopping = Recorded(30)
    stopping.request("SIGTERM")
    assert stopping.asked.wait(10)
    stopping.request("spot notice", 1)
    assert stopping.given == [30]


def test_a_spot_notice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Metadata(http.server.BaseHTTPRequestHandler):
        noticed = False

        def do_PUT(self) -> None:
            self.answer(200, b"token")

        def do_GET(self) -> None:
            allowed = self.headers["X-aws-ec2-metadata-token"] == "token"
            self.answer(200 if self.noticed and allowed else 404, b"{}")

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    assert not spot_notice()
    Metadata.noticed = True
    assert spot_notice()
    server.shutdown()
    server.server_close()
    assert not spot_notice()
