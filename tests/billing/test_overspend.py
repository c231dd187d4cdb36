"""What the books hold against a provider that tells little or late; the long runs are commands (see
CONTRIBUTING.md)."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from .planted import BUGS


def _overspend(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, last line and all that was printed. A process of its own, because it forks."""
    command = [sys.executable, "-m", "tests.billing.overspend", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout.splitlines()[-1]), ended.stdout


@pytest.mark.parametrize("ways", [(), ("--relaxed",)], ids=["default", "relaxed"])
def test_no_schedule_bills_more_than_its_limit_or_than_was_booked(ways: tuple[str, ...]) -> None:
    """Workers that are killed, providers that say little: no call is billed more than is booked for it."""
    code, told, printed = _overspend("--schedules", "3", "--seed", "7", *ways)
    assert code == 0, printed
    assert told["schedules"] == 3
    assert told["billed"] > 0


def test_there_are_enough_planted_bugs() -> None:
    """At least twenty ways to book too little."""
    assert len(BUGS) >= 20


def test_every_planted_bug_is_seen() -> None:
    """A harness that cannot see a bug proves nothing without it."""
    code, told, printed = _overspend("--plant", "all")
    assert told == {"planted": len(BUGS), "unseen": []}, printed
    assert code == 0
