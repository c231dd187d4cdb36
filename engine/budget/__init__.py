"""Money: who may spend, what was spent. See `ledger` for the rules; this opens one.

Importing this package loads no SQL driver; opening a ledger loads the one it needs.
"""

from pathlib import Path

from engine.budget.account_states import AccountState, Snapshot
from engine.budget.accounts import Account, Limits
from engine.budget.attempts import Attempt, Basis, Outcome, Reservation, State
from engine.budget.clock import Clock
from engine.budget.errors import (
    AccountClosed,
    AttemptConflict,
    BudgetError,
    BudgetExceeded,
    ClockSuspect,
    LedgerReplaced,
    LedgerUnavailable,
    NewerSchema,
    UnboundedInput,
    UnknownAttempt,
    UnknownPrice,
)
from engine.budget.estimate import (
    InputSize,
    affordable_max_tokens,
    input_size,
    input_token_bound,
    worst_case_micro_usd,
)
from engine.budget.learning import Learnt, Observation
from engine.budget.ledger import Ledger
from engine.budget.money import FREE, LongContext, Rates, TokenPrices, Usage, cost_micro_usd, usd
from engine.budget.windows import Period, Window

__all__ = [
    "FREE",
    "Account",
    "AccountClosed",
    "AccountState",
    "Attempt",
    "AttemptConflict",
    "Basis",
    "BudgetError",
    "BudgetExceeded",
    "Clock",
    "ClockSuspect",
    "InputSize",
    "Learnt",
    "Ledger",
    "LedgerReplaced",
    "LedgerUnavailable",
    "Limits",
    "LongContext",
    "NewerSchema",
    "Observation",
    "Outcome",
    "Period",
    "Rates",
    "Reservation",
    "Snapshot",
    "State",
    "TokenPrices",
    "UnboundedInput",
    "UnknownAttempt",
    "UnknownPrice",
    "Usage",
    "Window",
    "affordable_max_tokens",
    "cost_micro_usd",
    "input_size",
    "input_token_bound",
    "open_ledger",
    "usd",
    "worst_case_micro_usd",
]


def open_ledger(
    *, state_dir: Path, url: str | None, limits: Limits, clock: Clock, strict_dispatch: bool = False
) -> Ledger:
    """The ledger in `state_dir`, or the shared one at `url` (`postgresql://...`).

    Nothing is read or created yet, so this succeeds when the ledger is broken: each call then says so itself,
    and free local attempts go on. Raises ValueError for a url of another kind, LedgerUnavailable when the
    driver is missing.
    """
    if not url:
        from engine.budget.sqlite_store import SqliteStore

        return Ledger(SqliteStore(state_dir, clock), limits, clock, strict_dispatch=strict_dispatch)
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("the shared ledger is PostgreSQL: its url begins with postgresql://")
    from engine.budget.postgres_store import PostgresStore

    return Ledger(PostgresStore(url, clock, beside=state_dir), limits, clock, strict_dispatch=strict_dispatch)
