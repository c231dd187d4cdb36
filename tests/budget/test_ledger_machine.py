"""The ledger against a naive model, in random histories of everything that can happen to it.

The model keeps a list of attempts and adds up fractions; it knows no tables, no totals and no transactions.
"""

import datetime
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.budget import (
    FREE,
    AccountClosed,
    Attempt,
    AttemptConflict,
    BudgetExceeded,
    ClockSuspect,
    Ledger,
    Limits,
    Rates,
    Reservation,
    TokenPrices,
    Usage,
)
from engine.budget.sqlite_store import SqliteStore
from engine.budget.store import WAIT_MS, Row, Session, Store, Value
from engine.budget.usage import verify

from .clocks import SteppedClock

T = TypeVar("T")
_PRICES = {"north": TokenPrices(Rates(2_718_281, 3_141_592)), "south": TokenPrices(Rates(577_215, 1_618_033))}
_TOKYO_S = 9 * 3600
_DAY_S = 24 * 3600
_STEPS = 20_000


@dataclass
class Known:
    """One attempt as the model sees it."""

    attempt: Attempt
    state: str
    day: int
    month: tuple[int, int]
    lease_until_us: int
    boot_id: str
    charge: int = 0
    late: dict[str, int] = field(default_factory=dict)  # corrections by their key

    @property
    def open(self) -> bool:
        return self.state == "reserved"

    @property
    def counts(self) -> int:
        return self.attempt.amount_micro_usd if self.open else self.charge

    def windows(self) -> list[tuple[str, object]]:
        """The accounts it is booked on, in the order of their ids, with its window in each."""
        mine = f"provider/{self.attempt.provider}"
        return [
            ("daily", self.day),
            ("monthly", self.month),
            (f"{mine}/daily", self.day),
            (f"{mine}/monthly", self.month),
        ]


class Crash(BaseException):
    """The process dies here."""


@dataclass
class CrashingStore:
    """Raises Crash at the `countdown`-th point it passes, when armed; notes whether the commit came
    before."""

    store: Store
    countdown: int | None = None
    committed: bool = False

    @property
    def shared_by_hosts(self) -> bool:
        return self.store.shared_by_hosts

    def write(self, work: Callable[[Session], T], *, durable: bool, wait_ms: int = WAIT_MS) -> T:
        def watched(session: Session) -> T:
            result = work(_Watched(session, self))
            self.point()
            return result

        self.point()
        result = self.store.write(watched, durable=durable, wait_ms=wait_ms)
        self.committed = True
        self.point()
        return result

    def read(self, work: Callable[[Session], T]) -> T:
        return self.store.read(work)

    def close(self) -> None:
        self.store.close()

    def point(self) -> None:
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown < 0:
                self.countdown = None
                raise Crash


