"""The reference for replay: the same replay as one slow loop over rows, with a dictionary for a ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from engine.budget.accounts import Limits
from engine.budget.money import FREE, Rates, TokenPrices, Usage, cost_micro_usd
from engine.budget.windows import Period, window_at
from engine.config.catalogue import Model
from engine.decision.facts import Facts
from engine.language.vocabulary import WEEKDAYS
from engine.policy import Policy


def prices(model: Model) -> TokenPrices:
    if model.locality == "local" or model.prices is None:
        return FREE
    return TokenPrices(
        Rates.from_usd(
            model.prices.input, model.prices.output, model.prices.cached_input, model.prices.cache_write
        )
    )


def decided_one_by_one(
    policy: Policy, rows: Iterable[Mapping[str, Any]]
) -> list[tuple[str | None, int, tuple[str, ...]]]:
    """For each row the model's key (None for a refusal), the booked amount, and the accounts it used up.

    A row has `time` (seconds), `input`, `output` and any fields of Facts.
    """
    budgets = policy.settings.budgets
    limits = Limits(
        budgets.daily.total_usd,
        budgets.monthly.total_usd,
        budgets.daily.per_provider,
        budgets.monthly.per_provider,
        budgets.time_zone,
    )
    accounts = list(limits.limited_accounts())
    spent = {account.account_id: 0 for account in accounts}
    windows: dict[Period, Any] = {}
    answers = []
    now = None
    for row in rows:
        now = row["time"] if now is None else max(now, row["time"])
        for period in Period:
            window = windows.get(period)
            if window is None or not window.start_s <= now < window.end_s:
                windows[period] = window_at(period, budgets.time_zone, now)
                spent |= {account.account_id: 0 for account in accounts if account.period is period}
        used = {
            account.account_id: _used(spent[account.account_id], account.limit_micro_usd or 0)
            for account in accounts
        }
        local = datetime.fromtimestamp(row["time"], ZoneInfo(budgets.time_zone))
        given = {name: value for name, value in row.items() if name not in ("time", "input", "output")}
        facts = Facts(
            **{
                "context_size": row["input"] + row["output"],
                "mode": policy.settings.default_mode,
                "budget_daily_used": used.get("daily", Decimal(0)),
                "budget_monthly_used": used.get("monthly", Decimal(0)),
                "budget_exhausted_providers": frozenset(
                    a.provider for a in accounts if a.provider is not None and used[a.account_id] >= 100
                ),
                "clock_hour": local.hour,
                "clock_weekday": WEEKDAYS[local.weekday()],
                **given,
            }
        )
        chain = policy.evaluator.decide(facts).chain
        cost, gone = 0, []
        if chain:
            cost = cost_micro_usd(prices(chain[0]), Usage(row["input"], row["output"]))
            for account in accounts:
                if account.provider in (None, chain[0].provider):
                    before = spent[account.account_id]
                    spent[account.account_id] += cost
                    if before < (account.limit_micro_usd or 0) <= spent[account.account_id]:
                        gone.append(account.account_id)
        answers.append((chain[0].key if chain else None, cost, tuple(gone)))
    return answers


def _used(spent: int, limit: int) -> Decimal:
    return Decimal(100) if limit == 0 else Decimal(spent * 100 * 10**6 // limit).scaleb(-6)
