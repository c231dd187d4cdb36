"""The rules of the money, one claim each, on SQLite and on PostgreSQL alike."""

import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from engine.budget import (
    FREE,
    AccountClosed,
    Attempt,
    AttemptConflict,
    Basis,
    BudgetExceeded,
    ClockSuspect,
    Ledger,
    Limits,
    Period,
    Rates,
    State,
    TokenPrices,
    UnknownAttempt,
    UnknownPrice,
    Usage,
)
from engine.budget.usage import verify

from .clocks import SteppedClock

OpenLedger = Callable[..., Ledger]

PRICES = TokenPrices(Rates.from_usd(1, 1))  # a token costs a micro-dollar
DOLLAR = 1_000_000
DAY_S = 24 * 3600


def attempt(name: str, amount: int = 1_000, **changes: object) -> Attempt:
    made = Attempt(name, "decision", "north", "model", False, amount, PRICES, 60)
    return replace(made, **changes)  # type: ignore[arg-type]


def local(name: str) -> Attempt:
    return Attempt(name, "decision", "ollama", "model", True, 0, FREE, 60)


def spent_and_held(
    ledger: Ledger, provider: str | None = None, period: Period = Period.DAILY
) -> tuple[int, int]:
    """Of one account in its current window; the books must be right as well."""
    assert verify(ledger).findings == ()
    everything = replace(
        ledger.limits,
        per_provider_daily={"north": 10**6, "south": 10**6},
        per_provider_monthly={"north": 10**6, "south": 10**6},
    )
    reader = Ledger(ledger.store, everything, ledger._clock)
    states = reader.store.read(reader.account_states)
    (state,) = (s for s in states if (s.account.period, s.account.provider) == (period, provider))
    return state.spent_micro_usd, state.held_micro_usd


# -- one attempt


