"""The hand-computed cases, decided by the engine: by its evaluator with a whole explanation, and by its
tree."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

import pytest

from engine.decision.decision_tree import Leaf
from engine.decision.facts import INDEX
from engine.policy import Policy
from tests.decision.worlds import compiled, facts_of, result_of
from tests.reference.conformance import Case, cases, differences, worlds
from tests.reference.generator import random_world
from tests.reference.interpreter import Result, assumed_facts

CASES = cases()
WORLDS = worlds()
LEAF_KNOWS = ("outcome", "model", "chain", "scores")


@cache
def policy_of(name: str) -> Policy:
    return compiled(WORLDS[name])


def name_of(case: Case) -> str:
    return case.place.rpartition("-")[0]


@pytest.mark.parametrize("case", CASES, ids=[case.place for case in CASES])
def test_the_evaluator_decides_a_case_as_written(case: Case) -> None:
    """The claim is the case's own; everything an explanation says is compared."""
    assert differences(case.expect, result_of(policy_of(name_of(case)), case.facts)) == [], case.claim


@pytest.mark.parametrize("case", CASES, ids=[case.place for case in CASES])
def test_the_tree_decides_a_case_as_written(case: Case) -> None:
    """The same claim at the leaf to which the facts lead: its chain and its scores."""
    policy = policy_of(name_of(case))
    expect = {part: value for part, value in case.expect.items() if part in LEAF_KNOWS}
    assert differences(expect, _told_by(policy.tree.leaf(facts_of(case.facts)), policy)) == [], case.claim


def _told_by(leaf: Leaf, policy: Policy) -> Any:
    chain = tuple(model.key for model in leaf.chain)
    scores = {
        key: Fraction(total, 10**policy.compiled.scale) for key, total in zip(chain, leaf.totals, strict=True)
    }
    return Result("chosen" if chain else "refused", chain, scores, None, None, {}, {}, {})


@pytest.mark.parametrize("name", WORLDS)
def test_what_is_not_given_is_assumed_as_the_reference_assumes_it(name: str) -> None:
    """The default mode, nothing spent, everything up, Monday noon."""
    assert assumed_facts(WORLDS[name].policy()) == _assumed(policy_of(name))


def test_random_worlds_assume_alike_too() -> None:
    """Limits of zero in every place where they can stand."""
    for seed in range(150):
        world = random_world(Random(seed))
        assert assumed_facts(world.policy()) == _assumed(compiled(world)), seed


def _assumed(policy: Policy) -> dict[str, Any]:
    facts = policy.explain({"task.type": _some_type(policy)}, {}).facts
    return {name: facts[place] for name, place in INDEX.items() if name != "task.type"}


def _some_type(policy: Policy) -> str:
    return policy.names.task_types[0] if policy.names.task_types else "qa"


def test_a_limit_of_zero_points_to_its_line() -> None:
    """Who asks why everything is refused is told which line of the YAML says so."""
    rules = {rule.name: rule for rule in policy_of("zero_budget").checked.rules}
    place = rules["budget-zero-ollama"].span
    assert (place.source.name, place.line) == ("policies.yaml", 4)


def test_a_given_fact_never_undoes_a_limit_of_zero() -> None:
    """A limit of zero is policy: no fact beside it gives a model back."""
    nothing_spent = {"task.type": "qa", "budget.exhausted_providers": frozenset()}
    assert policy_of("zero_budget").explain(nothing_spent, {}).outcome == "refused"
