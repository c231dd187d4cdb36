"""The checks of identity and of forks see their planted bugs, and nothing in the engine as it is."""

import pytest

from .planted import LOSSES
from .programs import program


def test_nothing_is_lost_as_it_is() -> None:
    assert program("tests.budget.losses")["violations"] == []


@pytest.mark.parametrize("bug", LOSSES)
def test_a_planted_loss_is_seen(bug: str) -> None:
    """A green run of a check that misses its bug would count for nothing."""
    assert program("tests.budget.losses", "--plant", bug)["violations"]
