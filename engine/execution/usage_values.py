"""The ledger's summary -> plain values for programs: dollars as exact text, and as floats where callers
format them."""

from typing import Any

from engine.budget import AccountState, usd
from engine.budget.usage import ModelUsage, PeriodUsage, UsageSummary


def usage_values(summary: UsageSummary) -> dict[str, Any]:
    """Today's and this month's spending. Keys that end in `_usd` are exact text; `daily_cost`, `monthly_cost`
    and `cost_by_provider` are floats of US dollars for showing. What is not said to be of the day is of the
    month."""
    month, day = summary.monthly, summary.daily
    tokens = [model.tokens for model in month.models]
    return {
        "daily_cost": float(usd(day.spent_micro_usd)),
        "monthly_cost": float(usd(month.spent_micro_usd)),
        "cost_by_provider": {name: float(usd(spent)) for name, spent in month.spent_by_provider.items()},
        "calls": month.calls,
        "input_tokens": sum(usage.prompt_tokens for usage in tokens),
        "output_tokens": sum(usage.output_tokens for usage in tokens),
        "local_share": None if month.local_share is None else float(month.local_share),
        "saved_usd": _text(month.saved_micro_usd),
        "limits": [_limit(state) for state in summary.accounts],
        "next_reset": day.window.resets_at().isoformat(),
        "time_zone": summary.time_zone,
        "daily": _period(day),
        "monthly": _period(month),
    }


def _period(period: PeriodUsage) -> dict[str, Any]:
    return {
        "spent_usd": _text(period.spent_micro_usd),
        "held_usd": _text(period.held_micro_usd),
        "calls": period.calls,
        "local_calls": period.local_calls,
        "local_share": None if period.local_share is None else float(period.local_share),
        "all_cloud_usd": _text(period.alternative_micro_usd),
        "saved_usd": _text(period.saved_micro_usd),
        "resets_at": period.window.resets_at().isoformat(),
        "models": [_model(model) for model in period.models],
    }


def _model(model: ModelUsage) -> dict[str, Any]:
    return {
        "model": model.model,
        "provider": model.provider,
        "locality": "local" if model.local else "cloud",
        "calls": model.calls,
        "attempts": model.attempts,
        "input_tokens": model.tokens.prompt_tokens,
        "output_tokens": model.tokens.output_tokens,
        "spent_usd": _text(model.spent_micro_usd),
        "estimated_usd": _text(model.estimated_micro_usd),
        "unknown_usd": _text(model.unknown_micro_usd),
    }


def _limit(state: AccountState) -> dict[str, Any]:
    limit, left = state.account.limit_micro_usd, state.left_micro_usd
    return {
        "budget": state.account.account_id,
        "limit_usd": None if limit is None else _text(limit),
        "spent_usd": _text(state.spent_micro_usd),
        "held_usd": _text(state.held_micro_usd),
        "left_usd": None if left is None else _text(left),
        "used_percent": float(state.used_percent),
        "closed": state.closed,
        "resets_at": None if state.account.period is None else state.window.resets_at().isoformat(),
    }


def _text(micro_usd: int) -> str:
    return f"{usd(micro_usd):f}"
