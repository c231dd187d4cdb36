"""Settings -> ordinary named rules, as if someone had written them behind the last `.route` file.

YAML is sugar: a mode's strategy, its weights, a task type's overrides and limits of zero become statements
whose spans are the places in policies.yaml, so that traces and findings point there. What they say can be
printed and parsed again. Also: the names that the two files make known to a policy.
"""

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

from engine.config.catalogue import Catalogue
from engine.config.settings import Budgets, Mode, Override, Placed, Settings
from engine.language.known_names import KnownModel, ModeMeaning, Names
from engine.language.source import Span
from engine.language.syntax_tree import (
    And,
    Clauses,
    Comparison,
    Expression,
    Guard,
    Identifier,
    List,
    Membership,
    Name,
    Number,
    Operator,
    Preference,
    Route,
    Rule,
    Share,
    Text,
    Weigh,
    Word,
)
from engine.language.vocabulary import SESSION_SHARES, TERMS
from engine.language.wording import BARE_NAME

POINTS = Decimal(20)
"""What a strategy, a list of capabilities and a list of providers weigh in all."""


def lower(settings: Settings) -> tuple[Rule, ...]:
    """Every rule that the settings stand for: modes, weights, overrides, limits of zero."""
    rules: list[Rule] = []
    for mode in settings.modes.values():
        rules.extend(_of_strategy(mode))
    rules.extend(_of_weights(mode) for mode in settings.modes.values())
    for override in settings.overrides:
        rules.extend(_of_capabilities(override))
        rules.extend(_of_providers(override))
    rules.extend(_of_zero_limits(settings.budgets))
    return tuple(rules)


def names_of(catalogue: Catalogue, settings: Settings) -> Names:
    """Every name a policy may use, and where it is declared."""
    models = catalogue.models
    stay = settings.sessions.labels_stay
    limited = {**settings.budgets.daily.per_provider, **settings.budgets.monthly.per_provider}
    places = {
        **{("modes", mode.name): mode.span for mode in settings.modes.values()},
        **{("providers", provider.name): provider.span for provider in catalogue.providers},
        **{("models", model.key): model.span for model in models},
        **{("task_types", placed.name): placed.span for placed in settings.task_types or ()},
        **{("labels", placed.name): placed.span for placed in settings.labels or ()},
        **{("groups", placed.name): placed.span for placed in settings.groups},
    }
    return Names(
        modes={
            mode.name: ModeMeaning(mode.allow_cloud, mode.cloud_usage) for mode in settings.modes.values()
        },
        default_mode=settings.default_mode,
        providers=tuple(provider.name for provider in catalogue.providers),
        models=tuple(KnownModel(model.key, model.id, model.provider) for model in models),
        task_types=_names(settings.task_types),
        labels=_names(settings.labels),
        capabilities=tuple(dict.fromkeys(name for model in models for name in model.capabilities)),
        zones=tuple(dict.fromkeys(model.zone for model in models if model.zone is not None)),
        tags=tuple(dict.fromkeys(name for model in models for name in model.tags)),
        limited_providers=tuple(p.name for p in catalogue.providers if p.name in limited),
        groups=tuple(placed.name for placed in settings.groups),
        staying=None if stay is None else frozenset(placed.name for placed in stay),
        unlimited=SESSION_SHARES - set(_limited_shares(settings.budgets)),
        places=places,
        open=_open(catalogue, settings),
    )


def _limited_shares(budgets: Budgets) -> Iterator[str]:
    """The facts of a session's, agent's or group's budget for which there is a limit."""
    if budgets.session is not None:
        yield "session.used"
    if budgets.agent is not None:
        yield "agent.used"
    if any(limits.daily_usd is not None for limits in budgets.groups.values()):
        yield "group.daily.used"
    if any(limits.monthly_usd is not None for limits in budgets.groups.values()):
        yield "group.monthly.used"


def _open(catalogue: Catalogue, settings: Settings) -> frozenset[str]:
    of_catalogue = (
        ("models", "providers", "capabilities", "zones", "tags", "needs") if catalogue.is_open else ()
    )
    return settings.open.union(of_catalogue)


def _names(placed: tuple[Placed, ...] | None) -> tuple[str, ...] | None:
    return None if placed is None else tuple(each.name for each in placed)


# --- Modes ----------------------------------------------------------------------------------------------


def _of_strategy(mode: Mode) -> Iterator[Rule]:
    place = mode.usage_span or mode.span
    name = Identifier(f"mode-{kebab(mode.name)}", place)
    in_mode = _is("mode", mode.name, place)
    match mode.cloud_usage:
        case "fallback_critical_only":
            critical = _compare("task.criticality", ">=", "high", place)
            unhindered = _compare("task.budget_sensitivity", "is", "low", place)
            because = Text(
                "local models first; the score decides only where much is at stake and money is not", place
            )
            clauses = Clauses(in_mode, And((critical, unhindered), place), because)
            yield Route(name, (_word_alone("local", place), _word_alone("cloud", place)), clauses, place)
        case "aggressive":
            because = Text(f"mode {mode.name} leans towards the cloud", place)
            clauses = Clauses(when=in_mode, because=because)
            yield Preference(
                "prefer", name, _word_alone("cloud", place), _number(POINTS, place), clauses, place
            )
        case _:
            pass  # `balanced` and `none` need no rule: the score decides, or base.route forbids


