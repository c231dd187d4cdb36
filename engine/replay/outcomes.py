"""How often each outcome occurred -> scores and the routing metrics of the literature, with their random line
and an interval.

PGR = (score - weak) / (strong - weak): the share of the gap between two models that a policy recovers.
CPT(x): the smallest share of strong calls that reaches PGR x, linear between steps. APGR: the area under PGR
over the share of strong calls (Ong et al., RouteLLM, arXiv 2406.18665). One policy is one point; its line
goes from all-weak through the point to all-strong, which is what mixing the policy with coin tosses gives. A
coin alone has PGR = share, CPT(x) = x and APGR = 0.5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan

import numpy as np

from engine.replay.encoding import Numbers

DRAWS = 1_000
FEWEST_DRAWS = 100
LEVELS = (0.5, 0.8, 0.95)


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the middle 95 % of its bootstrap draws; no draw could be made where `low` is None."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The scores of a policy's choices.

    `rows` are those with a known score of the chosen model, and the refused ones, which score 0. `means` are
    the mean scores of each model that has them, over the same rows; `oracle` is the mean of each row's best.
    """

    rows: int
    unknown: int
    score: Interval
    means: Mapping[str, float]
    oracle: float
    weak: str | None
    strong: str | None
    strong_share: float
    pgr: Interval | None
    percent_of_strong: float | None
    apgr: Interval | None
    cpt: tuple[tuple[float, float | None], ...]
    random_score: float | None


def outcomes_of(
    counted: Mapping[tuple[float, ...], int],
    models: Sequence[str],
    pair: tuple[str, str] | None,
    localities: Mapping[str, str],
    seed: int,
) -> Outcomes | None:
    """The scores of counted outcomes, or None when no row has all scores.

    `counted` has for each (number of the chosen model, score of each of `models`, ...) how often it occurred;
    the number is a place in `models`, -1 a refusal, -2 a model without scores.
    """
    known = {
        outcome: count
        for outcome, count in counted.items()
        if outcome[0] != -2 and not any(isnan(score) for score in outcome[1:])
    }
    rows = sum(known.values())
    if not rows:
        return None
    unknown = sum(counted.values()) - rows
    ordered = sorted(known)
    counts = np.array([known[outcome] for outcome in ordered], np.int64)
    table = np.array([outcome[1:] for outcome in ordered], np.float64)
    chosen = np.array([int(outcome[0]) for outcome in ordered])
    mine = np.where(chosen < 0, 0.0, table[np.arange(len(ordered)), np.maximum(chosen, 0)])
    means = {model: float(counts @ table[:, place]) / rows for place, model in enumerate(models)}
    weak, strong = pair or _pair(means, localities)
    columns = [mine, table.max(axis=1)]
    if weak is not None and strong is not None:
        at = list(models).index
        columns += [table[:, at(weak)], table[:, at(strong)], (chosen == at(strong)).astype(np.float64)]
    values = np.stack(columns, axis=1)
    whole = counts @ values / rows
    draws = _draws(counts, rows, seed) @ values / rows
    score = interval_of(float(whole[0]), draws[:, 0])
    if weak is None or strong is None or whole[2] == whole[3]:
        return Outcomes(
            rows, unknown, score, means, float(whole[1]), weak, strong, 0.0, None, None, None, (), None
        )
    share = float(whole[4])
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (draws[:, 0] - draws[:, 2]) / (draws[:, 3] - draws[:, 2])
    pgr = pgr_of(float(whole[0]), float(whole[2]), float(whole[3]))
    areas = np.array(
        [apgr_of([(at, gained)]) for at, gained in zip(draws[:, 4].tolist(), drawn.tolist(), strict=True)]
    )
    return Outcomes(
        rows=rows,
        unknown=unknown,
        score=score,
        means=means,
        oracle=float(whole[1]),
        weak=weak,
        strong=strong,
        strong_share=share,
        pgr=interval_of(pgr, drawn),
        percent_of_strong=float(whole[0] / whole[3]) if whole[3] else None,
        apgr=interval_of(apgr_of([(share, pgr)]), areas),
        cpt=tuple((level, cpt_of([(share, pgr)], level)) for level in LEVELS),
        random_score=float(whole[2] + share * (whole[3] - whole[2])),
    )


def pgr_of(score: float, weak: float, strong: float) -> float:
    """The share of the gap between weak and strong that a score recovers."""
    return (score - weak) / (strong - weak)


def cpt_of(points: Sequence[tuple[float, float]], level: float) -> float | None:
    """The smallest share of strong calls at which the line through (share, PGR) points reaches a PGR."""
    line = _line(points)
    for (share, gained), (next_share, next_gained) in pairwise(line):
        if gained >= level:
            return share
        if next_gained >= level:
            return share + (level - gained) / (next_gained - gained) * (next_share - share)
    return None if line[-1][1] < level else line[-1][0]


def apgr_of(points: Sequence[tuple[float, float]]) -> float:
    """The area under the line through (share, PGR) points."""
    line = _line(points)
    return sum((right - left) * (low + high) / 2 for (left, low), (right, high) in pairwise(line))


def gained_at(points: Sequence[tuple[float, float]], share: float) -> float:
    """The PGR of the line through (share, PGR) points at one share."""
    line = _line(points)
    return float(np.interp(share, [at for at, _ in line], [gained for _, gained in line]))


def _line(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    inner = [point for point in sorted(points) if 0 < point[0] < 1]
    return [(0.0, 0.0), *inner, (1.0, 1.0)]


def _pair(means: Mapping[str, float], localities: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The weak and the strong model: the best local against the best cloud one; else, or when that is no
    better, worst and best."""
    if len(means) < 2:
        return None, None
    best = {
        place: max(
            (model for model in means if localities[model] == place), key=means.__getitem__, default=None
        )
        for place in ("local", "cloud")
    }
    weak, strong = best["local"], best["cloud"]
    if weak is None or strong is None or means[weak] >= means[strong]:
        ranked = sorted(means, key=means.__getitem__)
        return ranked[0], ranked[-1]
    return weak, strong


def _draws(counts: "np.ndarray[tuple[int], np.dtype[np.int64]]", rows: int, seed: int) -> Numbers:
    """How often each outcome occurs when as many rows are drawn with replacement, DRAWS times (fewer for huge
    tables)."""
    rng = np.random.default_rng(seed)
    draws = DRAWS if len(counts) <= 20_000 else 200
    return rng.multinomial(rows, counts / rows, size=draws).astype(np.float64)


def interval_of(value: float, drawn: Numbers) -> Interval:
    """A value and the middle 95 % of its draws."""
    finite = drawn[np.isfinite(drawn)]
    if len(finite) < FEWEST_DRAWS:
        return Interval(value, None, None)
    low, high = np.percentile(finite, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def format_interval(interval: Interval, *, percent: bool = False) -> str:
    """`0.7701 [0.7554, 0.7850]`, or `77.0% [75.5%, 78.5%]`."""
    shape = ".1%" if percent else ".4f"
    if interval.low is None or interval.high is None:
        return f"{interval.value:{shape}}"
    return f"{interval.value:{shape}} [{interval.low:{shape}}, {interval.high:{shape}}]"
