"""Every verdict on a proof against the enumeration of all tasks, decided by the reference."""

from __future__ import annotations

import pytest

from engine.analysis.proofs import prove
from engine.decision.facts import INDEX
from tests.analysis.small_worlds import SmallWorld, difference, worlds
from tests.reference.interpreter import all_facts, check_expectation


def check_proofs(number: int, world: SmallWorld) -> None:
    """A proof is proved when no task breaks it, vacuous when none is in it; a counterexample is a simplest
    one."""
    naive = world.reference()
    expected = {proof.name: proof for proof in naive.proofs}
    for answer in prove(world.engine()):
        proof = expected[answer.proof.name]
        inside = [point for point in world.points if proof.when(all_facts(naive, point))]
        broken = [point for point in inside if not check_expectation(naive, proof.expectation, point)]
        where = f"world {number}, proof {proof.name}\n{world.text()}{world.base}"
        assert answer.verdict == ("refuted" if broken else "proved"), where
        assert answer.vacuous == (not inside), where
        if broken:
            assert answer.counterexample is not None
            found = dict(zip(INDEX, answer.counterexample.facts, strict=True))
            assert not check_expectation(naive, proof.expectation, found), where
            assert difference(found) == min(map(difference, broken)), where


@pytest.mark.parametrize("seed", range(20))
def test_every_verdict_agrees_with_enumeration(seed: int) -> None:
    """In every world."""
    for number, world in worlds(100, seed, cross=seed % 2 == 1):
        check_proofs(number, world)
