"""The smallest change that chooses a model, against the enumeration of all changes."""

from __future__ import annotations

from random import Random

import pytest

from engine.analysis.why_not import CHANGEABLE, why_not
from engine.decision.explanation import Explanation
from engine.decision.facts import INDEX, FactsWithSources
from tests.analysis.small_worlds import facts_of, worlds


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
