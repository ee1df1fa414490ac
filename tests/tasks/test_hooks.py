"""The section [Hooks] of the cfg: its values, and mistakes in it, which are refused without showing a secret."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from luigi.cmdline_parser import CmdlineParser

from lchunk.notices.hooks import EVENTS
from lchunk.tasks.cfg_check import check_cfg, check_line
from lchunk.tasks.hooks import Hooks
from tests.cli.test_cfgs import read_cfgs, write
from tests.notices.receiver import SECRET

URL = f"https://hooks.example.org/services/{SECRET}?a=b%20c"


def test_by_default_nobody_is_told() -> None:
    receivers = Hooks().receivers()
    assert not receivers
    assert (receivers.events, receivers.timeout) == (EVENTS, 10.0)


def test_values_come_from_the_cfg_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK", URL)
    text = "[Hooks]\nwebhook = ${WEBHOOK}\ncommand = notify --to me\nevents = end,stall\ntimeout_seconds = 3\n"
    read_cfgs(monkeypatch, write(tmp_path / "luigi.cfg", text))
    check_cfg(strict=True)
    hooks = Hooks()
    receivers = hooks.receivers()
    assert (receivers.webhook, receivers.command) == (URL, "notify --to me")
    assert (receivers.events, receivers.timeout) == (("end", "stall"), 3.0)
    assert SECRET not in f"{hooks} {hooks.task_id} {receivers}"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('webhook = "{url}"', 'webhook must be written without quotes, got a value that begins with "'),
        ("webhook = {url}%2F", "webhook must be written with %% for each % ("),
        ("command = curl {secret}%2F", "command must be written with %% for each %"),
        ("webhook = ${{ABSENT_VARIABLE}}/{secret}", "webhook of [Hooks] must name variables that exist"),
        ("webhook = {secret}", "webhook must be https://HOST/… or http://HOST/…, got a text without a host"),
        ("webhook = {url} and more", "got another URL of the host 127.0.0.1; copy it again"),
        ("webhook = ftp://host/{secret}", "got another URL of the host host"),
        ("webhook = http://[/{secret}", "got a text without a host"),
        ("{url}", "got 'http' in"),
        ("webhook {url}", "got 'webhook http' in"),
        ("webhook =\n  hook = {url}", "an indented line 'hook = http://…'"),
        ("webhok = {url}", "the nearest is webhook"),
        ("stall_minutes = often", "stall-minutes must be in [0, 525600], got 'often'"),
        ("events = begin", "events must be of start, end, stall, failure, dead_letters, got 'begin'"),
    ],
)  # fmt: skip
def test_a_slip_in_the_cfg_is_refused_without_the_secret(
    line: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = line.format(url=f"http://127.0.0.1:9/{SECRET}", secret=SECRET)
    with pytest.raises(ValueError, match="must ") as refused:  # noqa: PT012 - Luigi reads the file before lchunk does
        read_cfgs(monkeypatch, write(tmp_path / "luigi.cfg", f"[Hooks]\n{text}\n[Dataset]\nroot = out\n"))
        check_cfg(strict=True)
        Hooks()
    assert rule in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_worker_needs_no_variable_with_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_cfgs(monkeypatch, write(tmp_path / "luigi.cfg", "[Hooks]\nwebhook = ${ABSENT_VARIABLE}\n"))
    check_cfg(strict=True)


def test_a_value_on_the_command_line_is_refused(configure: Callable[..., None]) -> None:
    words = ["Ingest", "--module", "lchunk.tasks", f"--Hooks-webhook={URL}"]
    with (
        CmdlineParser.global_instance(words),
        pytest.raises(ValueError, match=r"webhook of \[Hooks\] must be set") as refused,
    ):
        check_line()
    assert SECRET not in "".join(traceback.format_exception(refused.value))
