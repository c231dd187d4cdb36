"""policies.yaml -> modes, weights, overrides, budgets and timeouts, as typed values with their places."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from engine.language.source import Span
from engine.language.syntax_tree import span_field


@dataclass(frozen=True, slots=True)
class Weights:
    """Shares of the score; the three are at least 0 and sum to 1."""

    cost: Decimal
    quality: Decimal
    latency: Decimal
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Mode:
    """`weights` are already the ones in force: its own, else local-preferred's, else the guide's (ruling 27)."""

    name: str
    allow_cloud: bool
    cloud_usage: str
    weights: Weights
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Placed:
    """A name and where the YAML says it."""

    name: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Override:
    """What `task_overrides.TYPE` prefers."""

    task_type: str
    capabilities: tuple[Placed, ...]
    providers: tuple[Placed, ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """US dollars in one kind of window; None is no limit, 0 is zero."""

    total_usd: Decimal | None
    per_provider: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Budgets:
    daily: BudgetLimits
    monthly: BudgetLimits
    time_zone: str


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for a whole exchange, by how much waiting costs; None is the router's own default."""

    default_s: Decimal | None
    high_latency_ok_s: Decimal | None
    low_latency_required_s: Decimal | None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything policies.yaml says. `default_mode_span` is None when the default mode is the built-in one."""

    modes: Mapping[str, Mode]
    default_mode: str
    task_types: tuple[Placed, ...] | None
    labels: tuple[Placed, ...] | None
    overrides: tuple[Override, ...]
    budgets: Budgets
    timeouts: Timeouts
    default_mode_span: Span | None = None
