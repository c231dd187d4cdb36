"""The ledger under load, kill -9 and planted bugs, against a provider that keeps its own books: SQLite.

The larger figures are one command each; see `soak` and `crash`.
"""

from typing import Any

import pytest

from .planted import BUGS
from .programs import crash, planted_run, soak


@pytest.fixture(scope="module")
def red_reports() -> dict[str, dict[str, Any]]:
    """What the harness said of each planted bug, within three short runs; the first red one ends them."""
    return {bug: soak("--plant", bug, "--runs", "3", *planted_run(bug)) for bug in BUGS}


@pytest.fixture(scope="module")
def harness_that_sees(red_reports: dict[str, dict[str, Any]]) -> None:
    """A green run counts only after the same harness was red for every planted bug."""
    assert [bug for bug, report in red_reports.items() if not report["violations"]] == []


@pytest.mark.parametrize("bug", sorted(BUGS))
def test_a_planted_bug_is_caught(bug: str, red_reports: dict[str, dict[str, Any]]) -> None:
    """Each bug some gateway really had turns the harness red."""
    assert red_reports[bug]["violations"]


@pytest.mark.usefixtures("harness_that_sees")
def test_nothing_is_overspent_or_lost_under_load() -> None:
    """64 workers in 8 processes ask for 110 % of the budget (litellm #6288, #24682, #34732; bifrost
    #3547)."""
    report = soak("--workers", "64", "--processes", "8", "--calls", "25", "--days", "0")
    assert (report["violations"], report["failures"]) == ([], [])
    assert (report["over_micro_usd"], report["lost_micro_usd"]) == (0, 0)
    assert report["calls"] == 1_600
    assert report["refused"] > 0
    assert report["billed_attempts"] > 500


@pytest.mark.usefixtures("harness_that_sees")
@pytest.mark.parametrize("dispatch", [(), ("--strict",)], ids=["plain", "strict"])
def test_nothing_is_overspent_or_lost_under_kill_9(dispatch: tuple[str, ...]) -> None:
    """30 runs, 210 kills at random moments, twice: 60 runs and 420 kills over three simulated days each."""
    report = soak("--runs", "30", "--kills", "7", *dispatch)
    assert (report["violations"], report["failures"]) == ([], [])
    assert (report["over_micro_usd"], report["lost_micro_usd"]) == (0, 0)
    assert (report["runs"], report["kills"]) == (30, 210)


def test_a_kill_at_any_point_leaves_the_books_as_before_or_as_after() -> None:
    """Every statement, begin, commit and end of every operation is a point; none leaves anything half
    booked."""
    report = crash()
    assert report["violations"] == []
    assert report["kills"] == report["points"] >= 140
