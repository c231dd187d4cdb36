"""An amount and an account in its window -> held, or refused: how windows begin and what they carry over."""

from engine.budget.account_states import USED
from engine.budget.accounts import Account, account_id
from engine.budget.attempts import OPEN_STATES
from engine.budget.errors import AccountClosed, BudgetExceeded
from engine.budget.store import Session, Value, integer
from engine.budget.windows import Period, Window, window_at


def admit(session: Session, account: Account, window: Window, amount_micro_usd: int) -> None:
    """Hold the amount on one account, if it is open and has that much left."""
    if hold(session, account, window, amount_micro_usd):
        return
    ensure_window(session, account.account_id, window)
    if hold(session, account, window, amount_micro_usd):
        return
    limit = account.limit_micro_usd
    assert limit is not None
    ((used, breached),) = session.rows(
        f"SELECT {USED}, breached FROM ledger_windows WHERE account_id = ? AND time_zone = ? AND start_s = ?",
        (account.account_id, window.time_zone, window.start_s),
    )
    if breached:  # nothing is left then, or a caller would ask for less and less
        raise AccountClosed(account.account_id, limit, amount_micro_usd, 0)
    raise BudgetExceeded(account.account_id, limit, amount_micro_usd, max(0, limit - integer(used)))


def hold(session: Session, account: Account, window: Window, amount_micro_usd: int) -> bool:
    """One guarded update: False when the window's row is missing, closed, or has not that much left."""
    limit = account.limit_micro_usd
    guard = "" if limit is None else f" AND breached = 0 AND {USED} + ? <= ?"
    guarded = () if limit is None else (amount_micro_usd, limit)
    held = session.run(
        "UPDATE ledger_windows SET reserved_micro_usd = reserved_micro_usd + ?, admitted_limit_micro_usd = ? "
        f"WHERE account_id = ? AND time_zone = ? AND start_s = ?{guard}",
        (amount_micro_usd, limit, account.account_id, window.time_zone, window.start_s, *guarded),
    )
    return held == 1


def ensure_window(session: Session, name: str, window: Window) -> None:
    """The account's row for this window. A new window begins empty; nothing else ever resets usage."""
    key = (name, window.time_zone, window.start_s)
    inserted = session.run(
        "INSERT INTO ledger_windows (account_id, time_zone, start_s, end_s) VALUES (?, ?, ?, ?) ON "
        "CONFLICT DO NOTHING",
        (*key, window.end_s),
    )
    elsewhere = inserted and session.rows(
        "SELECT 1 FROM ledger_windows WHERE account_id = ? AND time_zone <> ? AND end_s > ? LIMIT 1", key
    )
    if elsewhere:
        opening = carried(session, name, window.time_zone, window.start_s, window.end_s)
        session.run(
            "UPDATE ledger_windows SET opening_micro_usd = ? WHERE account_id = ? AND time_zone = ? "
            "AND start_s = ?",
            (opening, *key),
        )


# Accounts with windows that follow the time zone, by the first word of their ids.
_COLUMNS = {"provider": "provider", "group": "group_name"}


def carried(session: Session, name: str, time_zone: str, start_s: int, end_s: int) -> int:
    """What was reserved for the account within the window under another time zone, by its charge, or its hold
    while it is open."""
    chosen = "a.time_zone <> ? AND a.reserved_us >= ? AND a.reserved_us < ?"
    parameters: tuple[Value, ...] = (time_zone, start_s * 1_000_000, end_s * 1_000_000)
    kind, _, rest = name.partition("/")
    if rest:
        chosen += f" AND a.{_COLUMNS[kind]} = ?"
        parameters = (*parameters, rest.rpartition("/")[0])
    ((charged,),) = session.rows(
        f"SELECT CAST(COALESCE(SUM(CASE WHEN a.state IN {OPEN_STATES} THEN a.reserved_micro_usd ELSE "
        "a.charge_micro_usd END), 0) "
        f"AS BIGINT) FROM ledger_attempts AS a WHERE {chosen}",
        parameters,
    )
    ((corrected,),) = session.rows(
        "SELECT CAST(COALESCE(SUM(c.delta_micro_usd), 0) AS BIGINT) FROM ledger_corrections AS c "
        f"JOIN ledger_attempts AS a ON a.attempt_id = c.attempt_id WHERE {chosen}",
        parameters,
    )
    return max(0, integer(charged) + integer(corrected))


def current_window(session: Session, period: Period, time_zone: str) -> Window:
    """The window a charge made now falls into. It never goes back, even when the clock does."""
    window = window_at(period, time_zone, session.now_us // 1_000_000)
    # The high-water mark: a window that was opened is not left backwards.
    later = session.rows(
        "SELECT start_s, end_s FROM ledger_windows WHERE account_id = ? AND time_zone = ? AND start_s > ? "
        "ORDER BY start_s DESC LIMIT 1",
        (account_id(period, None), time_zone, window.start_s),
    )
    if not later:
        return window
    return Window(period, window.time_zone, integer(later[0][0]), integer(later[0][1]))


def adopt_zone(session: Session, time_zone: str) -> None:
    """After the time zone was changed, what falls into the new zone's windows counts in them."""
    known = session.rows("SELECT value FROM ledger_meta WHERE name = 'time_zone'")
    if known and known[0][0] == time_zone:
        return
    session.run(
        "INSERT INTO ledger_meta (name, value) VALUES ('time_zone', ?) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (time_zone,),
    )
    for name, start_s, end_s in session.rows(
        "SELECT account_id, start_s, end_s FROM ledger_windows WHERE time_zone = ? AND end_s > ? "
        "AND account_id NOT LIKE ? AND account_id NOT LIKE ?",
        (time_zone, session.now_us // 1_000_000, "session/%", "agent/%"),
    ):
        opening = carried(session, str(name), time_zone, integer(start_s), integer(end_s))
        session.run(
            "UPDATE ledger_windows SET opening_micro_usd = ?, admitted_limit_micro_usd = NULL "
            "WHERE account_id = ? AND time_zone = ? AND start_s = ?",
            (opening, name, time_zone, start_s),
        )
