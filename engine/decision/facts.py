"""What is known of a task and its surroundings -> one `Facts` value, checked; and back to what people read.

A decision is a pure function of (policy, catalogue, `Facts`). Nothing here looks at the clock, the ledger or
the network: the caller brings the values, from a profile, a command line or a line of JSON.
"""

import re
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from engine.errors import EngineError
from engine.language.known_names import Names
from engine.language.vocabulary import (
    FACTS,
    GIVEN,
    HIGHEST,
    LOWEST,
    MOST,
    WEEKDAYS,
    WHOLE,
    Day,
    Fact,
    FactOrigin,
    FactValue,
    Kind,
    given_by,
)
from engine.language.wording import listed, nearest

# A class body cannot list the rows of a table, and mypy cannot read them: to it, every field is Any.
_make_row: Callable[..., Any] = namedtuple
_Row: Any = _make_row(
    "_Row",
    [fact.field for fact in GIVEN],
    defaults=[fact.default for fact in GIVEN if not fact.must_be_given],
)


class Facts(_Row):  # type: ignore[misc]
    """Every fact that is given rather than derived: a named tuple with one field a row of `GIVEN`.

    `facts.context_size`, `facts.budget_daily_used`: see `Fact.field`. Percentages are Decimals (80 means
    80%), sets are frozensets, yes/no is bool, the rest are str and int.
    """

    __slots__ = ()


INDEX: dict[str, int] = {fact.name: position for position, fact in enumerate(GIVEN)}
"""Where each fact stands in `Facts`."""

TASK_FACTS = tuple(fact.name for fact in given_by(FactOrigin.PROFILE))
DEFAULTS = Facts("")
"""What a test assumes where it says nothing. `task.type` has no default: every rule may hang on it."""


def _by_name(facts: Facts) -> dict[str, FactValue]:
    return dict(zip(INDEX, facts, strict=True))


@cache
def _defaults(mode: str) -> Mapping[str, FactValue]:
    """A test's defaults by name, in the order of `Facts`; there are as few modes as a policy has."""
    return {**_by_name(DEFAULTS), "mode": mode}


class InvalidFact(EngineError, ValueError):  # noqa: N818
    """A fact that does not exist, cannot be given, or has a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class FactsWithSources:
    """Facts, and where each that is no default came from ("task", "policies.yaml:3", "command line")."""

    facts: Facts
    sources: Mapping[str, str]


def fact_named(name: str) -> Fact:
    """The fact someone means by `task.type` or just `type`. Raises InvalidFact with what to write instead."""
    fact = FACTS.get(name) or FACTS.get(f"task.{name}")
    if fact is None:
        known = [*FACTS, *(known.removeprefix("task.") for known in TASK_FACTS)]
        near = nearest(name, known)
        hint = f"; did you mean {near}" if near else f"; facts are {listed(INDEX, most=20)}"
        raise InvalidFact(f"there is no fact {_quoted(name)}{hint}")
    if fact.follows:
        basis = FACTS[fact.follows[0]]
        example = f"{basis.name}={'100%' if basis.kind is Kind.PERCENT else 'NAME'}"
        raise InvalidFact(
            f"{fact.name} cannot be given, it follows from {' and '.join(fact.follows)}: write {example}"
        )
    return fact


def read_text(fact: Fact, text: str, names: Names) -> FactValue:
    """The value written after `FACT=` on a command line: `85%`, `pii,secret`, `yes`. Raises InvalidFact."""
    match fact.kind:
        case Kind.SET:
            return _checked(fact, frozenset(part.strip() for part in text.split(",") if part.strip()), names)
        case Kind.FLAG:
            if text.lower() not in ("yes", "no", "true", "false"):
                raise InvalidFact(f"{fact.name} is yes or no, not {_quoted(text)}")
            return text.lower() in ("yes", "true")
        case Kind.PERCENT:
            return _percentage(fact, text.removesuffix("%").strip())
        case Kind.DATE:
            return _date(fact, text)
        case _ if fact.kind in WHOLE:
            return _checked(fact, _whole(fact, text), names)
        case _:
            return _checked(fact, text, names)


def read_json(fact: Fact, value: object, names: Names) -> FactValue:
    """The value of a key in a JSON object of facts, a line of `explain --batch`. Raises InvalidFact."""
    match fact.kind, value:
        case Kind.SET, list() if all(isinstance(item, str) for item in value):
            return _checked(fact, frozenset(value), names)
        case Kind.FLAG, bool():
            return value
        case Kind.PERCENT, (int() | float() | Decimal()) if not isinstance(value, bool):
            return _percentage(fact, str(value))
        case Kind.PERCENT, str() if value.endswith("%"):
            return _percentage(fact, value.removesuffix("%"))
        case Kind.DATE, str():
            return _date(fact, value)
        case (kind, int()) if kind in WHOLE and kind is not Kind.DATE and not isinstance(value, bool):
            return _checked(fact, value, names)
        case ((Kind.NAME | Kind.ORDERED), str()):
            return _checked(fact, value, names)
    wanted = {
        Kind.SET: "a list of names",
        Kind.FLAG: "true or false",
        Kind.PERCENT: "a number such as 85",
        Kind.NAME: "a name in quotes",
        Kind.ORDERED: "a name in quotes",
        Kind.DATE: "a date such as 2027-03-01",
    }
    raise InvalidFact(f"{fact.name} is {wanted.get(fact.kind, 'a whole number')}, not {_quoted(value)}")


def facts_from(given: Mapping[str, FactValue], names: Names, assumed: Facts | None = None) -> Facts:
    """The given facts, and `assumed` for the rest: without it, a test's defaults and the default mode.

    Raises InvalidFact when `task.type` is missing.
    """
    if "task.type" not in given:
        types = f": one of {listed(names.task_types)}" if names.task_types else ""
        raise InvalidFact(f"task.type must be given{types}")
    if "clock.date" in given:
        given = {**_read_off(given["clock.date"]), **given}
    # A dictionary keeps the order in which its keys first came, which is that of `Facts`.
    values = {**(_defaults(names.default_mode) if assumed is None else _by_name(assumed)), **given}
    if len(values) != len(INDEX):
        raise InvalidFact(f"there is no fact {_quoted(next(iter(given.keys() - INDEX.keys())))}")
    return tuple.__new__(Facts, values.values())


def _read_off(day: FactValue) -> dict[str, FactValue]:
    """What a given date says of the day of the month and the weekday."""
    assert isinstance(day, Day)
    moment = date.fromordinal(day)
    return {"clock.weekday": WEEKDAYS[moment.weekday()], "clock.day": moment.day}


def format_value(value: FactValue) -> str:
    """A value as the command line takes it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return f"{value.normalize():f}%" if value else "0%"
        case frozenset():
            return ",".join(sorted(value)) or "none"
        case _:
            return str(value)


