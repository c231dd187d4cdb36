"""policies.yaml -> modes, weights, overrides, budgets and timeouts, as typed values with their places.

Names that exist in neither file are reported here; nothing becomes a rule yet (`lowering`), and nothing here
looks at the environment or the clock.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import islice
from typing import Literal

from engine.config.catalogue import Catalogue
from engine.config.clocks import Timeouts, read_timeouts
from engine.config.messages import settings as messages
from engine.config.schema_check import Unread, check_schema
from engine.config.section import Section
from engine.config.yaml_source import MOST_FINDINGS, Document, read_yaml
from engine.language.diagnostics import Problems
from engine.language.source import Source, Span
from engine.language.syntax_tree import span_field
from engine.language.vocabulary import CLOUD_USAGES, NOBODY
from engine.provider_apis import APIS

Holds = Literal["bytes", "learnt"]

MAX_OUTPUT = 1000
"""Tokens of output for whoever asks for no other limit."""
SMALL_LIMIT_USD = 1
"""Under so small a limit, one call that costs more than was learnt is too much: bytes are held."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Shares of the score; the three are at least 0 and sum to 1."""

    cost: Decimal
    quality: Decimal
    latency: Decimal
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Mode:
    """`weights` are already the ones in force: its own, else local-preferred's, else the migration
    guide's."""

    name: str
    allow_cloud: bool
    cloud_usage: str
    weights: Weights
    span: Span = span_field()
    usage_span: Span | None = field(default=None, repr=False, compare=False)  # of the strategy, where written


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
    """US dollars in one kind of window; None is no limit, 0 is zero. The spans are where each is written."""

    total_usd: Decimal | None
    per_provider: Mapping[str, Decimal]
    total_span: Span = span_field()
    provider_spans: Mapping[str, Span] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """US dollars that one group may spend in a day and in a month; None is no limit."""

    daily_usd: Decimal | None
    monthly_usd: Decimal | None
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class TotalLimit:
    """US dollars over the whole life of a session or an agent, and where that is written."""

    total_usd: Decimal
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Sessions:
    """What is kept of a session: `labels_stay` is every label that stays, None where all do;
    `forget_after_days` is how long an unused session is remembered."""

    labels_stay: tuple[Placed, ...] | None = ()
    forget_after_days: int = 30


@dataclass(frozen=True, slots=True)
class Budgets:
    """`session` and `agent` limit each one over its whole life, `groups` a group in a day and in a month.
    `holds` is how large a reservation is: by `bytes`, or by what was `learnt`; None where it is not written.
    `default_max_output` is what a request without a limit of its own is sent with, in tokens."""

    daily: BudgetLimits
    monthly: BudgetLimits
    time_zone: str
    holds: Holds | None = None
    default_max_output: int | None = None
    session: TotalLimit | None = None
    agent: TotalLimit | None = None
    groups: Mapping[str, GroupLimits] = field(default_factory=dict)

    @property
    def max_output(self) -> int:
        """Tokens of output for a request that gives no limit."""
        return self.default_max_output or MAX_OUTPUT

    @property
    def limits(self) -> tuple[Decimal, ...]:
        """Every limit that is written, in US dollars."""
        windows = (self.daily, self.monthly)
        totals = [window.total_usd for window in windows if window.total_usd is not None]
        return (*totals, *(limit for window in windows for limit in window.per_provider.values()))

    @property
    def learns_holds(self) -> bool:
        """Whether holds are made by what was learnt: as written, else when no limit is under a dollar."""
        if self.holds is not None:
            return self.holds == "learnt"
        return min(self.limits, default=SMALL_LIMIT_USD) >= SMALL_LIMIT_USD


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything policies.yaml says.

    `default_mode_span` is None when the default mode is the built-in one. `open` are the universes
    (modes, groups) of which something could not be read.
    """

    modes: Mapping[str, Mode]
    default_mode: str
    task_types: tuple[Placed, ...] | None
    labels: tuple[Placed, ...] | None
    overrides: tuple[Override, ...]
    budgets: Budgets
    timeouts: Timeouts
    groups: tuple[Placed, ...] = ()
    sessions: Sessions = Sessions()
    default_mode_span: Span | None = None
    open: frozenset[str] = frozenset()


# --- The migration guide's, for whatever policies.yaml leaves out ---------------------------------------

BUILT_IN = Source(
    "built-in",
    """\
