"""The routing metrics: their definitions on cases done by hand, their random line, and their intervals."""

from __future__ import annotations

import pytest

from engine.replay.outcomes import apgr_of, cpt_of, outcomes_of, pgr_of

MODELS = ["weak", "strong"]
WHERE = {"weak": "local", "strong": "cloud"}


def test_pgr_is_the_share_of_the_gap() -> None:
    """Weak alone has 0, strong alone 1, halfway a half."""
    assert [pgr_of(score, 0.5, 0.9) for score in (0.5, 0.9, 0.7)] == pytest.approx([0, 1, 0.5])


def test_a_coin_is_the_diagonal() -> None:
    """A policy whose PGR is its share has APGR 0.5 and CPT(x) = x."""
    assert apgr_of([(0.3, 0.3)]) == pytest.approx(0.5)
    assert [cpt_of([(0.3, 0.3)], level) for level in (0.5, 0.8)] == pytest.approx([0.5, 0.8])


def test_cpt_is_linear_between_steps() -> None:
    """Half of the gap with a fifth of the calls; then a quarter of it lies at a tenth."""
    points = [(0.2, 0.5)]
    assert cpt_of(points, 0.25) == pytest.approx(0.1)
    assert cpt_of(points, 0.5) == pytest.approx(0.2)
    assert cpt_of(points, 0.75) == pytest.approx(0.6)
    assert apgr_of(points) == pytest.approx(0.2 * 0.25 + 0.8 * 0.75)


def test_cpt_is_the_first_crossing_even_when_the_line_falls_again() -> None:
    """Policies above 1 and points that fall do not hide the first share that reaches a level."""
    assert cpt_of([(0.4, 1.2), (0.6, 0.9)], 1.0) == pytest.approx(0.4 / 1.2)


def test_a_policy_that_knows() -> None:
    """Ten rows, the strong model better in four, and a policy that sends just those four."""
    counted = {(1.0, 0.0, 1.0): 4, (0.0, 1.0, 1.0): 5, (0.0, 0.0, 0.0): 1}
    outcomes = outcomes_of(counted, MODELS, None, WHERE, seed=1)
    assert outcomes is not None
    assert (outcomes.weak, outcomes.strong) == ("weak", "strong")
    assert outcomes.score.value == pytest.approx(0.9)
    assert outcomes.strong_share == pytest.approx(0.4)
    assert outcomes.pgr is not None
    assert outcomes.pgr.value == pytest.approx(1.0)
    assert outcomes.random_score == pytest.approx(0.5 + 0.4 * 0.4)
    assert outcomes.oracle == pytest.approx(0.9)


def test_refusals_score_nothing_and_unscored_models_are_unknown() -> None:
    """A refused row counts with 0; a row given to a model nobody scored counts apart."""
    counted = {(-1.0, 1.0, 1.0): 1, (0.0, 1.0, 1.0): 1, (-2.0, 1.0, 1.0): 3}
    outcomes = outcomes_of(counted, MODELS, None, WHERE, seed=1)
    assert outcomes is not None
    assert (outcomes.rows, outcomes.unknown, outcomes.score.value) == (2, 3, 0.5)


def test_the_interval_holds_the_value_and_its_seed() -> None:
    """The same seed draws the same interval; it lies around the value and shrinks with the rows."""
    small = {(0.0, 1.0, 1.0): 30, (1.0, 0.0, 1.0): 30, (0.0, 0.0, 1.0): 40}
    one, two, other = (outcomes_of(small, MODELS, None, WHERE, seed) for seed in (1, 1, 2))
    large = outcomes_of({key: count * 100 for key, count in small.items()}, MODELS, None, WHERE, 1)
    assert one is not None
    assert other is not None
    assert large is not None
    assert one == two
    assert one != other
    assert one.score.low is not None
    assert one.score.high is not None
    assert large.score.low is not None
    assert large.score.high is not None
    assert one.score.low < one.score.value < one.score.high
    assert large.score.high - large.score.low < (one.score.high - one.score.low) / 5


def test_without_a_gap_there_is_no_pgr() -> None:
    """Two models that score alike leave nothing to recover; nothing is divided by zero."""
    outcomes = outcomes_of({(0.0, 1.0, 1.0): 3, (1.0, 0.0, 0.0): 3}, MODELS, None, WHERE, 1)
    assert outcomes is not None
    assert outcomes.pgr is None
