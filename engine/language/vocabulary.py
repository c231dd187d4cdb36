"""What a policy may speak of: the facts of a task and its surroundings, the attributes of a model, and the
names that a catalogue and its settings make known.

One row a fact, one row an attribute. The resolver, the type checker, the decision's `Facts`, the profile's
checks, the command line, every log and its schema, replay and the documentation are derived from these rows
or checked against them at import. To add a fact, write its row here and, where its value comes from, the
field that holds it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Literal, TypeAlias, assert_never


class Kind(Enum):
    """What sort of value stands behind a fact or an attribute, and so what it can be compared with."""

    NAME = "a name"
    ORDERED = "a name on a scale"
    FLAG = "yes or no"
    SET = "a set of names"
    TOKENS = "a number of tokens"
    PERCENT = "a percentage"
    COUNT = "a whole number"
    HOUR = "an hour of the day, 0 to 23"
    MINUTE = "a minute of the hour, 0 to 59"
    TIME = "a time of the day"
    DAY = "a day of the month, 1 to 31"
    DATE = "a date"
    BUCKET = "a bucket, 0 to 99"
    PRICE = "US dollars per million tokens"
    DOLLARS = "US dollars"


LOWEST: Mapping[Kind, int] = {Kind.DAY: 1, Kind.DATE: date.min.toordinal()}
"""The kinds of whole numbers that do not begin at 0, and where they do."""

HIGHEST: Mapping[Kind, int] = {
    Kind.HOUR: 23,
    Kind.MINUTE: 59,
    Kind.DAY: 31,
    Kind.DATE: date.max.toordinal(),
    Kind.BUCKET: 99,
}
"""The kinds of whole numbers that end, and where."""

WHOLE = frozenset({Kind.TOKENS, Kind.COUNT, Kind.HOUR, Kind.MINUTE, Kind.DAY, Kind.DATE, Kind.BUCKET})
"""The kinds that are whole numbers."""

MOST = 10**12
"""The largest number a fact can be given; a larger one is a mistake and would make answers unreadable."""


class Day(int):
    """A date, counted in days from 0001-01-01 as day 1, so that dates are compared as whole numbers are."""

    __slots__ = ()

    @classmethod
    def read(cls, text: str) -> "Day":
        """`2027-03-01`. Raises ValueError for anything else, and for a date that there is not."""
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        return cls(date.fromisoformat(text).toordinal())

    def __str__(self) -> str:
        return date.fromordinal(self).isoformat()

    __repr__ = __str__


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

FactValue: TypeAlias = str | bool | int | Decimal | frozenset[str]
"""A name, yes or no, a whole number, a percentage (80 means 80%), a set of names."""


class FactOrigin(Enum):
    """Where the value of a fact comes from when a task is planned."""

    PROFILE = "the caller's TaskProfile"
    MODE = "the call, the environment or policies.yaml"
    RUNTIME = "this machine: the ledger, the providers' health, the calls under way"
    SESSION = "the session, the agent and the group that the call belongs to"
    CLOCK = "the clock, in the policy's time zone"
    DERIVED = "other facts"


# Which closed or open list the names of a fact or attribute come from; see `Names`.
Universe: TypeAlias = Literal[
    "task_types",
    "labels",
    "needs",
    "groups",
    "modes",
    "providers",
    "models",
    "capabilities",
    "zones",
    "tags",
    "scale",
]

NOBODY = "none"
"""The value of a name that need not be there: no group, no model asked for."""

VERSIONS = ("1", "1.1")
"""The versions of the language, oldest first; a file without a `language` statement is of the first."""

FOUR_LEVELS = ("low", "medium", "high", "critical")
THREE_LEVELS = ("low", "medium", "high")
QUALITIES = ("low", "medium", "high", "very_high")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOUD_USAGES = ("none", "fallback_critical_only", "balanced", "aggressive")
TOOL_SUPPORT = ("yes", "no", "unknown")
NEEDS = ("vision", "audio", "documents", "structured_output", "tools")
"""What a request can show that it needs; a profile may also state any capability of the catalogue."""


@dataclass(frozen=True, slots=True)
class Term:
    """One row of the fact table or of the attribute table.

    `scale` lists the values of an ORDERED term from low to high, and those of a closed NAME term whose values
    the language itself fixes (`universe` is then "scale"). `since` is the version of the language that a file
    must say to speak of it. Raises ValueError, with the row's name, for a universe that is missing, or that
    the kind has no use for.
    """

    name: str
    kind: Kind
    meaning: str
    universe: Universe | None = None
    scale: tuple[str, ...] = ()
    since: str = field(default="1", kw_only=True)

    def __post_init__(self) -> None:
        has_names = self.kind in (Kind.NAME, Kind.ORDERED, Kind.SET)
        if has_names != (self.universe is not None):
            raise ValueError(f"{self.name}: {self.kind.value} needs {'a' if has_names else 'no'} universe")
        if bool(self.scale) != (self.universe == "scale"):
            raise ValueError(f'{self.name}: universe "scale" and a scale go together')
        if self.kind is Kind.ORDERED and not self.scale:
            raise ValueError(f"{self.name}: {self.kind.value} needs that scale")


@dataclass(frozen=True, slots=True)
class Fact(Term):
    """A term that conditions ask of the task or its surroundings.

    `default` is what a test assumes where it says nothing. Every fact has one, except a derived fact and one
    that `must_be_given`. A name whose default is `none` may be none of its list. `follows` names the facts a
    derived one is a function of; such a fact cannot be given, because it could contradict them. Raises
    ValueError, with the row's name, for a default that is missing or impossible.
    """

    default: FactValue | None = None
    origin: FactOrigin = FactOrigin.PROFILE
    follows: tuple[str, ...] = ()
    must_be_given: bool = False

    def __post_init__(self) -> None:
        Term.__post_init__(self)
        if bool(self.follows) != (self.origin is FactOrigin.DERIVED):
            raise ValueError(f"{self.name}: a derived fact, and no other, names the facts it follows from")
        if self.follows or self.must_be_given:
            if self.default is not None:
                raise ValueError(f"{self.name}: a fact that is derived or must be given has no default")
        elif self.default is None:
            raise ValueError(f"{self.name}: needs a default")
        elif not self.test()(self.default):
            raise ValueError(f"{self.name}: {self.default!r} is not {self.kind.value}")

    @property
    def field(self) -> str:
        """What Python calls it: its field in `Facts`, and in `TaskProfile` or `RuntimeFacts`, where it comes
        from.

        `task.type` is `task_type`, because `type` is Python's own; `task.labels` is `labels`, `clock.hour` is
        `clock_hour`.
        """
        bare = self.name.removeprefix("task.")
        return (self.name if bare == "type" else bare).replace(".", "_")

    def test(self) -> Callable[[object], bool]:
        """A function that says whether a value is of this kind, and on the scale where there is one.

        Names of other lists are not looked up. Made once and kept by callers that test many values.
        """
        if self.scale:
            return self.scale.__contains__
        match self.kind:
            case Kind.FLAG:
                return lambda value: type(value) is bool
            case Kind.SET:
                return lambda value: isinstance(value, frozenset)
            case Kind.PERCENT:
                return lambda value: isinstance(value, Decimal) and value >= 0
            case Kind.NAME | Kind.ORDERED:
                return lambda value: isinstance(value, str) and value != ""
            case Kind.DATE:
                return lambda value: isinstance(value, Day)
            case Kind.TOKENS | Kind.COUNT | Kind.HOUR | Kind.MINUTE | Kind.DAY | Kind.BUCKET:
                lowest, highest = LOWEST.get(self.kind, 0), HIGHEST.get(self.kind, MOST)
                return lambda value: type(value) is int and lowest <= value <= highest
            case Kind.PRICE | Kind.DOLLARS | Kind.TIME:
                raise ValueError(f"{self.name}: no fact is {self.kind.value}")
            case _:
                assert_never(self.kind)


NONE: frozenset[str] = frozenset()

_FACT_ROWS = (
    Fact("task.type", Kind.NAME, "what sort of task it is", "task_types", must_be_given=True),
    Fact("task.criticality", Kind.ORDERED, "how much a bad answer costs", "scale", FOUR_LEVELS, "medium"),
    Fact("task.latency_sensitivity", Kind.ORDERED, "how much waiting costs", "scale", THREE_LEVELS, "medium"),
    Fact("task.budget_sensitivity", Kind.ORDERED, "how much spending costs", "scale", THREE_LEVELS, "medium"),
    Fact(
        "task.context_size", Kind.TOKENS, "tokens of window the exchange needs, prompt and reply", default=0
    ),
    Fact("task.tool_use_required", Kind.FLAG, "whether the model must call tools", default=False),
    Fact("task.labels", Kind.SET, "what the task is marked with", "labels", default=NONE),
    Fact("task.needs", Kind.SET, "what the model must be able to do", "needs", default=NONE),
    Fact("task.attempt", Kind.COUNT, "how often the caller has tried already", default=0, since="1.1"),
    Fact(
        "task.avoid_models",
        Kind.SET,
        "models that must not answer, such as the author of what is reviewed",
        "models",
        default=NONE,
        since="1.1",
    ),
    Fact("task.group", Kind.NAME, "the group it belongs to", "groups", default=NOBODY, since="1.1"),
    Fact(
        "task.asked_model",
        Kind.NAME,
        "the model the caller named",
        "models",
        default=NOBODY,
        since="1.1",
    ),
    Fact("task.bucket", Kind.BUCKET, "a stable hash of the profile's key, for gradual moves", default=0),
    Fact(
        "mode",
        Kind.NAME,
        "the routing mode in force",
        "modes",
        default="local-preferred",
        origin=FactOrigin.MODE,
    ),
    Fact(
        "mode.allow_cloud",
        Kind.FLAG,
        "whether the mode allows cloud",
        origin=FactOrigin.DERIVED,
        follows=("mode",),
    ),
    Fact(
        "mode.cloud_usage",
        Kind.NAME,
        "the mode's strategy",
        "scale",
        CLOUD_USAGES,
        origin=FactOrigin.DERIVED,
        follows=("mode",),
    ),
    Fact(
        "budget.daily.used",
        Kind.PERCENT,
        "share of today's limit that is used",
        default=Decimal(0),
        origin=FactOrigin.RUNTIME,
    ),
    Fact(
        "budget.monthly.used",
        Kind.PERCENT,
        "share of this month's limit that is used",
        default=Decimal(0),
        origin=FactOrigin.RUNTIME,
    ),
    Fact(
        "budget.exhausted",
        Kind.FLAG,
        "whether a total limit is used up",
        origin=FactOrigin.DERIVED,
        follows=("budget.daily.used", "budget.monthly.used"),
    ),
    Fact(
        "budget.exhausted_providers",
        Kind.SET,
        "providers whose own limit is used up",
        "providers",
        default=NONE,
        origin=FactOrigin.RUNTIME,
    ),
    Fact(
        "provider.down",
        Kind.SET,
        "providers that cannot be reached",
        "providers",
        default=NONE,
        origin=FactOrigin.RUNTIME,
    ),
    Fact(
        "provider.busy",
        Kind.SET,
        "providers at their max_concurrent",
        "providers",
        default=NONE,
        origin=FactOrigin.RUNTIME,
    ),
    Fact(
        "models.warm",
        Kind.SET,
        "models known to be loaded",
        "models",
        default=NONE,
        origin=FactOrigin.RUNTIME,
    ),
    Fact(
        "models.capable",
        Kind.SET,
        "models known to meet the task's needs, though the catalogue does not say so",
        "models",
        default=NONE,
        origin=FactOrigin.RUNTIME,
    ),
    Fact(
        "session.labels",
        Kind.SET,
        "labels that an earlier call of the session carried",
        "labels",
        default=NONE,
        origin=FactOrigin.SESSION,
        since="1.1",
    ),
    Fact(
        "session.warm",
        Kind.SET,
        "models whose prompt cache holds the beginning of the session",
        "models",
        default=NONE,
        origin=FactOrigin.SESSION,
        since="1.1",
    ),
    Fact(
        "session.calls",
        Kind.COUNT,
        "calls that the session has made so far",
        default=0,
        origin=FactOrigin.SESSION,
        since="1.1",
    ),
    *(
        Fact(name, Kind.PERCENT, meaning, default=Decimal(0), origin=FactOrigin.SESSION, since="1.1")
        for name, meaning in (
            ("session.used", "share of the session's limit that is used"),
            ("agent.used", "share of the agent's limit that is used, its sub-agents counted"),
            ("group.daily.used", "share of the group's limit of today that is used"),
            ("group.monthly.used", "share of the group's limit of this month that is used"),
        )
    ),
    Fact("clock.hour", Kind.HOUR, "the hour in the policy's time zone", default=12, origin=FactOrigin.CLOCK),
    Fact(
        "clock.weekday",
        Kind.ORDERED,
        "the day in the policy's time zone",
        "scale",
        WEEKDAYS,
        "mon",
        FactOrigin.CLOCK,
    ),
    Fact(
        "clock.day",
        Kind.DAY,
        "the day of the month in the policy's time zone",
        default=1,
        origin=FactOrigin.CLOCK,
        since="1.1",
    ),
    Fact(
        "clock.date",
        Kind.DATE,
        "the date in the policy's time zone",
        default=Day.read("2026-06-01"),
        origin=FactOrigin.CLOCK,
        since="1.1",
    ),
    Fact(
        "clock.minute",
        Kind.MINUTE,
        "the minute of the hour",
        default=0,
        origin=FactOrigin.CLOCK,
        since="1.1",
    ),
    Fact(
        "clock.time",
        Kind.TIME,
        "the hour and the minute in the policy's time zone",
        origin=FactOrigin.DERIVED,
        follows=("clock.hour", "clock.minute"),
        since="1.1",
    ),
)

FACTS: dict[str, Fact] = {fact.name: fact for fact in _FACT_ROWS}

_ORDER = (FactOrigin.PROFILE, FactOrigin.MODE, FactOrigin.RUNTIME, FactOrigin.SESSION, FactOrigin.CLOCK)

GIVEN: tuple[Fact, ...] = tuple(
    sorted(
        (fact for fact in FACTS.values() if not fact.follows),
        key=lambda fact: (_ORDER.index(fact.origin), not fact.must_be_given),
    )
)
"""The facts that can be given, by origin: the decision's `Facts` has one field for each, in this order."""


