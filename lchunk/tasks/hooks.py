"""The `[Hooks]` section of the cfg: who is told how a run goes."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import luigi
from luigi.configuration.cfg_parser import InterpolationMissingEnvvarError

from lchunk.notices.hooks import EVENTS
from lchunk.notices.hooks import Hooks as Receivers
from lchunk.tasks.parameters import Knob, RangeParameter, WordsParameter

DAY_MINUTES = 24 * 60.0
_WEBHOOK = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?")


class WebhookParameter(Knob[str]):
    """The URL of a webhook, which is a secret: errors show its host only."""

    secret = True

    def parse(self, x: str) -> str:
        return self.normalize(x)

    def normalize(self, x: str) -> str:
        if x and not _WEBHOOK.fullmatch(x):
            raise ValueError(f"webhook must be https://HOST/… or http://HOST/…, got {_shown(x)}; copy it again")
        return str(x)


class SecretParameter(Knob[str]):
    """A text that no error shows."""

    secret = True


def _shown(url: str) -> str:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return f"another URL of the host {host}" if host else "a text without a host"


class Hooks(luigi.Config):
    """Who is told how a run goes. Its values come from the cfg only: a command line is shown and stored in many places.

    Values may name variables of the environment, as `webhook = ${SLACK_WEBHOOK}`.
    """

    webhook: str = WebhookParameter(
        default="", significant=False, description="URL that messages are posted to, as Slack takes them; default: none"
    )
    command: str = SecretParameter(
        default="", significant=False,
        description="command of a shell that gets each message as JSON, on its standard input and in the variable "
        "LCHUNK_EVENT; default: none",
    )  # fmt: skip
    events: tuple[str, ...] = WordsParameter(
        of=EVENTS, default=EVENTS, significant=False, description="the events that are sent"
    )
    stall_minutes: float = RangeParameter(
        least=0, most=365 * DAY_MINUTES, default=60.0, significant=False,
        description="minutes without a chunk after which a run stalls, more than a chunk may take; 0: never",
    )  # fmt: skip
    timeout_seconds: float = RangeParameter(
        least=0.1,
        most=300,
        default=10.0,
        significant=False,
        description="time that a webhook, or the command, may take",
    )

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        """Like Luigi's, but the refusal of a variable that does not exist does not show the value.

        Raises:
            ValueError: the cfg names a variable that does not exist.
        """
        try:
            return super().get_param_values(params, args, kwargs)
        except InterpolationMissingEnvvarError as error:
            raise ValueError(
                f"{error.option} of [Hooks] must name variables that exist in the environment, got one that does not; "
                "set it, or leave the value out if nobody is to be told"
            ) from None

    def receivers(self) -> Receivers:
        """The values in the form that sends messages."""
        return Receivers(self.webhook, self.command, self.events, self.timeout_seconds)
