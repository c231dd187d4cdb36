"""What a caller wants to spend -> a reservation, a charge, or a refusal: the rules of the money.

    reserve -> dispatched -> settle | release | forfeit          (lease over: forfeit)

The worst case of an attempt is booked before its first byte is sent, on all its accounts or on none, and
never made smaller. It ends once: settled at what the usage costs, released with proof that nothing was
billed, or forfeited whole. What is learnt later is a correction, a row of its own. An attempt is known by an
id its caller chose, and every call may be repeated: the second one changes nothing.

INVARIANT: opening + reserved + settled + forfeited + corrected <= the limit it was admitted under, in
every account and window; the database checks it too. The sums of the rows are the totals of the
accounts. A charge stays in the window of its reservation.

A free attempt at a local model is recorded when that is possible and never refused: not by a limit, a closed
account, a suspect clock or a broken ledger.

Calls are synchronous, thread-safe and short: about a millisecond, and up to a few seconds when the ledger is
locked. From asyncio, call them in a thread and shield the call, so that a cancelled task still learns what it
reserved.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from engine.budget import admission, charges, learning
from engine.budget.account_states import AccountState, Snapshot, account_state, snapshot_of
from engine.budget.accounts import NOBODY, Limits, Owner
from engine.budget.attempts import OPEN_STATES, Attempt, Basis, Outcome, Reservation, State
from engine.budget.clock import Clock
from engine.budget.clock_guard import ClockGuard
from engine.budget.errors import AttemptConflict, LedgerUnavailable, UnknownAttempt, UnknownPrice
from engine.budget.identity import Identity
from engine.budget.money import Usage, prices_to_text
from engine.budget.reconciliation import Difference, ReportRow, reconcile_row
from engine.budget.store import Session, Store, Value, integer
from engine.budget.windows import ALWAYS, Period, Window

T = TypeVar("T")

# A local call should not wait long to be written down, nor a paid one to be refused.
_FREE_WAIT_MS = 250
_PAID_WAIT_MS = 2_000
_SNAPSHOT_AGE_US = 1_000_000
_EXPIRED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a person decided about the ledger."""

    at_us: int
    action: str
    subject: str
    detail: str


