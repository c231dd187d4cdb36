"""Small policies over few facts, so that every task there can be is enumerated and decided by the reference.

The oracle of every analysis: a world's `points` hold one task of each cell, in no clever way, and each is
decided by the naive interpreter. The engine reads the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from itertools import chain, combinations, product
from random import Random
from typing import Any

from engine.config.folder import PolicyFolder, folder_in_memory
from engine.decision.facts import DEFAULTS, INDEX, Facts
from engine.language.diagnostics import Problems
from engine.language.source import Source
from engine.language.vocabulary import GIVEN, WEEKDAYS, Day
from engine.policy import Policy, build
from tests.reference import interpreter
from tests.reference.generator import yaml_text

LEVELS = ("low", "medium", "high", "critical")
BASE = {
    "mode": "forbid mode-forbids-cloud: cloud when not mode.allow_cloud\n",
    "task.context_size": "forbid context-window: task.context_size > model.max_context\n",
    "provider.down": "forbid provider-down: provider.down has model.provider\n",
    "task.tool_use_required": "forbid tools-unsupported: model.tools is no when task.tool_use_required\n",
    "budget.daily.used": "forbid budget-exhausted: cloud when budget.daily.used >= 100%\n",
    "budget.exhausted_providers": "forbid provider-budget: budget.exhausted_providers has model.provider\n",
}
MODELS = {
    "small": ("ollama", {"max_context": 8000, "quality_tier": "low", "latency_tier": "low", "tools": "no"}),
    "big": ("ollama", {"max_context": 32000, "quality_tier": "medium", "latency_tier": "high"}),
    "gpt": (
        "openai",
        {"max_context": 128000, "quality_tier": "high", "latency_tier": "medium", "tools": "yes"},
    ),
    "opus": ("anthropic", {"max_context": 8000, "quality_tier": "very_high", "latency_tier": "medium"}),
}


def subsets(names: Sequence[str]) -> list[frozenset[str]]:
    """Every subset there is."""
    return [
        frozenset(some) for some in chain.from_iterable(combinations(names, n) for n in range(len(names) + 1))
    ]


POOLS: dict[str, Sequence[Any]] = {
    "task.type": ("qa", "code", "chat", "plan", "sum"),
    "task.criticality": LEVELS,
    "task.context_size": (0, 1, 8000, 8001, 20_000, 20_001, 32_000, 32_001, 200_000),
    "task.tool_use_required": (False, True),
    "task.labels": subsets(("pii", "secret", "misc")),
    "task.bucket": (0, 9, 10, 99),
    "mode": ("balanced", "local-only"),
    "budget.daily.used": tuple(map(Decimal, ("0", "79.5", "80", "80.5", "99", "100", "120"))),
    "provider.down": subsets(("ollama", "openai", "anthropic")),
    "budget.exhausted_providers": subsets(("openai",)),
    "clock.weekday": WEEKDAYS,
    "clock.hour": (0, 5, 6, 12, 21, 22, 23),
}
RECENT: dict[str, Sequence[Any]] = {
    "clock.date": tuple(
        Day(date.fromisoformat(day).toordinal())
        for day in ("1999-01-01", "2026-06-01", "2026-12-23", "2026-12-24", "2026-12-26", "2027-01-01")
    ),
    "clock.day": (1, 4, 5, 27, 28, 29, 31),
    "clock.minute": (0, 14, 15, 29, 30, 59),
    "task.attempt": (0, 1, 2, 3, 1000, 1001),
}
"""Facts of language 1.1, in worlds of their own."""
CLOSED = {"task_types": list(POOLS["task.type"]), "labels": ["pii", "secret", "misc"]}
CONDITIONS: dict[str, tuple[str, ...]] = {
    "task.type": ("task.type is qa", "task.type in [qa, code]", "task.type is not code"),
    "task.criticality": (
        "task.criticality >= high",
        "task.criticality is low",
        "task.criticality in [low, critical]",
    ),
    "task.context_size": ("task.context_size > 20k", "task.context_size <= 8k", "task.context_size < 1"),
    "task.tool_use_required": ("task.tool_use_required", "not task.tool_use_required"),
    "task.labels": (
        "task.labels has pii",
        "task.labels is empty",
        "task.labels has all [pii, secret]",
        "not task.labels has secret",
    ),
    "task.bucket": ("task.bucket < 10", "task.bucket >= 10"),
    "mode": ("mode is balanced", "not mode.allow_cloud"),
    "budget.daily.used": ("budget.daily.used >= 80%", "budget.daily.used > 80%", "budget.daily.used < 100%"),
    "provider.down": ("provider.down is empty", "provider.down has openai"),
    "budget.exhausted_providers": (
        "budget.exhausted_providers is empty",
        "budget.exhausted_providers has openai",
    ),
    "clock.weekday": ("clock.weekday in sat..sun", "clock.weekday is mon", "clock.weekday in fri..mon"),
    "clock.hour": ("clock.hour in 22..6", "clock.hour >= 12"),
    "clock.date": (
        "clock.date in 2026-12-24..2026-12-26",
        "clock.date < 2027-01-01",
        "clock.date in [2026-12-24, 2027-01-01]",
    ),
    "clock.day": ("clock.day < 5", "clock.day >= 28", "clock.day is 31"),
    "clock.minute": ("clock.minute < 30", "clock.minute >= 15", "clock.minute is 0"),
    "task.attempt": ("task.attempt >= 2", "task.attempt is 0", "task.attempt > 1000"),
}
SELECTORS = (
    *(
        "local",
        "cloud",
        "any",
        "not small",
        "gpt",
        "local or gpt",
        "model.quality >= high",
        "model.latency is low",
    ),
    *("model.tools is not no", "model.max_context > 8k", "cloud and model.quality > high"),
)

CAPABILITIES = {"small": ["qa"], "big": ["qa", "code"], "gpt": ["code", "chat"], "opus": ["chat"]}
CROSS = {
    "task.context_size": "task.context_size <= model.max_context",
    "provider.down": "not provider.down has model.provider",
    "task.type": "model.capabilities has task.type",
}


@dataclass(frozen=True)
class SmallWorld:
    """Statements (one string each), and the facts that vary; `is_open`: any type and any label may come."""

    statements: tuple[str, ...]
    varied: tuple[str, ...]
    models: tuple[str, ...]
    is_open: bool = False

    @property
    def models_dict(self) -> dict[str, Any]:
        providers: dict[str, Any] = {}
        for name in self.models:
            provider, about = MODELS[name]
            locality = "local" if provider == "ollama" else "cloud"
            cost = (
                {"type": "local_cpu"}
                if locality == "local"
                else {"type": "paid", "input_per_1m": 3, "output_per_1m": 15}
            )
            entry = {"id": name, "capabilities": CAPABILITIES[name], **about, "cost_profile": cost}
            providers.setdefault(provider, {"type": locality, "models": []})["models"].append(entry)
        return {"providers": providers}

    @property
    def policies_dict(self) -> dict[str, Any]:
        weights = {"cost": Decimal("0.4"), "quality": Decimal("0.4"), "latency": Decimal("0.2")}
        return {
            "routing": {
                "default_mode": "balanced",
                "modes": {"balanced": {"allow_cloud": True}, "local-only": {"allow_cloud": False}},
                "weights": {"balanced": weights},
            },
            **({} if self.is_open else CLOSED),
            "budgets": {"daily": {"total_usd": 10, "per_provider": {"openai": 5}}}
            if "gpt" in self.models
            else {},
        }

    @property
    def base(self) -> str:
        return "".join(text for fact, text in BASE.items() if fact in self.varied)

    def text(self, *left_out: int) -> str:
        kept = [text for number, text in enumerate(self.statements) if number not in left_out]
        language = ["language 1.1"] if RECENT.keys() & self.varied else []
        return "\n".join((*language, *kept)) + "\n"

    def reference(self, *left_out: int) -> interpreter.Policy:
        return interpreter.Policy(
            {"a.route": self.text(*left_out)}, self.models_dict, self.policies_dict, self.base
        )

    def folder(self, *left_out: int) -> PolicyFolder:
        problems = Problems()
        policies = {key: value for key, value in self.policies_dict.items() if value}
        files = folder_in_memory(
            yaml_text(self.models_dict),
            yaml_text(policies),
            {"a.route": self.text(*left_out)},
            problems=problems,
        )
        assert files is not None
        return replace(files, base=Source("base.route", self.base))

    def engine(self, *left_out: int) -> Policy:
        problems = Problems()
        policy = build(self.folder(*left_out), problems)
        assert policy is not None, "\n".join(f"{problem.span}: {problem.message}" for problem in problems)
        return policy

    @cached_property
    def points(self) -> list[dict[str, Any]]:
        """One task of every cell there is, and a few more."""
        defaults = dict(zip(INDEX, DEFAULTS._replace(mode="balanced"), strict=True))
        pools = [_possible(fact, self.models) for fact in self.varied]
        return [
            {**defaults, "task.type": "qa", **dict(zip(self.varied, values, strict=True))}
            for values in product(*pools)
        ]


def _possible(fact: str, models: Sequence[str]) -> Sequence[Any]:
    providers = {MODELS[name][0] for name in models}
    pool = (POOLS | RECENT)[fact]
    if fact in ("provider.down", "budget.exhausted_providers"):
        return [members for members in pool if members <= providers]
    return pool


def random_small_world(rng: Random, proofs: int = 3, cross: bool = False, recent: bool = False) -> SmallWorld:
    """A policy of up to eight rules and some proofs over three facts and the mode.

    With `cross` selectors compare facts with attributes too, so that tiers depend on the task; with `recent`
    two of the facts are of language 1.1.
    """
    drawn = {"gpt", *rng.sample([name for name in MODELS if name != "gpt"], 2)}
    models = tuple(name for name in MODELS if name in drawn)
    facts = rng.sample([fact for fact in POOLS if fact != "mode"], rng.choice([2, 2, 3]))
    if recent:
        facts = [*rng.sample(sorted(RECENT), 2), next(fact for fact in facts if fact != "clock.weekday")]
        if "clock.day" in facts and "clock.date" in facts:
            facts.remove("clock.day")  # the day follows from the date
    author = _Author(rng, tuple(facts), models, cross)
    statements = []
    for number in range(rng.randint(2, 7)):
        statements.append(author.rule(f"r{number}"))
    statements += [author.proof(f"p{number}") for number in range(proofs)]
    return SmallWorld(tuple(statements), ("mode", *facts), models)


class _Author:
    def __init__(
        self, rng: Random, facts: tuple[str, ...], models: tuple[str, ...], cross: bool = False
    ) -> None:
        self.rng, self.models = rng, models
        self.conditions = list(chain.from_iterable(CONDITIONS[fact] for fact in (*facts, "mode")))
        if "task.context_size" in facts:
            self.conditions += ["task.context_size > 32k"]
        self.selectors = [
            each
            for each in SELECTORS
            if ("gpt" in models or "gpt" not in each) and ("small" in models or "small" not in each)
        ]
        if cross:
            self.selectors += [text for fact, text in CROSS.items() if fact in facts] * 3

    def rule(self, name: str) -> str:
        match self.rng.choice(
            ["forbid", "forbid", "require", "route", "route", "prefer", "avoid", "weigh", "watch"]
        ):
            case "route":
                tiers = ", then ".join(self.selector() for _ in range(self.rng.randint(1, 2)))
                return f"route {name}: use {tiers}{self.when()}"
            case "weigh":
                shares = self.rng.choice(["cost 1, quality 0, latency 0", "cost 0, quality 1, latency 0"])
                return f"weigh {name}: {shares}{self.when()}"
            case "watch":
                return f"forbid {name} (watch): {self.selector()}{self.when()}"
            case ("prefer" | "avoid") as kind:
                return (
                    f"{kind} {name}: {self.selector()} by {self.rng.choice(['0.5', '5', '40'])}{self.when()}"
                )
            case kind:
                return f"{kind} {name}: {self.selector()}{self.when()}"

    def proof(self, name: str) -> str:
        return f"prove {name}: {self.rng.choice(['never', 'only', 'some'])} {self.selector()}{self.when()}"

    def selector(self) -> str:
        return self.rng.choice(self.selectors)

    def when(self) -> str:
        if self.rng.random() < 0.2:
            return ""
        parts = self.rng.sample(self.conditions, self.rng.choice([1, 1, 2, 2, 3]))
        text = f" when {self.rng.choice([' and ', ' and ', ' or ']).join(parts)}"
        return text + (f" unless {self.rng.choice(self.conditions)}" if self.rng.random() < 0.2 else "")


def facts_of(point: dict[str, Any]) -> Facts:
    return Facts._make(point[name] for name in INDEX)


def difference(point: dict[str, Any]) -> tuple[int, tuple[int, ...]]:
    """How many facts are not a test's defaults, and which in the fact table."""
    usual = DEFAULTS._replace(mode="balanced")
    differing = tuple(
        number
        for number, (fact, default) in enumerate(zip(GIVEN, usual, strict=True))
        if fact.name != "task.type" and point[fact.name] != default
    )
    return len(differing), differing


