"""Turns the text of `.route` files into rules, tests and proofs whose expressions are already what they mean.

An expression is read straight into a function of `what`: the facts and, where a rule is asked about a model,
that model's attributes, all in one mapping. Reading is for valid text only: there are no diagnostics, and
what cannot be read is a `ValueError`. This file shares no code with the engine and decides nothing; see
`interpreter.py` for that.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

# --- vocabulary ---------------------------------------------------------------------------------------------

LEVELS = ("low", "medium", "high")
ORDERS = {
    "task.criticality": ("low", "medium", "high", "critical"),
    "task.latency_sensitivity": LEVELS,
    "task.budget_sensitivity": LEVELS,
    "clock.weekday": ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
    "model.quality": ("low", "medium", "high", "very_high"),
    "model.latency": LEVELS,
}
YES_NO = {"task.tool_use_required", "mode.allow_cloud", "budget.exhausted"}
SETS = {
    *(
        "task.labels",
        "task.needs",
        "models.capable",
        "budget.exhausted_providers",
        "provider.down",
        "provider.busy",
        "models.warm",
        "task.avoid_models",
        "session.labels",
        "session.warm",
    ),
    *("model.capabilities", "model.offers", "model.tags"),
}
NUMBERS = {
    *("task.context_size", "task.bucket", "budget.daily.used", "budget.monthly.used", "clock.hour"),
    *("task.attempt", "session.calls", "clock.day", "clock.date", "clock.minute", "clock.time"),
    *("session.used", "agent.used", "group.daily.used", "group.monthly.used"),
    *("model.max_context", "model.price", "model.call_cost"),
}
NAMES = {
    *("task.type", "task.group", "task.asked_model", "mode", "mode.cloud_usage"),
    *("model.tools", "model.provider", "model.id", "model.zone"),
}
SUBJECTS = {*ORDERS, *YES_NO, *SETS, *NUMBERS, *NAMES}
FACTS = {subject for subject in SUBJECTS if not subject.startswith("model.")}

Number = int | Fraction
# Every fact under its name and, where a rule is asked about a model, every attribute of that model.
What = Mapping[str, Any]
# What an expression means: whether it holds of that.
Meaning = Callable[[What], bool]


def exact(number: Decimal | Fraction | int | str) -> Number:
    value = Fraction(number)
    return value.numerator if value.denominator == 1 else value


# --- what text means ----------------------------------------------------------------------------------------

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "is": operator.eq,
    "is not": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda name, names: name in names,
    "not in": lambda name, names: name not in names,
    "has": lambda members, name: name in members,
    "has any": lambda members, names: any(name in members for name in names),
    "has all": lambda members, names: all(name in members for name in names),
    "is empty": lambda members, _: not members,
    "is not empty": lambda members, _: bool(members),
}


def always(what: What) -> bool:
    return True


def negation(inner: Meaning) -> Meaning:
    return lambda what: not inner(what)


def conjunction(left: Meaning, right: Meaning) -> Meaning:
    return lambda what: left(what) and right(what)


def disjunction(left: Meaning, right: Meaning) -> Meaning:
    return lambda what: left(what) or right(what)


def comparison(subject: str, how: str, value: Any) -> Meaning:
    """A fact or an attribute with a constant. An unknown price (`None`) compares with nothing."""
    test = OPERATORS[how]
    if subject in ORDERS and not isinstance(value, (list, tuple)):
        place = ORDERS[subject].index
        return lambda what: test(place(what[subject]), place(value))
    return lambda what: what[subject] is not None and test(what[subject], value)


def cross_comparison(subject: str, how: str, other: str) -> Meaning:
    """A fact with an attribute of the model, either way round."""
    test = OPERATORS[how]
    return lambda what: test(what[subject], what[other])


def moment(text: str) -> int:
    """A date as the number of its day, a time as its minute of the day."""
    if ":" in text:
        hour, minute = text.split(":")
        return 60 * int(hour) + int(minute)
    return date.fromisoformat(text).toordinal()


def span(subject: str, first: Any, last: Any) -> list[Any]:
    """The members of `first..last`: both ends, but an hour range ends before its last hour; hours and days
    wrap."""
    if subject == "clock.date":
        return [*range(first, last + 1)]
    if subject == "clock.time":  # a round of minutes, without the last
        return [minute % 1440 for minute in range(first, last if first < last else last + 1440)]
    if subject == "clock.hour":
        last = (last - 1) % 24
    order = ORDERS.get(subject) or range(24 if subject == "clock.hour" else last + 1)
    start, end = order.index(first), order.index(last)
    return [*order[start : end + 1]] if start <= end else [*order[start:], *order[: end + 1]]


@dataclass(frozen=True, slots=True)
class Rule:
    """Any of forbid, require, prefer, avoid, weigh and route; what a kind does not have stays as it is
    here."""

    keyword: str
    name: str
    when: Meaning
    selector: Meaning = always
    watched: bool = False
    points: Number = 0  # below zero for `avoid`
    weights: Mapping[str, Number] = field(default_factory=dict)
    tiers: tuple[Meaning, ...] = ()


@dataclass(frozen=True, slots=True)
class Expectation:
    """An OUTCOME.

    `kind` is chosen, only, never or some of `selector`, or refused, route, chain, beginning of `names`.
    """

    kind: str
    selector: Meaning = always
    names: tuple[str, ...] = ()
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    name: str
    expectation: Expectation
    when: Meaning
    after: Meaning | None = None  # of an earlier call of the same session


@dataclass(frozen=True, slots=True)
class Test:
    title: str
    cases: tuple[tuple[dict[str, Any], Expectation], ...]  # what is given, and what is expected then


BLANK = r"(?:[\s\ufeff]|#[^\n]*)*"
BLANKS = re.compile(BLANK)
BARE_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]|[-.:](?=[A-Za-z0-9_]))*")
RULE_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
STRING = re.compile(r'"(?:[^"\\\n]|\\["\\])*"')
NUMBER = re.compile(r"\$?(\d+(?:\.\d+)?)([kM%]?)")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d")
UNITS = {"": 1, "%": 1, "k": 1000, "M": 1_000_000}


@cache
def phrase(words: str) -> re.Pattern[str]:
    """Whole words or symbols, with any blank between them."""
    parts = [re.escape(word) + (r"(?![A-Za-z0-9_.:-])" if word.isalpha() else "") for word in words.split()]
    return re.compile(BLANK.join(parts))


class Reader:
    """Reads the files of a policy by recursive descent, each expression straight into what it means.

    `at` always stands at the next thing that is not blank.
    """

    def __init__(self, providers: set[str], models: set[str]) -> None:
        self.providers, self.models = providers, models
        self.rules: list[Rule] = []
        self.proofs: list[Proof] = []
        self.tests: list[Test] = []
        self.lets: dict[str, Meaning] = {"local": local, "cloud": negation(local), "any": always}
        self.bare_names: set[str] = set()
        self.found_newer = False
        self.lists: dict[str, list[Any]] = {}

    def read(self, text: str) -> None:
        self.text, self.at = text, BLANKS.match(text).end()
        version = self.number() if self.accept("language") else 1
        if version not in (1, Fraction(11, 10)):
            raise ValueError("only versions 1 and 1.1 of the language are known")
        self.is_newer = version != 1
        self.found_newer = self.found_newer or self.is_newer
        while self.at < len(text):
            match self.need(BARE_NAME):
                case "let":
                    self.let()
                case "test":
                    self.test()
                case "prove":
                    self.proof()
                case keyword:
                    self.rule(keyword)

    def finish(self) -> None:
        """A bare name that no `let` declares is a model or a provider; a let may be declared later."""
        for name in self.bare_names - self.lets.keys():
            self.lets[name] = self.model_or_provider(name)

    # words

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = BLANKS.match(self.text, found.end()).end()
        return found

    def need(self, pattern: re.Pattern[str]) -> str:
        found = self.take(pattern)
        if not found:
            raise ValueError(f"no {pattern.pattern} at {self.text[self.at : self.at + 40]!r}")
        return found.group()

    def accept(self, *phrases: str) -> str | None:
        return next((words for words in phrases if self.take(phrase(words))), None)

    def string(self) -> str | None:
        found = self.take(STRING)
        return re.sub(r"\\(.)", r"\1", found.group()[1:-1]) if found else None

    def number(self) -> Number:
        if found := self.take(MOMENT):
            return moment(found.group())
        digits, unit = NUMBER.fullmatch(self.need(NUMBER)).groups()
        return exact(Fraction(digits) * UNITS[unit])

    def name(self) -> str:
        quoted_name = self.string()
        return self.need(BARE_NAME) if quoted_name is None else quoted_name

    def separated(self, read: Callable[[], Any], separator: str = ",") -> list[Any]:
        items = [read()]
        while self.accept(separator):
            items.append(read())
        return items

    # expressions

    def expression(self) -> Meaning:
        left = self.conjoined()
        while self.accept("or"):
            left = disjunction(left, self.conjoined())
        return left

    def conjoined(self) -> Meaning:
        left = self.negated()
        while self.accept("and"):
            left = conjunction(left, self.negated())
        return left

    def negated(self) -> Meaning:
        if self.accept("not"):
            return negation(self.negated())
        if self.accept("("):
            inner = self.expression()
            self.need(phrase(")"))
            return inner
        quoted_name = self.string()
        if quoted_name is not None:
            return self.model_or_provider(quoted_name)
        word = self.need(BARE_NAME)
        if word == "model.call_cost" and self.is_newer:
            return self.compared("newer model.call_cost")
        return self.compared(word) if word in SUBJECTS else self.named(word)

    def named(self, name: str) -> Meaning:
        self.bare_names.add(name)
        return lambda what: self.lets[name](what)

    def model_or_provider(self, name: str) -> Meaning:
        if name in self.models:
            return comparison("model.id", "is", name)
        if name in self.providers:
            return comparison("model.provider", "is", name)
        raise ValueError(f"{name} is no let, provider or model")

    def compared(self, subject: str) -> Meaning:
        if subject in SETS:
            how = self.accept("is not empty", "is empty", "has any", "has all", "has")
        else:
            how = self.accept("is not", "is", "not in", "in", "has", "<=", ">=", "<", ">")
        if how is None and subject in YES_NO:
            return comparison(subject, "is", True)
        if how in ("is empty", "is not empty"):
            return comparison(subject, how, None)
        if (
            how in ("has all", "has any")
            and (other := BARE_NAME.match(self.text, self.at))
            and other.group() in SUBJECTS
        ):
            return cross_comparison(subject, how, self.name())
        if how in ("in", "not in", "has any", "has all"):
            return comparison(subject, how, self.members(subject))
        if how is None:
            raise ValueError(f"{subject} is compared with nothing")
        other = BARE_NAME.match(self.text, self.at)
        if other and other.group() in SUBJECTS:
            return cross_comparison(subject, how, self.name())
        value = self.value(subject)
        if subject == "model.price" and value == "unknown":
            return comparison("model.unpriced", how, True)
        return comparison(subject, how, value)

    def value(self, subject: str) -> Any:
        if NUMBER.match(self.text, self.at):
            return self.number()
        name = self.name()
        return name == "yes" if subject in YES_NO else name

    def members(self, subject: str) -> list[Any]:
        if self.accept("["):
            return self.closed(self.separated(lambda: self.value(subject)))
        first = self.value(subject)
        if self.accept(".."):
            return span(subject, first, self.value(subject))
        return self.lists.setdefault(first, [])  # the one list of that name, filled where it is written

    def closed(self, members: list[Any]) -> list[Any]:
        self.need(phrase("]"))
        return members

    # statements

    def let(self) -> None:
        name = self.need(RULE_NAME)
        self.need(phrase("="))
        if self.accept("["):
            read = self.number if MOMENT.match(self.text, self.at) else self.name
            self.lists.setdefault(name, []).extend(self.closed(self.separated(read)))
        else:
            self.lets[name] = self.expression()

    def rule(self, keyword: str) -> None:
        name = self.need(RULE_NAME)
        parts: dict[str, Any] = {"watched": bool(self.accept("( watch )"))}
        self.need(phrase(":"))
        match keyword:
            case "forbid" | "require":
                parts["selector"] = self.expression()
            case "prefer" | "avoid":
                parts["selector"] = self.expression()
                self.need(phrase("by"))
                points = self.number()
                parts["points"] = points if keyword == "prefer" else -points
            case "weigh":
                parts["weights"] = dict(self.separated(lambda: (self.name(), self.number())))
            case "route":
                self.need(phrase("use"))
                parts["tiers"] = tuple(self.separated(self.expression, ", then"))
            case _:
                raise ValueError(f"{keyword} begins no statement")
        self.rules.append(Rule(keyword, name, self.when(), **parts))

    def when(self) -> Meaning:
        """`when CONDITION unless CONDITION because "TEXT"`, each optional; the reason is read and dropped."""
        condition = self.expression() if self.accept("when") else always
        if self.accept("unless"):
            condition = conjunction(condition, negation(self.expression()))
        if self.accept("because"):
            self.need(STRING)
        return condition

    def proof(self) -> None:
        name, _ = self.need(RULE_NAME), self.need(phrase(":"))
        expectation = self.claim()
        after = self.expression() if self.accept("after") else None
        self.proofs.append(Proof(name, expectation, self.when(), after))

    def claim(self) -> Expectation:
        match self.accept("never refused", "refused", "route", "first", "never", "only", "some"):
            case "never refused":
                return Expectation("answered")
            case "refused":
                return Expectation("refused")
            case "route":
                return Expectation("route", names=(self.need(RULE_NAME),))
            case "first":
                return Expectation("chosen", self.expression())
            case kind:
                return Expectation(kind, self.expression())

    def test(self) -> None:
        title, _ = self.string(), self.need(phrase(":"))
        cases = []
        while self.accept("given"):
            given: dict[str, Any] = {}
            self.separated(lambda: self.given(given))  # noqa: B023
            self.need(phrase("expect"))
            cases.append((given, self.expectation()))
        self.tests.append(Test(title, tuple(cases)))

    def given(self, facts: dict[str, Any]) -> None:
        if self.accept("session had ["):
            earlier: dict[str, Any] = {}
            self.separated(lambda: self.given(earlier))
            self.need(phrase("]"))
            facts.setdefault("had", []).append(earlier)
            return
        fact = self.need(BARE_NAME)
        match self.accept("is empty", "has", "is") if fact in SETS else self.accept("is"):
            case "is":
                facts[fact] = self.value(fact)
            case "has":
                facts[fact] = facts.get(fact, frozenset()) | {self.name()}
            case "is empty":
                facts[fact] = frozenset()
            case None:
                facts[fact] = True

    def expectation(self) -> Expectation:
        kind = self.accept("refused", "chain", "route", "only", "never", "some") or "chosen"
        selector, names = always, []
        match kind:
            case "refused":
                pass
            case "route":
                names = [self.need(RULE_NAME)]
            case "chain":
                names = self.separated(lambda: self.accept("...") or self.name())
                if names[-1] == "...":
                    kind, names = "beginning", names[:-1]
            case _:
                selector = self.expression()
        because = self.need(RULE_NAME) if self.accept("because") else None
        return Expectation(kind, selector, tuple(names), because)


def local(what: What) -> bool:
    return what["model.local"]
