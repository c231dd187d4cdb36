"""What the books hold against a provider that tells little or late; the long runs are commands (see
CONTRIBUTING.md)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from .planted import BUGS


def _overspend(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, last line and all that was printed. A process of its own, because it forks; a dry run is
    asked for, which must not help."""
    command = [sys.executable, "-m", "tests.billing.overspend", *arguments]
    variables = {**os.environ, "DRY_RUN_MODE": "true"}
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout.splitlines()[-1]), ended.stdout


@pytest.mark.parametrize("ways", [(), ("--relaxed", "--jobs", "2")], ids=["default", "relaxed"])
def test_no_schedule_bills_more_than_its_limit_or_than_was_booked(ways: tuple[str, ...]) -> None:
    """Workers that are killed, providers that say little: no call is billed more than is booked for it."""
    code, told, printed = _overspend("--schedules", "3", "--seed", "7", *ways)
    assert code == 0, printed
    assert told["schedules"] == 3
    assert told["billed"] > 0


NOTHING_FITS = """\
from tests.billing import overspend
from engine.budget import BudgetExceeded
from engine.execution.holds import Holds

async def refuses(*call, **more):
    raise BudgetExceeded("daily", 0, 1, 0)

Holds.reserve = refuses
"""


def _program(text: str) -> str:
    """What is printed on standard error by a program that fails."""
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stdout
    return ended.stderr


def test_a_run_that_bills_nothing_fails_and_says_what_became_of_the_calls() -> None:
    """No violation is no proof where nothing was tried."""
    told = _program(NOTHING_FITS + "overspend.run(1, 1, relaxed=False)")
    assert "no call comes through to the provider" in told
    told = _program(
        NOTHING_FITS + "overspend._warm_up = lambda plan: None\noverspend.run(1, 1, relaxed=False)"
    )
    assert "nothing was billed, so nothing was tried" in told
    assert "BudgetExceeded: budget daily" in told


def test_there_are_enough_planted_bugs() -> None:
    """At least twenty ways to book too little."""
    assert len(BUGS) >= 20


def test_every_planted_bug_is_seen() -> None:
    """A harness that cannot see a bug proves nothing without it."""
    code, told, printed = _overspend("--plant", "all")
    assert told == {"planted": len(BUGS), "unseen": []}, printed
    assert code == 0
