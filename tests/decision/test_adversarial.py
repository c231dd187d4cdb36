"""Policies made to blow up: they compile within the caps and decide as the reference does, or are refused at
the rule.

Each is also drawn, or said to be too large to draw, in bounded work.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.config.folder import folder_in_memory
from engine.decision.cubes import MOST_CUBES
from engine.decision.decision_tree import MOST_NODES, TooManyNodes
from engine.decision.facts import INDEX
from engine.language.diagnostics import Problems
from engine.policy import Policy, build
from tests.commands.running import Shell
from tests.decision.differential import Sample, compare
from tests.decision.worlds import compiled
from tests.reference.conformance import FOLDER
from tests.reference.generator import World
from tests.reference.interpreter import assumed_facts, decide
from tests.reference.yaml_words import read_yaml

GUIDE = {name: (FOLDER / "guide" / f"{name}.yaml").read_text() for name in ("models", "policies")}
LONGEST_S = 600  # on a machine that does much else; a blow-up would take hours


def labels(count: int) -> list[str]:
    return [f"l{number}" for number in range(count)]


def thirty_labels() -> Iterable[str]:
    """Thirty independent labels, each with a preference, a guard and a route of its own: 2^30
    combinations."""
    for number, label in enumerate(labels(30)):
        selector = "cloud" if number % 2 else "local"
        yield f"prefer p{number}: {selector} by {number + 1}.5 when task.labels has {label}"
        if number % 3 == 0:
            yield f"forbid f{number}: model.max_context < {8000 + number * 20} when task.labels has {label}"
        if number % 5 == 0:
            tiers = "cloud, then local" if number % 2 else "local"
            yield f"route r{number}: use {tiers} when task.labels has {label}"


def two_hundred_thresholds() -> Iterable[str]:
    """200 thresholds on two facts: 40,401 combinations of cells."""
    for number in range(100):
        yield f"prefer c{number}: local by {number + 1} when task.context_size > {number * 80 + 1}"
        yield f"avoid d{number}: cloud by {number + 1} when budget.daily.used >= {number}.5%"
    yield "forbid both: cloud when task.context_size > 4001 and budget.daily.used >= 50.5%"


def three_hundred_labels() -> Iterable[str]:
    """300 labels, some asked together."""
    names = labels(300)
    for number, label in enumerate(names):
        yield f"avoid a{number}: local by 0.{number + 1:03} when task.labels has {label}"
    yield f"forbid some: cloud when task.labels has any [{', '.join(names[:150])}]"
    yield f"route all: use cloud when task.labels has all [{', '.join(names[150:])}]"
    yield "route bare: use local when task.labels is empty"


def deep_lets() -> Iterable[str]:
    """Lets that double what they stand for, and a chain of `not` as deep as is allowed (64)."""
    yield "let d0 = task.labels has x or task.context_size > 100"
    for number in range(1, 12):
        yield f"let d{number} = d{number - 1} and d{number - 1}"
    yield "forbid deep: cloud when d11"
    yield "let e0 = task.criticality is low"
    for number in range(1, 32):
        yield f"let e{number} = not e{number - 1}"
    yield "forbid turned: local when e31 and mode is performance"


def wide_lists() -> Iterable[str]:
    """A thousand names in one condition, and a thousand routes that differ in one name."""
    yield f"forbid listed: cloud when task.type in [{', '.join(f't{number}' for number in range(1000))}]"
    for number in range(1000):
        tiers = "local" if number % 2 else "cloud, then any"
        yield f"route r{number}: use {tiers} when task.type is t{number}"


def crossed_routes() -> Iterable[str]:
    """Forty routes over independent facts, none of which shadows another wholly."""
    for number in range(40):
        tiers = "cloud, then local" if number % 2 else "local, then cloud"
        yield (
            f"route r{number}: use {tiers} when task.labels has l{number} "
            f"and task.bucket < {number * 2 + 2} and clock.hour in {number % 24}..{(number + 7) % 24}"
        )


SHAPES = {
    shape.__name__.replace("_", " "): shape
    for shape in (
        thirty_labels,
        two_hundred_thresholds,
        three_hundred_labels,
        deep_lets,
        wide_lists,
        crossed_routes,
    )
}


@cache
def world_of(name: str) -> World:
    models, policies = GUIDE["models"], GUIDE["policies"]
    text = "\n".join(SHAPES[name]())
    return World({"main.route": text}, models, policies, read_yaml(models), read_yaml(policies))


@cache
def policy_of(name: str) -> Policy:
    began = time.perf_counter()
    policy = compiled(world_of(name))
    assert time.perf_counter() - began < LONGEST_S
    return policy


def facts_in(assumed: dict[str, Any], rng: Random) -> dict[str, Any]:
    names = [*labels(300), "x", "unheard-of"]
    few = rng.sample(names[:40], rng.randint(0, 6))
    many = names[: rng.choice([0, 0, 0, 150, 300])] + names[150 : rng.choice([150, 150, 299, 300])]
    return assumed | {
        "task.type": rng.choice(["planning", "qa", "t0", "t1", "t999", "t1000"]),
        "task.criticality": rng.choice(["low", "medium", "high", "critical"]),
        "task.budget_sensitivity": rng.choice(["low", "medium"]),
        "task.context_size": rng.choice(
            [0, 1, 2, 81, 82, 100, 101, 4001, 4002, 7921, 7922, 8192, 8193, 300_000]
        ),
        "task.labels": frozenset(rng.choice([few, few, few, many])),
        "task.bucket": rng.randrange(100),
        "mode": rng.choice(["local-only", "local-preferred", "balanced", "performance"]),
        "budget.daily.used": rng.choice(
            [Decimal(text) for text in ("0", "0.5", "50.49", "50.5", "99.5", "99.99", "100")]
        ),
        "provider.down": frozenset(rng.sample(["ollama", "anthropic"], rng.randint(0, 1))),
        "clock.hour": rng.randrange(24),
    }


@pytest.mark.parametrize("name", SHAPES)
def test_it_decides_as_the_reference_does(name: str) -> None:
    """Evaluator, explanation and the leaf of the tree, on facts near every constant."""
    world, policy = world_of(name), policy_of(name)
    naive, rng = world.policy(), Random(name)
    assumed = assumed_facts(naive)
    for _ in range(60):
        facts = facts_in(assumed, rng)
        expected = decide(naive, facts)
        found = compare(policy, Sample(0, world, [facts], [expected]), facts, expected)
        assert found is None, found and found.parts


@pytest.mark.parametrize("name", SHAPES)
def test_it_stays_within_the_caps(name: str) -> None:
    """No rule has more cubes than one may, and the tree keeps no more nodes than it may."""
    policy = policy_of(name)
    owners = policy.compiled.owners
    assert max(owners.count(rule) for rule in set(owners)) <= MOST_CUBES
    assert len(policy.tree._nodes) <= MOST_NODES


@pytest.mark.parametrize("name", SHAPES)
def test_its_tree_is_drawn_or_said_to_be_too_large(name: str) -> None:
    """In bounded work, whole and by slice."""
    policy = policy_of(name)
    at_rest = {
        fact: policy.assumed.facts[place]
        for fact, place in INDEX.items()
        if fact.startswith(("budget.", "provider.", "models.warm", "task.bucket", "clock."))
    }
    for fixed in ({}, at_rest, at_rest | {"mode": "balanced", "task.type": "qa", "task.labels": frozenset()}):
        began = time.perf_counter()
        try:
            policy.tree.drawn(fixed, 3_000)
        except TooManyNodes:
            assert "task.labels" not in fixed, "a slice without labels is small"
        assert time.perf_counter() - began < LONGEST_S


def test_the_command_says_that_a_tree_is_too_large(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how to ask for a slice, which it then draws."""
    world = world_of("thirty labels")
    (tmp_path / "models.yaml").write_text(world.models_yaml)
    (tmp_path / "policies.yaml").write_text(world.policies_yaml or "")
    (tmp_path / "main.route").write_text(world.route_files["main.route"])
    shell = Shell(capsys)
    began = time.perf_counter()
    whole = shell("tree", "--config", str(tmp_path))
    assert (whole.code, whole.out) == (2, "")
    assert "too large" in whole.err
    assert time.perf_counter() - began < LONGEST_S
    slice_ = shell("tree", "--config", str(tmp_path), "labels=", "mode=balanced")
    assert (slice_.code, slice_.err) == (0, "")


