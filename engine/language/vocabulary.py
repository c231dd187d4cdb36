"""What a policy may speak of: the facts of a task and its surroundings, the attributes of a model, and the
names that a catalogue and its settings make known.

The fact table of language.md and its selectors, once, as data: the resolver, the type checker, the
explanations, the command line and the documentation all read it here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

from engine.language.source import Span


class Kind(Enum):
    """What sort of value stands behind a fact or an attribute, and so what it can be compared with."""

    NAME = "a name"
    ORDERED = "a name on a scale"
    FLAG = "yes or no"
    SET = "a set of names"
    TOKENS = "a number of tokens"
    PERCENT = "a percentage"
    HOUR = "an hour of the day, 0 to 23"
    BUCKET = "a bucket, 0 to 99"
    PRICE = "US dollars per million tokens"
    DOLLARS = "US dollars"


# Which closed or open list the names of a fact or attribute come from; see `Names`.
Universe: TypeAlias = Literal[
    "task_types", "labels", "modes", "providers", "models", "capabilities", "zones", "tags", "scale"
]

FOUR_LEVELS = ("low", "medium", "high", "critical")
THREE_LEVELS = ("low", "medium", "high")
QUALITIES = ("low", "medium", "high", "very_high")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOUD_USAGES = ("none", "fallback_critical_only", "balanced", "aggressive")
TOOL_SUPPORT = ("yes", "no", "unknown")


@dataclass(frozen=True, slots=True)
class Term:
    """One row of the fact table or of the selector list.

    `scale` lists the values of an ORDERED term from low to high, and those of a closed NAME term whose
    values the language itself fixes (`universe` is then "scale").
    """

    name: str
    kind: Kind
    meaning: str
    universe: Universe | None = None
    scale: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact(Term):
    """A term that conditions ask of the task or its surroundings.

    `follows` names the facts a derived one is a function of; such a fact cannot be given (ruling 43).
    """

    follows: tuple[str, ...] = ()


FACTS: dict[str, Fact] = {
    fact.name: fact
    for fact in (
        Fact("task.type", Kind.NAME, "what sort of task it is", "task_types"),
        Fact("task.criticality", Kind.ORDERED, "how much a bad answer costs", "scale", FOUR_LEVELS),
        Fact("task.latency_sensitivity", Kind.ORDERED, "how much waiting costs", "scale", THREE_LEVELS),
        Fact("task.budget_sensitivity", Kind.ORDERED, "how much spending costs", "scale", THREE_LEVELS),
        Fact("task.context_size", Kind.TOKENS, "tokens of window the exchange needs, prompt and reply"),
        Fact("task.tool_use_required", Kind.FLAG, "whether the model must call tools"),
        Fact("task.labels", Kind.SET, "what the task is marked with", "labels"),
        Fact("task.bucket", Kind.BUCKET, "a stable hash of the profile's key, for gradual moves"),
        Fact("mode", Kind.NAME, "the routing mode in force", "modes"),
        Fact("mode.allow_cloud", Kind.FLAG, "whether the mode allows cloud", follows=("mode",)),
        Fact("mode.cloud_usage", Kind.NAME, "the mode's strategy", "scale", CLOUD_USAGES, follows=("mode",)),
        Fact("budget.daily.used", Kind.PERCENT, "share of today's limit that is used"),
        Fact("budget.monthly.used", Kind.PERCENT, "share of this month's limit that is used"),
        Fact(
            "budget.exhausted",
            Kind.FLAG,
            "whether a total limit is used up",
            follows=("budget.daily.used", "budget.monthly.used"),
        ),
        Fact("budget.exhausted_providers", Kind.SET, "providers whose own limit is used up", "providers"),
        Fact("provider.down", Kind.SET, "providers that cannot be reached", "providers"),
        Fact("provider.busy", Kind.SET, "providers at their max_concurrent", "providers"),
        Fact("models.warm", Kind.SET, "models known to be loaded", "models"),
        Fact("clock.hour", Kind.HOUR, "the hour in the policy's time zone"),
        Fact("clock.weekday", Kind.ORDERED, "the day in the policy's time zone", "scale", WEEKDAYS),
    )
}

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
        Term("model.tags", Kind.SET, "what it is marked with", "tags"),
        Term("model.max_context", Kind.TOKENS, "its window"),
        Term("model.price", Kind.PRICE, "its blended price, 3 input to 1 output"),
        Term("model.call_cost", Kind.DOLLARS, "what this task would cost there"),
    )
}

LOCALITIES = ("local", "cloud")
"""The two classes a selector names directly; `any` selects both."""


@dataclass(frozen=True, slots=True)
class ModeMeaning:
    """What `mode.allow_cloud` and `mode.cloud_usage` stand for under one mode."""

    allow_cloud: bool
    cloud_usage: str


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model as the language sees it: `key` is how it is written everywhere (ruling 33)."""

    key: str
    id: str
    provider: str


@dataclass(frozen=True, slots=True)
class Names:
    """Every name that the catalogue and the settings make known to a policy.

    `task_types` and `labels` are None when open. `limited_providers` have a per-provider budget, and so are
    the only ones that can be in `budget.exhausted_providers` (ruling 39). `places` says where a name is
    declared, keyed by (universe, name), for "declared here".
    """

    modes: Mapping[str, ModeMeaning]
    default_mode: str
    providers: tuple[str, ...]
    models: tuple[KnownModel, ...]
    task_types: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    limited_providers: tuple[str, ...] = ()
    places: Mapping[tuple[str, str], Span] = field(default_factory=dict, compare=False, repr=False)
