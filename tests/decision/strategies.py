"""Hypothesis strategies for policies, catalogues and facts: small, valid in the language, and shrinking piece
by piece.

A policy is a list of `Rule`s, each a piece of text with a place for its name, so that a property can add,
drop, reorder, rename and watch rules. The vocabulary is the reference generator's; there are no floats
anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from engine.policy import Policy
from tests.decision.worlds import compiled
from tests.reference.generator import LABELS, TAGS, TASK_TYPES, WINDOWS, ZONES, World, yaml_text
from tests.reference.reader import ORDERS

MODES = ("local-only", "local-preferred", "balanced", "performance")
CATALOGUE = ("llama3.1:8b", "phi-3", "gpt-4o", "claude-3-5-sonnet")
PROVIDERS = ("ollama", "openai", "anthropic")
CAPABILITIES = ("planning", "qa", "code")


@dataclass(frozen=True)
class Rule:
    """`text` holds `{name}` where the name stands, and `{watch}` where a guard may be put on watch."""

    kind: str
    text: str
    name: str = ""
    watch: bool = False

    def __str__(self) -> str:
        watch = " (watch)" if self.watch else ""
        return self.text.replace("{name}", self.name).replace("{watch}", watch)


@dataclass(frozen=True)
class Written:
    """A policy as written. `lets` are named conditions that the rules may use."""

    rules: tuple[Rule, ...]
    models: dict[str, Any]
    policies: dict[str, Any]

    def with_rules(self, rules: Iterable[Rule]) -> Written:
        return replace(self, rules=tuple(rules))

    def world(self) -> World:
        text = "\n".join(map(str, self.rules))
        return World(
            {"main.route": text}, yaml_text(self.models), yaml_text(self.policies), self.models, self.policies
        )

    def compiled(self) -> Policy:
        return compiled(self.world())


def listed(names: Iterable[str]) -> st.SearchStrategy[str]:
    pool = list(names)
    return st.lists(st.sampled_from(pool), min_size=1, max_size=3, unique=True).map(
        lambda some: f"[{', '.join(some)}]"
    )


def _either(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


def _joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(" ".join)


_COMPARE = _either("<", "<=", ">", ">=", "is", "is not")
_PERCENT = _either("0.01%", "50%", "99.99%", "100%", "100.01%")
_TOKENS = _either("1", "8k", "8192", "32k", "32768", "200k")
_DOLLARS = _either("$0.01", "$0.05", "$5", "$6000")
_SET = _either("has any", "has all")

FACT_TESTS = st.one_of(
    _joined(_either("task.type"), _either("is", "is not"), st.sampled_from(TASK_TYPES)),
    _joined(_either("task.type"), _either("in", "not in"), listed(TASK_TYPES)),
    _joined(_either("task.criticality"), _either("is", "is not", "<=", ">="), _either("medium", "high")),
    _joined(_either("task.latency_sensitivity"), _either("is", "<", ">="), _either("medium", "high")),
    _joined(_either("task.budget_sensitivity"), _either("is", "is not"), _either("low", "high")),
    _joined(_either("task.context_size"), _COMPARE, _TOKENS),
    _either("task.tool_use_required", "budget.exhausted", "mode.allow_cloud", "all-up"),
    _joined(_either("task.labels"), _SET, listed(label for label in LABELS if ":" not in label)),
    _joined(_either("task.labels", "provider.down", "models.warm"), _either("is empty", "is not empty")),
    _joined(
        _either("provider.down", "provider.busy", "budget.exhausted_providers"),
        _either("has"),
        st.sampled_from(PROVIDERS),
    ),
    _joined(_either("models.warm"), _either("has"), st.sampled_from(CATALOGUE)),
    _joined(_either("mode"), _either("is", "is not"), st.sampled_from(MODES)),
    _joined(_either("mode.cloud_usage"), _either("is", "is not"), _either("balanced", "aggressive", "none")),
    _joined(_either("budget.daily.used", "budget.monthly.used"), _COMPARE, _PERCENT),
    _joined(_either("task.bucket"), _COMPARE, _either("1", "50", "98")),
    _joined(_either("clock.hour in", "clock.hour not in"), _either("8..18", "22..6", "0..1", "23..0")),
    _joined(_either("clock.weekday in", "clock.weekday not in"), _either("mon..fri", "sat..mon", "wed..wed")),
)
MODEL_TESTS = st.one_of(
    _either("local", "cloud", "any"),
    st.sampled_from((*PROVIDERS, *CATALOGUE)),
    _joined(_either("model.quality"), _either("is", "<=", ">="), _either("medium", "high")),
    _joined(_either("model.latency"), _either("is", "is not"), _either("low", "medium", "high")),
    _joined(_either("model.tools"), _either("is", "is not"), _either("yes", "no", "unknown")),
    _joined(_either("model.max_context"), _COMPARE, _TOKENS),
    _joined(_either("model.price"), _COMPARE, _DOLLARS),
    _joined(_either("model.call_cost"), _COMPARE, _DOLLARS),
    _either("model.price is unknown", "model.capabilities has task.type", "models.warm has model.id"),
    _either(
        "provider.busy has model.provider", "task.context_size >= model.max_context", "model.tags is empty"
    ),
    _joined(_either("model.capabilities"), _SET, listed(CAPABILITIES)),
    _joined(_either("model.zone"), _either("in", "not in"), listed(ZONES)),
    _joined(_either("model.tags has"), st.sampled_from(TAGS)),
)


def combined(tests: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        tests,
        lambda inner: st.one_of(
            inner.map(lambda one: f"not ({one})"),
            st.tuples(inner, _either("and", "or"), inner).map(lambda three: f"({' '.join(three)})"),
        ),
        max_leaves=5,
    )


CONDITIONS = combined(FACT_TESTS)
SELECTORS = combined(MODEL_TESTS)
MIXED = combined(st.one_of(FACT_TESTS, MODEL_TESTS))
POINTS = _either("0.001", "5", "12.25", "39.5")
WEIGHTS = _either(
    "cost 1, quality 0, latency 0",
    "latency 0.2, cost 0.4, quality 0.4",
    "quality 0.875, cost 0.125, latency 0",
)


def _when(condition: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.just(""),
        condition.map(lambda one: f" when {one}"),
        st.tuples(condition, condition).map(lambda two: f" when {two[0]} unless {two[1]}"),
    )


GUARDS = st.builds(
    lambda keyword, selector, when: Rule("guard", f"{keyword} {{name}}{{watch}}: {selector}{when}"),
    _either("forbid", "require"),
    SELECTORS,
    _when(MIXED),
)
PREFERENCES = st.builds(
    lambda keyword, selector, points, when: Rule(
        "preference", f"{keyword} {{name}}: {selector} by {points}{when}"
    ),
    _either("prefer", "avoid"),
    SELECTORS,
    POINTS,
    _when(MIXED),
)
WEIGHS = st.builds(
    lambda parts, when: Rule("weigh", f"weigh {{name}}: {parts}{when}"), WEIGHTS, _when(CONDITIONS)
)
ROUTES = st.builds(
    lambda tiers, when: Rule("route", f"route {{name}}: use {', then '.join(tiers)}{when}"),
    st.lists(SELECTORS, min_size=1, max_size=3),
    _when(CONDITIONS),
)


def named(rules: Iterable[Rule], prefix: str = "rule") -> tuple[Rule, ...]:
    return tuple(replace(rule, name=f"{prefix}-{number}") for number, rule in enumerate(rules))


RULES = st.lists(st.one_of(GUARDS, GUARDS, PREFERENCES, WEIGHS, ROUTES), max_size=7).map(named)


def _entry(model_id: str, *, cloud: bool) -> st.SearchStrategy[dict[str, Any]]:
    parts: dict[str, Any] = {
        "capabilities": st.lists(st.sampled_from(CAPABILITIES), unique=True, max_size=2),
        "max_context": st.sampled_from(WINDOWS),
        "quality_tier": st.sampled_from(ORDERS["model.quality"]),
        "latency_tier": st.sampled_from(ORDERS["model.latency"]),
    }
    price = {"type": "paid", "currency": "USD"}
    profile = (
        st.sampled_from([("0.15", "0.6"), ("3.00", "15.00"), ("0", "0")]).map(
            lambda sides: price | {"input_per_1m": Decimal(sides[0]), "output_per_1m": Decimal(sides[1])}
        )
        if cloud
        else st.sampled_from(["0", "1", "28"]).map(
            lambda effort: {"type": "local_cpu", "relative_cost": Decimal(effort)}
        )
    )
    # A cloud model without a profile has no price.
    optional = {
        "cost_profile": profile,
        "tools": _either("yes", "no"),
        "zone": st.sampled_from(ZONES),
        "tags": st.lists(st.sampled_from(TAGS), unique=True, min_size=1, max_size=2),
    }
    return st.fixed_dictionaries({"id": st.just(model_id), **parts}, optional=optional)


MODELS = st.builds(
    lambda llama, phi, gpt, claude: {
        "providers": {
            "ollama": {"type": "local", "models": [llama, phi]},
            "openai": {"type": "cloud", "models": [gpt]},
            "anthropic": {"type": "cloud", "models": [claude]},
        }
    },
    _entry("llama3.1:8b", cloud=False),
    _entry("phi-3", cloud=False),
    _entry("gpt-4o", cloud=True),
    _entry("claude-3-5-sonnet", cloud=True),
)
GUIDE_MODES = {
    "local-only": {"allow_cloud": False},
    "local-preferred": {"allow_cloud": True, "cloud_usage_strategy": "fallback_critical_only"},
    "balanced": {"allow_cloud": True, "cloud_usage_strategy": "balanced"},
    "performance": {"allow_cloud": True, "cloud_usage_strategy": "aggressive"},
}
SETTINGS = st.builds(
    lambda mode, closed, override: {
        "routing": {"default_mode": mode, "modes": GUIDE_MODES},
        **({"labels": list(LABELS)} if closed else {}),
        **({"task_overrides": {"qa": {"preferred_capabilities": override}}} if override else {}),
    },
    st.sampled_from(MODES),
    st.booleans(),
    st.lists(st.sampled_from(CAPABILITIES), unique=True, max_size=3),
)
POLICIES = st.builds(Written, RULES, MODELS, SETTINGS)


def _subsets(names: Iterable[str]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(list(names)), max_size=3)


_USED = st.sampled_from([Decimal(number) for number in ("0", "0.01", "50", "99.99", "100", "100.01")])
FACTS = st.fixed_dictionaries(
    {
        "task.type": st.sampled_from(TASK_TYPES),
        "task.criticality": st.sampled_from(ORDERS["task.criticality"]),
        "task.latency_sensitivity": st.sampled_from(ORDERS["task.latency_sensitivity"]),
        "task.budget_sensitivity": st.sampled_from(ORDERS["task.budget_sensitivity"]),
        "task.context_size": st.sampled_from([0, 1, 8000, 8191, 8192, 8193, 32_000, 32_768, 32_769, 200_001]),
        "task.tool_use_required": st.booleans(),
        "task.labels": _subsets(LABELS),
        "task.bucket": st.sampled_from([0, 1, 49, 50, 99]),
        "mode": st.sampled_from(MODES),
        "budget.daily.used": _USED,
        "budget.monthly.used": _USED,
        "budget.exhausted_providers": _subsets(PROVIDERS),
        "provider.down": _subsets(PROVIDERS),
        "provider.busy": _subsets(PROVIDERS),
        "models.warm": _subsets(CATALOGUE),
        "models.capable": _subsets(CATALOGUE),
        "task.needs": _subsets(("vision", "audio", "documents", "structured_output", "tools")),
        "task.attempt": st.sampled_from([0, 1, 2, 3]),
        "task.avoid_models": _subsets(CATALOGUE),
        "task.group": st.just("none"),
        "task.asked_model": st.sampled_from(["none", *CATALOGUE]),
        "session.labels": _subsets(LABELS),
        "session.warm": _subsets(CATALOGUE),
        "session.calls": st.sampled_from([0, 1, 20]),
        "session.used": _USED,
        "agent.used": _USED,
        "group.daily.used": _USED,
        "group.monthly.used": _USED,
        "clock.day": st.sampled_from([1, 15, 31]),
        "clock.hour": st.sampled_from([0, 5, 6, 7, 8, 17, 18, 22, 23]),
        "clock.minute": st.sampled_from([0, 30, 59]),
        "clock.weekday": st.sampled_from(ORDERS["clock.weekday"]),
        "clock.date": st.sampled_from([date(2026, 6, 1).toordinal(), date(2028, 2, 29).toordinal()]),
    }
)
SOME_FACTS = st.lists(FACTS, min_size=1, max_size=8)
