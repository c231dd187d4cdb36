"""The second half of the 200,000 triples that `test_differential.py` speaks of."""

from __future__ import annotations

import pytest

from tests.decision.test_differential import check


@pytest.mark.parametrize("seed", [15, 16, 17, 18])
def test_the_engine_decides_as_the_reference_does(seed: int) -> None:
    """Chain, scores, route, weights, blockers, watched guards, preferences, and the leaf of the tree: all the
    same."""
    check(seed)
