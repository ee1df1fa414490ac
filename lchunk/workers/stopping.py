"""Stops a worker on SIGTERM, or on the notice that its spot machine will be taken back."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

logger = logging.getLogger("luigi-interface")

NOTICE_SECONDS = 5.0
METADATA = "http://169.254.169.254"
"""AWS's metadata service for the machine itself, unless AWS_EC2_METADATA_SERVICE_ENDPOINT is set."""
SPOT_GRACE = 100.0
"""A spot machine has two minutes from the notice."""
LAST_RESORT = 5.0
INTERRUPTED = 143


class Stopping:
    """Whether a worker has to stop, and what happens if it does not stop in time.

    Args:
        grace: seconds in which a task may still be finished. Then the task is interrupted, as by Ctrl-C; if even that
            does not end it, `release` is called and the process ends.
    """

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self.requested = threading.Event()
        self.release: Callable[[], object] = lambda: None
        self.busy = False
        self.why = ""
        self.interrupt = signal.SIGINT

    def on_signals(self) -> None:
        """Stop on SIGTERM. A task can also be interrupted if a shell made the process ignore SIGINT, as `&` does."""
        signal.signal(signal.SIGTERM, lambda *_: self.request("SIGTERM"))
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGUSR2, signal.default_int_handler)
            self.interrupt = signal.SIGUSR2

    def on_spot_notice(self) -> None:
        """Stop when AWS announces that it will take the machine back."""
        threading.Thread(target=self._watch_notices, name="spot notice", daemon=True).start()

    def request(self, why: str, grace: float | None = None) -> None:
        """Stop soon."""
        if self.requested.is_set():
            return
        self.why = why
        seconds = self.grace if grace is None else grace
        logger.info("%s: no more tasks; the current one has %g s to end", why, seconds)
        self.requested.set()
        threading.Thread(target=self._insist, args=(seconds,), name="stopping", daemon=True).start()

    def _insist(self, grace: float) -> None:
        time.sleep(grace)
        if not self.busy:
            return
        logger.warning("the task did not end within %g s: it is interrupted", grace)
        _thread.interrupt_main(self.interrupt)
        time.sleep(LAST_RESORT)
        if self.busy:
            self.release()
            logger.warning("the task cannot be interrupted: the process ends")
            logging.shutdown()
            os._exit(INTERRUPTED)

    def _watch_notices(self) -> None:
        while not self.requested.wait(NOTICE_SECONDS):
            if spot_notice():
                self.request("spot notice", min(self.grace, SPOT_GRACE))


def spot_notice() -> bool:
    """Whether AWS has announced that it will take this machine back.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
    """
    base = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", METADATA).rstrip("/")
    ask = urllib.request.Request(
        f"{base}/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    try:
        with urllib.request.urlopen(ask, timeout=2) as answer:
            token = answer.read().decode()
        look = urllib.request.Request(
            f"{base}/latest/meta-data/spot/instance-action", headers={"X-aws-ec2-metadata-token": token}
        )
        with urllib.request.urlopen(look, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