def _of_weights(mode: Mode) -> Rule:
    weights, place = mode.weights, mode.weights.span
    parts = {"cost": weights.cost, "quality": weights.quality, "latency": weights.latency}
    shares = tuple(Share(Word(part, place), _number(share, place), place) for part, share in parts.items())
    because = Text(f"how much each part of the score counts in mode {mode.name}", place)
    clauses = Clauses(when=_is("mode", mode.name, place), because=because)
    return Weigh(Identifier(f"weights-{kebab(mode.name)}", place), shares, clauses, place)


# --- Overrides ------------------------------------------------------------------------------------------


def _of_capabilities(override: Override) -> Iterator[Rule]:
    count = len(override.capabilities)
    for number, wanted in enumerate(override.capabilities, 1):
        place = wanted.span
        share = (POINTS / count).quantize(Decimal("0.01"), ROUND_HALF_UP)
        name = Identifier(f"override-{kebab(override.task_type)}-capability-{number}", place)
        selector = Comparison(Word("model.capabilities", place), "has", _value(wanted.name, place), place)
        because = Text(f"{override.task_type} tasks suit a model with the capability {wanted.name}", place)
        clauses = Clauses(when=_is("task.type", override.task_type, place), because=because)
        yield Preference("prefer", name, selector, _number(share, place), clauses, place)


def _of_providers(override: Override) -> Iterator[Rule]:
    if not override.providers:
        return
    place = override.providers[0].span.until(override.providers[-1].span)
    provider = Word("model.provider", place)
    values = tuple(_value(wanted.name, wanted.span) for wanted in override.providers)
    selector: Expression = (
        Comparison(provider, "is", values[0], place)
        if len(values) == 1
        else Membership(provider, False, List(values, place), place)
    )
    name = Identifier(f"override-{kebab(override.task_type)}-providers", place)
    listed = ", ".join(wanted.name for wanted in override.providers)
    because = Text(f"{override.task_type} tasks are best served by {listed}", place)
    clauses = Clauses(when=_is("task.type", override.task_type, place), because=because)
    yield Preference("prefer", name, selector, _number(POINTS, place), clauses, place)


# --- Limits of zero -------------------------------------------------------------------------------------


def _of_zero_limits(budgets: Budgets) -> Iterator[Rule]:
    """A limit of zero holds whatever was spent, so it is a guard and no fact."""
    windows = {"daily": budgets.daily, "monthly": budgets.monthly}
    for window, limits in windows.items():
        if limits.total_usd == 0:
            place = limits.total_span
            because = Text(f"the {window} budget is zero, so no paid calls are made", place)
            yield _forbid(f"budget-zero-{window}", _word_alone("cloud", place), because, place)
    zero: dict[str, Span] = {}
    for limits in windows.values():
        for provider, limit in limits.per_provider.items():
            if limit == 0:
                zero.setdefault(provider, limits.provider_spans[provider])
    for provider, place in zero.items():
        because = Text(f"the budget of {provider} is zero, so it is never called", place)
        yield _forbid(
            f"budget-zero-{kebab(provider)}", _is("model.provider", provider, place), because, place
        )


def _forbid(name: str, selector: Expression, because: Text, place: Span) -> Rule:
    return Guard("forbid", Identifier(name, place), False, selector, Clauses(because=because), place)


# --- Names of rules -------------------------------------------------------------------------------------


def kebab(name: str) -> str:
    """A name as part of a rule's: lower case, everything but letters and digits a hyphen.

    A name without any such letter is written by its code points: 日本 is `u65e5-u672c`.
    """
    kept = "-".join(re.findall("[a-z0-9]+", name.lower()))
    return kept or "-".join(f"u{ord(character):x}" for character in name)


# --- Words of the language ------------------------------------------------------------------------------

_NEVER_BARE = {"not", "any", "all", "empty", "in", "is", "has", "and", "or", *TERMS}


def _value(name: str, place: Span) -> Word | Text:
    """A name as a value: bare where the grammar allows it, else in quotes."""
    is_bare = BARE_NAME.fullmatch(name) is not None and name not in _NEVER_BARE
    return Word(name, place) if is_bare else Text(name, place)


def _is(fact: str, value: str, place: Span) -> Comparison:
    return _compare(fact, "is", value, place)


def _compare(fact: str, operator: Operator, value: str, place: Span) -> Comparison:
    return Comparison(Word(fact, place), operator, _value(value, place), place)


def _word_alone(word: str, place: Span) -> Name:
    return Name(Word(word, place), place)


def _number(value: Decimal, place: Span) -> Number:
    """Written plainly: `20`, `6.67`, `0.6`."""
    text = format(value, "f")
    return Number(text.rstrip("0").rstrip(".") if "." in text else text, place)
