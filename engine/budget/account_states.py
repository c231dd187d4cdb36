"""How the accounts stand: what is spent, held and left in the current window, and the budget facts of a
decision."""

from dataclasses import dataclass, field
from decimal import Decimal

from engine.budget.accounts import Account
from engine.budget.learning import AllLearnt
from engine.budget.store import Session, integer
from engine.budget.windows import Period, Window

# What counts against an account's limit, for SQL.
USED = (
    "(opening_micro_usd + reserved_micro_usd + settled_micro_usd + forfeited_micro_usd + corrected_micro_usd)"
)


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account in its current window; amounts in micro-dollars, `used_percent` exact and floored at six
    places. `closed` by a breach; without a limit it never is."""

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
        """Spent money as a percentage of the limit: 0 without a limit, 100 for a limit of zero.

        Held money may come back and does not count.
        """
        limit = self.account.limit_micro_usd
        if limit is None:
            return Decimal(0)
        if limit == 0:
            return Decimal(100)
        return Decimal(self.spent_micro_usd * 100 * 10**6 // limit).scaleb(-6)

    @property
    def used_up(self) -> bool:
        """True when nothing more will be admitted in this window."""
        return self.used_percent >= 100 or self.closed


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The budget facts of a decision, at most a second old.

    With a `problem` the ledger could not be read: the facts are the last known ones, and whatever costs money
    is to be refused for that reason.
    """

    daily_used: Decimal
    monthly_used: Decimal
    exhausted_providers: frozenset[str]
    accounts: tuple[AccountState, ...]
    learnt: AllLearnt = field(default_factory=dict)
    problem: str | None = None


def account_state(session: Session, account: Account, window: Window) -> AccountState:
    rows = session.rows(
        f"SELECT {USED} - reserved_micro_usd, reserved_micro_usd, breached FROM ledger_windows "
        "WHERE account_id = ? AND time_zone = ? AND start_s = ?",
        (account.account_id, window.time_zone, window.start_s),
    )
    spent, held, closed = rows[0] if rows else (0, 0, 0)
    is_closed = closed == 1 and account.limit_micro_usd is not None
    return AccountState(account, window, integer(spent), integer(held), is_closed)


def snapshot_of(states: tuple[AccountState, ...], learnt: AllLearnt) -> Snapshot:
    used = {state.account.period: state.used_percent for state in states if state.account.provider is None}
    return Snapshot(
        daily_used=used.get(Period.DAILY, Decimal(0)),
        monthly_used=used.get(Period.MONTHLY, Decimal(0)),
        exhausted_providers=frozenset(
            state.account.provider for state in states if state.account.provider is not None and state.used_up
        ),
        accounts=states,
        learnt=learnt,
    )
