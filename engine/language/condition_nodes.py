"""A test of one fact or one attribute -> its condition.

Facts that follow from others (`budget.exhausted`, `mode.allow_cloud`) become tests of what they follow from.
A test that nothing can pass is the constant it is, so that no later phase meets an empty list of names.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from engine.language.checked_policy import (
    All,
    Any,
    Condition,
    Constant,
    FactCompare,
    FactEmpty,
    FactHas,
    FactIn,
    ModelCompare,
    ModelEmpty,
    ModelHas,
    ModelIn,
    Not,
    Order,
    PriceUnknown,
)
from engine.language.source import Span
from engine.language.vocabulary import Fact, Kind, ModeMeaning, Term


def among(term: Term, modes: Mapping[str, ModeMeaning], names: Iterable[str], span: Span) -> Condition:
    """The term is one of the names."""
    chosen = frozenset(names)
    if term.name == "mode.cloud_usage":
        return _mode_in((mode for mode, meaning in modes.items() if meaning.cloud_usage in chosen), span)
    if not chosen:
        return Constant(False, span)
    return FactIn(term.name, chosen, span) if isinstance(term, Fact) else ModelIn(term.name, chosen, span)


def flag(term: Term, modes: Mapping[str, ModeMeaning], wanted: bool, span: Span) -> Condition:
    """The yes/no fact is as wanted."""
    match term.name:
        case "budget.exhausted":
            windows = ("budget.daily.used", "budget.monthly.used")
            used_up = Any(tuple(FactCompare(used, ">=", Decimal(100), span) for used in windows), span)
            return used_up if wanted else Not(used_up, span)
        case "mode.allow_cloud":
            return _mode_in((mode for mode, meaning in modes.items() if meaning.allow_cloud is wanted), span)
        case _:
            return FactIn(term.name, frozenset({"yes" if wanted else "no"}), span)


def _mode_in(modes: Iterable[str], span: Span) -> Condition:
    chosen = frozenset(modes)
    return FactIn("mode", chosen, span) if chosen else Constant(False, span)


def has(term: Term, element: str, span: Span) -> Condition:
    if isinstance(term, Fact):
        return FactHas(term.name, element, span)
    return ModelHas(term.name, element, span)


def compare(term: Term, order: Order, value: int | Decimal, span: Span) -> Condition:
    if isinstance(term, Fact):
        return FactCompare(term.name, order, value, span)
    return ModelCompare(term.name, order, value, span)


def empty(term: Term, span: Span) -> Condition:
    return FactEmpty(term.name, span) if isinstance(term, Fact) else ModelEmpty(term.name, span)


def is_not(term: Term, condition: Condition, span: Span) -> Condition:
    """`is not` and `not in` are comparisons too, and one with an unknown price is false."""
    if term.kind in (Kind.PRICE, Kind.DOLLARS):
        return All((Not(PriceUnknown(span), span), Not(condition, span)), span)
    return Not(condition, span)