def given_by(origin: FactOrigin) -> tuple[Fact, ...]:
    """The facts that come from one place, in the order of `GIVEN`."""
    return tuple(fact for fact in GIVEN if fact.origin is origin)


def may_be_nobody(term: Term) -> bool:
    """Whether its value may be `none`: no group, no model asked for."""
    return isinstance(term, Fact) and term.default == NOBODY and term.universe != "scale"


ATTRIBUTES: dict[str, Term] = {
    term.name: term
    for term in (
        Term("model.id", Kind.NAME, "the model's id", "models"),
        Term("model.provider", Kind.NAME, "who serves it", "providers"),
        Term("model.zone", Kind.NAME, "where it is served", "zones"),
        Term("model.quality", Kind.ORDERED, "its quality tier", "scale", QUALITIES),
        Term("model.latency", Kind.ORDERED, "its latency tier", "scale", THREE_LEVELS),
        Term("model.tools", Kind.NAME, "whether it can call tools", "scale", TOOL_SUPPORT),
        Term("model.capabilities", Kind.SET, "what it is good at", "capabilities"),
        Term(
            "model.offers", Kind.SET, "its capabilities, and tools unless it is known to call none", "needs"
        ),
        Term("model.tags", Kind.SET, "what it is marked with", "tags"),
        Term("model.max_context", Kind.TOKENS, "its window"),
        Term("model.price", Kind.PRICE, "its blended price, 3 input to 1 output"),
        Term("model.call_cost", Kind.DOLLARS, "what this task would cost there"),
    )
}

SESSION_COST = "model.call_cost in its session"
"""`model.call_cost` of language 1.1, which is of the price that holds in the session: warm, or first written.
No author writes this name; version 1 has the list price."""

TERMS: Mapping[str, Term] = {**FACTS, **ATTRIBUTES}
"""Everything that can stand to the left of an operator."""

LOCALITIES = ("local", "cloud")
"""The two classes a selector names directly; `any` selects both."""


SESSION_SHARES = frozenset(fact.name for fact in given_by(FactOrigin.SESSION) if fact.kind is Kind.PERCENT)
"""The facts that are shares of a budget which only policies.yaml can set."""
