"""A test of one fact or one attribute -> its condition.

Facts that follow from others (`budget.exhausted`, `mode.allow_cloud`) become tests of what they follow from.
A test that nothing can pass is the constant it is, so that no later phase meets an empty list of names.
"""

from collections.abc import Container, Iterable, Mapping
from decimal import Decimal
from typing import assert_never

from engine.language.checked_policy import (
    All,
    Any,
    Compare,
    Condition,
    Constant,
    In,
    Not,
    Order,
    PriceUnknown,
)
from engine.language.known_names import ModeMeaning
from engine.language.source import Span
from engine.language.vocabulary import Kind, Term


def among(term: Term, modes: Mapping[str, ModeMeaning], names: Iterable[str], span: Span) -> Condition:
    """The term is one of the names."""
    chosen = frozenset(names)
    if term.name == "mode.cloud_usage":
        return _in("mode", (mode for mode, meaning in modes.items() if meaning.cloud_usage in chosen), span)
    return _in(term.name, chosen, span)


def flag(term: Term, modes: Mapping[str, ModeMeaning], wanted: bool, span: Span) -> Condition:
    """The yes/no fact is as wanted."""
    match term.name:
        case "budget.exhausted":
            windows = ("budget.daily.used", "budget.monthly.used")
            used_up = Any(tuple(Compare(used, ">=", Decimal(100), span) for used in windows), span)
            return used_up if wanted else Not(used_up, span)
        case "mode.allow_cloud":
            chosen = (mode for mode, meaning in modes.items() if meaning.allow_cloud is wanted)
            return _in("mode", chosen, span)
        case _:
            return _in(term.name, ("yes" if wanted else "no",), span)


def compare(
    term: Term,
    unlimited: Container[str],
    order: Order,
    value: int | Decimal,
    span: Span,
    subject: str | None = None,
) -> Condition:
    """The number stands so to the constant. A time of the day is an hour and a minute; a budget without a
    limit is never used: its share is 0%. `subject` is the term's name unless it is given."""
    if term.kind is Kind.TIME:
        return _time(order, int(value), span)
    if term.name not in unlimited:
        return Compare(subject or term.name, order, value, span)
    stands = {"<": value > 0, "<=": True, ">": False, ">=": value == 0, "is": value == 0}
    return Constant(stands[order], span)


def _time(order: Order, minutes: int, span: Span) -> Condition:
    """`clock.time < 22:30` is an hour before 22, or 22 and a minute before 30."""
    hour, minute = divmod(minutes, 60)
    same_hour = Compare("clock.hour", "is", hour, span)
    within = All((same_hour, Compare("clock.minute", order, minute, span)), span)
    match order:
        case "is":
            return within
        case "<" | "<=":
            return Any((Compare("clock.hour", "<", hour, span), within), span)
        case ">" | ">=":
            return Any((Compare("clock.hour", ">", hour, span), within), span)
        case _:
            assert_never(order)


def _in(subject: str, names: Iterable[str], span: Span) -> Condition:
    chosen = frozenset(names)
    return In(subject, chosen, span) if chosen else Constant(False, span)


def is_not(term: Term, condition: Condition, span: Span) -> Condition:
    """`is not` and `not in` are comparisons too, and one with an unknown price is false."""
    if term.kind in (Kind.PRICE, Kind.DOLLARS):
        return All((Not(PriceUnknown(span), span), Not(condition, span)), span)
    return Not(condition, span)