class Ledger:
    """The rules over a store. `limits` is what this process enforces; the totals are everybody's.

    With `strict_dispatch`, `dispatched` is a durable write before the first byte, and an attempt that never
    got there is released when its lease ends; without it every reservation counts as dispatched.
    """

    def __init__(self, store: Store, limits: Limits, clock: Clock, *, strict_dispatch: bool = False) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._strict_dispatch = strict_dispatch
        self._clock_guard = ClockGuard(clock.boot_id)
        self._snapshot = snapshot_of((), {})
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

        Raises BudgetExceeded, AccountClosed, UnknownPrice, ClockSuspect, AttemptConflict, LedgerUnavailable;
        then nothing may be sent, and nothing is booked (when only the answer to a commit was lost, the
        reservation stands and is charged when its lease ends). For a free local attempt it raises
        AttemptConflict only.
        """
        if attempt.prices is None:
            raise UnknownPrice(f"{attempt.provider}/{attempt.model} has no price; free is a price of zero")
        prices = prices_to_text(attempt.prices)
        free = attempt.free_and_local
        try:
            self._store.write(
                lambda session: self._reserve(session, attempt, prices),
                durable=not free,
                wait_ms=_FREE_WAIT_MS if free else _PAID_WAIT_MS,
            )
        except LedgerUnavailable:
            if not free:
                raise
            return Reservation(attempt.attempt_id, 0, free, recorded=False)
        return Reservation(attempt.attempt_id, attempt.amount_micro_usd, free, recorded=True)

    def dispatched(self, reservation: Reservation) -> None:
        """Say that the first byte is about to be sent.

        Raises AttemptConflict when the lease is over (do not send), LedgerUnavailable. Writes only with
        `strict_dispatch`.
        """
        if self._strict_dispatch and not reservation.free_and_local:
            self._store.write(lambda session: self._dispatch(session, reservation.attempt_id), durable=True)

    def grow(self, reservation: Reservation, amount_micro_usd: int) -> Reservation:
        """Hold `amount_micro_usd` in all for an open attempt, in the windows it was reserved in; durable.

        For output that is held in slices. Raises as `reserve`, and then holds what it held before;
        AttemptConflict when the attempt has ended, as it has when its lease is over.
        """

        def grow(session: Session) -> None:
            row = charges.load(session, reservation.attempt_id)
            if not row.open:
                raise AttemptConflict(f"attempt {row.attempt_id} has ended, and holds nothing more")
            if amount_micro_usd > row.amount_micro_usd:
                accounts = self._limits.accounts_of(row.provider, row.owner)
                charges.grow(session, row, accounts, amount_micro_usd)

        self._fresh_until_us = None
        self._store.write(grow, durable=True)
        return replace(reservation, amount_micro_usd=amount_micro_usd)

    def renew(self, reservation: Reservation, lease_s: int) -> bool:
        """Let the lease end `lease_s` seconds from now.

        False when the attempt has ended meanwhile: a stream may go on, it is charged already, and settling it
        will correct the charge.
        """

        def renew(session: Session) -> bool:
            return bool(
                session.run(
                    "UPDATE ledger_attempts SET lease_until_us = ? WHERE attempt_id = ? AND state IN "
                    f"{OPEN_STATES}",
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
        over_report: str | None = None,
        observed: learning.Observation | None = None,
    ) -> Outcome:
        """Charge what `usage` costs at the attempt's own prices, or `charge_micro_usd` when the provider
        states it.

        `served`: this attempt's answer went to the caller. `over_report` says that the provider reported more
        than it can have billed, and makes the charge a breach; `observed` is what the call says of its model.
        After a forfeit or a release the difference is a correction. Raises AttemptConflict when it was
        settled otherwise before, UnknownAttempt, LedgerUnavailable: then the reservation stays, and is
        charged whole when its lease ends.
        """
        if basis is Basis.RESERVED:
            raise ValueError("a usage is measured or estimated; without one, forfeit")

        def settle(session: Session) -> Outcome:
            return charges.settle(
                session,
                reservation.attempt_id,
                usage,
                basis,
                served,
                charge_micro_usd,
                over_report,
                observed,
            )

        return self._end(reservation, settle, otherwise=_unrecorded(reservation, State.SETTLED))

    def release(self, reservation: Reservation, reason: str) -> Outcome:
        """Give the reservation back; only with proof that the provider bills nothing, which `reason` names.

        Raises AttemptConflict for a settled attempt, UnknownAttempt, LedgerUnavailable.
        """

        def release(session: Session) -> Outcome:
            return charges.release(session, reservation.attempt_id, reason)

        return self._end(reservation, release, otherwise=_unrecorded(reservation, State.RELEASED))

    def forfeit(
        self, reservation: Reservation, reason: str, *, guess: Usage | None = None, served: bool = False
    ) -> Outcome:
        """Charge the whole reservation, because what was billed cannot be known (now).

        `guess` is about what was used, for showing; `served`: this attempt's answer went to the caller.
        Raises AttemptConflict for a settled or released attempt, UnknownAttempt, LedgerUnavailable.
        """

        def forfeit(session: Session) -> Outcome:
            return charges.forfeit(session, reservation.attempt_id, reason, guess, served)

        return self._end(reservation, forfeit, otherwise=_unrecorded(reservation, State.FORFEITED))

    def reconcile(self, attempt_id: str, key: str, charge_micro_usd: int, reason: str) -> Outcome:
        """Correct an ended attempt to what the provider's own report says it billed; `key` makes it
        repeatable.

        Raises AttemptConflict while the attempt is open or when `key` said something else before,
        UnknownAttempt, LedgerUnavailable.
        """
        if charge_micro_usd < 0:
            raise ValueError("a charge is not negative")

        def reconcile(session: Session) -> Outcome:
            row = charges.load(session, attempt_id)
            if row.open:
                raise AttemptConflict(f"attempt {attempt_id} has not ended; settle it")
            return charges.correct(session, row, key, charge_micro_usd, None, Basis.MEASURED, reason)

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
                self._snapshot = self._store.read(self._read_snapshot)
            except LedgerUnavailable as error:
                self._snapshot = replace(self._snapshot, problem=str(error))
            self._fresh_until_us = now_us + _SNAPSHOT_AGE_US
        return self._snapshot

    def _read_snapshot(self, session: Session) -> Snapshot:
        return snapshot_of(self.account_states(session), learning.read_all(session))

    def left_micro_usd(self, provider: str, owner: Owner = NOBODY) -> int | None:
        """What an attempt of `owner` at `provider` may reserve at most right now, read fresh; None when
        nothing limits it.

        For `estimate.affordable_max_tokens`. Raises LedgerUnavailable.
        """

        def left(session: Session) -> int | None:
            windows = self.windows(session)
            accounts = self._limits.accounts_of(provider, owner)
            states = [account_state(session, account, windows[account.period]) for account in accounts]
            return min(
                (state.left_micro_usd for state in states if state.left_micro_usd is not None), default=None
            )

        return self._store.read(left)

    def account_states(self, session: Session) -> tuple[AccountState, ...]:
        """The day, the month, and every account with a limit, as they stand."""
        windows = self.windows(session)
        totals = [self._limits.account(period, None) for period in Period]
        limited = [account for account in self._limits.limited_accounts() if account.provider is not None]
        return tuple(
            account_state(session, account, windows[account.period]) for account in (*totals, *limited)
        )

    def find(self, attempt_id: str) -> Reservation:
        """The receipt of an attempt some process reserved, to settle it later.

        Raises UnknownAttempt, LedgerUnavailable.
        """
        row = self._store.read(lambda session: charges.load(session, attempt_id))
        return Reservation(
            attempt_id, row.amount_micro_usd, row.local and row.amount_micro_usd == 0, recorded=True
        )

    def windows(self, session: Session) -> dict[Period | None, Window]:
        """The windows a charge made now falls into. They never go back, even when the clock does."""
        windows: dict[Period | None, Window] = {None: ALWAYS}
        for period in Period:
            windows[period] = admission.current_window(session, period, self._limits.time_zone)
        return windows

    # -- what only a person decides; each is written down

    def accept_clock(self) -> None:
        """Take the wall clock as it is now for right, after ClockSuspect. Raises LedgerUnavailable."""

        def accept(session: Session) -> int:
            _log(session, "accept-clock", "clock", f"{session.now_us} us since 1970")
            return self._clock_guard.accept(session)

        self._clock_guard.accepted(self._store.write(accept, durable=True))

    def reopen(self, account_id: str) -> bool:
        """Admit again on an account a breach had closed; False when it was not closed. Raises
        LedgerUnavailable."""

        def reopen(session: Session) -> bool:
            opened = session.run(
                "UPDATE ledger_windows SET breached = 0 WHERE account_id = ? AND breached = 1", (account_id,)
            )
            if opened:
                _log(session, "reopen", account_id, f"{opened} windows")
            return bool(opened)

        self._fresh_until_us = None
        return self._store.write(reopen, durable=True)

    def adopt(self) -> Identity:
        """Go on with the ledger that is there, after LedgerReplaced. Raises LedgerUnavailable."""
        identity = self._store.adopt()
        self._fresh_until_us = None
        self._store.write(lambda session: _log(session, "adopt", identity.ledger_id, ""), durable=True)
        return identity

    def reconcile_report(
        self, rows: Sequence[ReportRow], name: str, *, dry_run: bool = False
    ) -> tuple[Difference, ...]:
        """Correct the books to a provider's own report, all rows or none. Raises LedgerUnavailable."""

        def reconcile(session: Session) -> tuple[Difference, ...]:
            differences = tuple(reconcile_row(session, row, self._limits.time_zone) for row in rows)
            if dry_run:
                raise _DryRun(differences)
            corrected = sum(difference.corrected_micro_usd for difference in differences)
            _log(session, "reconcile", name, f"{len(rows)} rows, {corrected} micro-dollars corrected")
            return differences

        self._fresh_until_us = None
        try:
            return self._store.write(reconcile, durable=True)
        except _DryRun as done:
            return done.differences

    def events(self) -> tuple[Event, ...]:
        """What persons decided, oldest first. Raises LedgerUnavailable."""
        rows = self._store.read(
            lambda session: session.rows(
                "SELECT at_us, action, subject, detail FROM ledger_events ORDER BY at_us"
            )
        )
        return tuple(Event(integer(row[0]), str(row[1]), str(row[2]), str(row[3])) for row in rows)

    def close(self) -> None:
        """Give back connections; the ledger may be used again."""
        self._store.close()

    # -- the rules of admission

    def _reserve(self, session: Session, attempt: Attempt, prices: str) -> None:
        known = session.rows(
            "SELECT state, provider, model, is_local, reserved_micro_usd, prices FROM "
            "ledger_attempts WHERE attempt_id = ?",
            (attempt.attempt_id,),
        )
        if known:
            asked = (attempt.provider, attempt.model, int(attempt.local), attempt.amount_micro_usd, prices)
            if known[0] != (State.RESERVED.value, *asked):
                raise AttemptConflict(f"attempt {attempt.attempt_id} is taken")
            return
        if not attempt.free_and_local:
            self._clock_guard.refuse_jump(session)
        self._expire(session)
        windows = self.windows(session)
        if attempt.amount_micro_usd > 0:
            admission.adopt_zone(session, self._limits.time_zone)
            for account in self._limits.accounts_of(attempt.provider, attempt.owner):
                admission.admit(session, account, windows[account.period], attempt.amount_micro_usd)
        session.run(
            "INSERT INTO ledger_attempts (attempt_id, decision_id, provider, model, is_local, state, "
            "strict_dispatch, "
            "reserved_micro_usd, prices, alternative_model, alternative_prices, policy_digest, "
            "time_zone, day_start_s, "
            "month_start_s, reserved_us, lease_until_us, boot_id, session_key, agent_keys, group_name) "
            "VALUES (?, ?, ?, ?, ?, 'reserved', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                attempt.owner.session,
                " ".join(attempt.owner.agents) or None,
                attempt.owner.group,
            ),
        )

    def _dispatch(self, session: Session, attempt_id: str) -> None:
        row = charges.load(session, attempt_id)
        if row.state is State.DISPATCHED:
            return
        if row.state is not State.RESERVED or row.lease_until_us <= session.now_us:
            raise AttemptConflict(
                f"attempt {attempt_id} is {row.state.value} or out of time; it must not be sent"
            )
        session.run("UPDATE ledger_attempts SET state = 'dispatched' WHERE attempt_id = ?", (attempt_id,))

    def _expire(self, session: Session) -> int:
        lost = session.rows(
            f"SELECT attempt_id FROM ledger_attempts WHERE {self._lost()} LIMIT {_EXPIRED_AT_ONCE}",
            self._lost_parameters(session),
        )
        for (attempt_id,) in lost:
            row = charges.load(session, str(attempt_id))
            if row.strict_dispatch and row.state is State.RESERVED:
                charges.release(session, row.attempt_id, "never dispatched")
            else:
                charges.forfeit(session, row.attempt_id, "lease over")
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
            return f"state IN {OPEN_STATES} AND lease_until_us <= ?"
        return f"state IN {OPEN_STATES} AND (lease_until_us <= ? OR boot_id <> ?)"

    def _lost_parameters(self, session: Session) -> tuple[Value, ...]:
        if self._store.shared_by_hosts or not self._clock.boot_id:
            return (session.now_us,)
        return (session.now_us, self._clock.boot_id)

    def _end(self, reservation: Reservation, work: Callable[[Session], T], *, otherwise: T) -> T:
        """Run a call that follows `reserve`; `otherwise` is what a free local attempt gets from a broken
        ledger."""
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


class _DryRun(Exception):  # noqa: N818 - it rolls back, and is no error
    def __init__(self, differences: tuple[Difference, ...]) -> None:
        self.differences = differences


def _log(session: Session, action: str, subject: str, detail: str) -> None:
    session.run(
        "INSERT INTO ledger_events (at_us, action, subject, detail) VALUES (?, ?, ?, ?)",
        (session.now_us, action, subject, detail),
    )
