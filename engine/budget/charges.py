"""How an attempt grows and ends: its row, its charge, and the totals of the windows it was reserved in."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

from engine.budget.account_states import USED
from engine.budget.accounts import (
    Account,
    Owner,
    account_id,
    agent_account,
    breach_order,
    group_account,
    session_account,
)
from engine.budget.admission import admit, ensure_window
from engine.budget.attempts import OPEN_STATES, Basis, Outcome, State
from engine.budget.errors import AttemptConflict, UnknownAttempt
from engine.budget.learning import Observation, observe
from engine.budget.money import TokenPrices, Usage, cost_micro_usd, prices_from_text
from engine.budget.store import Session, Value, integer
from engine.budget.windows import ALWAYS, Period, Window, window_at

_LATE_SETTLE = "late-settle"
_LATE_RELEASE = "late-release"


@dataclass(frozen=True, slots=True)
class AttemptRow:
    attempt_id: str
    state: State
    provider: str
    model: str
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
    owner: Owner

    @property
    def open(self) -> bool:
        return self.state in (State.RESERVED, State.DISPATCHED)

    def window(self, period: Period) -> Window:
        return window_at(period, self.time_zone, self.starts_s[period])

    def accounts(self) -> Iterator[tuple[Window, list[str]]]:
        """The accounts it is booked on, by window."""
        owner = self.owner
        for period in Period:
            names = [account_id(period, None), account_id(period, self.provider)]
            if owner.group is not None:
                names.append(group_account(owner.group, period))
            yield self.window(period), names
        mine = [] if owner.session is None else [session_account(owner.session)]
        mine += [agent_account(agent) for agent in owner.agents]
        if mine:
            yield ALWAYS, mine


def load(session: Session, attempt_id: str) -> AttemptRow:
    rows = session.rows(
        "SELECT state, provider, model, is_local, strict_dispatch, reserved_micro_usd, charge_micro_usd, "
        "basis, input_tokens, "
        "output_tokens, cached_input_tokens, cache_write_tokens, prices, alternative_prices, "
        "time_zone, day_start_s, "
        "month_start_s, lease_until_us, session_key, agent_keys, group_name "
        "FROM ledger_attempts WHERE attempt_id = ?",
        (attempt_id,),
    )
    if not rows:
        raise UnknownAttempt(f"no attempt {attempt_id} was ever reserved")
    row = rows[0]
    return AttemptRow(
        attempt_id=attempt_id,
        state=State(str(row[0])),
        provider=str(row[1]),
        model=str(row[2]),
        local=row[3] == 1,
        strict_dispatch=row[4] == 1,
        amount_micro_usd=integer(row[5]),
        charge_micro_usd=integer(row[6]),
        basis=None if row[7] is None else str(row[7]),
        usage=Usage(integer(row[8]), integer(row[9]), integer(row[10]), integer(row[11])),
        prices=prices_from_text(str(row[12])),
        alternative_prices=None if row[13] is None else prices_from_text(str(row[13])),
        time_zone=str(row[14]),
        starts_s={Period.DAILY: integer(row[15]), Period.MONTHLY: integer(row[16])},
        lease_until_us=integer(row[17]),
        owner=owner_of(*row[18:21]),
    )


def owner_of(session_key: Value, agent_keys: Value, group_name: Value) -> Owner:
    """The owner as the columns of an attempt have it."""
    return Owner(
        None if session_key is None else str(session_key),
        tuple(str(agent_keys or "").split()),
        None if group_name is None else str(group_name),
    )


def grow(session: Session, row: AttemptRow, accounts: Iterable[Account], amount_micro_usd: int) -> None:
    """Hold so much in all, in the windows the attempt was reserved in. Raises as `admit`."""
    for account in accounts:
        window = ALWAYS if account.period is None else row.window(account.period)
        admit(session, account, window, amount_micro_usd - row.amount_micro_usd)
    session.run(
        "UPDATE ledger_attempts SET reserved_micro_usd = ? WHERE attempt_id = ?",
        (amount_micro_usd, row.attempt_id),
    )


def settle(
    session: Session,
    attempt_id: str,
    usage: Usage,
    basis: Basis,
    served: bool,
    stated_micro_usd: int | None,
    over_report: str | None,
    observed: Observation | None,
) -> Outcome:
    row = load(session, attempt_id)
    charge = cost_micro_usd(row.prices, usage) if stated_micro_usd is None else stated_micro_usd
    match row.state:
        case State.RESERVED | State.DISPATCHED:
            reason = over_report if stated_micro_usd is None else "stated by the provider"
            breach = over_report is not None
            if observed is not None:
                observe(session, row.provider, row.model, observed)
            return close(session, row, State.SETTLED, charge, basis, usage, served, reason, breach=breach)
        case State.SETTLED:
            if (row.charge_micro_usd, row.basis, row.usage) != (charge, basis.value, usage):
                raise AttemptConflict(f"attempt {attempt_id} was settled already, with another usage")
            breach = over_report is not None or charge > row.amount_micro_usd
            return Outcome(attempt_id, row.state, charge, breach)
        case State.RELEASED | State.FORFEITED:
            return correct(
                session, row, _LATE_SETTLE, charge, usage, basis, f"settled after {row.state.value}", served
            )
        case _:
            assert_never(row.state)


def release(session: Session, attempt_id: str, reason: str) -> Outcome:
    row = load(session, attempt_id)
    match row.state:
        case State.RESERVED | State.DISPATCHED:
            return close(session, row, State.RELEASED, 0, None, Usage(), False, reason)
        case State.RELEASED:
            return Outcome(attempt_id, row.state, 0)
        case State.FORFEITED:
            return correct(session, row, _LATE_RELEASE, 0, None, Basis.MEASURED, reason)
        case State.SETTLED:
            raise AttemptConflict(f"attempt {attempt_id} is settled and cannot be released")
        case _:
            assert_never(row.state)


def forfeit(
    session: Session, attempt_id: str, reason: str, guess: Usage | None = None, served: bool = False
) -> Outcome:
    row = load(session, attempt_id)
    match row.state:
        case State.RESERVED | State.DISPATCHED:
            usage, amount = guess or Usage(), row.amount_micro_usd
            return close(session, row, State.FORFEITED, amount, Basis.RESERVED, usage, served, reason)
        case State.FORFEITED:
            return Outcome(attempt_id, row.state, row.charge_micro_usd)
        case State.SETTLED | State.RELEASED:
            raise AttemptConflict(f"attempt {attempt_id} is {row.state.value} and cannot be forfeited")
        case _:
            assert_never(row.state)


def close(
    session: Session,
    row: AttemptRow,
    state: State,
    charge: int,
    basis: Basis | None,
    usage: Usage,
    served: bool,
    reason: str | None,
    *,
    breach: bool = False,
) -> Outcome:
    alternative = _alternative(row, usage, served=served)
    session.run(
        "UPDATE ledger_attempts SET state = ?, charge_micro_usd = ?, basis = ?, served = ?, "
        "input_tokens = ?, "
        "output_tokens = ?, cached_input_tokens = ?, cache_write_tokens = ?, alternative_micro_usd = "
        "?, closed_us = ?, "
        f"reason = ? WHERE attempt_id = ? AND state IN {OPEN_STATES}",
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
    breach = breach or charge > row.amount_micro_usd
    book(
        session,
        row,
        reserved=-row.amount_micro_usd,
        settled=charge if state is State.SETTLED else 0,
        forfeited=charge if state is State.FORFEITED else 0,
        breach=breach,
    )
    return Outcome(row.attempt_id, state, charge, breach)


def correct(
    session: Session,
    row: AttemptRow,
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
        "SELECT CAST(COALESCE(SUM(delta_micro_usd), 0) AS BIGINT) FROM ledger_corrections WHERE "
        "attempt_id = ?",
        (row.attempt_id,),
    )
    delta = charge - row.charge_micro_usd - integer(corrected)
    session.run(
        "INSERT INTO ledger_corrections (attempt_id, correction_key, delta_micro_usd, "
        "charge_micro_usd, basis, served, "
        "input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, "
        "alternative_micro_usd, reason, corrected_us) "
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
    book(session, row, corrected=delta, breach=breach)
    return Outcome(row.attempt_id, row.state, charge, breach)


def book(
    session: Session,
    row: AttemptRow,
    *,
    reserved: int = 0,
    settled: int = 0,
    forfeited: int = 0,
    corrected: int = 0,
    breach: bool,
) -> None:
    """Move the four totals of the windows the attempt was reserved in, whatever the time is now.

    A breach closes one account for its window. One that is over its limit is not closed by that: it has
    nothing left, and admits again when its limit is raised.
    """
    if not (reserved or settled or forfeited or corrected):
        return
    grows = reserved + settled + forfeited + corrected
    closing = _closing(session, row) if breach else ""
    over = f"(? > 0 AND admitted_limit_micro_usd IS NOT NULL AND {USED} + ? > admitted_limit_micro_usd)"
    for window, names in row.accounts():
        if row.amount_micro_usd == 0:  # nothing was held, so the window may be new
            for name in names:
                ensure_window(session, name, window)
        session.run(
            "UPDATE ledger_windows SET reserved_micro_usd = reserved_micro_usd + ?, "
            "settled_micro_usd = settled_micro_usd + ?, forfeited_micro_usd = forfeited_micro_usd + ?, "
            "corrected_micro_usd = corrected_micro_usd + ?, "
            "breached = CASE WHEN account_id = ? THEN 1 ELSE breached END, "
            f"ever_breached = CASE WHEN account_id = ? OR {over} THEN 1 ELSE ever_breached END "
            f"WHERE account_id IN ({', '.join('?' * len(names))}) AND time_zone = ? AND start_s = ?",
            (
                *(reserved, settled, forfeited, corrected),
                *(closing, closing, grows, grows),
                *names,
                window.time_zone,
                window.start_s,
            ),
        )


def _closing(session: Session, row: AttemptRow) -> str:
    """The account that a breach closes: the first that the attempt was admitted to under a limit.

    Where none has a limit it is the provider's day, which refuses nothing until it is given one.
    """
    order = list(breach_order(row.provider, row.owner))
    for period, name in order:
        window = ALWAYS if period is None else row.window(period)
        limited = session.rows(
            "SELECT 1 FROM ledger_windows WHERE account_id = ? AND time_zone = ? AND start_s = ? "
            "AND admitted_limit_micro_usd IS NOT NULL",
            (name, window.time_zone, window.start_s),
        )
        if limited:
            return name
    return order[0][1]


def _alternative(row: AttemptRow, usage: Usage, *, served: bool) -> int | None:
    if not served or row.alternative_prices is None:
        return None
    return cost_micro_usd(row.alternative_prices, usage)


def _token_columns(usage: Usage) -> tuple[int, int, int, int]:
    return (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.cache_write_tokens)