def test_a_reservation_is_held_and_the_charge_is_the_price_of_the_usage(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    reservation = ledger.reserve(attempt("a", 1_000))
    assert spent_and_held(ledger) == (0, 1_000)
    outcome = ledger.settle(reservation, Usage(100, 20))
    assert (outcome.state, outcome.charge_micro_usd, outcome.breach) == (State.SETTLED, 120, False)
    for account in (None, "north"):
        for period in Period:
            assert spent_and_held(ledger, account, period) == (120, 0)


def test_released_money_comes_back(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    ledger.release(ledger.reserve(attempt("a")), "throttled")
    assert spent_and_held(ledger) == (0, 0)


def test_what_is_unknown_is_charged_whole(open_ledger: OpenLedger) -> None:
    """Failed-but-billed attempts are not zero (litellm #37365), nor are cut streams (litellm #13245)."""
    ledger = open_ledger()
    outcome = ledger.forfeit(ledger.reserve(attempt("a", 700)), "connection lost")
    assert (outcome.state, outcome.charge_micro_usd) == (State.FORFEITED, 700)
    assert spent_and_held(ledger) == (700, 0)


def test_an_explicit_zero_stays_zero(open_ledger: OpenLedger) -> None:
    """A usage of zero reported by the provider is not replaced by an estimate (litellm #37992)."""
    ledger = open_ledger()
    assert ledger.settle(ledger.reserve(attempt("a")), Usage()).charge_micro_usd == 0
    assert spent_and_held(ledger) == (0, 0)


def test_a_provider_may_state_the_charge_itself(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    reservation = ledger.reserve(attempt("a"))
    assert ledger.settle(reservation, Usage(5, 5), charge_micro_usd=77).charge_micro_usd == 77
    assert spent_and_held(ledger) == (77, 0)


def test_every_call_may_be_repeated(open_ledger: OpenLedger) -> None:
    """Reserve, settle, release and forfeit count once however often they come (litellm #15740, #17814,
    #28247)."""
    ledger = open_ledger()
    ledger.reserve(attempt("a"))
    reservation = ledger.reserve(attempt("a"))
    assert spent_and_held(ledger) == (0, 1_000)
    for _ in range(3):
        ledger.settle(reservation, Usage(10))
    other = ledger.reserve(attempt("b"))
    for _ in range(3):
        ledger.forfeit(other, "no answer")
    third = ledger.reserve(attempt("c"))
    for _ in range(3):
        ledger.release(third, "throttled")
    assert spent_and_held(ledger) == (1_010, 0)


def test_an_attempt_id_is_one_attempt(open_ledger: OpenLedger) -> None:
    """Other terms under the same id, or the id of an ended attempt, are refused."""
    ledger = open_ledger()
    reservation = ledger.reserve(attempt("a"))
    with pytest.raises(AttemptConflict):
        ledger.reserve(attempt("a", 2_000))
    ledger.settle(reservation, Usage(1))
    with pytest.raises(AttemptConflict):
        ledger.reserve(attempt("a"))


def test_an_end_is_final(open_ledger: OpenLedger) -> None:
    """A settled attempt is neither settled otherwise, nor released, nor forfeited."""
    ledger = open_ledger()
    reservation = ledger.reserve(attempt("a"))
    ledger.settle(reservation, Usage(10))
    for again in (
        lambda: ledger.settle(reservation, Usage(11)),
        lambda: ledger.release(reservation, "throttled"),
        lambda: ledger.forfeit(reservation, "no answer"),
    ):
        with pytest.raises(AttemptConflict):
            again()
    assert spent_and_held(ledger) == (10, 0)


def test_an_attempt_nobody_reserved_cannot_end(open_ledger: OpenLedger) -> None:
    with pytest.raises(UnknownAttempt):
        open_ledger().find("nobody")


def test_an_unknown_price_is_refused(open_ledger: OpenLedger) -> None:
    """Never taken as zero (litellm #30715, #35524, #36561)."""
    with pytest.raises(UnknownPrice):
        open_ledger().reserve(attempt("a", prices=None))


def test_a_price_without_a_reservation_is_a_bug() -> None:
    """A model that costs cannot be called with nothing held (litellm #41344)."""
    with pytest.raises(ValueError):
        attempt("a", 0)


def test_each_attempt_is_priced_at_its_own_model(open_ledger: OpenLedger) -> None:
    """A fallback's usage never has the first model's price, nor the last one's (litellm #39294, pdd #509)."""
    ledger = open_ledger()
    dear = TokenPrices(Rates.from_usd(10, 10))
    first = ledger.reserve(attempt("a", model="dear", prices=dear))
    second = ledger.reserve(attempt("b", model="cheap"))
    assert ledger.settle(second, Usage(10)).charge_micro_usd == 10
    assert ledger.settle(first, Usage(10)).charge_micro_usd == 100


# -- limits


def test_what_does_not_fit_is_refused_and_named(open_ledger: OpenLedger) -> None:
    """The refusal says which account, its limit, what was needed and what is left; nothing is booked."""
    ledger = open_ledger(Limits(daily_usd=1, monthly_usd=10))
    ledger.settle(ledger.reserve(attempt("a", 600_000)), Usage(600_000))
    with pytest.raises(BudgetExceeded) as refusal:
        ledger.reserve(attempt("b", 400_001))
    assert refusal.value.account_id == "daily"
    assert (refusal.value.limit_micro_usd, refusal.value.needed_micro_usd) == (DOLLAR, 400_001)
    assert refusal.value.left_micro_usd == 400_000
    assert "$0.400001" in str(refusal.value)
    assert spent_and_held(ledger) == (600_000, 0)
    ledger.reserve(attempt("c", 400_000))


def test_a_budget_is_spent_to_the_last_micro_dollar(open_ledger: OpenLedger) -> None:
    """No epsilon, no 25.000000000000004 (litellm #38647)."""
    ledger = open_ledger(Limits(daily_usd=Decimal("0.1")))
    for number in range(10):
        ledger.settle(ledger.reserve(attempt(f"{number}", 10_000)), Usage(10_000))
    assert spent_and_held(ledger) == (100_000, 0)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(attempt("more", 1))


def test_all_accounts_or_none(open_ledger: OpenLedger) -> None:
    """A provider's month that is full leaves the day untouched."""
    ledger = open_ledger(Limits(daily_usd=5, per_provider_monthly={"north": Decimal("0.5")}))
    with pytest.raises(BudgetExceeded) as refusal:
        ledger.reserve(attempt("a", DOLLAR))
    assert refusal.value.account_id == "provider/north/monthly"
    assert spent_and_held(ledger) == (0, 0)
    ledger.reserve(attempt("b", DOLLAR, provider="south"))
    assert spent_and_held(ledger) == (0, DOLLAR)


def test_each_provider_has_its_own_account(open_ledger: OpenLedger) -> None:
    """Refunds never reach another account (tensorzero #3862)."""
    ledger = open_ledger(Limits(per_provider_daily={"north": 1, "south": 1}))
    north, south = ledger.reserve(attempt("a", 400)), ledger.reserve(attempt("b", 300, provider="south"))
    ledger.release(south, "throttled")
    ledger.settle(north, Usage(7))
    assert spent_and_held(ledger, "north") == (7, 0)
    assert spent_and_held(ledger, "south") == (0, 0)


def test_a_limit_of_zero_is_zero(open_ledger: OpenLedger) -> None:
    """Zero is not unlimited (litellm #33327, #29006), and counts as used up."""
    ledger = open_ledger(Limits(daily_usd=0, per_provider_monthly={"south": 0}))
    with pytest.raises(BudgetExceeded):
        ledger.reserve(attempt("a", 1))
    snapshot = ledger.snapshot()
    assert snapshot.daily_used == 100
    assert snapshot.monthly_used == 0
    assert snapshot.exhausted_providers == {"south"}


def test_no_limit_is_no_limit(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    ledger.reserve(attempt("a", 10**12))
    assert ledger.left_micro_usd("north") is None
    assert ledger.snapshot().daily_used == 0


def test_a_limit_set_later_counts_what_was_spent_before(open_ledger: OpenLedger) -> None:
    """Every attempt is booked on all its accounts, limited or not."""
    ledger = open_ledger()
    ledger.settle(ledger.reserve(attempt("a", 900)), Usage(900))
    ledger.use_limits(Limits(per_provider_daily={"north": Decimal("0.001")}))
    with pytest.raises(BudgetExceeded) as refusal:
        ledger.reserve(attempt("b", 101))
    assert refusal.value.left_micro_usd == 100


def test_lowering_a_limit_below_use_admits_nothing_and_resets_nothing(open_ledger: OpenLedger) -> None:
    """Editing a budget keeps its usage; held attempts still settle."""
    ledger = open_ledger(Limits(daily_usd=1))
    reservation = ledger.reserve(attempt("a", 500_000))
    ledger.use_limits(Limits(daily_usd=Decimal("0.1")))
    with pytest.raises(BudgetExceeded) as refusal:
        ledger.reserve(attempt("b", 1))
    assert refusal.value.left_micro_usd == 0
    ledger.settle(reservation, Usage(300_000))
    assert spent_and_held(ledger) == (300_000, 0)
    assert ledger.snapshot().daily_used == 300


def test_a_second_client_sees_the_first_ones_reservation(open_ledger: OpenLedger) -> None:
    """Two routers, one ledger: the limit is theirs together (litellm #20886, #24682, #30661, #32614,
    #33325)."""
    first, second = open_ledger(Limits(daily_usd=1)), open_ledger(Limits(daily_usd=1))
    first.reserve(attempt("a", 600_000))
    with pytest.raises(BudgetExceeded):
        second.reserve(attempt("b", 600_000))


def test_any_process_can_end_an_attempt(open_ledger: OpenLedger) -> None:
    first, second = open_ledger(), open_ledger()
    first.reserve(attempt("a"))
    assert second.settle(second.find("a"), Usage(9)).charge_micro_usd == 9
    assert spent_and_held(first) == (9, 0)


def test_what_is_left_is_the_least_over_the_accounts(open_ledger: OpenLedger) -> None:
    ledger = open_ledger(Limits(daily_usd=1, per_provider_monthly={"north": Decimal("0.3")}))
    ledger.reserve(attempt("a", 100_000))
    assert ledger.left_micro_usd("north") == 200_000
    assert ledger.left_micro_usd("south") == 900_000


# -- local models


def test_a_spent_budget_never_blocks_a_free_local_model(open_ledger: OpenLedger) -> None:
    """Nor does a limit of zero, nor a closed account (litellm #14004, #29912)."""
    ledger = open_ledger(Limits(daily_usd=0, per_provider_daily={"ollama": 0}))
    outcome = ledger.settle(ledger.reserve(local("a")), Usage(100, 50))
    assert outcome.charge_micro_usd == 0
    assert spent_and_held(ledger) == (0, 0)


def test_a_suspect_clock_never_blocks_a_free_local_model(open_ledger: OpenLedger, time: SteppedClock) -> None:
    ledger = open_ledger()
    ledger.reserve(attempt("a"))
    time.step_wall(DAY_S)
    with pytest.raises(ClockSuspect):
        ledger.reserve(attempt("b"))
    assert ledger.reserve(local("c")).recorded


def test_a_priced_local_model_is_money_like_any_other(open_ledger: OpenLedger) -> None:
    with pytest.raises(BudgetExceeded):
        open_ledger(Limits(daily_usd=0)).reserve(attempt("a", 5, local=True))


def test_a_fallback_from_free_to_paid_is_checked(open_ledger: OpenLedger) -> None:
    """The local model fails, the cloud takes over: its own reservation is refused (litellm #41344)."""
    ledger = open_ledger(Limits(daily_usd=0))
    ledger.release(ledger.reserve(local("d.1")), "unreachable")
    with pytest.raises(BudgetExceeded):
        ledger.reserve(attempt("d.2"))


# -- leases


def test_a_lost_attempt_is_charged_and_never_refunded(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """Its client died; the provider may have billed. Nothing is held any more (litellm #27639)."""
    ledger = open_ledger()
    ledger.reserve(attempt("a", 800, lease_s=60))
    time.advance(59)
    assert ledger.expire() == 0
    time.advance(1)
    assert ledger.expire() == 1
    assert spent_and_held(ledger) == (800, 0)
    assert ledger.expire() == 0


def test_a_late_answer_corrects_a_lost_attempt(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """The forfeited row stays; the difference is a row of its own, once."""
    ledger = open_ledger()
    reservation = ledger.reserve(attempt("a", 800))
    time.advance(61)
    ledger.expire()
    for _ in range(2):
        outcome = ledger.settle(reservation, Usage(300))
        assert (outcome.state, outcome.charge_micro_usd, outcome.breach) == (State.FORFEITED, 300, False)
    assert spent_and_held(ledger) == (300, 0)
    with pytest.raises(AttemptConflict):
        ledger.settle(reservation, Usage(301))


def test_late_proof_corrects_a_lost_attempt_too(open_ledger: OpenLedger, time: SteppedClock) -> None:
    ledger = open_ledger()
    reservation = ledger.reserve(attempt("a", 800))
    time.advance(61)
    ledger.expire()
    for _ in range(2):
        assert ledger.release(reservation, "throttled").charge_micro_usd == 0
    assert spent_and_held(ledger) == (0, 0)


def test_a_stream_renews_its_lease(open_ledger: OpenLedger, time: SteppedClock) -> None:
    ledger = open_ledger()
    reservation = ledger.reserve(attempt("a"))
    time.advance(50)
    assert ledger.renew(reservation, 60)
    time.advance(50)
    assert ledger.expire() == 0
    time.advance(11)
    assert ledger.expire() == 1
    assert not ledger.renew(reservation, 60)


def test_a_reading_ends_lost_attempts(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """With all clients dead nothing stays held: the next snapshot sees to it."""
    ledger = open_ledger(Limits(daily_usd=1))
    ledger.reserve(attempt("a", 500_000))
    time.advance(61)
    (day, _) = ledger.snapshot().accounts
    assert (day.held_micro_usd, day.spent_micro_usd) == (0, 500_000)


def test_an_attempt_that_was_never_sent_is_released_when_that_is_certain(
    open_ledger: OpenLedger, time: SteppedClock
) -> None:
    """With strict dispatch the mark is durable before the first byte, so its absence is proof."""
    ledger = open_ledger(strict_dispatch=True)
    ledger.reserve(attempt("a", 300))
    ledger.dispatched(ledger.reserve(attempt("b", 500)))
    time.advance(61)
    assert ledger.expire() == 2
    assert spent_and_held(ledger) == (500, 0)


def test_nothing_is_sent_after_the_lease(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """A client that slept through its lease must not send: its reservation may be somebody else's."""
    ledger = open_ledger(strict_dispatch=True)
    reservation = ledger.reserve(attempt("a"))
    time.advance(61)
    with pytest.raises(AttemptConflict):
        ledger.dispatched(reservation)
    ledger.expire()
    with pytest.raises(AttemptConflict):
        ledger.dispatched(reservation)


# -- breaches and corrections


def test_a_breach_is_booked_whole_and_closes_the_account(open_ledger: OpenLedger) -> None:
    """More than was reserved is never clipped; the account admits nothing until a person reopens it."""
    ledger = open_ledger(Limits(daily_usd=1))
    outcome = ledger.settle(ledger.reserve(attempt("a", 1_000)), Usage(1_500))
    assert (outcome.charge_micro_usd, outcome.breach) == (1_500, True)
    assert spent_and_held(ledger) == (1_500, 0)
    with pytest.raises(AccountClosed) as refused:
        ledger.reserve(attempt("b", 1))
    assert refused.value.left_micro_usd == 0  # nothing, so that no caller asks again for a token less
    assert ledger.snapshot().accounts[0].closed
    assert ledger.left_micro_usd("north") == 0
    assert ledger.reopen("daily")
    ledger.reserve(attempt("b", 1))


@pytest.mark.parametrize(
    ("closed", "limits"),
    [
        ("provider/north/daily", Limits(1, 1, {"north": 1}, {"north": 1})),
        ("provider/north/monthly", Limits(1, 1, {"south": 1}, {"north": 1})),
        ("daily", Limits(1, 1, {"south": 1}, {"south": 1})),
        ("monthly", Limits(None, 1)),
        (None, Limits()),
    ],
)
def test_a_breach_closes_the_narrowest_account_with_a_limit(
    closed: str | None, limits: Limits, open_ledger: OpenLedger
) -> None:
    """That one and no other; reopened, all admit again. Where nothing has a limit nothing is refused."""
    ledger = open_ledger(limits)
    ledger.settle(ledger.reserve(attempt("a", 1_000)), Usage(1_500))
    states = ledger.snapshot().accounts
    assert [state.account.account_id for state in states if state.closed] == ([closed] if closed else [])
    assert closed == limits.closed_by_breach("north")
    if closed is not None:
        with pytest.raises(AccountClosed, match=f"engine ledger reopen {closed}"):
            ledger.reserve(attempt("b", 1))
        assert ledger.reopen(closed)
    ledger.reserve(attempt("b", 1))


def test_an_account_over_its_limit_is_spent_and_not_closed(open_ledger: OpenLedger) -> None:
    """It goes on when its limit is raised; the provider's own account is what a breach closes."""
    limits = Limits(daily_usd=1, per_provider_daily={"north": 1})
    ledger = open_ledger(limits)
    ledger.settle(ledger.reserve(attempt("a", DOLLAR)), Usage(3 * DOLLAR))
    assert ledger.reopen("provider/north/daily")
    assert not ledger.reopen("daily")
    ledger.use_limits(Limits(daily_usd=4, per_provider_daily={"north": 4}))
    ledger.reserve(attempt("b", DOLLAR))


def test_a_breach_over_the_limit_is_booked_whole(open_ledger: OpenLedger) -> None:
    ledger = open_ledger(Limits(daily_usd=1))
    ledger.settle(ledger.reserve(attempt("a", DOLLAR)), Usage(3 * DOLLAR))
    assert spent_and_held(ledger) == (3 * DOLLAR, 0)
    assert ledger.snapshot().daily_used == 300


def test_a_charge_after_a_release_is_booked_and_is_a_breach(open_ledger: OpenLedger) -> None:
    """The proof was wrong; no charge is lost."""
    ledger = open_ledger(Limits(daily_usd=1))
    reservation = ledger.reserve(attempt("a", DOLLAR))
    ledger.release(reservation, "throttled")
    ledger.reserve(attempt("b", DOLLAR))
    outcome = ledger.settle(reservation, Usage(100))
    assert outcome.breach
    assert spent_and_held(ledger) == (100, DOLLAR)


def test_an_invoice_corrects_an_ended_attempt(open_ledger: OpenLedger) -> None:
    """A correction is a row of its own, repeatable by its key; an open attempt is settled instead."""
    ledger = open_ledger()
    reservation = ledger.reserve(attempt("a", 1_000))
    with pytest.raises(AttemptConflict):
        ledger.reconcile("a", "invoice", 90, "March invoice")
    ledger.settle(reservation, Usage(50), basis=Basis.ESTIMATED)
    for _ in range(2):
        ledger.reconcile("a", "invoice", 90, "March invoice")
    assert spent_and_held(ledger) == (90, 0)
    with pytest.raises(AttemptConflict):
        ledger.reconcile("a", "invoice", 91, "March invoice")
    ledger.reconcile("a", "credit note", 20, "April credit")
    assert spent_and_held(ledger) == (20, 0)


# -- windows


def test_a_new_day_begins_empty_and_an_old_charge_stays_in_its_day(
    open_ledger: OpenLedger, time: SteppedClock
) -> None:
    """A call over midnight belongs to the day of its reservation."""
    ledger = open_ledger(Limits(daily_usd=1))
    reservation = ledger.reserve(attempt("a", DOLLAR, lease_s=DAY_S))
    time.advance(13 * 3600)
    assert spent_and_held(ledger) == (0, 0)
    ledger.reserve(attempt("b", DOLLAR))
    ledger.settle(reservation, Usage(400_000))
    assert spent_and_held(ledger) == (0, DOLLAR)
    assert spent_and_held(ledger, None, Period.MONTHLY) == (400_000, DOLLAR)


def test_the_day_turns_at_local_midnight(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """At noon UTC it is 21:00 in Tokyo: three hours later the day is new (litellm #21754, langwatch
    #6255)."""
    ledger = open_ledger(Limits(daily_usd=1, time_zone="Asia/Tokyo"))
    ledger.reserve(attempt("a", DOLLAR))
    time.advance(3 * 3600 - 1)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(attempt("b", 1))
    time.advance(1)
    ledger.reserve(attempt("b", DOLLAR))


def test_a_clock_that_goes_back_stays_in_the_later_window(
    open_ledger: OpenLedger, time: SteppedClock
) -> None:
    """Yesterday is over: its budget is not offered again, today's is not reset (litellm #34733)."""
    ledger = open_ledger(Limits(daily_usd=1))
    ledger.reserve(attempt("a", DOLLAR))
    time.advance(DAY_S)
    ledger.reserve(attempt("b", 700_000))
    time.step_wall(-DAY_S)
    with pytest.raises(BudgetExceeded) as refusal:
        ledger.reserve(attempt("c", 300_001))
    assert refusal.value.left_micro_usd == 300_000


@pytest.mark.parametrize("jump_s", [301, 3600, DAY_S, 400 * DAY_S])
def test_a_clock_that_jumps_ahead_stops_the_money(
    open_ledger: OpenLedger, time: SteppedClock, jump_s: int
) -> None:
    """More than five minutes against the uptime: no new window is opened by it, until a person accepts the
    clock."""
    ledger = open_ledger(Limits(daily_usd=1))
    ledger.reserve(attempt("a"))
    time.step_wall(jump_s)
    with pytest.raises(ClockSuspect):
        ledger.reserve(attempt("b"))
    with pytest.raises(ClockSuspect):
        open_ledger(Limits(daily_usd=1)).reserve(attempt("b"))
    ledger.accept_clock()
    ledger.reserve(attempt("b"))


def test_small_steps_and_sleep_are_no_jump(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """Five minutes are tolerated; a machine that slept over the weekend has the uptime to show for it."""
    ledger = open_ledger()
    ledger.reserve(attempt("a"))
    time.step_wall(300)
    ledger.reserve(attempt("b"))
    time.advance(3 * DAY_S)
    ledger.reserve(attempt("c"))


def test_a_reboot_sets_the_clock_anew(open_ledger: OpenLedger, time: SteppedClock) -> None:
    open_ledger().reserve(attempt("a"))
    time.reboot("boot-2", seconds_off=10 * DAY_S)
    open_ledger().reserve(attempt("b"))


def test_a_new_time_zone_carries_usage_over(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """At noon UTC both zones' days overlap: what was spent in the overlap counts in the new day, nothing
    twice."""
    ledger = open_ledger(Limits(daily_usd=1))
    time.advance(-6 * 3600)
    ledger.settle(ledger.reserve(attempt("early", 200_000)), Usage(200_000))
    time.advance(10 * 3600)  # 16:00 UTC is 01:00 of the next day in Tokyo
    ledger.settle(ledger.reserve(attempt("late", 300_000)), Usage(250_000))
    held = ledger.reserve(attempt("held", 100_000, lease_s=DAY_S))
    ledger.use_limits(Limits(daily_usd=1, time_zone="Asia/Tokyo"))
    ledger.reserve(attempt("tokyo", 1))
    assert spent_and_held(ledger) == (350_000, 1)
    ledger.use_limits(Limits(daily_usd=1))
    ledger.reserve(attempt("back", 1))
    assert spent_and_held(ledger) == (450_001, 100_001)
    ledger.settle(held, Usage(5))
    assert spent_and_held(ledger) == (450_006, 1)


def test_going_to_and_fro_between_zones_makes_no_money(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """Two clients in two zones never get two budgets: each switch counts what the other spent in the
    window."""
    utc, tokyo = Limits(daily_usd=1), Limits(daily_usd=1, time_zone="Asia/Tokyo")
    first, second = open_ledger(utc), open_ledger(tokyo)
    admitted = 0
    for number in range(20):
        for ledger in (first, second):
            try:
                ledger.settle(
                    ledger.reserve(attempt(f"{number}{ledger.limits.time_zone}", 100_000)), Usage(100_000)
                )
                admitted += 1
            except BudgetExceeded:
                pass
    assert admitted == 10


# -- the facts of a decision


def test_used_is_exact_and_floored(open_ledger: OpenLedger) -> None:
    """A third of the limit is 33.333333 %; held money is not used money (litellm #36926, bifrost #5770)."""
    ledger = open_ledger(Limits(daily_usd=3, monthly_usd=150))
    ledger.settle(ledger.reserve(attempt("a", DOLLAR)), Usage(DOLLAR))
    ledger.reserve(attempt("b", DOLLAR))
    snapshot = ledger.snapshot()
    assert snapshot.daily_used == Decimal("33.333333")
    assert snapshot.monthly_used == Decimal("0.666666")
    assert snapshot.exhausted_providers == frozenset()
    assert snapshot.problem is None


def test_a_provider_is_exhausted_by_its_day_or_by_its_month(open_ledger: OpenLedger) -> None:
    ledger = open_ledger(
        Limits(
            per_provider_daily={"north": 1, "south": 5},
            per_provider_monthly={"north": 9, "south": 1, "west": 1},
        )
    )
    for provider in ("north", "south"):
        ledger.settle(ledger.reserve(attempt(provider, DOLLAR, provider=provider)), Usage(DOLLAR))
    assert ledger.snapshot().exhausted_providers == {"north", "south"}


def test_a_snapshot_is_at_most_a_second_old(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """What another process spent is seen within a second; what this one spent, at once."""
    mine, theirs = open_ledger(Limits(daily_usd=1)), open_ledger(Limits(daily_usd=1))
    assert mine.snapshot().daily_used == 0
    theirs.settle(theirs.reserve(attempt("a", 10_000)), Usage(10_000))
    time.uptime_us += 999_999
    assert mine.snapshot().daily_used == 0
    time.uptime_us += 1
    assert mine.snapshot().daily_used == 1
    mine.settle(mine.reserve(attempt("b", 10_000)), Usage(10_000))
    assert mine.snapshot().daily_used == 2


def test_a_closed_provider_counts_as_exhausted(open_ledger: OpenLedger) -> None:
    ledger = open_ledger(Limits(per_provider_daily={"north": 5}))
    ledger.settle(ledger.reserve(attempt("a", 10)), Usage(11))
    assert ledger.snapshot().exhausted_providers == {"north"}


def test_the_largest_amounts_fit(open_ledger: OpenLedger) -> None:
    """A limit of a billion dollars and tokens by the billion stay exact."""
    ledger = open_ledger(Limits(daily_usd=10**9))
    ledger.settle(ledger.reserve(attempt("a", 10**15)), Usage(10**15 - 1))
    assert spent_and_held(ledger) == (10**15 - 1, 0)
    with pytest.raises(ValueError):
        attempt("b", sys.maxsize)
