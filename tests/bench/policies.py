"""Policies and facts for the benches: of any number of rules, all statement kinds, seeded and plain."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random

from engine.config.folder import PolicyFolder, folder_in_memory
from engine.decision.facts import Facts
from engine.language.diagnostics import Problems
from engine.policy import Policy, build

GUIDE = Path(__file__).parents[1] / "conformance" / "guide"
TYPES = [f"type-{number}" for number in range(40)]
LABELS = [f"label-{number}" for number in range(60)]
CRITICALITIES = ("low", "medium", "high", "critical")
MODES = ("local-only", "local-preferred", "balanced", "performance")
BYTES_A_FILE = 500_000


def models_yaml(cloud_models: int = 8) -> str:
    """The migration guide's catalogue with more cloud models behind it."""
    more = "".join(
        f"""\
      - id: cloud-{number}
        capabilities: [planning, code]
        max_context: {100_000 + number * 10_000}
        quality_tier: high
        latency_tier: low
        cost_profile: {{type: paid, currency: USD, input_per_1m: {number}.5, output_per_1m: {number * 4}.0}}
"""
        for number in range(1, cloud_models + 1)
    )
    return (GUIDE / "models.yaml").read_text(encoding="utf-8").rstrip() + "\n" + more


def rules(count: int, seed: int = 1) -> str:
    """Guards, preferences, weights and routes with two to four comparisons each."""
    rng = Random(seed)
    return "\n\n".join(_rule(number, rng) for number in range(count)) + "\n"


def _rule(number: int, rng: Random) -> str:
    conditions = [
        f"task.type is {rng.choice(TYPES)}",
        f"task.type in [{', '.join(rng.sample(TYPES, 3))}]",
        f"task.context_size > {rng.randrange(1, 200)}k",
        f"task.labels has {rng.choice(LABELS)}",
        f"task.labels has any [{', '.join(rng.sample(LABELS, 2))}]",
        f"task.criticality >= {rng.choice(CRITICALITIES[1:])}",
        f"clock.hour in {rng.randrange(0, 11)}..{rng.randrange(12, 23)}",
        f"budget.daily.used >= {rng.randrange(1, 99)}%",
        f"mode is {rng.choice(MODES)}",
    ]
    when = " and ".join(rng.sample(conditions, rng.randrange(2, 5)))
    because = f'because "reason number {number}"'
    match rng.choice(("forbid", "require", "prefer", "avoid", "route", "weigh")):
        case "forbid":
            return (
                f"forbid rule-{number}: cloud and model.quality < very_high\n    when {when}\n    {because}"
            )
        case "require":
            return f"require rule-{number}: model.capabilities has planning\n    when {when}\n    {because}"
        case "prefer":
            return f"prefer rule-{number}: local by {rng.randrange(1, 9)}\n    when {when}\n    {because}"
        case "avoid":
            return (
                f"avoid rule-{number}: model.latency is high by {rng.randrange(1, 9)}\n    when {when}\n    "
                f"{because}"
            )
        case "weigh":
            return f"weigh rule-{number}: cost 0.2, quality 0.5, latency 0.3\n    when {when}\n    {because}"
        case _:
            return f"route rule-{number}: use local, then cloud\n    when {when}\n    {because}"


def folder(count: int, seed: int = 1) -> PolicyFolder:
    """A policy folder of `count` rules, in as many files as the size limit asks for."""
    files: dict[str, str] = {}
    text = ""
    for rule in rules(count, seed).split("\n\n"):
        if len(text) > BYTES_A_FILE:
            files[f"rules-{len(files):03}.route"] = text
            text = ""
        text += rule + "\n\n"
    files[f"rules-{len(files):03}.route"] = text
    return _read(files)


def _read(files: dict[str, str]) -> PolicyFolder:
    problems = Problems()
    settings = (GUIDE / "policies.yaml").read_text(encoding="utf-8")
    read = folder_in_memory(models_yaml(), settings, files, problems=problems)
    assert read is not None, list(problems)
    return read


def policy(count: int, seed: int = 1) -> Policy:
    return _built(folder(count, seed))


def policy_of(text: str) -> Policy:
    """The policy of one `.route` text, with the migration guide's settings and the benches' catalogue."""
    return _built(_read({"main.route": text}))


def _built(files: PolicyFolder) -> Policy:
    problems = Problems()
    built = build(files, problems)
    assert built is not None, [problem.message for problem in problems]
    return built


def facts(count: int, seed: int) -> list[Facts]:
    rng = Random(seed)
    return [
        Facts(
            task_type=rng.choice(TYPES),
            criticality=rng.choice(CRITICALITIES),
            context_size=rng.randrange(0, 250_000),
            tool_use_required=rng.random() < 0.3,
            labels=frozenset(rng.sample(LABELS, rng.randrange(3))),
            bucket=rng.randrange(100),
            mode=rng.choice(MODES),
            budget_daily_used=Decimal(rng.randrange(0, 11_000)) / 100,
            clock_hour=rng.randrange(24),
        )
        for _ in range(count)
    ]
