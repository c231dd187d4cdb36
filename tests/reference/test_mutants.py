"""Generated worlds tell every planted bug from the interpreter it was planted in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .mutants import MUTANTS, UNCHANGED, Mutant, decisions_until_seen, planted, sample

BUDGET = 20_000


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_seen(mutant: Mutant, record_property: Callable[[str, object], None]) -> None:
    """Some decision, proof or test within the budget comes out differently."""
    decisions = decisions_until_seen(mutant, BUDGET)
    record_property("decisions", decisions)
    assert decisions is not None


def test_an_edit_that_changes_nothing_is_not_seen() -> None:
    """Comparing two copies of the interpreter finds no difference, so a difference is the planted bug's."""
    nothing = planted(Mutant("nothing", "reader", '"<": operator.lt', '"<": (operator.lt)'))
    for seed in range(50):
        world, some_facts, expected = sample(seed)
        assert expected == list(nothing.seen(world, some_facts))


def test_names_of_mutants_are_unique() -> None:
    """A report can name them."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_an_edit_that_fits_nowhere_is_refused() -> None:
    """A mutant never turns into the original unnoticed."""
    with pytest.raises(ValueError, match="exactly once"):
        planted(Mutant("stale", "reader", "no such text", ""))
    assert UNCHANGED.interpreter.__name__.endswith("interpreter")
