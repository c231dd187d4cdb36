"""Small shares of the long runs over sessions, and that their checks see every planted bug."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .planted import BUGS
from .scenarios import SCENARIOS
from .sequences import run


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios(name: str) -> None:
    """What must hold around a call holds."""
    assert SCENARIOS[name]() == []


def test_sessions_decide_as_the_reference_does() -> None:
    """Random sessions in random worlds; the long run is a command."""
    tally = run(120, 20261128)
    assert tally.violations == []
    assert tally.bound > 50


def test_a_tree_of_agents_never_passes_its_limits() -> None:
    """Eight processes, some of them killed. A process of its own, because it forks."""
    command = [sys.executable, "-m", "tests.sessions.spending", "--runs", "2", "--kills", "4"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert '"kills": 8' in ended.stdout


def test_there_are_enough_planted_bugs() -> None:
    """At least fifteen."""
    assert len(BUGS) >= 15


def test_every_planted_bug_is_seen() -> None:
    """A harness that cannot see a bug proves nothing without it."""
    command = [sys.executable, "-m", "tests.sessions.planted"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "NOT SEEN" not in ended.stdout
