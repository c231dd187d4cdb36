"""The ledger's rows -> what a person wants to know of them: a summary, a verdict on the books, an export.

Nothing here changes a row. Amounts are integer micro-dollars; `money.usd` turns one into dollars.
"""

import csv
import datetime
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import TextIO

from engine.budget.account_states import USED, AccountState, account_state
from engine.budget.accounts import (
    Account,
    Limits,
    Owner,
    account_id,
    agent_account,
    group_account,
    session_account,
)
from engine.budget.attempts import Basis, State
from engine.budget.ledger import Ledger
from engine.budget.money import Usage, cost_micro_usd, limit_from_usd, prices_from_text, usd
from engine.budget.store import Row, Session, Value, integer
from engine.budget.windows import ALWAYS, Period, Window

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_LONGEST_MONTH_S = 33 * 24 * 3600
_MOST_OWNERS = 10
# How an attempt's charge is known by now: its last correction knows best.
_KNOWN_BY = (
    "COALESCE((SELECT k.basis FROM ledger_corrections AS k WHERE k.attempt_id = a.attempt_id "
    "ORDER BY k.corrected_us DESC, k.correction_key DESC LIMIT 1), a.basis)"
)


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """One model in one window.

    `calls` had their answer delivered; `attempts` also counts what failed, but not what was released
    unbilled. `spent_micro_usd` is the sum of what was measured, of `estimated_micro_usd` and of
    `unknown_micro_usd`, which is charged in full because nobody knows. `alternative_micro_usd` is what the
    calls with a known alternative would have cost on the dearest cloud model they were allowed to use,
    `compared_micro_usd` what these did cost, failed attempts included.
    """

    provider: str
    model: str
    local: bool
    calls: int
    attempts: int
    tokens: Usage
    spent_micro_usd: int
    held_micro_usd: int
    estimated_micro_usd: int
    unknown_micro_usd: int
    alternative_micro_usd: int
    compared_micro_usd: int


