"""The engine decides 200,000 random triples of policy, catalogue and facts as the reference does: half of
them here.

The other half is in `test_differential_more.py`, so that two workers share them. Five million and more:
`python -m tests.decision.differential --triples 5000000`.
"""

from __future__ import annotations

import pytest

from tests.decision.differential import compared, samples

TRIPLES_A_SEED = 25_000


@pytest.mark.parametrize("seed", [11, 12, 13, 14])
def test_the_engine_decides_as_the_reference_does(seed: int) -> None:
    """Chain, scores, route, weights, blockers, watched guards, preferences, and the leaf of the tree: all the
    same."""
    check(seed)


def check(seed: int) -> None:
    done = 0
    for disagreement in compared(samples(TRIPLES_A_SEED, seed)):
        done += 1
        assert disagreement is None, str(disagreement)
    assert done == TRIPLES_A_SEED