# What holds when policies.yaml, or this part of it, is not written.
routing:
  default_mode: local-preferred
  modes:
    local-only:
      allow_cloud: false
    local-preferred:
      allow_cloud: true
      cloud_usage_strategy: fallback_critical_only
    balanced:
      allow_cloud: true
      cloud_usage_strategy: balanced
    performance:
      allow_cloud: true
      cloud_usage_strategy: aggressive
  weights:
    local-preferred: {cost: 0.6, quality: 0.25, latency: 0.15}
    balanced: {cost: 0.4, quality: 0.4, latency: 0.2}
    performance: {cost: 0.2, quality: 0.6, latency: 0.2}
""",
)
DEFAULT_MODE = "local-preferred"


def load_settings(document: Document | None, catalogue: Catalogue, problems: Problems) -> Settings:
    """The settings of a policies.yaml, checked against the catalogue; the built-in ones where it says
    nothing.

    Without the file, or without `routing.modes`, the migration guide's modes hold, with its weights unless
    `routing.weights` is written.
    """
    if document is None:
        document = Document(BUILT_IN, {}, {(): BUILT_IN.span(0, 0)}, {})
        unread = Unread(document)
    else:
        if document.value is None and document.source.text.strip():
            problems.add(messages.nothing_but_comments(document.source.span(0, 1)))
        document, unread = check_schema(document, "policies.schema.json", problems)
    root = Section.of(document)
    written, problems = problems, Problems(list(problems.found))
    so_far = len(problems.found)
    routing = root.section("routing")
    has_modes, has_weights = (bool(routing.section(key).value) for key in ("modes", "weights"))
    modes_section = (routing if has_modes else _built_in_routing()).section("modes")
    weights_section = (routing if has_modes or has_weights else _built_in_routing()).section("weights")
    modes = _modes(modes_section, weights_section, problems)
    default_mode, default_mode_span = _default_mode(routing, modes, problems)
    task_types = None if unread.is_open("task_types") else _closed(root, "task_types", problems)
    labels = None if unread.is_open("labels") else _closed(root, "labels", problems)
    groups = _groups(root, problems)
    settings = Settings(
        modes=modes,
        default_mode=default_mode,
        task_types=task_types,
        labels=labels,
        overrides=tuple(_overrides(root.section("task_overrides"), task_types, catalogue, problems)),
        budgets=_budgets(root.section("budgets"), catalogue, groups, problems),
        timeouts=read_timeouts(root.section("timeouts"), catalogue, problems),
        groups=groups,
        sessions=_sessions(root.section("sessions"), labels, problems),
        default_mode_span=default_mode_span,
        open=frozenset(
            name
            for name, path in (("modes", ("routing", "modes")), ("groups", ("groups",)))
            if unread.is_open(*path)
        ),
    )
    written.add_all(found for found in problems.found[so_far:] if not unread.covers(found.span))
    return settings


@cache
def _built_in_routing() -> Section:
    document = read_yaml(BUILT_IN, Problems())
    assert document is not None
    return Section.of(document).section("routing")


# --- Modes and weights ----------------------------------------------------------------------------------


def _modes(section: Section, weights: Section, problems: Problems) -> dict[str, Mode]:
    shares = {name: _weights(name, part, problems) for name, part in weights.sections()}
    for name in shares:
        if name not in section.value:
            problems.add(
                messages.weights_of_unknown_mode(name, _offered(section.value, problems), weights.key(name))
            )
    otherwise = shares.get(DEFAULT_MODE)
    if otherwise is None:
        built_in = _built_in_routing().section("weights").section(DEFAULT_MODE)
        otherwise = _weights(DEFAULT_MODE, built_in, problems)
    return {
        name: _mode(name, part, shares.get(name, otherwise), problems) for name, part in section.sections()
    }


def _weights(mode: str, section: Section, problems: Problems) -> Weights:
    parts = [section.decimal(part) for part in ("cost", "quality", "latency")]
    cost, quality, latency = (Decimal(0) if part is None else part for part in parts)
    total = Fraction(cost) + Fraction(quality) + Fraction(latency)
    if None not in parts and min(cost, quality, latency) >= 0 and total != 1:
        shown = format((cost + quality + latency).normalize(), "f")
        problems.add(messages.mode_weights_sum(mode, shown, section.span))
    return Weights(cost, quality, latency, section.span)


def _mode(name: str, section: Section, weights: Weights, problems: Problems) -> Mode:
    allow_cloud = section.flag("allow_cloud") or False
    written = section.text("cloud_usage_strategy")
    place = section.at("cloud_usage_strategy")
    if section.flag("allow_cloud") is False and written not in (None, "none"):
        problems.add(messages.strategy_without_cloud(name, written, place, section.at("allow_cloud")))
    if allow_cloud and written == "none":
        problems.add(messages.cloud_without_strategy(name, place))
    usage = written if written in CLOUD_USAGES and allow_cloud else "balanced" if allow_cloud else "none"
    return Mode(name, allow_cloud, usage, weights, section.span, place if written else None)


def _default_mode(routing: Section, modes: Mapping[str, Mode], problems: Problems) -> tuple[str, Span | None]:
    written = routing.text("default_mode")
    if written is None:
        if DEFAULT_MODE in modes:
            return DEFAULT_MODE, None
        problems.add(messages.no_default_mode(DEFAULT_MODE, modes, routing.key("modes")))
    elif written in modes:
        return written, routing.at("default_mode")
    else:
        problems.add(messages.unknown_default_mode(written, modes, routing.at("default_mode")))
    return next(iter(modes)), None  # so that no later phase meets a mode that is none


# --- Closed lists ---------------------------------------------------------------------------------------


def _closed(root: Section, key: str, problems: Problems) -> tuple[Placed, ...] | None:
    """The names of a closed list, each once; None when the list is not written, and so open."""
    if key not in root:
        return None
    folded: dict[str, Placed] = {}
    for placed in (names := _each_once(root.names(key), problems)):
        other = folded.setdefault(placed.name.casefold(), placed)
        if other is not placed:
            problems.add(messages.differs_in_case_only(placed.name, other.name, placed.span, other.span))
    return names


def _groups(root: Section, problems: Problems) -> tuple[Placed, ...]:
    groups = _closed(root, "groups", problems) or ()
    for placed in groups:
        if placed.name == NOBODY:
            problems.add(messages.group_called_none(placed.span))
    return tuple(placed for placed in groups if placed.name != NOBODY)


def _sessions(section: Section, labels: tuple[Placed, ...] | None, problems: Problems) -> Sessions:
    forget = section.whole("forget_after_days")
    days = Sessions().forget_after_days if forget is None else forget
    written = section.text("labels_stay")
    if written == "all":
        return Sessions(None, days)
    if written is not None:
        problems.add(messages.labels_stay_is_a_list(written, section.at("labels_stay")))
        return Sessions(None, days)
    staying = _each_once(section.names("labels_stay"), problems)
    known = None if labels is None else dict.fromkeys(placed.name for placed in labels)
    for placed in staying:
        if known is not None and placed.name not in known:
            problems.add(messages.unknown_label_stays(placed.name, _offered(known, problems), placed.span))
    return Sessions(staying, days)


def _each_once(names: list[tuple[str, Span]], problems: Problems) -> tuple[Placed, ...]:
    first: dict[str, Placed] = {}
    for name, span in names:
        if name in first:
            problems.add(messages.listed_twice(name, span, first[name].span))
        else:
            first[name] = Placed(name, span)
    return tuple(first.values())


# --- Overrides ------------------------------------------------------------------------------------------


def _overrides(
    section: Section, task_types: tuple[Placed, ...] | None, catalogue: Catalogue, problems: Problems
) -> Iterator[Override]:
    types = None if task_types is None else dict.fromkeys(placed.name for placed in task_types)
    capabilities = dict.fromkeys(name for model in catalogue.models for name in model.capabilities)
    providers = dict.fromkeys(provider.name for provider in catalogue.providers)
    for task_type, part in section.sections():
        if types is not None and task_type not in types:
            problems.add(messages.override_of_unknown_type(task_type, _offered(types, problems), part.span))
        wanted = _each_once(part.names("preferred_capabilities"), problems)
        for placed in wanted:
            if catalogue.models and placed.name not in capabilities:
                offered = _offered(capabilities, problems)
                problems.add(messages.capability_no_model_has(placed.name, offered, placed.span))
        preferred = _each_once(part.names("preferred_providers"), problems)
        for placed in preferred:
            if placed.name not in providers:
                offered = _offered(providers, problems)
                problems.add(messages.unknown_provider_here(placed.name, "preference", offered, placed.span))
        known = tuple(placed for placed in preferred if placed.name in providers)
        yield Override(task_type, wanted, known, part.span)


def _offered(known: Iterable[str], problems: Problems) -> list[str]:
    """The names to look for a similar one among. Looking costs time, so a file full of mistakes gets none."""
    return list(islice(known, 500)) if len(problems.found) < MOST_FINDINGS else []


# --- Budgets and timeouts -------------------------------------------------------------------------------


def _budgets(
    section: Section, catalogue: Catalogue, groups: tuple[Placed, ...], problems: Problems
) -> Budgets:
    daily, monthly = (_limits(window, section, catalogue, problems) for window in ("daily", "monthly"))
    if daily.total_usd is not None and monthly.total_usd is not None and monthly.total_usd < daily.total_usd:
        problems.add(
            messages.month_below_day(
                str(monthly.total_usd), str(daily.total_usd), monthly.total_span, daily.total_span
            )
        )
    return Budgets(
        daily=daily,
        monthly=monthly,
        time_zone=_time_zone(section, problems),
        holds=_holds(section),
        default_max_output=section.whole("default_max_output"),
        session=_total_limit(section.section("session")),
        agent=_total_limit(section.section("agent")),
        groups=_group_limits(section.section("groups"), groups, problems),
    )


def _total_limit(section: Section) -> TotalLimit | None:
    total = section.decimal("total_usd")
    return None if total is None else TotalLimit(total, section.at("total_usd"))


def _group_limits(section: Section, groups: tuple[Placed, ...], problems: Problems) -> dict[str, GroupLimits]:
    known = dict.fromkeys(placed.name for placed in groups)
    limits = {}
    for group, part in section.sections():
        if group in known:
            limits[group] = GroupLimits(part.decimal("daily_usd"), part.decimal("monthly_usd"), part.span)
        else:
            problems.add(
                messages.limit_of_unknown_group(group, _offered(known, problems), section.key(group))
            )
    return limits


def _holds(section: Section) -> Holds | None:
    match section.text("holds"):
        case "bytes" | "learnt" as written:
            return written
        case _:
            return None


def _limits(window: str, section: Section, catalogue: Catalogue, problems: Problems) -> BudgetLimits:
    limits = section.section(window)
    providers = dict.fromkeys(provider.name for provider in catalogue.providers)
    per_provider: dict[str, Decimal] = {}
    for provider in (by_provider := limits.section("per_provider")).value:
        limit = by_provider.decimal(provider)
        if provider not in providers:
            place, offered = by_provider.key(provider), _offered(providers, problems)
            if not catalogue.is_open:
                problems.add(messages.limit_of_no_provider(provider, offered, place, provider in APIS))
        elif limit is not None:
            per_provider[provider] = limit
    total = limits.decimal("total_usd")
    if window in section and "total_usd" not in limits.value and not by_provider.value:
        problems.add(messages.no_limit(window, section.key(window)))
    return BudgetLimits(
        total,
        per_provider,
        limits.key("total_usd") if "total_usd" in limits.value else section.key(window),
        {provider: by_provider.key(provider) for provider in per_provider},
    )


def _time_zone(section: Section, problems: Problems) -> str:
    name = section.text("time_zone") or "UTC"
    if name == "UTC":
        return name
    from zoneinfo import ZoneInfo, available_timezones

    try:
        if not re.fullmatch(r"[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", name):
            raise ValueError
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        problems.add(messages.unknown_time_zone(name, sorted(available_timezones()), section.at("time_zone")))
        return "UTC"
    return name