@dataclass(frozen=True, slots=True)
class PeriodUsage:
    """One window, by model; the sums follow."""

    window: Window
    models: tuple[ModelUsage, ...]

    @property
    def spent_micro_usd(self) -> int:
        """All charges of the window."""
        return sum(model.spent_micro_usd for model in self.models)

    @property
    def held_micro_usd(self) -> int:
        """Reservations of attempts that are under way."""
        return sum(model.held_micro_usd for model in self.models)

    @property
    def spent_by_provider(self) -> dict[str, int]:
        """Charges by provider, in the order of their names; local providers show 0."""
        spent: dict[str, int] = defaultdict(int)
        for model in sorted(self.models, key=lambda model: model.provider):
            spent[model.provider] += model.spent_micro_usd
        return dict(spent)

    @property
    def calls(self) -> int:
        """Calls answered."""
        return sum(model.calls for model in self.models)

    @property
    def local_calls(self) -> int:
        """Calls answered by a local model."""
        return sum(model.calls for model in self.models if model.local)

    @property
    def local_share(self) -> Decimal | None:
        """Local calls among all, from 0 to 1, floored at six places; None without calls."""
        return Decimal(self.local_calls * 10**6 // self.calls).scaleb(-6) if self.calls else None

    @property
    def alternative_micro_usd(self) -> int:
        """What the same calls would have cost on the dearest cloud model each was allowed to use."""
        return sum(model.alternative_micro_usd for model in self.models)

    @property
    def saved_micro_usd(self) -> int:
        """The alternative less what the same calls did cost; below zero when failures cost more than was
        saved."""
        return self.alternative_micro_usd - sum(model.compared_micro_usd for model in self.models)


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """Today and this month, and every account with its limit, what is spent, held and left, and when it
    resets."""

    at_us: int
    time_zone: str
    daily: PeriodUsage
    monthly: PeriodUsage
    accounts: tuple[AccountState, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in the books that is not as it must be."""

    subject: str
    problem: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` looked at and what it found."""

    attempts: int
    corrections: int
    windows: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """True when every total and every price is right."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One attempt or one correction; times are UTC in ISO 8601, amounts micro-dollars."""

    kind: str
    attempt_id: str
    decision_id: str
    provider: str
    model: str
    local: bool
    state: str
    basis: str | None
    served: bool
    reserved_micro_usd: int
    charge_micro_usd: int
    charge_usd: str
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    alternative_model: str | None
    alternative_micro_usd: int | None
    policy_digest: str
    time_zone: str
    reserved_at: str
    closed_at: str | None
    reason: str | None


# -- the summary


def summarise(ledger: Ledger) -> UsageSummary:
    """Today and this month as one consistent state. Raises LedgerUnavailable."""
    ledger.expire()

    def summary(session: Session) -> UsageSummary:
        windows = ledger.windows(session)
        return UsageSummary(
            at_us=session.now_us,
            time_zone=ledger.limits.time_zone,
            daily=_period(session, windows[Period.DAILY]),
            monthly=_period(session, windows[Period.MONTHLY]),
            accounts=(*ledger.account_states(session), *_owners(session, ledger.limits, windows)),
        )

    return ledger.store.read(summary)


def _owners(
    session: Session, limits: Limits, windows: Mapping[Period | None, Window]
) -> Iterator[AccountState]:
    """Every group with a limit; the sessions and agents that are closed or have nothing left, the largest."""
    for group in sorted({*limits.per_group_daily, *limits.per_group_monthly}):
        for account in limits.accounts_of_owner(Owner(group=group)):
            if account.limit_micro_usd is not None:
                yield account_state(session, account, windows[account.period])
    for kind, usd_limit in (("session", limits.session_usd), ("agent", limits.agent_usd)):
        limit = None if usd_limit is None else limit_from_usd(usd_limit)
        if limit is None:
            continue
        rows = session.rows(
            f"SELECT account_id FROM ledger_windows WHERE account_id LIKE ? AND start_s = ? "
            f"AND (breached = 1 OR {USED} >= ?) ORDER BY {USED} DESC, account_id LIMIT ?",
            (f"{kind}/%", ALWAYS.start_s, limit, _MOST_OWNERS),
        )
        for (name,) in rows:
            yield account_state(session, Account(str(name), None, None, limit), ALWAYS)


def _period(session: Session, window: Window) -> PeriodUsage:
    # A change of time zone leaves rows in windows of the old one; those count by the time of their
    # reservation.
    start = "day_start_s" if window.period is Period.DAILY else "month_start_s"
    chosen = (
        f"a.month_start_s > ? AND ((a.time_zone = ? AND a.{start} = ?) "
        "OR (a.time_zone <> ? AND a.reserved_us >= ? AND a.reserved_us < ?))"
    )
    parameters: tuple[Value, ...] = (
        window.start_s - _LONGEST_MONTH_S,
        window.time_zone,
        window.start_s,
        window.time_zone,
        window.start_s * 1_000_000,
        window.end_s * 1_000_000,
    )
    rows = session.rows(
        f"""
        SELECT provider, model, is_local, {_sums()} FROM (
            SELECT a.provider, a.model, a.is_local, a.served, {_KNOWN_BY} AS basis,
                a.alternative_prices, a.alternative_micro_usd,
                CASE WHEN a.state = 'released' THEN 0 ELSE 1 END AS attempts,
                a.input_tokens, a.output_tokens, a.cached_input_tokens, a.cache_write_tokens,
                a.charge_micro_usd AS spent,
                CASE WHEN a.closed_us IS NULL THEN a.reserved_micro_usd ELSE 0 END AS held
            FROM ledger_attempts AS a WHERE {chosen}
            UNION ALL
            SELECT a.provider, a.model, a.is_local, c.served, {_KNOWN_BY}, a.alternative_prices,
                c.alternative_micro_usd, 0,
                c.input_tokens, c.output_tokens, c.cached_input_tokens, c.cache_write_tokens,
                    c.delta_micro_usd, 0
            FROM ledger_corrections AS c JOIN ledger_attempts AS a ON a.attempt_id = c.attempt_id WHERE
                {chosen}
        ) AS entries
        GROUP BY provider, model, is_local ORDER BY provider, model, is_local
        """,
        (*parameters, *parameters),
    )
    return PeriodUsage(window, tuple(_model_usage(row) for row in rows))


def _sums() -> str:
    summed = [
        "served",
        "attempts",
        "input_tokens",
        "output_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "spent",
        "held",
        "CASE WHEN basis = 'estimated' THEN spent ELSE 0 END",
        "CASE WHEN basis = 'reserved' THEN spent ELSE 0 END",
        "alternative_micro_usd",
        "CASE WHEN alternative_prices IS NOT NULL THEN spent ELSE 0 END",
    ]
    return ", ".join(f"CAST(COALESCE(SUM({each}), 0) AS BIGINT)" for each in summed)


def _model_usage(row: Row) -> ModelUsage:
    provider, model, local, *numbers = row
    calls, attempts, fresh, output, cached, written, *amounts = (integer(number) for number in numbers)
    return ModelUsage(
        str(provider),
        str(model),
        local == 1,
        calls,
        attempts,
        Usage(fresh, output, cached, written),
        *amounts,
    )


# -- the verdict


def verify(ledger: Ledger) -> Verification:
    """Recompute every total from the rows, and every charge from its usage and prices.

    Raises LedgerUnavailable.
    """
    return ledger.store.read(_verify)


def _verify(session: Session) -> Verification:
    attempts = session.rows(
        "SELECT attempt_id, provider, state, basis, reserved_micro_usd, charge_micro_usd, "
        "input_tokens, output_tokens, "
        "cached_input_tokens, cache_write_tokens, prices, time_zone, day_start_s, month_start_s, "
        "session_key, agent_keys, group_name, reason FROM ledger_attempts"
    )
    corrections = session.rows(
        "SELECT a.attempt_id, a.provider, a.time_zone, a.day_start_s, a.month_start_s, a.session_key, "
        "a.agent_keys, a.group_name, c.delta_micro_usd FROM ledger_corrections AS c "
        "JOIN ledger_attempts AS a ON a.attempt_id = c.attempt_id ORDER BY c.corrected_us"
    )
    windows = session.rows(
        "SELECT account_id, time_zone, start_s, reserved_micro_usd, settled_micro_usd, forfeited_micro_usd, "
        "corrected_micro_usd, opening_micro_usd, admitted_limit_micro_usd, ever_breached FROM ledger_windows"
    )
    totals: dict[tuple[Value, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    findings: list[Finding] = []
    for attempt in attempts:
        findings += _wrong_charge(attempt)
        state, reserved, charge = attempt[2], integer(attempt[4]), integer(attempt[5])
        for key in _keys(attempt[1], *attempt[11:17]):
            total = totals[key]
            total[0] += reserved if state in (State.RESERVED, State.DISPATCHED) else 0
            total[1] += charge if state == State.SETTLED else 0
            total[2] += charge if state == State.FORFEITED else 0
    effective = {attempt[0]: integer(attempt[5]) for attempt in attempts}
    for correction in corrections:
        effective[correction[0]] += integer(correction[8])
        for key in _keys(*correction[1:8]):
            totals[key][3] += integer(correction[8])
    for name, micro_usd in effective.items():
        if micro_usd < 0:
            findings.append(Finding(f"attempt {name}", "corrected below zero", ">= 0", str(micro_usd)))
    for window in windows:
        findings += _wrong_window(window, totals.pop(window[:3], [0, 0, 0, 0]))
    for key, total in totals.items():
        if any(total):
            findings.append(Finding(f"window {_shown(key)}", "missing", _amounts(total), "no row"))
    return Verification(len(attempts), len(corrections), len(windows), tuple(findings))


def _wrong_charge(attempt: Row) -> list[Finding]:
    name, _, state, basis, _, charge, fresh, output, cached, written, prices, *_, reason = attempt
    if state != State.SETTLED or basis != Basis.MEASURED or reason is not None:
        return []
    usage = Usage(integer(fresh), integer(output), integer(cached), integer(written))
    expected = cost_micro_usd(prices_from_text(str(prices)), usage)
    if expected == charge:
        return []
    return [Finding(f"attempt {name}", "charge is not the price of its usage", str(expected), str(charge))]


def _wrong_window(window: Row, expected: list[int]) -> list[Finding]:
    found = [integer(value) for value in window[3:7]]
    opening, limit, ever_breached = integer(window[7]), window[8], window[9]
    subject = f"window {_shown(window[:3])}"
    findings = []
    if found != expected:
        findings.append(
            Finding(subject, "totals are not the sums of the rows", _amounts(expected), _amounts(found))
        )
    used = opening + sum(found)
    if limit is not None and used > integer(limit) and not ever_breached:
        findings.append(Finding(subject, "over its limit without a breach", f"<= {limit}", str(used)))
    return findings


def _keys(
    provider: Value,
    time_zone: Value,
    day_start_s: Value,
    month_start_s: Value,
    session_key: Value,
    agent_keys: Value,
    group: Value,
) -> Iterator[tuple[Value, ...]]:
    """The windows that an attempt is booked in."""
    for period, start_s in ((Period.DAILY, day_start_s), (Period.MONTHLY, month_start_s)):
        yield account_id(period, None), time_zone, start_s
        yield account_id(period, str(provider)), time_zone, start_s
        if group is not None:
            yield group_account(str(group), period), time_zone, start_s
    if session_key is not None:
        yield session_account(str(session_key)), ALWAYS.time_zone, ALWAYS.start_s
    for agent in str(agent_keys or "").split():
        yield agent_account(agent), ALWAYS.time_zone, ALWAYS.start_s


def _shown(key: tuple[Value, ...]) -> str:
    return f"{key[0]} of {_instant(integer(key[2]) * 1_000_000)} ({key[1]})"


def _amounts(total: list[int]) -> str:
    return "reserved {}, settled {}, forfeited {}, corrected {}".format(*total)


# -- the export


def export_rows(ledger: Ledger) -> list[ExportRow]:
    """Every attempt, oldest first, each followed by its corrections. Raises LedgerUnavailable."""
    return ledger.store.read(_export)


def write_csv(rows: Iterable[ExportRow], stream: TextIO) -> None:
    """One line a row below a line of column names."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([field.name for field in fields(ExportRow)])
    for row in rows:
        writer.writerow(asdict(row).values())


def write_jsonl(rows: Iterable[ExportRow], stream: TextIO) -> None:
    """One JSON object a line."""
    for row in rows:
        stream.write(json.dumps(asdict(row)) + "\n")


def _export(session: Session) -> list[ExportRow]:
    rows = session.rows(
        """
        SELECT 'attempt', attempt_id, decision_id, provider, model, is_local, state, basis, served,
            reserved_micro_usd, charge_micro_usd, input_tokens, output_tokens, cached_input_tokens,
            cache_write_tokens, alternative_model, alternative_micro_usd, policy_digest, time_zone,
                reserved_us,
            closed_us, reason
        FROM ledger_attempts
        UNION ALL
        SELECT 'correction', a.attempt_id, a.decision_id, a.provider, a.model, a.is_local, a.state,
            c.basis, c.served,
            0, c.delta_micro_usd, c.input_tokens, c.output_tokens, c.cached_input_tokens,
            c.cache_write_tokens, a.alternative_model, c.alternative_micro_usd, a.policy_digest, a.time_zone,
            a.reserved_us, c.corrected_us, c.reason
        FROM ledger_corrections AS c JOIN ledger_attempts AS a ON a.attempt_id = c.attempt_id
        """
    )
    rows.sort(key=lambda row: (integer(row[19]), str(row[1]), str(row[0]), integer(row[20] or 0)))
    return [_export_row(row) for row in rows]


def _export_row(row: Row) -> ExportRow:
    text, number = str, integer
    return ExportRow(
        kind=text(row[0]),
        attempt_id=text(row[1]),
        decision_id=text(row[2]),
        provider=text(row[3]),
        model=text(row[4]),
        local=row[5] == 1,
        state=text(row[6]),
        basis=None if row[7] is None else text(row[7]),
        served=row[8] == 1,
        reserved_micro_usd=number(row[9]),
        charge_micro_usd=number(row[10]),
        charge_usd=f"{usd(number(row[10])):f}",
        input_tokens=number(row[11]),
        output_tokens=number(row[12]),
        cached_input_tokens=number(row[13]),
        cache_write_tokens=number(row[14]),
        alternative_model=None if row[15] is None else text(row[15]),
        alternative_micro_usd=None if row[16] is None else number(row[16]),
        policy_digest=text(row[17]),
        time_zone=text(row[18]),
        reserved_at=_instant(number(row[19])),
        closed_at=None if row[20] is None else _instant(number(row[20])),
        reason=None if row[21] is None else text(row[21]),
    )


def _instant(at_us: int) -> str:
    return (_EPOCH + at_us * _MICROSECOND).isoformat()
