"""What the ledger tells: summary, verdict and export, on both stores."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal

import pytest

from engine.budget import (
    FREE,
    Attempt,
    Basis,
    Ledger,
    Limits,
    Period,
    Rates,
    TokenPrices,
    Usage,
)
from engine.budget.usage import export_rows, summarise, verify, write_csv, write_jsonl

from .clocks import SteppedClock

OpenLedger = Callable[..., Ledger]
PRICES = TokenPrices(Rates.from_usd(1, 1))
DEAREST = TokenPrices(Rates.from_usd(10, 10))
LIMITS = Limits(daily_usd=10, monthly_usd=100, per_provider_daily={"north": 5}, time_zone="Europe/Berlin")


def cloud(name: str, amount: int = 10_000) -> Attempt:
    return Attempt(name, name, "north", "big", False, amount, PRICES, 60, "dearest", DEAREST, "sha256:policy")


def local(name: str, *, cloud_allowed: bool = True) -> Attempt:
    alternative = ("dearest", DEAREST) if cloud_allowed else (None, None)
    return Attempt(name, name, "ollama", "small", True, 0, FREE, 60, *alternative)


def _busy(ledger: Ledger, time: SteppedClock) -> None:
    """Two days: three local calls, a cloud call, a failed one, a released one, an estimated one, one under
    way."""
    ledger.settle(ledger.reserve(cloud("yesterday")), Usage(400))
    time.advance(24 * 3600)
    for name in ("l1", "l2"):
        ledger.settle(ledger.reserve(local(name)), Usage(100, 50))
    ledger.settle(ledger.reserve(local("private", cloud_allowed=False)), Usage(1_000))
    ledger.settle(ledger.reserve(cloud("c1")), Usage(200, 100, 30, 20))
    ledger.settle(ledger.reserve(cloud("failed")), Usage(40), served=False)
    ledger.release(ledger.reserve(cloud("throttled")), "throttled")
    ledger.settle(ledger.reserve(cloud("cut")), Usage(60), basis=Basis.ESTIMATED)
    ledger.forfeit(ledger.reserve(cloud("lost", 5_000)), "no answer")
    ledger.reserve(cloud("under way", 7_000))


def test_a_summary_counts_money_calls_and_tokens(open_ledger: OpenLedger, time: SteppedClock) -> None:
    ledger = open_ledger(LIMITS)
    _busy(ledger, time)
    summary = summarise(ledger)
    today, month = summary.daily, summary.monthly
    cached_and_written = 30 + 2 * 20  # a cache write without a price costs twice
    spent = 300 + cached_and_written + 40 + 60 + 5_000
    assert (today.spent_micro_usd, month.spent_micro_usd) == (spent, spent + 400)
    assert today.spent_by_provider == {"north": spent, "ollama": 0}
    assert (today.held_micro_usd, month.held_micro_usd) == (7_000, 7_000)
    assert (today.calls, today.local_calls, month.calls) == (5, 3, 6)
    assert today.local_share == Decimal("0.6")
    big, small = today.models
    assert big.tokens == Usage(300, 100, 30, 20)
    assert small.tokens == Usage(1_200, 100)
    assert (big.calls, big.attempts) == (2, 5)
    assert (big.estimated_micro_usd, big.unknown_micro_usd) == (60, 5_000)


def test_savings_compare_the_same_calls(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """A private call had no alternative and saves nothing; failed attempts cost and are taken off."""
    ledger = open_ledger(LIMITS)
    _busy(ledger, time)
    today = summarise(ledger).daily
    assert today.alternative_micro_usd == 2 * 1_500 + (3_000 + 300 + 2 * 200) + 600
    assert today.saved_micro_usd == today.alternative_micro_usd - today.spent_micro_usd


def test_a_summary_shows_limits_held_and_spent_and_the_next_reset(
    open_ledger: OpenLedger, time: SteppedClock
) -> None:
    """Exact amounts and the reset with its zone, not a percentage of something (bifrost #5770, litellm
    #10288)."""
    ledger = open_ledger(LIMITS)
    _busy(ledger, time)
    day, month, north = summarise(ledger).accounts
    assert [a.account.account_id for a in (day, month, north)] == ["daily", "monthly", "provider/north/daily"]
    assert (day.spent_micro_usd, day.held_micro_usd) == (5_470, 7_000)
    assert day.left_micro_usd == 10_000_000 - 12_470
    assert day.used_percent == Decimal("0.0547")
    assert day.window.resets_at().isoformat() == "2030-01-17T00:00:00+01:00"
    assert month.window.resets_at().isoformat() == "2030-02-01T00:00:00+01:00"


def test_an_empty_ledger_has_a_summary(open_ledger: OpenLedger) -> None:
    summary = summarise(open_ledger(LIMITS))
    assert (summary.daily.spent_micro_usd, summary.daily.calls, summary.daily.local_share) == (0, 0, None)
    assert summary.daily.window.period is Period.DAILY


def test_a_late_answer_is_counted_as_a_call(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """Its tokens, its alternative and its measured charge, with nothing unknown left."""
    ledger = open_ledger(LIMITS)
    reservation = ledger.reserve(cloud("a", 5_000))
    ledger.forfeit(reservation, "slow")
    ledger.settle(reservation, Usage(300, 20))
    (model,) = summarise(ledger).daily.models
    assert (model.calls, model.attempts, model.tokens) == (1, 1, Usage(300, 20))
    assert (model.spent_micro_usd, model.unknown_micro_usd, model.alternative_micro_usd) == (320, 0, 3_200)


def test_after_a_change_of_zone_the_summary_follows_the_time_of_the_calls(
    open_ledger: OpenLedger, time: SteppedClock
) -> None:
    ledger = open_ledger(LIMITS)
    ledger.settle(ledger.reserve(cloud("a")), Usage(70))
    ledger.use_limits(Limits(daily_usd=10, time_zone="Asia/Tokyo"))
    assert summarise(ledger).daily.spent_micro_usd == 70
    ledger.settle(ledger.reserve(cloud("b")), Usage(5))
    assert summarise(ledger).daily.spent_micro_usd == 75
    assert summarise(ledger).accounts[0].spent_micro_usd == 75


def test_right_books_are_found_right(open_ledger: OpenLedger, time: SteppedClock) -> None:
    ledger = open_ledger(LIMITS)
    _busy(ledger, time)
    verdict = verify(ledger)
    assert verdict.ok
    assert (verdict.attempts, verdict.windows) == (10, 6)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("UPDATE ledger_windows SET settled_micro_usd = settled_micro_usd - 1", "totals"),
        ("UPDATE ledger_attempts SET charge_micro_usd = 1 WHERE attempt_id = 'c1'", "price of its usage"),
        ("DELETE FROM ledger_attempts WHERE attempt_id = 'lost'", "totals"),
        ("DELETE FROM ledger_windows WHERE account_id = 'daily'", "missing"),
        ("UPDATE ledger_attempts SET day_start_s = day_start_s - 86400 WHERE attempt_id = 'c1'", "totals"),
        ("UPDATE ledger_attempts SET reserved_micro_usd = 6999 WHERE attempt_id = 'under way'", "totals"),
    ],
)
def test_wrong_books_are_found_wrong(
    open_ledger: OpenLedger, time: SteppedClock, damage: str, problem: str
) -> None:
    ledger = open_ledger(LIMITS)
    _busy(ledger, time)
    ledger.store.write(lambda session: session.run(damage), durable=False)
    verdict = verify(ledger)
    assert not verdict.ok
    assert problem in " ".join(finding.problem for finding in verdict.findings)


def test_the_export_has_every_row(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """One line an attempt, its corrections after it; the sums of the export are the sums of the summary."""
    ledger = open_ledger(LIMITS)
    _busy(ledger, time)
    ledger.reconcile("c1", "invoice", 341, "invoice, March")
    rows = export_rows(ledger)
    assert [row.kind for row in rows].count("correction") == 1
    assert sum(row.charge_micro_usd for row in rows) == summarise(ledger).monthly.spent_micro_usd

    as_csv = io.StringIO()
    write_csv(rows, as_csv)
    parsed = list(csv.DictReader(io.StringIO(as_csv.getvalue())))
    assert [row["attempt_id"] for row in parsed] == [row.attempt_id for row in rows]
    assert parsed[-1]["reason"] == ""

    as_jsonl = io.StringIO()
    write_jsonl(rows, as_jsonl)
    first = json.loads(as_jsonl.getvalue().splitlines()[0])
    assert (first["attempt_id"], first["charge_usd"]) == ("yesterday", "0.000400")
    assert first["reserved_at"] == "2030-01-15T12:00:00+00:00"
    assert first["policy_digest"] == "sha256:policy"
