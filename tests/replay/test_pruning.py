"""The model a state chooses is the first of the chain that the evaluator decides, on random worlds of every
statement kind."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from engine.decision.facts import Facts
from engine.policy import Policy
from engine.replay.encoding import Encoded
from engine.replay.pruning import Choices, Pruning
from engine.replay.simulation import BUDGET_FACTS
from tests.decision.worlds import compiled, facts_of
from tests.reference.generator import random_facts, random_world

WORLDS = 240
FACTS = 60


def wrong(policy: Policy, tasks: list[Facts], last: frozenset[str]) -> list[Facts]:
    """The facts for which another model is chosen."""
    pruning = Pruning(policy.compiled, last)
    encoded = []
    for column in pruning.first_columns:
        cells: dict[Any, int] = {}
        codes = [cells.setdefault(column.lookup(facts[column.position]), len(cells)) for facts in tasks]
        encoded.append(Encoded(np.array(codes, np.int64), list(cells)))
    states, index = pruning.rows(encoded, len(tasks))
    memory: dict[tuple[int, int], int] = {}
    found = []
    for row, facts in enumerate(tasks):
        cells = {column.fact: column.lookup(facts[column.position]) for column in pruning.last_columns}
        (chosen,) = Choices(pruning, cells, memory).of([states[int(index[row])]]).tolist()
        chain = policy.evaluator.decide(facts).chain
        if (policy.compiled.models[chosen] if chosen >= 0 else None) != (chain[0] if chain else None):
            found.append(facts)
    return found


@pytest.mark.parametrize("last", [frozenset(), BUDGET_FACTS], ids=["all at once", "money last"])
@pytest.mark.parametrize("part", range(4))
def test_states_choose_as_the_evaluator_decides(part: int, last: frozenset[str]) -> None:
    """Routes with and without an end, tiers that hang on facts, preferences, weights, ties, watched guards,
    prices of a call."""
    for seed in range(part * WORLDS // 4, (part + 1) * WORLDS // 4):
        rng = Random(seed)
        world = random_world(rng)
        tasks = [facts_of(random_facts(rng, world)) for _ in range(FACTS)]
        assert wrong(compiled(world), tasks, last) == [], seed
