"""The smallest change that chooses a model, against the enumeration of all changes."""

from __future__ import annotations

from random import Random

import pytest

from engine.analysis.why_not import CHANGEABLE, why_not
from engine.decision.explanation import Explanation
from engine.decision.facts import INDEX, FactsWithSources
from tests.analysis.small_worlds import facts_of, worlds
from tests.reference.conditions import meaning
from tests.reference.interpreter import all_facts, decide


@pytest.mark.parametrize("seed", range(10))
def test_no_smaller_change_would_do(seed: int) -> None:
    """The change found chooses the model, and no task with fewer changed facts does; none is found only
    where none is."""
    for number, world in worlds(20, 500 + seed, cross=seed % 2 == 1):
        rng = Random(number)
        policy = world.engine()
        firsts = [(point, policy.evaluator.decide(facts_of(point)).chain[:1]) for point in world.points]
        for point in rng.sample(world.points, min(3, len(world.points))):
            explanation = policy.explainer.explain(FactsWithSources(facts_of(point), {}))
            assert isinstance(explanation, Explanation)
            for model in policy.catalogue.models:
                if explanation.model is model:
                    continue
                changes = [
                    sum(other[fact] != point[fact] for fact in world.varied)
                    for other, first in firsts
                    if first == (model,)
                    and all(fact in CHANGEABLE or other[fact] == point[fact] for fact in world.varied)
                ]
                answer = why_not(policy.explainer, explanation, model.key)
                assert answer.is_complete
                where = f"world {number}, {model.key} at {point}\n{world.text()}{world.base}"
                assert (answer.change is None) == (not changes), where
                if answer.change is not None:
                    values = list(facts_of(point))
                    for fact, value in answer.change.items():
                        values[INDEX[fact]] = value
                    assert policy.evaluator.decide(type(facts_of(point))._make(values)).chain[0] is model, (
                        where
                    )
                    assert len(answer.change) == min(changes), where


@pytest.mark.parametrize("seed", range(10))
def test_every_value_that_is_printed_would_do(seed: int) -> None:
    """The conditions, read back, hold for the change; every task that differs in these facts alone and meets
    them gets the model. Of a single fact that is not a set they are all the values that do."""
    for number, world in worlds(20, 700 + seed, cross=seed % 2 == 1, recent=seed % 3 == 1):
        rng, policy, naive = Random(number), world.engine(), world.reference()
        for point in rng.sample(world.points, min(3, len(world.points))):
            explanation = policy.explainer.explain(FactsWithSources(facts_of(point), {}))
            for model in policy.catalogue.models:
                answer = why_not(policy.explainer, explanation, model.key)
                if not answer.change:
                    continue
                where = f"world {number}, {model.key} at {point}, {answer}\n{world.text()}{world.base}"
                assert answer.change.keys() == answer.conditions.keys(), where
                holds = meaning(" and ".join(answer.conditions.values()))
                assert holds(all_facts(naive, {**point, **answer.change})), where
                around = [
                    other
                    for other in world.points
                    if all(other[fact] == point[fact] for fact in world.varied if fact not in answer.change)
                ]
                said = [other for other in around if holds(all_facts(naive, other))]
                chosen = [other for other in around if decide(naive, other).chain[:1] == (model.key,)]
                assert all(other in chosen for other in said), where
                if len(answer.change) == 1 and not isinstance(next(iter(answer.change.values())), frozenset):
                    assert said == chosen, where
