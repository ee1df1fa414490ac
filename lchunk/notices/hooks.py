"""Sends a message to a webhook and to a command. Whatever goes wrong there is a warning, and never reaches the run.

The address of a webhook and the text of a command are secrets: no message, warning or error shows more than the host.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

logger = logging.getLogger("luigi-interface")

START, END, STALL, FAILURE, DEAD_LETTERS = EVENTS = ("start", "end", "stall", "failure", "dead_letters")
"""The events of a run."""
VARIABLE = "LCHUNK_EVENT"
"""The variable in which a command finds the message, in addition to its standard input."""
MARGIN = 1.0
"""Seconds beyond the timeout that a call may take to end by itself."""
_FOR_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""https://api.slack.com/reference/surfaces/formatting#escaping"""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: urllib would follow them with a GET, which delivers nothing."""

    def redirect_request(self, *_: Any) -> None:
        """See the class."""


_OPENER = urllib.request.build_opener(_NoRedirects)


@dataclass(frozen=True)
class Hooks:
    """Who is told, and about what.

    Args:
        webhook: URL that messages are posted to; empty: none.
        command: command of a shell that gets messages; empty: none.
        events: the events that are sent, of `EVENTS`.
        timeout: seconds that a webhook, or a command, may take.
    """

    webhook: str = field(default="", repr=False)
    command: str = field(default="", repr=False)
    events: tuple[str, ...] = EVENTS
    timeout: float = 10.0
    _warned: set[str] = field(default_factory=set, repr=False, compare=False)

    def __bool__(self) -> bool:
        return bool(self.webhook or self.command)

    def send(self, event: str, text: str, facts: dict[str, Any]) -> None:
        """Send a message, if it is of a wanted event. Returns within the timeout of each hook, and raises nothing.

        Args:
            event: one of `EVENTS`.
            text: the message for people, as Slack shows it.
            facts: the same for programs: values of JSON.
        """
        if event not in self.events:
            return
        body = json.dumps({"text": f"lchunk: {text}".translate(_FOR_SLACK), "lchunk": {"event": event} | facts})
        if self.webhook:
            self._within(f"the webhook at {urlsplit(self.webhook).hostname}", partial(self._post, body))
        if self.command:
            self._within("the command of [Hooks]", partial(self._call, body))

    def _within(self, name: str, deliver: Callable[[], str]) -> None:
        """Call a function in a thread, which is left alone when it takes too long: looking up a host has no timeout."""
        wrong = [f"it did not end within {self.timeout:g} s"]

        def work() -> None:
            wrong[0] = deliver()

        thread = threading.Thread(target=work, name="hook", daemon=True)
        thread.start()
        thread.join(self.timeout + MARGIN)
        if wrong[0] and name not in self._warned:
            self._warned.add(name)
            logger.warning("%s took no message: %s; the run goes on, and this is said once", name, wrong[0])

    def _post(self, body: str) -> str:
        """Post a message. Returns what went wrong, without the URL; empty if nothing did."""
        headers = {"Content-Type": "application/json", "User-Agent": "lchunk"}
        try:
            request = urllib.request.Request(self.webhook, body.encode(), headers)
            _OPENER.open(request, timeout=self.timeout).close()
        except urllib.error.HTTPError as error:
            error.close()
            return f"it answered {error.code}"
        except Exception as error:  # the message of some names the URL
            cause = getattr(error, "reason", error)
            return f"{type(cause).__name__}: {getattr(cause, 'strerror', None) or 'no answer'}"
        return ""

    def _call(self, body: str) -> str:
        """Run the command. Returns what went wrong, without its text and output; empty if nothing did."""
        try:
            process = subprocess.Popen(
                self.command, shell=True, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=os.environ | {VARIABLE: body}, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            return f"it cannot be started: {getattr(error, 'strerror', '') or 'a character is not allowed'}"
        try:
            process.communicate(body.encode(), self.timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"it did not end within {self.timeout:g} s"
        return f"it ended with code {process.returncode}" if process.returncode else ""