@dataclass
class _Watched:
    session: Session
    store: CrashingStore

    @property
    def now_us(self) -> int:
        return self.session.now_us

    @property
    def read_between_us(self) -> tuple[int, int]:
        return self.session.read_between_us

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        self.store.point()
        return self.session.rows(sql, parameters)

    def run(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        self.store.point()
        return self.session.run(sql, parameters)


class LedgerMachine(RuleBasedStateMachine):
    """Reserve, settle, retry, hedge, cancel, crash, edit limits, step the clock; after each step all sums
    agree."""

    steps_taken: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        in_memory = Path("/dev/shm")
        self.folder = tempfile.TemporaryDirectory(
            prefix="machine", dir=in_memory if os.access(in_memory, os.W_OK) else None
        )
        self.time = SteppedClock()
        self.known: dict[str, Known] = {}
        self.closed: set[tuple[str, object]] = set()
        self.admitted: dict[tuple[str, object], int | None] = {}
        self.anchors: dict[str, int] = {}
        self.born = 0

    def teardown(self) -> None:
        try:
            if hasattr(self, "ledger"):
                self.reboot()  # whoever was alive is dead now
                self.ledger.expire()
                self._sweep()
                self._sums_agree(held_nothing=True)
                self.ledger.close()
        finally:
            self.folder.cleanup()

    # -- what happens

    @initialize(
        daily=st.integers(1, 200), north=st.none() | st.integers(0, 100), monthly=st.integers(50, 400)
    )
    def limits(self, daily: int, north: int | None, monthly: int) -> None:
        self._set_limits(daily, north, monthly)
        self._open()

    @rule(
        daily=st.integers(0, 200),
        north=st.none() | st.integers(0, 100),
        monthly=st.none() | st.integers(0, 400),
    )
    def edit_limits(self, daily: int, north: int | None, monthly: int | None) -> None:
        """Nothing is reset by it."""
        self._set_limits(daily, north, monthly)
        self.ledger.use_limits(self.limits_now)

    @rule(
        north=st.booleans(),
        tokens=st.integers(1, 9),
        lease=st.sampled_from([60, 3_600, _DAY_S]),
        crash=st.none() | st.integers(0, 30),
    )
    def reserve(self, north: bool, tokens: int, lease: int, crash: int | None) -> None:
        self._reserve("north" if north else "south", tokens * 1_000_000, lease, crash)

    @rule(tokens=st.integers(1, 9))
    def hedge(self, tokens: int) -> None:
        """Two providers at once, each with its own hold; the slower one is kept, since it may have been
        billed."""
        fast = self._reserve("north", tokens * 1_000_000, 60, None)
        slow = self._reserve("south", tokens * 1_000_000, 60, None)
        if fast is not None:
            self._settle(fast, tokens * 500_000, 3)
        if slow is not None:
            self.ledger.forfeit(self._receipt(slow), "hedged")
            self._forfeit(slow)

    @rule()
    def local(self) -> None:
        """Always admitted, never counted as money."""
        self.born += 1
        reservation = self.ledger.reserve(Attempt(f"local{self.born}", "d", "ollama", "m", True, 0, FREE, 60))
        assert reservation.recorded
        self._sweep()
        assert self.ledger.settle(reservation, Usage(9, 9)).charge_micro_usd == 0

    @precondition(lambda self: self.known)
    @rule(which=st.integers(0))
    def reserve_again(self, which: int) -> None:
        known = self._pick(which)
        try:
            self.ledger.reserve(known.attempt)
        except AttemptConflict:
            assert not known.open
        else:
            assert known.open

    @precondition(lambda self: self.known)
    @rule(
        which=st.integers(0),
        input_tokens=st.integers(0, 3_000_000),
        output_tokens=st.integers(0, 9),
        crash=st.none() | st.integers(0, 12),
    )
    def settle(self, which: int, input_tokens: int, output_tokens: int, crash: int | None) -> None:
        known = self._pick(which)
        self.crashing.countdown = crash
        self._settle(known, input_tokens, output_tokens)

    @precondition(lambda self: self.known)
    @rule(which=st.integers(0), over=st.integers(1, 100_000_000))
    def settle_in_breach(self, which: int, over: int) -> None:
        known = self._pick(which)
        rate = _PRICES[known.attempt.provider].rates.input
        self._settle(known, (known.attempt.amount_micro_usd * 1_000_000 + over) // rate + 1, 0)

    @precondition(lambda self: self.known)
    @rule(which=st.integers(0))
    def release(self, which: int) -> None:
        known = self._pick(which)
        try:
            self.ledger.release(self._receipt(known), "throttled")
        except AttemptConflict:
            assert known.state == "settled"
            return
        if known.open:
            known.state, known.charge = "released", 0
        elif known.state == "forfeited" and "release" not in known.late:
            self._correct(known, 0)
            known.late["release"] = 0

    @precondition(lambda self: self.known)
    @rule(which=st.integers(0))
    def forfeit(self, which: int) -> None:
        known = self._pick(which)
        try:
            self.ledger.forfeit(self._receipt(known), "no answer")
        except AttemptConflict:
            assert known.state in ("settled", "released")
            return
        if known.open:
            self._forfeit(known)

    @precondition(lambda self: any(not known.open for known in self.known.values()))
    @rule(which=st.integers(0), charge=st.integers(0, 30_000_000), key=st.integers())
    def reconcile(self, which: int, charge: int, key: int) -> None:
        ended = [known for known in self.known.values() if not known.open]
        known = ended[which % len(ended)]
        self.born += 1
        self.ledger.reconcile(known.attempt.attempt_id, f"{self.born}", charge, "invoice")
        self._correct(known, charge)

    @rule(crash=st.none() | st.integers(0, 20))
    def expire(self, crash: int | None) -> None:
        self.crashing.countdown, self.crashing.committed = crash, False
        try:
            self.ledger.expire()
        except Crash:
            self._open()
            if not self.crashed_after_commit:
                return
        self.crashing.countdown = None
        self._sweep()

    @rule(seconds=st.sampled_from([1, 59, 3_600, 11 * 3_600, _DAY_S, 20 * _DAY_S]))
    def time_goes_by(self, seconds: int) -> None:
        self.time.advance(seconds)

    @rule(seconds=st.sampled_from([-40 * _DAY_S, -_DAY_S, -3_600, -1, 60, 299, 301, _DAY_S]))
    def somebody_turns_the_clock(self, seconds: int) -> None:
        self.time.step_wall(seconds)

    @rule()
    def the_clock_is_accepted(self) -> None:
        self.ledger.accept_clock()
        self.anchors[self.time.boot_id] = self.time.wall_us - self.time.uptime_us

    @rule()
    def reboot(self) -> None:
        self.time.reboot(f"{self.time.boot_id}+")
        self._open()

    @precondition(lambda self: self.closed)
    @rule()
    def reopen(self) -> None:
        for name, _ in sorted(self.closed, key=repr):
            self.ledger.reopen(name)
        self.closed.clear()

    # -- what must be

    @invariant()
    def sums_agree(self) -> None:
        LedgerMachine.steps_taken += 1
        if hasattr(self, "ledger"):
            self._sums_agree()

    def _sums_agree(self, *, held_nothing: bool = False) -> None:
        expected: dict[str, list[int]] = {}
        for known in self.known.values():
            for name, window in known.windows():
                total = expected.setdefault(f"{name} {self._start_s(window)}", [0, 0])
                total[0] += 0 if known.open else known.charge
                total[1] += known.attempt.amount_micro_usd if known.open else 0
        rows = self.crashing.read(
            lambda session: session.rows(
                "SELECT account_id, start_s, settled_micro_usd + forfeited_micro_usd + corrected_micro_usd, "
                "reserved_micro_usd, opening_micro_usd FROM ledger_windows"
            )
        )
        assert {f"{row[0]} {row[1]}": [row[2], row[3]] for row in rows} == expected
        assert all(row[4] == 0 for row in rows)
        if held_nothing:
            assert all(row[3] == 0 for row in rows)
        if held_nothing or LedgerMachine.steps_taken % 10 == 0:
            assert verify(self.ledger).findings == ()

    # -- the model

    def _reserve(self, provider: str, tokens: int, lease_s: int, crash: int | None) -> Known | None:
        self.born += 1
        prices = _PRICES[provider]
        amount = -(-tokens * prices.rates.input // 1_000_000)
        attempt = Attempt(f"a{self.born:05}", "d", provider, "m", False, amount, prices, lease_s)
        day, month = self._windows_now()
        known = Known(
            attempt, "reserved", day, month, self.time.wall_us + lease_s * 1_000_000, self.time.boot_id
        )
        self.crashing.countdown, self.crashing.committed = crash, False
        refusal: BaseException | None = None
        try:
            self.ledger.reserve(attempt)
        except (BudgetExceeded, ClockSuspect) as error:
            refusal = error
        except Crash:
            self._open()
            if not self.crashed_after_commit:
                return None
        self.crashing.countdown = None
        assert _kind(refusal) == self._refusal(known)
        if refusal is not None:
            return None
        self.anchors.setdefault(self.time.boot_id, self.time.wall_us - self.time.uptime_us)
        self._sweep()
        self.known[attempt.attempt_id] = known
        for name, window in known.windows():
            self.admitted[name, window] = self._limit(name)
        return known

    def _refusal(self, known: Known) -> str | None:
        offset = self.time.wall_us - self.time.uptime_us
        if offset - self.anchors.get(self.time.boot_id, offset) > 300_000_000:
            return "ClockSuspect"
        for name, window in known.windows():
            limit = self._limit(name)
            if limit is None:
                continue
            if (name, window) in self.closed:
                return "AccountClosed"
            if self._used(name, window) + known.attempt.amount_micro_usd > limit:
                return "BudgetExceeded"
        return None

    def _settle(self, known: Known, input_tokens: int, output_tokens: int) -> None:
        rates = _PRICES[known.attempt.provider].rates
        exact = Fraction(input_tokens * rates.input + output_tokens * rates.output, 1_000_000)
        charge = -(-exact.numerator // exact.denominator)
        self.crashing.committed = False
        try:
            outcome = self.ledger.settle(self._receipt(known), Usage(input_tokens, output_tokens))
        except AttemptConflict:
            self.crashing.countdown = None
            assert not known.open
            assert known.state == "settled" or known.late["settle"] != charge
            return
        except Crash:
            self._open()
            if not self.crashed_after_commit:
                return
        else:
            assert 0 <= outcome.charge_micro_usd - exact < 1
        self.crashing.countdown = None
        if known.open:
            known.state, known.charge = "settled", charge
            if charge > known.attempt.amount_micro_usd:
                self._close(known)
        elif known.state in ("released", "forfeited") and "settle" not in known.late:
            self._correct(known, charge)
            known.late["settle"] = charge

    def _correct(self, known: Known, charge: int) -> None:
        delta = charge - known.charge
        if delta and charge > (0 if known.state == "released" else known.attempt.amount_micro_usd):
            self._close(known)
        known.charge = charge

    def _close(self, known: Known) -> None:
        """One account: the provider's before everybody's, the day's before the month's, if it has a
        limit."""
        day, month, own_day, own_month = known.windows()
        order = (own_day, own_month, day, month)
        self.closed.add(next((each for each in order if self.admitted[each] is not None), own_day))

    def _forfeit(self, known: Known) -> None:
        known.state, known.charge = "forfeited", known.attempt.amount_micro_usd

    def _sweep(self) -> None:
        for known in self.known.values():
            if known.open and (
                known.lease_until_us <= self.time.wall_us or known.boot_id != self.time.boot_id
            ):
                self._forfeit(known)

    def _windows_now(self) -> tuple[int, tuple[int, int]]:
        """In Tokyo, and never before a window that was used."""
        local_s = self.time.wall_us // 1_000_000 + _TOKYO_S
        date = datetime.date(1970, 1, 1) + datetime.timedelta(days=local_s // _DAY_S)
        days = [known.day for known in self.known.values()]
        months = [known.month for known in self.known.values()]
        return max([local_s // _DAY_S, *days]), max([(date.year, date.month), *months])

    def _start_s(self, window: object) -> int:
        if isinstance(window, tuple):
            return (datetime.date(*window, 1) - datetime.date(1970, 1, 1)).days * _DAY_S - _TOKYO_S
        assert isinstance(window, int)
        return window * _DAY_S - _TOKYO_S

    def _used(self, name: str, window: object) -> int:
        return sum(known.counts for known in self.known.values() if (name, window) in known.windows())

    def _limit(self, name: str) -> int | None:
        return {"daily": self.daily, "monthly": self.monthly, "provider/north/daily": self.north}.get(name)

    def _set_limits(self, daily: int, north: int | None, monthly: int | None) -> None:
        self.daily, self.monthly = daily * 1_000_000, None if monthly is None else monthly * 1_000_000
        self.north = None if north is None else north * 1_000_000
        self.limits_now = Limits(
            daily_usd=daily,
            monthly_usd=monthly,
            per_provider_daily={} if north is None else {"north": north},
            time_zone="Asia/Tokyo",
        )

    def _open(self) -> None:
        """A new process."""
        self.crashed_after_commit = hasattr(self, "crashing") and self.crashing.committed
        if hasattr(self, "crashing"):
            self.crashing.close()
        clock = self.time.clock
        self.crashing = CrashingStore(SqliteStore(Path(self.folder.name), clock))
        self.ledger = Ledger(self.crashing, self.limits_now, clock)

    def _pick(self, which: int) -> Known:
        recent = list(self.known.values())[-12:]
        return recent[which % len(recent)]

    def _receipt(self, known: Known) -> Reservation:
        return Reservation(known.attempt.attempt_id, known.attempt.amount_micro_usd, False, True)


def _kind(refusal: BaseException | None) -> str | None:
    if isinstance(refusal, AccountClosed):
        return "AccountClosed"
    return None if refusal is None else type(refusal).__name__


def test_random_histories_agree_with_the_model() -> None:
    """20,000 steps: nothing double, nothing lost, every refusal the model's, reserved back to nothing at the
    end."""
    LedgerMachine.steps_taken = 0
    while LedgerMachine.steps_taken < _STEPS:
        run_state_machine_as_test(
            LedgerMachine,
            settings=settings(
                max_examples=50,
                stateful_step_count=100,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
