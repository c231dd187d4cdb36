"""What a caller wants to spend -> a reservation, a charge, or a refusal: the rules of the money.

    reserve -> dispatched -> settle | release | forfeit          (lease over: forfeit)

The worst case of an attempt is booked before its first byte is sent, on all its accounts or on none, and never made
smaller. It ends once: settled at what the usage costs, released with proof that nothing was billed, or forfeited
whole. What is learnt later is a correction, a row of its own. An attempt is known by an id its caller chose, and every
call may be repeated: the second one changes nothing.

INVARIANT (I1): opening + reserved + settled + forfeited + corrected <= the limit it was admitted under, in every
account and window; the database checks it too. (I3) the sums of the rows are the totals of the accounts. (I6) a charge
stays in the window of its reservation.

A free attempt at a local model is recorded when that is possible and never refused: not by a limit, a closed account,
a suspect clock or a broken ledger.

Calls are synchronous, thread-safe and short: about a millisecond, and up to `WAIT_MS` when the ledger is locked. From
asyncio, call them in a thread and shield the call, so that a cancelled task still learns what it reserved.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar, assert_never

from engine.budget.accounts import Account, Limits, account_id
from engine.budget.clock import Clock
from engine.budget.errors import (
    AccountClosed,
    AttemptConflict,
    BudgetExceeded,
    ClockSuspect,
    LedgerUnavailable,
    UnknownAttempt,
    UnknownPrice,
)
from engine.budget.money import (
    LARGEST_MICRO_USD,
    TokenPrices,
    Usage,
    cost_micro_usd,
    prices_from_text,
    prices_to_text,
)
from engine.budget.store import WAIT_MS, Session, Store, Value
from engine.budget.windows import Period, Window, window_at

T = TypeVar("T")

# A local call should not wait long to be written down.
_FREE_WAIT_MS = 250
_CLOCK_TOLERANCE_US = 5 * 60 * 1_000_000
_SNAPSHOT_AGE_US = 1_000_000
_EXPIRED_AT_ONCE = 100
_LATE_SETTLE = "late-settle"
_LATE_RELEASE = "late-release"

_USED = (
    "(opening_micro_usd + reserved_micro_usd + settled_micro_usd + forfeited_micro_usd + corrected_micro_usd)"
)
_OPEN = "('reserved', 'dispatched')"


class State(StrEnum):
    """Where an attempt stands; the last three are final."""

    RESERVED = "reserved"
    DISPATCHED = "dispatched"
    SETTLED = "settled"
    RELEASED = "released"
    FORFEITED = "forfeited"


class Basis(StrEnum):
    """How a charge is known."""

    MEASURED = "measured"  # the provider reported the usage
    ESTIMATED = "estimated"  # the usage was counted here
    RESERVED = "reserved"  # nobody knows; the whole reservation is charged


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of one model, as it is about to be made. A retry, a fallback and a hedge are attempts of their own.

    `amount_micro_usd` is the worst case (`estimate.worst_case_micro_usd`). `prices` None is an unknown price, which is
    refused; a free model has `money.FREE`. `alternative_*` is the dearest cloud model that this task was allowed to
    use, for showing what was saved. `lease_s` is the time, in seconds, after which the attempt counts as lost: the
    total deadline plus twice the grace for settling.
    """

    attempt_id: str
    decision_id: str
    provider: str
    model: str
    local: bool
    amount_micro_usd: int
    prices: TokenPrices | None
    lease_s: int
    alternative_model: str | None = None
    alternative_prices: TokenPrices | None = None
    policy_digest: str = ""

    def __post_init__(self) -> None:
        if not self.attempt_id or not self.provider or not self.model:
            raise ValueError("an attempt has an id, a provider and a model")
        if not 0 <= self.amount_micro_usd <= LARGEST_MICRO_USD:
            raise ValueError(f"not an amount to reserve: {self.amount_micro_usd} micro-dollars")
        if self.amount_micro_usd == 0 and self.prices is not None and not self.prices.free:
            raise ValueError("a model with a price cannot be called with nothing reserved")
        if self.lease_s <= 0:
            raise ValueError("a lease lasts longer than nothing")

    @property
    def free_and_local(self) -> bool:
        """True for what no budget and no broken ledger may stop."""
        return self.local and self.amount_micro_usd == 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """The ledger's receipt for an attempt. `recorded` is False only for a free local one it could not write down."""

    attempt_id: str
    amount_micro_usd: int
    free_and_local: bool
    recorded: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt stands after a call. `breach`: it cost more than was reserved, and its accounts are closed."""

    attempt_id: str
    state: State
    charge_micro_usd: int
    breach: bool = False


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account in its current window; amounts in micro-dollars, `used_percent` exact and floored at six places."""

    account: Account
    window: Window
    spent_micro_usd: int
    held_micro_usd: int
    closed: bool

    @property
    def left_micro_usd(self) -> int | None:
        """What may still be reserved; None without a limit, 0 when closed."""
        limit = self.account.limit_micro_usd
        if limit is None:
            return None
        return 0 if self.closed else max(0, limit - self.spent_micro_usd - self.held_micro_usd)

    @property
    def used_percent(self) -> Decimal:
        """Spent money as a percentage of the limit: 0 without a limit, 100 for a limit of zero. Held money may
        come back and does not count."""
        limit = self.account.limit_micro_usd
        if limit is None:
            return Decimal(0)
        if limit == 0:
            return Decimal(100)
        return Decimal(self.spent_micro_usd * 100 * 10**6 // limit).scaleb(-6)

    @property
    def used_up(self) -> bool:
        """True when nothing more will be admitted in this window."""
        return self.used_percent >= 100 or (self.closed and self.account.limit_micro_usd is not None)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The budget facts of a decision, at most a second old. With a `problem` the ledger could not be read: the facts
    are the last known ones, and whatever costs money is to be refused for that reason."""

    daily_used: Decimal
    monthly_used: Decimal
    exhausted_providers: frozenset[str]
    accounts: tuple[AccountState, ...]
    problem: str | None = None


class Ledger:
    """The rules over a store. `limits` is what this process enforces; the totals are everybody's.

    With `strict_dispatch`, `dispatched` is a durable write before the first byte, and an attempt that never got there
    is released when its lease ends; without it every reservation counts as dispatched.
    """

    def __init__(self, store: Store, limits: Limits, clock: Clock, *, strict_dispatch: bool = False) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._strict_dispatch = strict_dispatch
        self._anchor_us: int | None = None
        self._snapshot = _snapshot(())
        self._fresh_until_us: int | None = None

    @property
    def limits(self) -> Limits:
        """The limits now in force."""
        return self._limits

    @property
    def store(self) -> Store:
        """Where the rows are, for reading them."""
        return self._store

    def use_limits(self, limits: Limits) -> None:
        """Enforce other limits from now on. No usage is reset by it."""
        self._limits = limits
        self._fresh_until_us = None

    # -- the life of an attempt

    def reserve(self, attempt: Attempt) -> Reservation:
        """Book the worst case of `attempt` on all its accounts; durable when this returns.

        Raises BudgetExceeded, AccountClosed, UnknownPrice, ClockSuspect, AttemptConflict, LedgerUnavailable; then
        nothing may be sent, and nothing is booked (when only the answer to a commit was lost, the reservation stands
        and is charged when its lease ends). For a free local attempt it raises AttemptConflict only.
        """
        if attempt.prices is None:
            raise UnknownPrice(f"{attempt.provider}/{attempt.model} has no price; free is a price of zero")
        prices = prices_to_text(attempt.prices)
        free = attempt.free_and_local
        try:
            self._store.write(
                lambda session: self._reserve(session, attempt, prices),
                durable=not free,
                wait_ms=_FREE_WAIT_MS if free else WAIT_MS,
            )
        except LedgerUnavailable:
            if not free:
                raise
            return Reservation(attempt.attempt_id, 0, free, recorded=False)
        return Reservation(attempt.attempt_id, attempt.amount_micro_usd, free, recorded=True)

    def dispatched(self, reservation: Reservation) -> None:
        """Say that the first byte is about to be sent. Raises AttemptConflict when the lease is over (do not send),
        LedgerUnavailable. Writes only with `strict_dispatch`."""
        if self._strict_dispatch and not reservation.free_and_local:
            self._store.write(lambda session: self._dispatch(session, reservation.attempt_id), durable=True)

    def renew(self, reservation: Reservation, lease_s: int) -> bool:
        """Let the lease end `lease_s` seconds from now. False when the attempt has ended meanwhile: a stream may go
        on, it is charged already, and settling it will correct the charge."""

        def renew(session: Session) -> bool:
            return bool(
                session.run(
                    f"UPDATE ledger_attempts SET lease_until_us = ? WHERE attempt_id = ? AND state IN {_OPEN}",
                    (session.now_us + lease_s * 1_000_000, reservation.attempt_id),
                )
            )

        return self._end(reservation, renew, otherwise=False)

    def settle(
        self,
        reservation: Reservation,
        usage: Usage,
        *,
        basis: Basis = Basis.MEASURED,
        served: bool = True,
        charge_micro_usd: int | None = None,
    ) -> Outcome:
        """Charge what `usage` costs at the attempt's own prices, or `charge_micro_usd` when the provider states it.

        `served`: this attempt's answer went to the caller. After a forfeit or a release the difference is a
        correction. Raises AttemptConflict when it was settled otherwise before, UnknownAttempt, LedgerUnavailable:
        then the reservation stays, and is charged whole when its lease ends.
        """
        if basis is Basis.RESERVED:
            raise ValueError("a usage is measured or estimated; without one, forfeit")

        def settle(session: Session) -> Outcome:
            return _settle(session, reservation.attempt_id, usage, basis, served, charge_micro_usd)

        return self._end(reservation, settle, otherwise=_unrecorded(reservation, State.SETTLED))

    def release(self, reservation: Reservation, reason: str) -> Outcome:
        """Give the reservation back; only with proof that the provider bills nothing, which `reason` names.

        Raises AttemptConflict for a settled attempt, UnknownAttempt, LedgerUnavailable.
        """

        def release(session: Session) -> Outcome:
            return _release(session, reservation.attempt_id, reason)

        return self._end(reservation, release, otherwise=_unrecorded(reservation, State.RELEASED))

    def forfeit(self, reservation: Reservation, reason: str) -> Outcome:
        """Charge the whole reservation, because what was billed cannot be known (now).

        Raises AttemptConflict for a settled or released attempt, UnknownAttempt, LedgerUnavailable.
        """

        def forfeit(session: Session) -> Outcome:
            return _forfeit(session, reservation.attempt_id, reason)

        return self._end(reservation, forfeit, otherwise=_unrecorded(reservation, State.FORFEITED))

    def reconcile(self, attempt_id: str, key: str, charge_micro_usd: int, reason: str) -> Outcome:
        """Correct an ended attempt to what the provider's own report says it billed; `key` makes it repeatable.

        Raises AttemptConflict while the attempt is open or when `key` said something else before, UnknownAttempt,
        LedgerUnavailable.
        """
        if charge_micro_usd < 0:
            raise ValueError("a charge is not negative")

        def reconcile(session: Session) -> Outcome:
            row = _load(session, attempt_id)
            if row.open:
                raise AttemptConflict(f"attempt {attempt_id} has not ended; settle it")
            return _correct(session, row, key, charge_micro_usd, None, Basis.MEASURED, reason)

        self._fresh_until_us = None
        return self._store.write(reconcile, durable=True)

    def expire(self) -> int:
        """End the attempts whose lease is over, and those of earlier boots of this host; the number ended.

        A lost attempt may have been billed, so it is forfeited, never refunded. Raises LedgerUnavailable.
        """
        ended, swept = 0, _EXPIRED_AT_ONCE
        while swept == _EXPIRED_AT_ONCE:
            swept = self._store.write(self._expire, durable=False)
            ended += swept
        self._fresh_until_us = None
        return ended

    # -- reading

    def snapshot(self) -> Snapshot:
        """The budget facts for a decision, at most one second old. Never raises: see `Snapshot.problem`."""
        now_us = self._clock.uptime_us()
        if self._fresh_until_us is None or now_us >= self._fresh_until_us:
            try:
                if self._store.read(self._has_expired):
                    self.expire()
                self._snapshot = _snapshot(self._store.read(self.account_states))
            except LedgerUnavailable as error:
                self._snapshot = replace(self._snapshot, problem=str(error))
            self._fresh_until_us = now_us + _SNAPSHOT_AGE_US
        return self._snapshot

    def left_micro_usd(self, provider: str) -> int | None:
        """What an attempt at `provider` may reserve at most right now, read fresh; None when nothing limits it.

        For `estimate.affordable_max_tokens`. Raises LedgerUnavailable.
        """

        def left(session: Session) -> int | None:
            windows = self.windows(session)
            accounts = self._limits.accounts_of(provider)
            states = [_state(session, account, windows[account.period]) for account in accounts]
            return min(
                (state.left_micro_usd for state in states if state.left_micro_usd is not None), default=None
            )

        return self._store.read(left)

    def account_states(self, session: Session) -> tuple[AccountState, ...]:
        """The day, the month, and every account with a limit, as they stand."""
        windows = self.windows(session)
        totals = [self._limits.account(period, None) for period in Period]
        limited = [account for account in self._limits.limited_accounts() if account.provider is not None]
        return tuple(_state(session, account, windows[account.period]) for account in (*totals, *limited))

    def find(self, attempt_id: str) -> Reservation:
        """The receipt of an attempt some process reserved, to settle it later. Raises UnknownAttempt, LedgerUnavailable."""
        row = self._store.read(lambda session: _load(session, attempt_id))
        return Reservation(
            attempt_id, row.amount_micro_usd, row.local and row.amount_micro_usd == 0, recorded=True
        )

    def windows(self, session: Session) -> dict[Period, Window]:
        """The windows a charge made now falls into. They never go back, even when the clock does (I7)."""
        return {period: self._window(session, period) for period in Period}

    # -- what only a person decides

    def accept_clock(self) -> None:
        """Take the wall clock as it is now for right, after ClockSuspect. Raises LedgerUnavailable."""

        def accept(session: Session) -> int:
            offset_us = session.now_us - session.read_between_us[0]
            if self._clock.boot_id:
                session.run(
                    "INSERT INTO ledger_clock_anchors (boot_id, offset_us) VALUES (?, ?) "
                    "ON CONFLICT (boot_id) DO UPDATE SET offset_us = excluded.offset_us",
                    (self._clock.boot_id, offset_us),
                )
            return offset_us

        self._anchor_us = self._store.write(accept, durable=True)

    def reopen(self, account_id: str) -> bool:
        """Admit again on an account a breach had closed; False when it was not closed. Raises LedgerUnavailable."""

        def reopen(session: Session) -> bool:
            return bool(
                session.run(
                    "UPDATE ledger_windows SET breached = 0 WHERE account_id = ? AND breached = 1",
                    (account_id,),
                )
            )

        self._fresh_until_us = None
        return self._store.write(reopen, durable=True)

    def close(self) -> None:
        """Give back connections; the ledger may be used again."""
        self._store.close()

    # -- the rules of admission

    def _reserve(self, session: Session, attempt: Attempt, prices: str) -> None:
        known = session.rows(
            "SELECT state, provider, model, is_local, reserved_micro_usd, prices FROM ledger_attempts WHERE attempt_id = ?",
            (attempt.attempt_id,),
        )
        if known:
            asked = (attempt.provider, attempt.model, int(attempt.local), attempt.amount_micro_usd, prices)
            if known[0] != (State.RESERVED.value, *asked):
                raise AttemptConflict(f"attempt {attempt.attempt_id} is taken")
            return
        if not attempt.free_and_local:
            self._refuse_clock_jump(session)
        self._expire(session)
        windows = self.windows(session)
        if attempt.amount_micro_usd > 0:
            self._adopt_zone(session)
            for account in self._limits.accounts_of(attempt.provider):
                _admit(session, account, windows[account.period], attempt.amount_micro_usd)
        session.run(
            "INSERT INTO ledger_attempts (attempt_id, decision_id, provider, model, is_local, state, strict_dispatch, "
            "reserved_micro_usd, prices, alternative_model, alternative_prices, policy_digest, time_zone, day_start_s, "
            "month_start_s, reserved_us, lease_until_us, boot_id) "
            "VALUES (?, ?, ?, ?, ?, 'reserved', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                attempt.attempt_id,
                attempt.decision_id,
                attempt.provider,
                attempt.model,
                int(attempt.local),
                int(self._strict_dispatch),
                attempt.amount_micro_usd,
                prices,
                attempt.alternative_model,
                None if attempt.alternative_prices is None else prices_to_text(attempt.alternative_prices),
                attempt.policy_digest,
                self._limits.time_zone,
                windows[Period.DAILY].start_s,
                windows[Period.MONTHLY].start_s,
                session.now_us,
                session.now_us + attempt.lease_s * 1_000_000,
                self._clock.boot_id,
            ),
        )

    def _dispatch(self, session: Session, attempt_id: str) -> None:
        row = _load(session, attempt_id)
        if row.state is State.DISPATCHED:
            return
        if row.state is not State.RESERVED or row.lease_until_us <= session.now_us:
            raise AttemptConflict(
                f"attempt {attempt_id} is {row.state.value} or out of time; it must not be sent"
            )
        session.run("UPDATE ledger_attempts SET state = 'dispatched' WHERE attempt_id = ?", (attempt_id,))

    def _window(self, session: Session, period: Period) -> Window:
        window = window_at(period, self._limits.time_zone, session.now_us // 1_000_000)
        # The high-water mark: a window that was opened is not left backwards.
        later = session.rows(
            "SELECT start_s, end_s FROM ledger_windows WHERE account_id = ? AND time_zone = ? AND start_s > ? "
            "ORDER BY start_s DESC LIMIT 1",
            (account_id(period, None), self._limits.time_zone, window.start_s),
        )
        if not later:
            return window
        return Window(period, window.time_zone, _int(later[0][0]), _int(later[0][1]))

    def _refuse_clock_jump(self, session: Session) -> None:
        # A pause between two readings never looks like a jump: it only makes the clock seem late here, the anchor early.
        before_us, after_us = session.read_between_us
        offset_us = session.now_us - after_us
        anchor_us = self._anchor(session, session.now_us - before_us)
        if offset_us - anchor_us > _CLOCK_TOLERANCE_US:
            ahead_s = (offset_us - anchor_us) // 1_000_000
            raise ClockSuspect(
                f"the clock is {ahead_s} s ahead of the machine's uptime; set it right, or accept it "
                "for the ledger, before anything that costs money is sent"
            )

    def _anchor(self, session: Session, offset_us: int) -> int:
        """Wall clock minus uptime, as first seen in this boot."""
        if not self._clock.boot_id:
            if self._anchor_us is None:
                self._anchor_us = offset_us
            return self._anchor_us
        select = "SELECT offset_us FROM ledger_clock_anchors WHERE boot_id = ?"
        known = session.rows(select, (self._clock.boot_id,))
        if known:
            return _int(known[0][0])
        session.run(
            "INSERT INTO ledger_clock_anchors (boot_id, offset_us) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (self._clock.boot_id, offset_us),
        )
        return offset_us

    def _adopt_zone(self, session: Session) -> None:
        """After the time zone was changed, what falls into the new zone's windows counts in them."""
        zone = self._limits.time_zone
        known = session.rows("SELECT value FROM ledger_meta WHERE name = 'time_zone'")
        if known and known[0][0] == zone:
            return
        session.run(
            "INSERT INTO ledger_meta (name, value) VALUES ('time_zone', ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (zone,),
        )
        for name, start_s, end_s in session.rows(
            "SELECT account_id, start_s, end_s FROM ledger_windows WHERE time_zone = ? AND end_s > ?",
            (zone, session.now_us // 1_000_000),
        ):
            provider = str(name).split("/", 1)[1].rsplit("/", 1)[0] if "/" in str(name) else None
            opening = _carried(session, provider, zone, _int(start_s), _int(end_s))
            session.run(
                "UPDATE ledger_windows SET opening_micro_usd = ?, admitted_limit_micro_usd = NULL "
                "WHERE account_id = ? AND time_zone = ? AND start_s = ?",
                (opening, name, zone, start_s),
            )

    def _expire(self, session: Session) -> int:
        lost = session.rows(
            f"SELECT attempt_id FROM ledger_attempts WHERE {self._lost()} LIMIT {_EXPIRED_AT_ONCE}",
            self._lost_parameters(session),
        )
        for (attempt_id,) in lost:
            row = _load(session, str(attempt_id))
            if row.strict_dispatch and row.state is State.RESERVED:
                _release(session, row.attempt_id, "never dispatched")
            else:
                _forfeit(session, row.attempt_id, "lease over")
        return len(lost)

    def _has_expired(self, session: Session) -> bool:
        return bool(
            session.rows(
                f"SELECT 1 FROM ledger_attempts WHERE {self._lost()} LIMIT 1", self._lost_parameters(session)
            )
        )

    def _lost(self) -> str:
        """Whose lease is over; on a store of one host also whoever reserved before the last boot."""
        if self._store.shared_by_hosts or not self._clock.boot_id:
            return f"state IN {_OPEN} AND lease_until_us <= ?"
        return f"state IN {_OPEN} AND (lease_until_us <= ? OR boot_id <> ?)"

    def _lost_parameters(self, session: Session) -> tuple[Value, ...]:
        if self._store.shared_by_hosts or not self._clock.boot_id:
            return (session.now_us,)
        return (session.now_us, self._clock.boot_id)

    def _end(self, reservation: Reservation, work: Callable[[Session], T], *, otherwise: T) -> T:
        """Run a call that follows `reserve`; `otherwise` is what a free local attempt gets from a broken ledger."""
        if not reservation.recorded:
            return otherwise
        self._fresh_until_us = None
        if not reservation.free_and_local:
            return self._store.write(work, durable=False)
        try:
            return self._store.write(work, durable=False, wait_ms=_FREE_WAIT_MS)
        except (LedgerUnavailable, UnknownAttempt):
            return otherwise


def _unrecorded(reservation: Reservation, state: State) -> Outcome:
    return Outcome(reservation.attempt_id, state, 0)


def _admit(session: Session, account: Account, window: Window, amount_micro_usd: int) -> None:
    """Hold the amount on one account, if it is open and has that much left."""
    if _hold(session, account, window, amount_micro_usd):
        return
    _ensure_window(session, account.account_id, account.provider, window)
    if _hold(session, account, window, amount_micro_usd):
        return
    limit = account.limit_micro_usd
    assert limit is not None
    ((used, breached),) = session.rows(
        f"SELECT {_USED}, breached FROM ledger_windows WHERE account_id = ? AND time_zone = ? AND start_s = ?",
        (account.account_id, window.time_zone, window.start_s),
    )
    refusal = AccountClosed if breached else BudgetExceeded
    raise refusal(account.account_id, limit, amount_micro_usd, max(0, limit - _int(used)))


def _hold(session: Session, account: Account, window: Window, amount_micro_usd: int) -> bool:
    """One guarded update: False when the window's row is missing, closed, or has not that much left."""
    limit = account.limit_micro_usd
    guard = "" if limit is None else f" AND breached = 0 AND {_USED} + ? <= ?"
    guarded = () if limit is None else (amount_micro_usd, limit)
    held = session.run(
        "UPDATE ledger_windows SET reserved_micro_usd = reserved_micro_usd + ?, admitted_limit_micro_usd = ? "
        f"WHERE account_id = ? AND time_zone = ? AND start_s = ?{guard}",
        (amount_micro_usd, limit, account.account_id, window.time_zone, window.start_s, *guarded),
    )
    return held == 1


def _ensure_window(session: Session, name: str, provider: str | None, window: Window) -> None:
    """The account's row for this window. A new window begins empty; nothing else ever resets usage."""
    key = (name, window.time_zone, window.start_s)
    inserted = session.run(
        "INSERT INTO ledger_windows (account_id, time_zone, start_s, end_s) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*key, window.end_s),
    )
    elsewhere = inserted and session.rows(
        "SELECT 1 FROM ledger_windows WHERE account_id = ? AND time_zone <> ? AND end_s > ? LIMIT 1", key
    )
    if elsewhere:
        opening = _carried(session, provider, window.time_zone, window.start_s, window.end_s)
        session.run(
            "UPDATE ledger_windows SET opening_micro_usd = ? WHERE account_id = ? AND time_zone = ? AND start_s = ?",
            (opening, *key),
        )


def _carried(session: Session, provider: str | None, time_zone: str, start_s: int, end_s: int) -> int:
    """What was reserved within the window under another time zone, by its charge, or its hold while it is open."""
    chosen = "a.time_zone <> ? AND a.reserved_us >= ? AND a.reserved_us < ?"
    parameters: tuple[Value, ...] = (time_zone, start_s * 1_000_000, end_s * 1_000_000)
    if provider is not None:
        chosen += " AND a.provider = ?"
        parameters = (*parameters, provider)
    ((charged,),) = session.rows(
        f"SELECT CAST(COALESCE(SUM(CASE WHEN a.state IN {_OPEN} THEN a.reserved_micro_usd ELSE a.charge_micro_usd END), 0) "
        f"AS BIGINT) FROM ledger_attempts AS a WHERE {chosen}",
        parameters,
    )
    ((corrected,),) = session.rows(
        "SELECT CAST(COALESCE(SUM(c.delta_micro_usd), 0) AS BIGINT) FROM ledger_corrections AS c "
        f"JOIN ledger_attempts AS a ON a.attempt_id = c.attempt_id WHERE {chosen}",
        parameters,
    )
    return max(0, _int(charged) + _int(corrected))


# -- the ends of an attempt


@dataclass(frozen=True, slots=True)
class _Row:
    attempt_id: str
    state: State
    provider: str
    local: bool
    strict_dispatch: bool
    amount_micro_usd: int
    charge_micro_usd: int
    basis: str | None
    usage: Usage
    prices: TokenPrices
    alternative_prices: TokenPrices | None
    time_zone: str
    starts_s: dict[Period, int]
    lease_until_us: int

    @property
    def open(self) -> bool:
        return self.state in (State.RESERVED, State.DISPATCHED)


def _load(session: Session, attempt_id: str) -> _Row:
    rows = session.rows(
        "SELECT state, provider, is_local, strict_dispatch, reserved_micro_usd, charge_micro_usd, basis, input_tokens, "
        "output_tokens, cached_input_tokens, cache_write_tokens, prices, alternative_prices, time_zone, day_start_s, "
        "month_start_s, lease_until_us FROM ledger_attempts WHERE attempt_id = ?",
        (attempt_id,),
    )
    if not rows:
        raise UnknownAttempt(f"no attempt {attempt_id} was ever reserved")
    row = rows[0]
    return _Row(
        attempt_id=attempt_id,
        state=State(str(row[0])),
        provider=str(row[1]),
        local=row[2] == 1,
        strict_dispatch=row[3] == 1,
        amount_micro_usd=_int(row[4]),
        charge_micro_usd=_int(row[5]),
        basis=None if row[6] is None else str(row[6]),
        usage=Usage(_int(row[7]), _int(row[8]), _int(row[9]), _int(row[10])),
        prices=prices_from_text(str(row[11])),
        alternative_prices=None if row[12] is None else prices_from_text(str(row[12])),
        time_zone=str(row[13]),
        starts_s={Period.DAILY: _int(row[14]), Period.MONTHLY: _int(row[15])},
        lease_until_us=_int(row[16]),
    )


def _settle(
    session: Session, attempt_id: str, usage: Usage, basis: Basis, served: bool, stated_micro_usd: int | None
) -> Outcome:
    row = _load(session, attempt_id)
    charge = cost_micro_usd(row.prices, usage) if stated_micro_usd is None else stated_micro_usd
    match row.state:
        case State.RESERVED | State.DISPATCHED:
            reason = None if stated_micro_usd is None else "stated by the provider"
            return _close(session, row, State.SETTLED, charge, basis, usage, served, reason)
        case State.SETTLED:
            if (row.charge_micro_usd, row.basis, row.usage) != (charge, basis.value, usage):
                raise AttemptConflict(f"attempt {attempt_id} was settled already, with another usage")
            return Outcome(attempt_id, row.state, charge, breach=charge > row.amount_micro_usd)
        case State.RELEASED | State.FORFEITED:
            return _correct(
                session, row, _LATE_SETTLE, charge, usage, basis, f"settled after {row.state.value}", served
            )
        case _:
            assert_never(row.state)


def _release(session: Session, attempt_id: str, reason: str) -> Outcome:
    row = _load(session, attempt_id)
    match row.state:
        case State.RESERVED | State.DISPATCHED:
            return _close(session, row, State.RELEASED, 0, None, Usage(), False, reason)
        case State.RELEASED:
            return Outcome(attempt_id, row.state, 0)
        case State.FORFEITED:
            return _correct(session, row, _LATE_RELEASE, 0, None, Basis.MEASURED, reason)
        case State.SETTLED:
            raise AttemptConflict(f"attempt {attempt_id} is settled and cannot be released")
        case _:
            assert_never(row.state)


def _forfeit(session: Session, attempt_id: str, reason: str) -> Outcome:
    row = _load(session, attempt_id)
    match row.state:
        case State.RESERVED | State.DISPATCHED:
            return _close(
                session, row, State.FORFEITED, row.amount_micro_usd, Basis.RESERVED, Usage(), False, reason
            )
        case State.FORFEITED:
            return Outcome(attempt_id, row.state, row.charge_micro_usd)
        case State.SETTLED | State.RELEASED:
            raise AttemptConflict(f"attempt {attempt_id} is {row.state.value} and cannot be forfeited")
        case _:
            assert_never(row.state)


def _close(
    session: Session,
    row: _Row,
    state: State,
    charge: int,
    basis: Basis | None,
    usage: Usage,
    served: bool,
    reason: str | None,
) -> Outcome:
    alternative = _alternative(row, usage, served=served)
    session.run(
        "UPDATE ledger_attempts SET state = ?, charge_micro_usd = ?, basis = ?, served = ?, input_tokens = ?, "
        "output_tokens = ?, cached_input_tokens = ?, cache_write_tokens = ?, alternative_micro_usd = ?, closed_us = ?, "
        f"reason = ? WHERE attempt_id = ? AND state IN {_OPEN}",
        (
            state.value,
            charge,
            None if basis is None else basis.value,
            int(served),
            *_token_columns(usage),
            alternative,
            session.now_us,
            reason,
            row.attempt_id,
        ),
    )
    breach = charge > row.amount_micro_usd
    _book(
        session,
        row,
        reserved=-row.amount_micro_usd,
        settled=charge if state is State.SETTLED else 0,
        forfeited=charge if state is State.FORFEITED else 0,
        breach=breach,
    )
    return Outcome(row.attempt_id, state, charge, breach)


def _correct(
    session: Session,
    row: _Row,
    key: str,
    charge: int,
    usage: Usage | None,
    basis: Basis,
    reason: str,
    served: bool = False,
) -> Outcome:
    """Add the row that brings an ended attempt to `charge`; the attempt's own row stays as it is."""
    known = session.rows(
        "SELECT charge_micro_usd FROM ledger_corrections WHERE attempt_id = ? AND correction_key = ?",
        (row.attempt_id, key),
    )
    if known:
        if known[0][0] != charge:
            raise AttemptConflict(
                f"attempt {row.attempt_id} was corrected already ({key}), to another charge"
            )
        return Outcome(row.attempt_id, row.state, charge)
    ((corrected,),) = session.rows(
        "SELECT CAST(COALESCE(SUM(delta_micro_usd), 0) AS BIGINT) FROM ledger_corrections WHERE attempt_id = ?",
        (row.attempt_id,),
    )
    delta = charge - row.charge_micro_usd - _int(corrected)
    session.run(
        "INSERT INTO ledger_corrections (attempt_id, correction_key, delta_micro_usd, charge_micro_usd, basis, served, "
        "input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, alternative_micro_usd, reason, corrected_us) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.attempt_id,
            key,
            delta,
            charge,
            basis.value,
            int(served),
            *_token_columns(usage or Usage()),
            None if usage is None else _alternative(row, usage, served=served),
            reason,
            session.now_us,
        ),
    )
    # What was released may be held by others by now.
    breach = charge > (0 if row.state is State.RELEASED else row.amount_micro_usd)
    _book(session, row, corrected=delta, breach=breach)
    return Outcome(row.attempt_id, row.state, charge, breach)


def _book(
    session: Session,
    row: _Row,
    *,
    reserved: int = 0,
    settled: int = 0,
    forfeited: int = 0,
    corrected: int = 0,
    breach: bool,
) -> None:
    """Move the four totals of the windows the attempt was reserved in, whatever the time is now (I6)."""
    if not (reserved or settled or forfeited or corrected):
        return
    grows = reserved + settled + forfeited + corrected
    over = f"(? > 0 AND admitted_limit_micro_usd IS NOT NULL AND {_USED} + ? > admitted_limit_micro_usd)"
    for period, start_s in row.starts_s.items():
        names = (account_id(period, None), account_id(period, row.provider))
        if row.amount_micro_usd == 0:  # nothing was held, so the window may be new
            for name, provider in zip(names, (None, row.provider), strict=True):
                _ensure_window(session, name, provider, window_at(period, row.time_zone, start_s))
        session.run(
            "UPDATE ledger_windows SET reserved_micro_usd = reserved_micro_usd + ?, "
            "settled_micro_usd = settled_micro_usd + ?, forfeited_micro_usd = forfeited_micro_usd + ?, "
            "corrected_micro_usd = corrected_micro_usd + ?, "
            f"breached = CASE WHEN ? = 1 OR {over} THEN 1 ELSE breached END, "
            f"ever_breached = CASE WHEN ? = 1 OR {over} THEN 1 ELSE ever_breached END "
            "WHERE account_id IN (?, ?) AND time_zone = ? AND start_s = ?",
            (
                *(reserved, settled, forfeited, corrected),
                *(int(breach), grows, grows) * 2,
                *names,
                row.time_zone,
                start_s,
            ),
        )


def _alternative(row: _Row, usage: Usage, *, served: bool) -> int | None:
    if not served or row.alternative_prices is None:
        return None
    return cost_micro_usd(row.alternative_prices, usage)


def _token_columns(usage: Usage) -> tuple[int, int, int, int]:
    return (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.cache_write_tokens)


# -- reading


def _state(session: Session, account: Account, window: Window) -> AccountState:
    rows = session.rows(
        f"SELECT {_USED} - reserved_micro_usd, reserved_micro_usd, breached FROM ledger_windows "
        "WHERE account_id = ? AND time_zone = ? AND start_s = ?",
        (account.account_id, window.time_zone, window.start_s),
    )
    spent, held, closed = rows[0] if rows else (0, 0, 0)
    return AccountState(account, window, _int(spent), _int(held), closed == 1)


def _snapshot(states: tuple[AccountState, ...]) -> Snapshot:
    used = {state.account.period: state.used_percent for state in states if state.account.provider is None}
    return Snapshot(
        daily_used=used.get(Period.DAILY, Decimal(0)),
        monthly_used=used.get(Period.MONTHLY, Decimal(0)),
        exhausted_providers=frozenset(
            state.account.provider for state in states if state.account.provider is not None and state.used_up
        ),
        accounts=states,
    )


def _int(value: Value) -> int:
    assert isinstance(value, int)
    return value
