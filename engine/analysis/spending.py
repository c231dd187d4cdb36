"""A policy and what is to replace it -> how the new one may spend more: limits that rise or go, prices that
fall (less is held and booked for what a provider bills)."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from engine.config.catalogue import Model
from engine.config.settings import BudgetLimits, Settings
from engine.language.source import Span
from engine.policy import Policy


def limits_and_prices(old: Policy, new: Policy) -> Iterator[tuple[str, Span]]:
    """How more may be spent, as far as the two YAML files say it, and where they do."""
    budgets, before = new.settings.budgets, old.settings.budgets
    file = (new.folder.policies or new.folder.models).span(0, 0)
    yield from _raised("daily", before.daily, budgets.daily, file)
    yield from _raised("monthly", before.monthly, budgets.monthly, file)
    yield from _raised_of_sessions(old.settings, new.settings, file)
    if not before.learns_holds and budgets.learns_holds:
        yield "holds are made by what was learnt now", file
    if before.time_zone != budgets.time_zone and before.limits:
        yield (
            f"the days of the budget begin in {budgets.time_zone} now, and began in {before.time_zone}",
            file,
        )
    if budgets.max_output > before.max_output:
        yield f"an answer may have {budgets.max_output:,} tokens unasked, and had {before.max_output:,}", file
    known = {(model.provider, model.id): model for model in old.catalogue.models}
    for model in new.catalogue.models:
        namesake = known.get((model.provider, model.id))
        if namesake is not None and namesake.locality == "cloud":
            yield from ((text, model.span) for text in _cheaper(namesake, model))
    billed = {provider.name: provider.on_abort for provider in old.catalogue.providers}
    for provider in new.catalogue.providers:
        if (billed.get(provider.name), provider.on_abort) == ("whole", "as-shown"):
            text = f"{provider.name} is booked for what was shown of a stream that is left, no longer for all"
            yield text, provider.span


def _raised(period: str, before: BudgetLimits, after: BudgetLimits, file: Span) -> Iterator[tuple[str, Span]]:
    if _is_more(before.total_usd, after.total_usd):
        place = file if after.total_usd is None else after.total_span
        yield f"the {period} limit is {_change(before.total_usd, after.total_usd)}", place
    for provider, limit in before.per_provider.items():
        now = after.per_provider.get(provider)
        if _is_more(limit, now):
            place = after.provider_spans.get(provider, file)
            yield f"the {period} limit of {provider} is {_change(limit, now)}", place


def _raised_of_sessions(old: Settings, new: Settings, file: Span) -> Iterator[tuple[str, Span]]:
    """The limits of one session and one agent, and those of the groups that there still are."""
    before, after = old.budgets, new.budgets
    pairs = (("a session", before.session, after.session), ("an agent", before.agent, after.agent))
    for whose, limit, now in pairs:
        usd = None if now is None else now.total_usd
        if limit is not None and _is_more(limit.total_usd, usd):
            yield (
                f"the limit of {whose} is {_change(limit.total_usd, usd)}",
                file if now is None else now.span,
            )
    for group in (placed.name for placed in new.groups if placed.name in before.groups):
        limits, left = before.groups[group], after.groups.get(group)
        for period, usd, now_usd in (
            ("daily", limits.daily_usd, None if left is None else left.daily_usd),
            ("monthly", limits.monthly_usd, None if left is None else left.monthly_usd),
        ):
            if _is_more(usd, now_usd):
                place = file if left is None else left.span
                yield f"the {period} limit of the group {group} is {_change(usd, now_usd)}", place


def _is_more(before: Decimal | None, after: Decimal | None) -> bool:
    return before is not None and (after is None or after > before)


def _change(before: Decimal | None, after: Decimal | None) -> str:
    return f"gone, it was ${before}" if after is None else f"higher, ${after} instead of ${before}"


def _cheaper(before: Model, after: Model) -> Iterator[str]:
    prices = _prices(after)
    for name, price in _prices(before).items():
        now = prices.get(name)
        if price is not None and now is not None and now < price:
            yield f"the {name} price of {after.key} is lower, ${now} instead of ${price} per million tokens"


def _prices(model: Model) -> Mapping[str, Decimal | None]:
    if model.locality == "local":
        return dict.fromkeys(("input", "output"), Decimal(0))
    prices = model.prices
    if prices is None:
        return {}
    return {
        "input": prices.input,
        "output": prices.output,
        # Where it is not written, it is what input costs.
        "cached input": prices.input if prices.cached_input is None else prices.cached_input,
        "cache write": prices.cache_write,
    }
