"""Turns a policy, its catalogue and the facts into a decision, as the language's description reads and no
faster.

This is the reference semantics of the policy language. It shares no code with the engine: `reader.py` reads
the text, this file gives the two YAML files (as plain dicts) and the rules their meaning, asking every rule
of every model. Nothing is compiled, indexed or kept across facts but a model's score under given weights,
which facts cannot change. All numbers are exact.

From top to bottom: what the YAML files mean, how a decision is made, and whether a decision is what a test or
a proof expects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .reader import ORDERS, Expectation, Number, Proof, Reader, Rule, Test, What, always, comparison, exact

QUALITY = {"low": 25, "medium": 50, "high": 75, "very_high": 100}
LATENCY = {"low": 100, "medium": 50, "high": 0}
GUIDE_MODES = {
    "local-only": {"allow_cloud": False},
    "local-preferred": {"allow_cloud": True, "cloud_usage_strategy": "fallback_critical_only"},
    "balanced": {"allow_cloud": True, "cloud_usage_strategy": "balanced"},
    "performance": {"allow_cloud": True, "cloud_usage_strategy": "aggressive"},
}
GUIDE_WEIGHTS = {
    "local-preferred": {"cost": Decimal("0.6"), "quality": Decimal("0.25"), "latency": Decimal("0.15")},
    "balanced": {"cost": Decimal("0.4"), "quality": Decimal("0.4"), "latency": Decimal("0.2")},
    "performance": {"cost": Decimal("0.2"), "quality": Decimal("0.6"), "latency": Decimal("0.2")},
}


def half_up(value: Number) -> Fraction:
    """Two decimals, halves upwards; for values from 0 up only."""
    return Fraction((value * 200 + 1) // 2, 100)


# --- what the two YAML files mean ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Model:
    """One model of the catalogue: its attributes as rules see them, and the values for scores and ties."""

    name: str
    attributes: What
    score_price: Number | None
    tie_price: Number | None
    place: int


def is_yes(word: object) -> bool:
    return word is True or word in ("yes", "true")


def blended_price(profile: Mapping[str, Any]) -> Number | None:
    """USD per million tokens, three parts input to one part output; unknown when a side is missing."""
    for unit, factor in (("1m", 1), ("1k", 1000)):
        sides = profile.get(f"input_per_{unit}"), profile.get(f"output_per_{unit}")
        if None not in sides:
            return exact((3 * Fraction(sides[0]) + Fraction(sides[1])) * factor / 4)
    return None


def entry_price(profile: Mapping[str, Any], input_key: str) -> Number | None:
    """The blended price with another price of input; none where this or the usual one is not written."""
    if profile.get(input_key) is None or blended_price(profile) is None:
        return None
    output = profile.get("output_per_1m")
    output = Fraction(profile["output_per_1k"]) * 1000 if output is None else Fraction(output)
    return exact((3 * Fraction(profile[input_key]) + output) / 4)


def price_in_session(model: Model, warm: frozenset[str]) -> Number | None:
    """What a model costs in a session: its cached price where it is warm, that of writing where another
    is."""
    price = model.attributes["model.price"]
    if model.attributes["model.local"]:
        return price
    other = model.attributes["cached" if model.name in warm else "written"]
    return other if warm and other is not None else price


def read_models(models: Mapping[str, Any]) -> list[Model]:
    listed = [
        (name, of, entry) for name, of in models["providers"].items() for entry in of.get("models") or ()
    ]
    ids = [entry["id"] for _, _, entry in listed]
    return [
        read_model(
            f"{name}/{entry['id']}" if ids.count(entry["id"]) > 1 else entry["id"], name, of, entry, place
        )
        for place, (name, of, entry) in enumerate(listed)
    ]


def read_model(name: str, provider_name: str, provider: Mapping, entry: Mapping, place: int) -> Model:
    is_local = provider["type"] == "local"
    profile = entry.get("cost_profile") or {}
    effort = exact(profile.get("relative_cost", 1))
    price = 0 if is_local else blended_price(profile)
    capabilities = frozenset(entry.get("capabilities") or ())
    if "tools" in entry:
        tools = "yes" if is_yes(entry["tools"]) else "no"
    else:
        tools = "yes" if any(name.startswith("tool_use") for name in capabilities) else "unknown"
    attributes = {
        "model.id": name,
        "model.local": is_local,
        "model.provider": provider_name,
        "model.quality": entry["quality_tier"],
        "model.latency": entry["latency_tier"],
        "model.capabilities": capabilities,
        "model.offers": capabilities | ({"tools"} if tools != "no" else set()),
        "model.max_context": entry["max_context"],
        "model.tools": tools,
        "model.price": price,
        "model.unpriced": price is None,
        "model.zone": entry.get("zone") or provider.get("zone") or "unknown",
        "cached": entry_price(profile, "cached_input_per_1m"),
        "written": entry_price(profile, "cache_write_per_1m"),
        "model.tags": frozenset(entry.get("tags") or ()) | frozenset(provider.get("tags") or ()),
    }
    score_price, tie_price = (Fraction(effort) / 10, effort) if is_local else (price, price)
    return Model(name, attributes, score_price, tie_price, place)


def merit(model: Model, weights: Mapping[str, Number], price: Number | None) -> Number:
    """The score before preferences. An unpriced model is never eligible, so its merit is never looked at."""
    if price is None:
        return 0
    parts = {
        "cost": half_up(100 / (1 + Fraction(price) / 10)),
        "quality": QUALITY[model.attributes["model.quality"]],
        "latency": LATENCY[model.attributes["model.latency"]],
    }
    return exact(sum(exact(weights[part]) * parts[part] for part in parts))


def cloud_usage(settings: Mapping[str, Any]) -> str:
    return settings.get("cloud_usage_strategy", "balanced") if is_yes(settings.get("allow_cloud")) else "none"


def lowered(modes: Mapping[str, Any], overrides: Mapping[str, Any], budgets: Mapping[str, Any]) -> str:
    """Modes, task overrides and limits of zero as the `.route` text they are short for."""
    lines = []
    for mode, settings in modes.items():
        head, condition = f"mode-{hyphened(mode)}", f"mode is {quoted(mode)}"
        if cloud_usage(settings) == "fallback_critical_only":
            spend = "task.criticality >= high and task.budget_sensitivity is low"
            lines.append(f"route {head}: use local, then cloud when {condition} unless {spend}")
        if cloud_usage(settings) == "aggressive":
            lines.append(f"prefer {head}: cloud by 20 when {condition}")
    for task_type, override in overrides.items():
        head, condition = f"override-{hyphened(task_type)}", f"task.type is {quoted(task_type)}"
        capabilities = override.get("preferred_capabilities") or []
        for number, capability in enumerate(capabilities, start=1):
            points = half_up(Fraction(20, len(capabilities)))
            selector = f"model.capabilities has {quoted(capability)} by {float(points):.2f}"
            lines.append(f"prefer {head}-capability-{number}: {selector} when {condition}")
        if providers := ", ".join(map(quoted, override.get("preferred_providers") or [])):
            lines.append(f"prefer {head}-providers: model.provider in [{providers}] by 20 when {condition}")
    limits = {period: budgets.get(period) or {} for period in ("daily", "monthly")}
    lines += [
        f"forbid budget-zero-{period}: cloud"
        for period, limit in limits.items()
        if limit.get("total_usd") == 0
    ]
    by_provider = [limit.get("per_provider") or {} for limit in limits.values()]
    spent = dict.fromkeys(name for each in by_provider for name, usd in each.items() if usd == 0)
    lines += [f"forbid budget-zero-{hyphened(name)}: model.provider is {quoted(name)}" for name in spent]
    return "\n".join(lines)


def hyphened(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


# --- deciding -----------------------------------------------------------------------------------------------


class Policy:
    """Everything that holds whatever the facts: rules in their order, modes, weights, the catalogue."""

    def __init__(
        self, route_files: Mapping[str, str], models: Mapping, policies: Mapping | None, base: str
    ) -> None:
        self.models = read_models(models)
        routing = (policies or {}).get("routing") or {}
        self.modes = routing.get("modes") or GUIDE_MODES
        self.default_mode = routing.get("default_mode", "local-preferred")
        self.budgets = (policies or {}).get("budgets") or {}
        self.stays = ((policies or {}).get("sessions") or {}).get("labels_stay") or ()
        groups = (self.budgets.get("groups") or {}).values()
        self.shares = {  # of which budgets of sessions, agents and groups there is one
            "session.used": "session" in self.budgets,
            "agent.used": "agent" in self.budgets,
            "group.daily.used": any("daily_usd" in limits for limits in groups),
            "group.monthly.used": any("monthly_usd" in limits for limits in groups),
        }
        overrides = (policies or {}).get("task_overrides") or {}
        reader = Reader(set(models["providers"]), {model.name for model in self.models})
        for file_name in sorted(route_files, key=str.encode):
            if not file_name.startswith("."):
                reader.read(route_files[file_name])
        self.is_newer = reader.found_newer
        reader.read(lowered(self.modes, overrides, self.budgets))
        reader.read(base)
        reader.finish()
        self.proofs, self.tests = reader.proofs, reader.tests
        self.guards = [rule for rule in reader.rules if rule.keyword in ("forbid", "require")]
        self.routes = [rule for rule in reader.rules if rule.keyword == "route"]
        self.preferences = [rule for rule in reader.rules if rule.keyword in ("prefer", "avoid")]
        weights = routing.get("weights") or ({} if routing.get("modes") else GUIDE_WEIGHTS)
        fallback = weights.get("local-preferred") or GUIDE_WEIGHTS["local-preferred"]
        self.weighs = [(rule.name, rule.when, rule.weights) for rule in reader.rules if rule.weights]
        self.weighs += [
            (None, comparison("mode", "is", mode), weights.get(mode) or fallback) for mode in self.modes
        ]

    def merits(self, weights: Mapping[str, Number], facts: What) -> dict[str, Number]:
        """In language 1.1 a cloud model is scored by its price in the session."""
        warm = facts["session.warm"] if self.is_newer else frozenset()
        return {
            model.name: merit(
                model,
                weights,
                model.score_price if model.attributes["model.local"] else price_in_session(model, warm),
            )
            for model in self.models
        }


@dataclass(frozen=True)
class Result:
    outcome: str  # chosen, refused
    chain: tuple[str, ...]
    scores: dict[str, Number]  # of the chain
    route: str | None
    weigh: str | None  # the `weigh` rule used; none when the mode's own weights are
    blockers: dict[str, tuple[str, ...]]  # of blocked models only: user files, lowered YAML, base
    watched: dict[str, tuple[str, ...]]  # guards on watch that would have blocked
    preferences: dict[str, dict[str, Number]]  # applied to each model of the chain; below zero for `avoid`


def all_facts(policy: Policy, facts: What) -> dict[str, Any]:
    """The given facts and those that follow from them."""
    daily, monthly = exact(facts["budget.daily.used"]), exact(facts["budget.monthly.used"])
    usage = cloud_usage(policy.modes[facts["mode"]])
    earlier = facts["session.labels"]
    stayed = earlier if policy.stays == "all" else earlier & frozenset(policy.stays)
    return {
        **facts,
        **{share: exact(facts[share]) if limited else 0 for share, limited in policy.shares.items()},
        "budget.daily.used": daily,
        "budget.monthly.used": monthly,
        "task.labels": facts["task.labels"] | stayed,
        "clock.time": 60 * facts["clock.hour"] + facts["clock.minute"],
        "budget.exhausted": daily >= 100 or monthly >= 100,
        "mode.cloud_usage": usage,
        "mode.allow_cloud": usage != "none",
    }


def about(model: Model, facts: What) -> dict[str, Any]:
    """Everything a rule can ask when it is asked about this model."""
    price = model.attributes["model.price"]
    now = price_in_session(model, facts["session.warm"])
    size = facts["task.context_size"]
    return {
        **facts,
        **model.attributes,
        "model.call_cost": None if price is None else price * size / Fraction(1_000_000),
        "newer model.call_cost": None if now is None else now * size / Fraction(1_000_000),
    }


def stops(guard: Rule, what: What) -> bool:
    if not guard.when(what):
        return False
    selected = guard.selector(what)
    return selected if guard.keyword == "forbid" else not selected


def decide(policy: Policy, facts: What) -> Result:
    facts = all_facts(policy, facts)
    what = {model.name: about(model, facts) for model in policy.models}

    blockers, watched = {}, {}
    for name in what:
        stopping = [guard for guard in policy.guards if stops(guard, what[name])]
        blockers[name] = tuple(guard.name for guard in stopping if not guard.watched)
        watched[name] = tuple(guard.name for guard in stopping if guard.watched)

    route = next((rule for rule in policy.routes if rule.when(facts)), None)
    weigh, weights = next((name, weights) for name, when, weights in policy.weighs if when(facts))
    merits = policy.merits(weights, facts)
    applied = {
        name: {
            rule.name: rule.points
            for rule in policy.preferences
            if rule.when(what[name]) and rule.selector(what[name])
        }
        for name in what
        if not blockers[name]
    }
    scores = {name: merits[name] + sum(applied[name].values()) for name in applied}

    chain: list[str] = []
    for tier in route.tiers if route else (always,):
        members = [
            m for m in policy.models if m.name in scores and m.name not in chain and tier(what[m.name])
        ]
        chain += [model.name for model in sorted(members, key=lambda model: rank(model, scores[model.name]))]

    return Result(
        outcome="chosen" if chain else "refused",
        chain=tuple(chain),
        scores={name: scores[name] for name in chain},
        route=route.name if route else None,
        weigh=weigh,
        blockers={name: rules for name, rules in blockers.items() if rules},
        watched={name: rules for name, rules in watched.items() if rules},
        preferences={name: applied[name] for name in chain},
    )


def rank(model: Model, score: Number) -> tuple[Any, ...]:
    """Best first: the higher score, then local before cloud, the cheaper, the order of models.yaml."""
    return (-score, not model.attributes["model.local"], model.tie_price, model.place)


# --- tests and proofs ---------------------------------------------------------------------------------------


def assumed_facts(policy: Policy) -> dict[str, Any]:
    """What a test takes for granted: a plain profile, the default mode, nothing spent, all up, Monday
    noon."""
    return {
        "task.criticality": "medium",
        "task.latency_sensitivity": "medium",
        "task.budget_sensitivity": "medium",
        "task.context_size": 0,
        "task.tool_use_required": False,
        "task.labels": frozenset(),
        "task.needs": frozenset(),
        "models.capable": frozenset(),
        "task.attempt": 0,
        "task.avoid_models": frozenset(),
        "task.group": "none",
        "task.asked_model": "none",
        "session.labels": frozenset(),
        "session.warm": frozenset(),
        "session.calls": 0,
        "session.used": 0,
        "agent.used": 0,
        "group.daily.used": 0,
        "group.monthly.used": 0,
        "task.bucket": 0,
        "mode": policy.default_mode,
        "budget.daily.used": 0,
        "budget.monthly.used": 0,
        "budget.exhausted_providers": frozenset(),
        "provider.down": frozenset(),
        "provider.busy": frozenset(),
        "models.warm": frozenset(),
        "clock.hour": 12,
        "clock.weekday": "mon",
        "clock.day": 1,
        "clock.minute": 0,
        "clock.date": date(2026, 6, 1).toordinal(),
    }


def check_expectation(policy: Policy, expectation: Expectation, facts: What) -> bool:
    """Whether the decision at these facts fulfils the expectation of a test or a proof."""
    result = decide(policy, facts)
    selected = [
        expectation.selector(about(model, all_facts(policy, facts)))
        for name in result.chain
        for model in policy.models
        if model.name == name
    ]
    match expectation.kind:
        case "chosen":
            met = bool(selected) and selected[0]
        case "only":
            met = all(selected)
        case "never":
            met = not any(selected)
        case "some":
            met = any(selected)
        case "answered":
            met = result.outcome != "refused"
        case "refused":
            met = result.outcome == "refused"
        case "route":
            met = result.route == expectation.names[0]
        case "chain":
            met = result.chain == expectation.names
        case "beginning":
            met = result.chain[: len(expectation.names)] == expectation.names
    return met and (expectation.because is None or mattered(policy, expectation.because, facts, result))


def mattered(policy: Policy, rule_name: str, facts: What, result: Result) -> bool:
    """Whether a rule mattered: a guard that blocks a model of the tiers, the route, the `weigh`, or a
    preference in the chain."""
    if rule_name in (result.route, result.weigh):
        return True
    if any(rule_name in applied for applied in result.preferences.values()):
        return True
    tiers = next((rule.tiers for rule in policy.routes if rule.name == result.route), (always,))
    return any(
        rule_name in result.blockers.get(model.name, ())
        and any(tier(about(model, all_facts(policy, facts))) for tier in tiers)
        for model in policy.models
    )


def check_proof(policy: Policy, proof: Proof, facts: What, earlier: What | None = None) -> bool:
    """Whether the proof's claim is true at these facts; it claims nothing where its `when` does not hold, or
    its `after` of no earlier call."""
    if proof.after is not None and (
        earlier is None or not follows(facts, earlier) or not proof.after(all_facts(policy, earlier))
    ):
        return True
    return not proof.when(all_facts(policy, facts)) or check_expectation(policy, proof.expectation, facts)


def follows(later: What, earlier: What) -> bool:
    """Whether a call of a session can come after another: what grows has grown, and the group is the same."""
    return (
        later["session.labels"] >= earlier["session.labels"] | earlier["task.labels"]
        and later["session.calls"] > earlier["session.calls"]
        and later["session.used"] >= earlier["session.used"]
        and later["task.group"] == earlier["task.group"]
    )


def with_history(given: dict[str, Any]) -> dict[str, Any]:
    """What is given of a call, and what the earlier calls that are given leave for it."""
    facts = {fact: value for fact, value in given.items() if fact != "had"}
    for earlier in given.get("had", ()):
        labels = earlier.get("task.labels", frozenset()) | earlier.get("session.labels", frozenset())
        facts["session.labels"] = facts.get("session.labels", frozenset()) | labels
        facts["session.calls"] = max(facts.get("session.calls", 0), earlier.get("session.calls", 0) + 1)
        facts["session.used"] = max(facts.get("session.used", 0), earlier.get("session.used", 0))
        facts.setdefault("task.group", earlier.get("task.group", "none"))
    return facts


def read_off(given: What) -> dict[str, Any]:
    """The day of the month and the weekday of a date that is given."""
    if "clock.date" not in given:
        return {}
    day = date.fromordinal(given["clock.date"])
    return {"clock.day": day.day, "clock.weekday": ORDERS["clock.weekday"][day.weekday()]}


def check_test(policy: Policy, test: Test) -> list[bool]:
    """One verdict a case, `given` put over what a test assumes."""
    return [
        check_expectation(policy, expects, {**assumed_facts(policy), **read_off(given), **given})
        for given, expects in ((with_history(given), expects) for given, expects in test.cases)
    ]
