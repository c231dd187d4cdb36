"""What the edges of a tree say, read back by the reference: every task takes one way, and it leads to what is
decided for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

import pytest

from engine.bundled import bundled_path
from engine.decision.facts import DEFAULTS, INDEX, FactsWithSources
from engine.decision.tree_drawing import json_values
from engine.policy import Policy, load_or_raise
from tests.analysis.small_worlds import SmallWorld, facts_of, worlds
from tests.reference.conditions import meaning
from tests.reference.interpreter import all_facts, decide

read = cache(meaning)


def walked(tree: Mapping[str, Any], facts: Mapping[str, Any], edge: Any) -> list[str]:
    """The chain that a task is led to, by the condition that `edge` reads off each branch."""
    nodes = {node["id"]: node for node in tree["nodes"]}
    node = nodes[tree["root"]]
    while "branches" in node:
        taken = [way["to"] for way in node["branches"] if read(edge(node, way))(facts)]
        assert len(taken) == 1, f"{node} {facts}"
        node = nodes[taken[0]]
    chain: list[str] = node["chain"]
    return chain


def as_json(node: Mapping[str, Any], way: Mapping[str, Any]) -> str:
    condition: str = way["condition"]
    return condition


def as_text(node: Mapping[str, Any], way: Mapping[str, Any]) -> str:
    return labelled(node["question"], node["fact"], way["labels"])


def labelled(question: str, fact: str, labels: Sequence[str]) -> str:
    """The condition that a person reads off a question and the labels of an edge."""
    parts = []
    for label in labels:
        if label in ("yes", "no"):
            parts.append(question if label == "yes" else f"not ({question})")
        elif label.startswith(("<", ">", "in ", "not in ")):
            parts.append(" and ".join(f"{fact} {each}" for each in label.split(" and ")))
        else:
            parts.append(f"{fact} is {label}")
    return " or ".join(f"({part})" for part in parts)


@pytest.mark.parametrize("seed", range(6))
def test_every_edge_says_exactly_who_takes_it(seed: int) -> None:
    """In JSON and as people read it, with open and closed lists, down to the chain."""
    for number, world in worlds(12, 6_000 + seed, cross=seed % 2 == 1, recent=seed % 3 == 1):
        policy, naive, rng = world.engine(), world.reference(), Random(number)
        tree = json_values(policy.tree.drawn({}), policy.compiled.scale)
        for point in rng.sample(world.points, min(60, len(world.points))):
            facts, chain = all_facts(naive, point), list(decide(naive, point).chain)
            for edge in (as_json, as_text):
                assert walked(tree, facts, edge) == chain, f"world {number}, {point}\n{world.text()}"


@pytest.mark.parametrize("seed", range(4))
def test_every_task_on_a_path_is_decided_alike(seed: int) -> None:
    """What `explain` prints as the path of a task holds of it, and of no task that is decided otherwise."""
    for number, world in worlds(12, 6_500 + seed, cross=seed % 2 == 1):
        policy, naive, rng = world.engine(), world.reference(), Random(number)
        points = rng.sample(world.points, min(40, len(world.points)))
        everything = [all_facts(naive, point) for point in points]
        chains = [decide(naive, point).chain for point in points]
        for point, facts, chain in zip(points[:8], everything, chains, strict=False):
            path = [read(condition) for condition in path_of(policy, world, point)]
            assert all(holds(facts) for holds in path), f"world {number}, {point}\n{world.text()}"
            on_it = {
                other
                for other_facts, other in zip(everything, chains, strict=True)
                if all(holds(other_facts) for holds in path)
            }
            assert on_it == {chain}, f"world {number}, {point}\n{world.text()}"


def path_of(policy: Policy, world: SmallWorld, point: dict[str, Any]) -> list[str]:
    explanation = policy.explainer.explain(FactsWithSources(facts_of(point), {}))
    steps = explanation.to_json()["path"]
    return [labelled(step["fact"], step["fact"], step["branch"].split(" or ")) for step in steps]


def test_the_drawn_default_policy_is_the_policy() -> None:
    """At rest, as `engine tree` draws it: for random tasks the edges lead to the chain that is decided."""
    policy = load_or_raise(bundled_path("policies", "default"))
    at_rest = ("budget.", "provider.", "models.", "task.bucket", "task.needs", "clock.")
    fixed = {fact: DEFAULTS[place] for fact, place in INDEX.items() if fact.startswith(at_rest)}
    tree = json_values(policy.tree.drawn(fixed), policy.compiled.scale)
    rng = Random(9)
    for _ in range(300):
        facts = DEFAULTS._replace(
            task_type=rng.choice(policy.names.task_types or ()),
            criticality=rng.choice(["low", "medium", "high", "critical"]),
            latency_sensitivity=rng.choice(["low", "high"]),
            budget_sensitivity=rng.choice(["low", "high"]),
            mode=rng.choice(list(policy.names.modes)),
            context_size=rng.choice([0, 6250, 6251, 9000, 40_000, 2_000_000]),
            labels=frozenset(rng.sample(["pii", "secret"], rng.randint(0, 2))),
        )
        chain = [model.key for model in policy.evaluator.decide(facts).chain]
        for edge in (as_json, as_text):
            assert walked(tree, dict(zip(INDEX, facts, strict=True)), edge) == chain