# --- beyond the cap -------------------------------------------------------------------------------------


def problems_of(text: str) -> tuple[Policy | None, list[tuple[str, str, int]]]:
    problems = Problems()
    files = folder_in_memory(GUIDE["models"], GUIDE["policies"], {"main.route": text}, problems=problems)
    policy = files and build(files, problems)
    return policy, [
        (problem.slug, problem.span.text, problem.span.line)
        for problem in problems
        if problem.level.word == "error"
    ]


def product_of_sums(factors: int) -> str:
    return " and ".join(
        f"(task.labels has a{number} or task.labels has b{number})" for number in range(factors)
    )


@pytest.mark.parametrize(
    "keyword", ["forbid {}: cloud", "require {}: local", "prefer {}: cloud by 5", "route {}: use local"]
)
def test_a_condition_beyond_the_cap_is_refused_at_its_rule(keyword: str) -> None:
    """2^20 cubes: the diagnostic names the rule, the rest of the policy is still looked at."""
    much = f"{keyword.format('much')}\n    when {product_of_sums(20)}"
    text = f"forbid fine: cloud when task.labels has a0\n{much}\n"
    began = time.perf_counter()
    policy, errors = problems_of(text)
    assert policy is None
    assert errors == [("rule-too-complex", "much", 2)]
    assert time.perf_counter() - began < LONGEST_S


