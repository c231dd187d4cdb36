"""The same soak against a real PostgreSQL: load, and clients killed inside their transactions."""

import pytest

from .programs import crash, planted_run, soak


@pytest.fixture(scope="module")
def harness_that_sees() -> None:
    """The harness must be red here too for the bugs a database could hide; `test_soak` plants them all."""
    for bug in ("charge-after-the-call", "refund-on-expiry"):
        report = soak("--store", "postgres", "--plant", bug, "--runs", "3", *planted_run(bug))
        assert report["violations"], bug


@pytest.mark.usefixtures("harness_that_sees")
def test_nothing_is_overspent_or_lost_under_load() -> None:
    """64 workers in 8 processes, each with its own connection, ask for 110 % of the budget."""
    report = soak(
        "--store", "postgres", "--workers", "64", "--processes", "8", "--calls", "25", "--days", "0"
    )
    assert (report["violations"], report["failures"]) == ([], [])
    assert (report["over_micro_usd"], report["lost_micro_usd"]) == (0, 0)
    assert report["calls"] == 1_600
    assert report["refused"] > 0


@pytest.mark.usefixtures("harness_that_sees")
def test_nothing_is_overspent_or_lost_when_clients_are_killed() -> None:
    """Five runs, 35 kills."""
    report = soak("--store", "postgres", "--runs", "5", "--kills", "7")
    assert (report["violations"], report["failures"]) == ([], [])
    assert (report["over_micro_usd"], report["lost_micro_usd"]) == (0, 0)
    assert report["kills"] == 35


def test_a_client_killed_at_any_point_leaves_the_books_as_before_or_as_after() -> None:
    """Every statement, begin, commit and end of a reserve, a settle and a sweep; the program does the others
    too."""
    report = crash("--store", "postgres", "--only", "reserve", "settle", "expire")
    assert report["violations"] == []
    assert report["kills"] == report["points"] >= 40
