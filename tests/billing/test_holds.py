"""Holds on calls of coding agents, small; the figures and long runs are commands (`tests.billing.holds`)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from .holds import AT_ONCE, MEDIAN, P99, figures, schedule
from .planted import HOLDS


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """The figures of a few calls."""
    return asyncio.run(figures(20, seed=5))


def test_holds_are_near_the_cost_once_learnt(told: dict[str, Any]) -> None:
    """At most twice at the median and three times at the end; many times that before."""
    assert told["bytes"]["median"] > 5 * MEDIAN
    assert told["learnt"]["median"] <= MEDIAN
    assert told["learnt"]["p99"] <= P99


def test_a_day_takes_on_many_calls_at_once(told: dict[str, Any]) -> None:
    """Fifty on $10 where there were fewer than ten, and nearly all of them come to their own end."""
    assert told["at_once_bytes"]["admitted"] < 10
    assert told["at_once_learnt"]["admitted"] >= AT_ONCE
    assert told["at_once_learnt"]["whole"] >= AT_ONCE


def test_no_more_is_billed_than_was_held(told: dict[str, Any]) -> None:
    """By the provider's own books."""
    assert told["violations"] == []


@pytest.mark.parametrize("seed", range(1, 6))
def test_no_schedule_is_billed_more_than_its_limit(seed: int) -> None:
    """Forty calls at once, under a limit that is too small for them."""
    violations, outcomes = asyncio.run(schedule(seed))
    assert violations == []
    assert set(outcomes) <= {"whole", "cut", "left", "BudgetExceeded", "NoEligibleModel"}


@pytest.mark.parametrize("bug", HOLDS)
def test_every_planted_bug_is_seen(bug: str) -> None:
    """Each, and nothing without it."""
    command = [sys.executable, "-m", "tests.billing.holds", "--plant", bug]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(ended.stdout.splitlines()[-1]) == {
        "planted": len(HOLDS), "unseen": [], "violations_without": []
    }, ended.stdout  # fmt: skip
    assert ended.returncode == 0