def worlds(
    count: int, seed: int, cross: bool = False, recent: bool = False
) -> Iterator[tuple[int, SmallWorld]]:
    """Worlds, each with the seed that draws it alone."""
    for number in range(count):
        own = seed * 1_000_003 + number
        yield own, replace(random_small_world(Random(own), cross=cross, recent=recent), is_open=own % 2 == 1)


def changed_world(rng: Random, world: SmallWorld) -> SmallWorld:
    """The world with one or two of its rules left out, added, rewritten or moved."""
    facts = tuple(fact for fact in world.varied if fact != "mode")
    author = _Author(
        rng, facts, world.models, any(text in one for text in CROSS.values() for one in world.statements)
    )
    rules = [text for text in world.statements if not text.startswith("prove")]
    for number in range(rng.choice([1, 1, 2])):
        place = rng.randrange(len(rules)) if rules else 0
        match rng.choice(["drop", "add", "rewrite", "move"]):
            case "drop" if rules:
                del rules[place]
            case "rewrite" if rules:
                rules[place] = author.rule(f"n{number}")
            case "move" if rules:
                rules.insert(rng.randrange(len(rules)), rules.pop(place))
            case _:
                rules.insert(place, author.rule(f"n{number}"))
    return SmallWorld(tuple(rules), world.varied, world.models)
