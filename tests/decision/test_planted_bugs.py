"""A harness that finds nothing must be one that would have found something: it sees every bug that is
planted.

Bugs are planted on both sides: in a copy of the reference (then the engine must be told from it), and in a
copy of the engine (then the reference must tell it). Budgets are triples of policy, catalogue and facts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import pytest

from tests.decision.planted_bugs import BUGS, Bug, triples_until_seen
from tests.decision.worlds import compiled_within_cap, result_of
from tests.reference.generator import World, random_facts, random_world
from tests.reference.interpreter import Result
from tests.reference.mutants import MUTANTS, Mutant, planted

ENGINE_BUDGET = 16_000
REFERENCE_BUDGET = 20_000
FACTS_A_WORLD = 20

NOT_ABOUT_DECISIONS = {
    # of `test` and `prove` statements, which the engine's decisions never see
    "given-sets-do-not-add-up",
    "refusal-breaks-only",
    "refusal-satisfies-some",
    "never-asks-the-first-only",
    "whole-chain-as-beginning",
    "because-is-ignored",
    "all-up-ignores-busy",
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_planted_in_the_engine_is_seen(
    bug: Bug, record_property: Callable[[str, object], None]
) -> None:
    """Some triple within the budget comes out differently from the reference."""
    triples = triples_until_seen(bug, ENGINE_BUDGET)
    record_property("triples", triples)
    assert triples is not None


@pytest.mark.parametrize(
    "mutant",
    [mutant for mutant in MUTANTS if mutant.name not in NOT_ABOUT_DECISIONS],
    ids=lambda mutant: mutant.name,
)
def test_the_engine_is_told_from_a_reference_with_a_bug(
    mutant: Mutant, record_property: Callable[[str, object], None]
) -> None:
    """Every planted bug that bears on decisions, not only twenty-five of them."""
    triples = triples_until_told(mutant, REFERENCE_BUDGET)
    record_property("triples", triples)
    assert triples is not None


def test_there_are_bugs_enough() -> None:
    """Well over the twenty-five that are asked for, of either kind, and each can be named in a report."""
    about_decisions = {mutant.name for mutant in MUTANTS} - NOT_ABOUT_DECISIONS
    assert len(about_decisions) >= 100
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 50
    assert len(about_decisions) == len(MUTANTS) - len(NOT_ABOUT_DECISIONS)


def test_an_engine_loaded_afresh_without_a_bug_agrees() -> None:
    """Loading a second engine changes nothing by itself, so what is seen is the planted bug."""
    nothing = Bug(
        "nothing",
        "engine/decision/cubes.py",
        "NEVER: tuple[Cube, ...] = ()",
        "NEVER: tuple[Cube, ...] = tuple()",
    )
    assert triples_until_seen(nothing, 400) is None


def test_a_bug_that_fits_nowhere_is_refused() -> None:
    """An edit never turns into the original unnoticed."""
    with pytest.raises(ValueError, match="exactly once"):
        triples_until_seen(Bug("stale", "engine/decision/cubes.py", "no such text", ""), 20)


def triples_until_told(mutant: Mutant, budget: int) -> int | None:
    changed = planted(mutant)
    for number in range(budget // FACTS_A_WORLD):
        world, some_facts, decided = _decided_by_the_engine(number)
        done = number * FACTS_A_WORLD
        try:
            policy = changed.policy(world)
            for facts, result in zip(some_facts, decided, strict=True):
                done += 1
                if vars(changed.interpreter.decide(policy, facts)) != vars(result):
                    return done
        except Exception:
            return done + 1
    return None


@cache
def _decided_by_the_engine(number: int) -> tuple[World, list[dict[str, Any]], list[Result]]:
    rng = Random(700_000_000 + number)
    world = random_world(rng)
    some_facts = [random_facts(rng, world) for _ in range(FACTS_A_WORLD)]
    policy = compiled_within_cap(world)
    if policy is None:
        return world, [], []
    return world, some_facts, [result_of(policy, facts) for facts in some_facts]