@pytest.mark.parametrize(("other", "refused"), [(256, True), (230, False)])
def test_a_selector_beyond_the_cap_over_all_models_is_refused(other: int, refused: bool) -> None:
    """Each model has one capability of its own, so each lacks all the others': the engine's own guard about
    needs says so instead of filling the memory."""
    models = "".join(
        f"      - {{id: m{number}, max_context: 9, quality_tier: low, latency_tier: low, "
        f"capabilities: [c{number}], cost_profile: {{type: local_cpu}}}}\n"
        for number in range(other)
    )
    problems = Problems()
    text = f"providers:\n  house:\n    type: local\n    api: ollama\n    models:\n{models}"
    files = folder_in_memory(text, None, {"a.route": "route r: use any\n"}, problems=problems)
    assert files is not None
    assert (build(files, problems) is None) is refused
    told = [problem.message for problem in problems if problem.slug == "rule-too-complex"]
    assert [("needs-unmet" in one, "over all models" in one) for one in told] == [(True, True)] * refused


def test_two_rules_beyond_the_cap_are_both_told() -> None:
    """All independent problems in one run."""
    _, errors = problems_of(
        f"forbid one: cloud when {product_of_sums(14)}\n"
        f"weigh two: cost 1, quality 0, latency 0 when {product_of_sums(15)}\n"
    )
    assert [(slug, name) for slug, name, _ in errors] == [
        ("rule-too-complex", "one"),
        ("rule-too-complex", "two"),
    ]


def test_a_condition_at_the_cap_is_compiled() -> None:
    """2^12 cubes are exactly as many as a condition may have."""
    assert MOST_CUBES == 2**12
    policy, errors = problems_of(f"forbid much: cloud when {product_of_sums(12)}\n")
    assert errors == []
    assert policy is not None
    everything = frozenset(f"b{number}" for number in range(12))
    for given, blocked in (
        (everything, True),
        (everything - {"b7"}, False),
        (everything - {"b7"} | {"a7"}, True),
    ):
        explanation = policy.explain({"task.type": "qa", "mode": "balanced", "task.labels": given}, {})
        assert any(rule.name == "much" for one in explanation.candidates for rule in one.blockers) is blocked


def test_lets_that_double_sixty_times_are_one_condition() -> None:
    """2^60 copies when written out: a let used twice is looked at once."""
    lets = ["let d0 = task.labels has x or task.context_size > 100"]
    lets += [f"let d{number} = d{number - 1} and d{number - 1}" for number in range(1, 60)]
    policy, errors = problems_of("\n".join([*lets, "forbid deep: cloud when d59"]))
    assert errors == []
    assert policy is not None
    assert policy.compiled.owners.count(0) == 2


def test_the_same_factor_many_times_is_no_product() -> None:
    """What absorbs itself never grows: forty equal factors are one."""
    factors = " and ".join(["(task.labels has a or task.labels has b)"] * 40)
    policy, errors = problems_of(f"forbid same: cloud when {factors}\n")
    assert errors == []
    assert policy is not None


def test_the_negation_of_a_long_disjunction_is_one_cube() -> None:
    """`not (a or b or ...)` over 300 labels, and `unless` the same."""
    names = " or ".join(f"task.labels has {label}" for label in labels(300))
    policy, errors = problems_of(
        f"forbid none: cloud when not ({names})\nforbid spared: cloud when mode is balanced unless {names}\n"
    )
    assert errors == []
    assert policy is not None
    assert policy.compiled.owners.count(0) == 1