def _checked(fact: Fact, value: FactValue, names: Names) -> FactValue:
    match value:
        case int():
            if not LOWEST.get(fact.kind, 0) <= value <= HIGHEST.get(fact.kind, MOST):
                raise InvalidFact(
                    f"{fact.name} is {fact.kind.value}, not {value if abs(value) < 10**20 else 'that'}"
                )
        case str() | frozenset():
            known = names.known_values(fact)
            for name in sorted(value) if isinstance(value, frozenset) else [value]:
                if known is not None and name not in known:
                    near = nearest(name, known)
                    hint = f"; did you mean {near}" if near else f": one of {listed(known)}"
                    raise InvalidFact(f"{fact.name} cannot be {_quoted(name)}{hint}")
                if not name:
                    raise InvalidFact(f"{fact.name} needs a name")
    return value


def _whole(fact: Fact, text: str) -> int:
    """`8192`, and `32k` or `1.5M` as the language writes tokens."""
    scale = {"k": 1000, "M": 1_000_000}.get(text[-1:], 1) if fact.kind is Kind.TOKENS else 1
    digits = text[:-1] if scale > 1 else text
    if not _PLAIN_NUMBER.fullmatch(digits) or (value := Decimal(digits) * scale) != value.to_integral_value():
        raise InvalidFact(f"{fact.name} is {fact.kind.value}, not {_quoted(text)}")
    return int(value)


def _date(fact: Fact, text: str) -> Day:
    try:
        return Day.read(text)
    except ValueError:
        raise InvalidFact(f"{fact.name} is a date such as 2027-03-01, not {_quoted(text)}") from None


def _percentage(fact: Fact, text: str) -> Decimal:
    if not _NUMBER.fullmatch(text) or (value := Decimal(text)) > MOST:
        raise InvalidFact(f"{fact.name} is a percentage such as 85%, not {_quoted(text)}")
    return value


def _quoted(value: object) -> str:
    """In quotes, cut to what a person reads."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:70]}... ({len(text):,} characters)"


_PLAIN_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_NUMBER = re.compile(
    r"[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?"
)  # as JSON's numbers come back from Python
