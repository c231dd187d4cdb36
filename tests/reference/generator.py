"""Turns a seeded random source into whole worlds: policy text, both YAML files, and facts to decide.

Every world is valid by docs/language.md, so two backends that disagree on one have found a mistake in one of
them. Values lean towards boundaries: the constants of a policy and their neighbours, 99.99, 100 and 100.01
percent, hours at both ends of a range, empty sets, names that no rule mentions. `World.pools` holds the
values of each fact; drawing facts is then one choice a fact.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

from .interpreter import GUIDE_MODES, Policy, read_models
from .reader import BARE_NAME, ORDERS

BASE = (Path(__file__).parents[2] / "policies" / "base.route").read_text(encoding="utf-8")

PROVIDERS = {
    "ollama": "local",
    "lmstudio": "local",
    "anthropic": "cloud",
    "openai": "cloud",
    "azure": "cloud",
    "mistral": "cloud",
}
LOCAL_IDS = ("llama3.1:8b", "qwen2.5-3b-instruct", "phi-3", "mistral", "meta/llama-3", "7b", "command-r+")
CLOUD_IDS = ("gpt-4o", "gpt-4o-mini", "claude-3-5-sonnet", "o1", "mistral-large", "deep:v3_1")
CAPABILITIES = ("planning", "qa", "code", "route", "vision", "tool_use", "long-context")
TASK_TYPES = ("planning", "qa", "code", "route", "multi_agent", "agent")
LABELS = ("pii", "PII", "secret", "customer-data", "eu", "phi:1")
ZONES = ("eu", "us", "qa")
TAGS = ("gdpr", "fast", "qa", "beta")
WINDOWS = (4096, 8192, 32_000, 32_768, 200_000)
EFFORTS = ("0", "0.5", "1", "1.0", "28", "60", "540")
PRICES = (
    ("0", "0"),
    ("0.15", "0.6"),
    ("0.25", "1.25"),
    ("2.4", "4"),
    ("3.00", "15.00"),
    ("54", "54"),
    ("0.001", "0.003"),
)
WEIGHTS = (
    ("0.6", "0.25", "0.15"),
    ("0.4", "0.4", "0.2"),
    ("1", "0", "0"),
    ("0", "1", "0"),
    ("0", "0", "1"),
    ("0.34", "0.33", "0.33"),
    ("0.125", "0.5", "0.375"),
)
STRATEGIES = ("fallback_critical_only", "balanced", "aggressive")
PERCENTS = ("0.01", "50", "80", "99.5", "99.99", "100", "100.01")
DOLLARS = ("0.01", "0.05", "0.25", "2.8", "5", "6", "54", "6000")
FACT_SETS = ("task.labels", "budget.exhausted_providers", "provider.down", "provider.busy", "models.warm")
GROUPS = ("red", "blue", "none-such", "qa")
NEEDS = ("vision", "audio", "documents", "structured_output", "tools")


@dataclass
class World:
    """A policy folder with its two YAML files, as text and as read, and what facts may be in it."""

    route_files: dict[str, str]
    models_yaml: str
    policies_yaml: str | None
    models: dict[str, Any]
    policies: dict[str, Any] | None
    pools: dict[str, Sequence[Any]] = field(default_factory=dict)

    def policy(self) -> Policy:
        return Policy(self.route_files, self.models, self.policies, BASE)


def random_world(rng: Random) -> World:
    models = random_models(rng)
    policies = random_policies(rng, models)
    author = Author(rng, models, policies)
    route_files = author.files()
    policies_yaml = None if policies is None else yaml_text(policies)
    return World(route_files, yaml_text(models), policies_yaml, models, policies, author.pools())


def random_facts(rng: Random, world: World) -> dict[str, Any]:
    choice = rng.choice
    return {fact: choice(pool) for fact, pool in world.pools.items()}


# --- the two YAML files -------------------------------------------------------------------------------------


def some(rng: Random, names: Sequence[str], least: int = 0) -> list[str]:
    return rng.sample(names, rng.randint(least, max(least, min(3, len(names)))))


def sometimes(rng: Random, share: float) -> bool:
    return rng.random() < share


def random_models(rng: Random) -> dict[str, Any]:
    providers = {}
    first = "ollama" if sometimes(rng, 0.7) else "openai"
    others = [name for name in PROVIDERS if name != first]
    for name in [first, *rng.sample(others, rng.randint(1, 3))]:
        ids = LOCAL_IDS if PROVIDERS[name] == "local" else CLOUD_IDS
        provider: dict[str, Any] = {"type": PROVIDERS[name]}
        if name in ("lmstudio", "azure", "mistral"):
            provider["api"] = "openai"
            local = PROVIDERS[name] == "local"
            provider["base_url"] = "http://localhost:1234/v1" if local else f"https://{name}.example/v1"
        if sometimes(rng, 0.4):
            provider["zone"] = rng.choice(ZONES)
        if sometimes(rng, 0.3):
            provider["tags"] = some(rng, TAGS, 1)
        provider["models"] = [random_model(rng, PROVIDERS[name], model) for model in some(rng, ids, 1)[:2]]
        providers[name] = provider
    return {"providers": providers}


def random_model(rng: Random, locality: str, model_id: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": model_id,
        "capabilities": some(rng, CAPABILITIES),
        "max_context": rng.choice(WINDOWS),
        "quality_tier": rng.choice(ORDERS["model.quality"]),
        "latency_tier": rng.choice(ORDERS["model.latency"]),
    }
    if sometimes(rng, 0.5):
        entry["tools"] = rng.choice(["yes", "no"])
    if sometimes(rng, 0.2):
        entry["zone"] = rng.choice(ZONES)
    if sometimes(rng, 0.2):
        entry["tags"] = some(rng, TAGS, 1)
    if locality == "cloud":
        entry["cost_profile"] = random_price(rng)
    elif sometimes(rng, 0.8):
        entry["cost_profile"] = {"type": "local_cpu", "relative_cost": Decimal(rng.choice(EFFORTS))}
    return entry


def random_price(rng: Random) -> dict[str, Any]:
    input_usd, output_usd = map(Decimal, rng.choice(PRICES))
    unit = rng.choice(["1m", "1m", "1k"])
    profile: dict[str, Any] = {"type": "paid", "currency": "USD"}
    match rng.randrange(16):
        case 0:
            profile["relative_cost"] = Decimal("3")
        case 1:
            profile[f"input_per_{unit}"] = input_usd
        case _:
            profile[f"input_per_{unit}"] = input_usd
            profile[f"output_per_{unit}"] = output_usd
            per_1m = input_usd * (1000 if unit == "1k" else 1)
            if sometimes(rng, 0.4):
                profile["cached_input_per_1m"] = per_1m / 10
            if sometimes(rng, 0.3):
                profile["cache_write_per_1m"] = per_1m * 5 / 4
    return profile


def random_policies(rng: Random, models: dict[str, Any]) -> dict[str, Any] | None:
    if sometimes(rng, 0.08):
        return None
    modes = {}
    for mode in rng.sample(["local-only", "local-preferred", "balanced", "performance", "night_shift"], 3):
        allowed = sometimes(rng, 0.85)
        modes[mode] = {"allow_cloud": allowed}
        if allowed and sometimes(rng, 0.8):
            modes[mode]["cloud_usage_strategy"] = rng.choice(STRATEGIES)
    weighted = some(rng, list(modes))
    routing: dict[str, Any] = {"modes": modes}
    if "local-preferred" not in modes or sometimes(rng, 0.8):
        routing["default_mode"] = rng.choice(list(modes))
    if weighted:
        routing["weights"] = {mode: random_weights(rng) for mode in weighted}
    policies: dict[str, Any] = {"routing": routing}
    types = list(TASK_TYPES)
    if sometimes(rng, 0.5):
        types = policies["task_types"] = rng.sample(TASK_TYPES, rng.randint(2, 5))
    if sometimes(rng, 0.5):
        policies["labels"] = rng.sample(LABELS, rng.randint(2, 5))
    overrides = {name: random_override(rng, models) for name in rng.sample(types, rng.randint(0, 2))}
    if overrides:
        policies["task_overrides"] = overrides
    if sometimes(rng, 0.8):
        limits = {period: random_limits(rng, models) for period in ("daily", "monthly")}
        # An entry that names no maximum is an error.
        policies["budgets"] = {period: limit for period, limit in limits.items() if any(limit.values())}
    if sometimes(rng, 0.5):
        add_groups_and_sessions(rng, policies)
    return policies


def add_groups_and_sessions(rng: Random, policies: dict[str, Any]) -> None:
    """Groups, and limits of sessions, agents and groups, each there or not."""
    if sometimes(rng, 0.7):
        staying = some(rng, policies.get("labels") or LABELS, 1)
        policies["sessions"] = {"labels_stay": rng.choice(["all", staying, staying])}
    groups = policies["groups"] = rng.sample(GROUPS, rng.randint(1, 3))
    budgets = policies.setdefault("budgets", {})
    for account in ("session", "agent"):
        if sometimes(rng, 0.5):
            budgets[account] = {"total_usd": Decimal("2.50")}
    limited = {name: some(rng, ("daily_usd", "monthly_usd"), 1) for name in some(rng, groups)}
    if limited:
        budgets["groups"] = {name: dict.fromkeys(keys, Decimal(4)) for name, keys in limited.items()}


def random_weights(rng: Random) -> dict[str, Decimal]:
    return dict(zip(("cost", "quality", "latency"), map(Decimal, rng.choice(WEIGHTS)), strict=True))


def random_override(rng: Random, models: dict[str, Any]) -> dict[str, Any]:
    override: dict[str, Any] = {"preferred_capabilities": some(rng, CAPABILITIES, 1)}
    if sometimes(rng, 0.5):
        override["preferred_providers"] = some(rng, list(models["providers"]), 1)
    return override


def random_limits(rng: Random, models: dict[str, Any]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if sometimes(rng, 0.7):
        limits["total_usd"] = Decimal(
            rng.choice(["10.0", "150", "0.50"] if sometimes(rng, 0.9) else ["0", "0.0"])
        )
    limits["per_provider"] = {
        name: Decimal(rng.choice(["5.0", "1", "20", "0"])) for name in some(rng, list(models["providers"]))
    }
    return limits


def yaml_text(value: dict[str, Any], indent: str = "") -> str:
    return "".join(f"{indent}{key}:{yaml_value(inner, indent + '  ')}" for key, inner in value.items())


def yaml_value(value: Any, indent: str) -> str:
    match value:
        case dict() if value:
            return "\n" + yaml_text(value, indent)
        case [dict(), *_]:
            return "\n" + "".join(f"{indent}-\n{yaml_text(item, indent + '  ')}" for item in value)
        case dict():
            return " {}\n"
        case list():
            return f" [{', '.join(map(yaml_scalar, value))}]\n"
        case _:
            return f" {yaml_scalar(value)}\n"


def yaml_scalar(value: Any) -> str:
    if isinstance(value, bool) or (isinstance(value, str) and not re.fullmatch(r"[A-Za-z][\w-]*", value)):
        return json.dumps(value)
    return str(value)


# --- policy text --------------------------------------------------------------------------------------------


class Author:
    """Writes a policy about one catalogue, remembering the constants it mentions."""

    def __init__(self, rng: Random, models: dict[str, Any], policies: dict[str, Any] | None) -> None:
        self.rng = rng
        self.policies = policies or {}
        self.catalogue = read_models(models)
        self.providers = list(models["providers"])
        self.models = [model.name for model in self.catalogue]
        self.modes = list((self.policies.get("routing") or {}).get("modes") or GUIDE_MODES)
        self.types = self.policies.get("task_types") or list(TASK_TYPES)
        self.labels = self.policies.get("labels") or list(LABELS)
        attributes = [model.attributes for model in self.catalogue]
        self.capabilities = sorted({name for one in attributes for name in one["model.capabilities"]})
        self.tags = sorted({name for one in attributes for name in one["model.tags"]})
        self.zones = sorted({one["model.zone"] for one in attributes} - {"unknown"})
        self.groups = [*(self.policies.get("groups") or ()), "none"]
        self.is_newer = sometimes(rng, 0.6)  # whether every file says 1.1
        self.constants: dict[str, set[Any]] = {}
        self.lets: dict[str, list[str]] = {"facts": [], "models": [], "mixed": []}
        self.lists: dict[str, list[str]] = {"labels": [], "types": [], "modes": [], "dates": []}
        self.rule_names: list[str] = []

    # files and statements

    def files(self) -> dict[str, str]:
        rng = self.rng
        statements = self.declarations()
        for make, least, most in (
            (self.guard, 1, 5),
            (self.preference, 0, 3),
            (self.weigh, 0, 2),
            (self.route, 0, 3),
            (self.proof, 0, 1),
            (self.test, 0, 2),
        ):
            statements += [make() for _ in range(rng.randint(least, most))]
        rng.shuffle(statements)
        names = rng.sample(["10-a.route", "9-b.route", "Z.route", "a.route", "main.route"], rng.randint(1, 3))
        files = dict.fromkeys(names, "") | {names[0]: rng.choice(["language 1\n", "# a policy\n", ""])}
        if self.is_newer:
            files = dict.fromkeys(names, "language 1.1\n")
        for statement in statements:
            files[rng.choice(names)] += statement + rng.choice(["\n", "\n\n", " ", "  # why not\n", "\r\n"])
        return files

    def declarations(self) -> list[str]:
        """Lists first and lets after; a let may stand on those written here before it, wherever they end
        up."""
        rng, statements = self.rng, []
        for kind, names in (("labels", self.labels), ("types", self.types), ("modes", self.modes)):
            if sometimes(rng, 0.5):
                name = f"some-{kind}"
                self.lists[kind].append(name)
                statements.append(f"let {name} = {self.listed(names)}")
        if self.is_newer and sometimes(rng, 0.3):
            self.lists["dates"].append("holidays")
            statements.append(f"let holidays = [{', '.join(rng.sample(DATES, 3))}]")
        for number in range(rng.randint(0, 4)):
            kind = rng.choice(list(self.lets))
            name = f"{kind}-{number}"
            statements.append(f"let {name} = {self.expression(kind)}")
            self.lets[kind].append(name)
        return statements

    def rule_name(self, keyword: str) -> str:
        self.rule_names.append(f"{keyword}-{len(self.rule_names)}")
        return self.rule_names[-1]

    def guard(self) -> str:
        keyword = self.rng.choice(["forbid", "forbid", "require"])
        watch = self.rng.choice(["", "", "", " (watch)"])
        return (
            f"{keyword} {self.rule_name(keyword)}{watch}: "
            f"{self.expression('models')}{self.when('mixed', 'and')}"
        )

    def preference(self) -> str:
        keyword, points = (
            self.rng.choice(["prefer", "avoid"]),
            self.rng.choice(["0.001", "0.004", "5", "12.25", "20", "39.5"]),
        )
        return (
            f"{keyword} {self.rule_name(keyword)}: {self.expression('models')} by "
            f"{points}{self.when('mixed')}"
        )

    def weigh(self) -> str:
        parts = [f"{part} {share}" for part, share in random_weights(self.rng).items()]
        self.rng.shuffle(parts)
        return f"weigh {self.rule_name('weigh')}: {', '.join(parts)}{self.when('facts')}"

    def route(self) -> str:
        tiers = [self.expression("models") for _ in range(self.rng.randint(1, 3))]
        tiers += ["any"] * self.rng.randint(0, 1)
        return f"route {self.rule_name('route')}: use {', then '.join(tiers)}{self.when('facts')}"

    def when(self, kind: str, joined: str = "") -> str:
        """Conditions, each there or not; `joined` makes every `when` narrower by a second one."""
        text = ""
        if sometimes(self.rng, 0.9 if joined else 0.8):
            text += self.rng.choice([" ", "\n    "]) + f"when {self.expression(kind)}"
            text += f" {joined} {self.expression(kind)}" if joined else ""
        if sometimes(self.rng, 0.2):
            text += f" unless {self.expression(kind)}"
        return text + self.rng.choice(["", "", ' because "so \\"they\\" said # when any"'])

    def proof(self) -> str:
        kind = self.rng.choice(["never", "only", "some"])
        when = (
            f" when {self.rng.choice(['all-up', self.expression('facts')])}"
            if sometimes(self.rng, 0.7)
            else ""
        )
        claim = f"{kind} {self.expression('models')}"
        if self.is_newer and sometimes(self.rng, 0.5):
            claims = ["refused", "never refused", f"first {self.expression('models')}"]
            claims += [f"route {name}" for name in self.rule_names if name.startswith("route")]
            claim = self.rng.choice(claims)
        after = f" after {self.expression('facts')}" if self.is_newer and sometimes(self.rng, 0.3) else ""
        return f"prove proof-{self.rng.randrange(10**9)}: {claim}{after}{when}"

    def test(self) -> str:
        cases = " ".join(
            f"given {self.given()} expect {self.outcome()}" for _ in range(self.rng.randint(1, 3))
        )
        return f'test "case {self.rng.randrange(10**9)}": {cases}'

    def given(self) -> str:
        rng = self.rng
        given = [f"task.type is {self.spelled(rng.choice(self.types))}"]
        if sometimes(rng, 0.5):
            given.append(f"task.criticality is {rng.choice(ORDERS['task.criticality'])}")
        if sometimes(rng, 0.6):
            given += [f"task.labels has {self.spelled(label)}" for label in some(rng, self.labels, 2)]
        if sometimes(rng, 0.5):
            given.append(f"mode is {self.spelled(rng.choice(self.modes))}")
        if sometimes(rng, 0.3):
            given.append(f"budget.daily.used is {rng.choice(PERCENTS)}%")
        if sometimes(rng, 0.3):
            given.append(f"provider.down has {rng.choice(self.providers)}")
        if sometimes(rng, 0.2):
            given.append(
                rng.choice(["task.tool_use_required", "models.warm is empty", "clock.weekday is sun"])
            )
        if sometimes(rng, 0.3):
            given.append(f"task.context_size is {rng.choice(['0', '8k', '32768'])}")
        if self.is_newer and sometimes(rng, 0.4):
            had = [f"task.labels has {self.spelled(label)}" for label in some(rng, self.labels, 1)]
            given.append(f"session had [{', '.join(had)}, session.calls is {rng.choice('05')}]")
        return ", ".join(given)

    def outcome(self) -> str:
        rng = self.rng
        because = f" because {rng.choice(self.rule_names)}" if self.rule_names and sometimes(rng, 0.2) else ""
        models = [name for name in self.models if name not in self.providers]
        chain = (
            ", ".join(map(self.spelled, rng.sample(models, rng.choice([1, len(models)]))))
            if models
            else json.dumps(self.models[0])
        )
        selector = self.expression("models")
        forms = ["refused", f"chain {chain}", f"chain {chain}, ...", selector]
        forms += [f"{kind} {selector}" for kind in ("only", "never", "some")]
        routes = [name for name in self.rule_names if name.startswith("route")]
        return rng.choice(forms + [f"route {name}" for name in routes]) + because

    # expressions

    def expression(self, kind: str, depth: int = 2) -> str:
        rng = self.rng
        terms = rng.choice([1, 1, 1, 2, 2, 3])
        text = self.term(kind, depth)
        for _ in range(terms - 1):
            text += f" {rng.choice(['and', 'or'])} {self.term(kind, depth)}"
        return text

    def term(self, kind: str, depth: int) -> str:
        rng = self.rng
        maybe_not = "not " if sometimes(rng, 0.2) else ""
        if depth and sometimes(rng, 0.15):
            return f"{maybe_not}({self.expression(kind, depth - 1)})"
        lets = self.lets[kind] + (self.lets["models"] + self.lets["facts"] if kind == "mixed" else [])
        if lets and sometimes(rng, 0.2):
            return maybe_not + rng.choice(lets)
        atoms = {
            "facts": (self.fact,),
            "models": (self.attribute,),
            "mixed": (self.fact, self.fact, self.attribute),
        }
        return maybe_not + rng.choice(atoms[kind])()

    def fact(self) -> str:
        rng = self.rng
        return rng.choice(NEWER_FACT_ATOMS if self.is_newer and sometimes(rng, 0.4) else FACT_ATOMS)(self)

    def attribute(self) -> str:
        is_newer = self.is_newer and sometimes(self.rng, 0.2)
        return self.rng.choice(NEWER_ATTRIBUTE_ATOMS if is_newer else ATTRIBUTE_ATOMS)(self)

    # the pieces atoms are made of

    def spelled(self, name: str) -> str:
        bare = BARE_NAME.fullmatch(name) and sometimes(self.rng, 0.85)
        return name if bare else json.dumps(name)

    def listed(self, names: Sequence[str]) -> str:
        return f"[{', '.join(map(self.spelled, some(self.rng, list(names), 1)))}]"

    def name_test(self, subject: str, names: Sequence[str], lists: Sequence[str] = ()) -> str:
        how = self.rng.choice(["is", "is", "is not", "in", "not in"])
        if how in ("is", "is not"):
            return f"{subject} {how} {self.spelled(self.rng.choice(names))}"
        return f"{subject} {how} {self.rng.choice([self.listed(names), *lists])}"

    def set_test(self, subject: str, names: Sequence[str], lists: Sequence[str] = ()) -> str:
        how = self.rng.choice(["has", "has", "has any", "has all", "is empty", "is not empty"])
        if not names or how.endswith("empty"):
            return f"{subject} {self.rng.choice(['is empty', 'is not empty'])}"
        if how == "has":
            return f"{subject} has {self.spelled(self.rng.choice(names))}"
        return f"{subject} {how} {self.rng.choice([self.listed(names), *lists])}"

    def two_sets(self, left: str, right: str) -> str:
        return f"{left} has {self.rng.choice(['any', 'all'])} {right}"

    def order_test(self, subject: str) -> str:
        order = ORDERS[subject]
        how = self.rng.choice(["is", "is not", "<", "<=", ">", ">=", "in"])
        if how == "in":
            return f"{subject} {self.rng.choice(['in', 'not in'])} {self.listed(order[:-1])}"
        first, last = {"<": (1, None), "<=": (None, -1), ">": (None, -1), ">=": (1, None)}.get(
            how, (None, None)
        )
        return f"{subject} {how} {self.rng.choice(order[first:last])}"

    def number_test(self, subject: str, spellings: Sequence[str], unit: str = "") -> str:
        spelling = self.rng.choice(spellings)
        self.constants.setdefault(subject, set()).add(spelling)
        how = self.rng.choice(["<", "<=", ">", ">=", "is", "is not"])
        return f"{subject} {how} {'$' * (unit == '$')}{spelling}{'%' * (unit == '%')}"

    def hours(self) -> str:
        first, last = self.rng.sample(range(24), 2)
        self.constants.setdefault("clock.hour", set()).update({first, last})
        return f"clock.hour {self.rng.choice(['in', 'in', 'not in'])} {first}..{last}"

    def days(self) -> str:
        first, length = self.rng.randrange(7), self.rng.randint(2, 6)
        week = ORDERS["clock.weekday"] * 2
        return f"clock.weekday {self.rng.choice(['in', 'not in'])} {week[first]}..{week[first + length - 1]}"

    def yes_no(self, subject: str) -> str:
        return subject + self.rng.choice(["", "", " is yes", " is no", " is not yes"])

    def model_or_provider(self) -> str:
        """A name both a provider and a model have is only written with `model.id` or `model.provider`."""
        ids = {
            name.rpartition("/")[2] if name.split("/")[0] in self.providers else name for name in self.models
        }
        names = [
            *(name for name in self.models if name not in self.providers),
            *(name for name in self.providers if name not in ids),
        ]
        return self.spelled(self.rng.choice(names)) if names else "any"

    # what facts are drawn from

    def pools(self) -> dict[str, Sequence[Any]]:
        rng = self.rng
        types = self.types if self.policies.get("task_types") else [*self.types, "never-heard-of"]
        labels = self.labels if self.policies.get("labels") else [*self.labels, "unmentioned"]
        limits = [(self.policies.get("budgets") or {}).get(period) or {} for period in ("daily", "monthly")]
        limited = {name for limit in limits for name in limit.get("per_provider") or {}}
        exhausted = self.sets_of(sorted(limited), quiet=4)
        return {
            "task.type": types,
            "task.criticality": ORDERS["task.criticality"],
            "task.latency_sensitivity": ORDERS["task.latency_sensitivity"],
            "task.budget_sensitivity": ORDERS["task.budget_sensitivity"],
            "task.context_size": self.context_sizes(),
            "task.tool_use_required": (True, False),
            "task.labels": self.sets_of(labels, quiet=2),
            "task.needs": self.sets_of(NEEDS, quiet=9),
            "task.bucket": self.whole("task.bucket", range(100), [0, 99, rng.randrange(100)]),
            "mode": self.modes,
            **{fact: self.percents(fact) for fact in PERCENT_FACTS},
            "task.attempt": self.whole("task.attempt", range(100), [0, 0, 1]),
            "task.avoid_models": self.sets_of(self.models, quiet=4),
            "task.group": ["none", *self.groups],
            "task.asked_model": ["none", "none", *self.models],
            "session.labels": self.sets_of(labels, quiet=4),
            "session.warm": self.sets_of(self.models, quiet=4),
            "session.calls": self.whole("session.calls", range(1000), [0, 0, 1, 20]),
            "budget.exhausted_providers": exhausted,
            "provider.down": self.sets_of(self.providers, quiet=9),
            "provider.busy": self.sets_of(self.providers, quiet=3),
            "models.warm": self.sets_of(self.models, quiet=2),
            "models.capable": self.sets_of(self.models, quiet=4),
            "clock.hour": self.whole("clock.hour", range(24), [0, 12, 23]),
            "clock.weekday": ORDERS["clock.weekday"],
            "clock.day": self.whole("clock.day", range(1, 32), [1, 2, 28, 31]),
            "clock.minute": self.whole("clock.minute", range(60), [0, 1, 29, 30, 59]),
            "clock.date": [
                date.fromisoformat(text).toordinal() + step for text in DATES for step in (-1, 0, 0, 1)
            ],
        }

    def sets_of(self, names: Sequence[str], quiet: int) -> list[frozenset[str]]:
        """The empty set `quiet` times, each name alone, two mixtures, and everything."""
        names = list(names)
        mixtures = [frozenset(some(self.rng, names)) for _ in range(2)]
        return [*[frozenset()] * quiet, *(frozenset([name]) for name in names), *mixtures, frozenset(names)]

    def percents(self, fact: str) -> list[Decimal]:
        mentioned = [Decimal(text) for text in sorted(self.constants.get(fact, ()))]
        near = [value + step for value in mentioned for step in (Decimal("-0.01"), 0, Decimal("0.01"))]
        plain = [*["0"] * 6, "12.5", "50", "80", "99.99", "100", "100.01"]
        return [value for value in (*map(Decimal, plain), *near) if value >= 0]

    def whole(self, fact: str, within: range, always: list[int]) -> list[int]:
        mentioned = sorted({int(value) for value in self.constants.get(fact, ())})
        near = [value + step for value in mentioned for step in (-1, 0, 1)]
        return [value for value in (*always, *near) if value in within]

    def context_sizes(self) -> list[int]:
        """Around every window, every token constant, and where a model's call cost crosses a dollar
        constant."""
        units = {"k": 1000, "M": 1_000_000}
        edges = {model.attributes["model.max_context"] for model in self.catalogue}
        for text in self.constants.get("task.context_size", set()) | self.constants.get(
            "model.max_context", set()
        ):
            edges.add(int(Decimal(text.rstrip("kM")) * units.get(text[-1], 1)))
        for text in self.constants.get("model.call_cost", ()):
            prices = [model.attributes["model.price"] for model in self.catalogue]
            edges |= {int(Fraction(text) * 1_000_000 / price) for price in prices if price}
        around = [edge + step for edge in sorted(edges) for step in (-1, 0, 1)]
        small = [0, 1, *range(500, 4500, 500)] * (1 + len(around) // 10)
        return [*small, *(size for size in around if size >= 0)]


PERCENT_FACTS = (
    *("budget.daily.used", "budget.monthly.used"),
    *("session.used", "agent.used", "group.daily.used", "group.monthly.used"),
)
TIMES = ("00:00", "06:00", "09:30", "12:00", "12:01", "22:30", "23:59")
DATES = ("2026-05-31", "2026-06-01", "2026-12-25", "2027-01-01", "2027-03-01", "2028-02-29")
TOKENS = ("1", "4096", "8k", "8192", "32k", "32768", "0.5k", "200k", "1.5M")
FACT_ATOMS: list[Callable[[Author], str]] = [
    lambda a: a.name_test("task.type", a.types, a.lists["types"]),
    lambda a: a.name_test("task.type", a.types, a.lists["types"]),
    lambda a: a.order_test("task.criticality"),
    lambda a: a.order_test("task.latency_sensitivity"),
    lambda a: a.order_test("task.budget_sensitivity"),
    lambda a: a.number_test("task.context_size", TOKENS),
    lambda a: a.yes_no("task.tool_use_required"),
    lambda a: a.set_test("task.labels", a.labels, a.lists["labels"]),
    lambda a: a.set_test("task.labels", a.labels, a.lists["labels"]),
    lambda a: a.set_test("task.needs", NEEDS[:2]),
    lambda a: a.number_test("task.bucket", ("1", "10", "50", "98")),
    lambda a: a.name_test("mode", a.modes, a.lists["modes"]),
    lambda a: a.yes_no("mode.allow_cloud"),
    lambda a: a.name_test("mode.cloud_usage", ("none", *STRATEGIES)),
    lambda a: a.number_test("budget.daily.used", PERCENTS, "%"),
    lambda a: a.number_test("budget.monthly.used", PERCENTS, "%"),
    lambda a: a.yes_no("budget.exhausted"),
    lambda a: a.set_test("budget.exhausted_providers", a.providers),
    lambda a: a.set_test("provider.down", a.providers),
    lambda a: a.set_test("provider.busy", a.providers),
    lambda a: a.set_test("models.warm", a.models),
    lambda a: a.set_test("models.capable", a.models),
    lambda a: a.number_test("clock.hour", ("1", "9", "18", "22")),
    lambda a: f"clock.hour in [{a.rng.randrange(12)}, {a.rng.randrange(12, 24)}]",
    Author.hours,
    lambda a: a.order_test("clock.weekday"),
    Author.days,
    lambda a: "all-up",
]
NEWER_FACT_ATOMS: list[Callable[[Author], str]] = [
    lambda a: a.number_test("task.attempt", ("1", "2", "5")),
    lambda a: a.set_test("task.avoid_models", a.models),
    lambda a: a.name_test("task.group", a.groups),
    lambda a: a.name_test("task.asked_model", [*a.models, "none"]),
    lambda a: a.set_test("session.labels", a.labels, a.lists["labels"]),
    lambda a: a.set_test("session.warm", a.models),
    lambda a: a.number_test("session.calls", ("1", "20", "500")),
    lambda a: a.number_test(a.rng.choice(PERCENT_FACTS[2:]), PERCENTS, "%"),
    lambda a: a.number_test("clock.day", ("2", "15", "28", "30")),
    lambda a: a.number_test("clock.minute", ("1", "30", "59")),
    lambda a: a.number_test("clock.time", TIMES),
    lambda a: f"clock.time in {'..'.join(a.rng.sample(TIMES, 2))}",
    lambda a: a.number_test("clock.date", DATES),
    lambda a: f"clock.date in {'..'.join(sorted(a.rng.sample(DATES, 2)))}",
    lambda a: f"clock.date in [{', '.join(a.rng.sample(DATES, 2))}]",
    *[lambda a: f"clock.date in {a.rng.choice(a.lists['dates'])}" if a.lists["dates"] else "all-up"] * 2,
]
ATTRIBUTE_ATOMS: list[Callable[[Author], str]] = [
    *[lambda a: a.rng.choice(["local", "local", "cloud", "any"])] * 3,
    *[Author.model_or_provider] * 2,
    lambda a: a.order_test("model.quality"),
    lambda a: a.order_test("model.latency"),
    lambda a: a.set_test("model.capabilities", a.capabilities),
    lambda a: a.set_test("model.tags", a.tags),
    lambda a: a.set_test("model.offers", NEEDS[-2:]),
    lambda a: "model.offers has all task.needs",
    lambda a: a.name_test("model.tools", ("yes", "no", "unknown")),
    lambda a: a.number_test("model.max_context", TOKENS[1:]),
    lambda a: a.number_test("model.price", DOLLARS, "$"),
    lambda a: a.rng.choice(["model.price is unknown", "model.price is not unknown"]),
    lambda a: a.number_test("model.call_cost", DOLLARS, "$"),
    lambda a: a.name_test("model.provider", a.providers),
    lambda a: a.name_test("model.id", a.models),
    lambda a: a.name_test("model.zone", a.zones) if a.zones else "local",
    lambda a: f"task.context_size {a.rng.choice(['<', '<=', '>', '>=', 'is'])} model.max_context",
    lambda a: f"model.max_context {a.rng.choice(['<', '<=', '>', '>=', 'is'])} task.context_size",
    lambda a: f"{a.rng.choice(FACT_SETS[1:4])} has model.provider",
    lambda a: f"models.{a.rng.choice(['warm', 'capable'])} has model.id",
    lambda a: f"{a.rng.choice(['model.capabilities', 'model.tags'])} has task.type",
    lambda a: f"task.labels has {a.rng.choice(['model.zone', 'model.provider'])}",
    lambda a: f"model.zone {a.rng.choice(['is', 'is not'])} task.type",
]
SETS_OF_MODELS = ("model.capabilities", "model.tags", "model.offers")
SETS_OF_TASKS = ("task.labels", "task.needs", "session.labels")
NEWER_ATTRIBUTE_ATOMS: list[Callable[[Author], str]] = [
    lambda a: f"{a.rng.choice(['task.avoid_models', 'session.warm'])} has model.id",
    lambda a: f"task.asked_model {a.rng.choice(['is', 'is not'])} model.id",
    lambda a: "session.labels has model.zone",
    *[lambda a: a.two_sets(a.rng.choice(SETS_OF_MODELS), a.rng.choice(SETS_OF_TASKS))] * 2,
    *[lambda a: a.two_sets(a.rng.choice(SETS_OF_TASKS), a.rng.choice(SETS_OF_MODELS))] * 2,
]
