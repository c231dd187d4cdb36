"""Outcomes of a weak and a strong model -> the task types and labels for the strong model, and the gain to
expect.

The rows are cut in two. On the fitting part every cell (a task type, or a type with some labels) gets the
mean gain of the strong model, shrunk towards the means of its type and of all rows, because a small cell's
mean is mostly luck. Cells go to the strong model in the order of their gain. Rows left out while fitting
decide where to stop (cross-fitting), never the rows that a gain was computed from.

Only the other part is scored. Beside the score stand a coin, and the same procedure with types and labels
shuffled among the fitting rows: it knows nothing, and shows what luck alone reaches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.replay.encoding import Numbers, Whole
from engine.replay.outcomes import DRAWS, Interval, apgr_of, cpt_of, gained_at, interval_of, pgr_of

FOLDS = 5
SHRUNK_BY = 20
"""Rows of what is known more generally that a cell's own mean is mixed with."""

MOST_LABELS = 1
LEAST_HELP = 0.01
"""What a label must add to the area under the curve on left-out rows to be worth a longer rule."""

SHUFFLES = 100
SPLITS = 20


@dataclass(frozen=True, slots=True)
class Table:
    """One row a task: its type, which labels it has, and how well each of the two models did."""

    types: tuple[str, ...]
    type_of: Whole
    labels: tuple[str, ...]
    has: "np.ndarray[tuple[int, int], np.dtype[np.bool_]]"
    weak: Numbers
    strong: Numbers

    @property
    def rows(self) -> int:
        return len(self.weak)

    @property
    def gain(self) -> Numbers:
        return self.strong - self.weak

    def without(self, types: Sequence[str]) -> "Table":
        """The table less the rows of these types."""
        left = np.array([name not in types for name in self.types], bool)
        rows = np.flatnonzero(left[self.type_of])
        return Table(
            self.types, self.type_of[rows], self.labels, self.has[rows], self.weak[rows], self.strong[rows]
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Either a share of the strong model's score (0.95), or the largest share of calls it may get."""

    quality: float | None = None
    budget: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A task type with some labels and without others (by their place in `Proposal.labels`), and its observed
    gain."""

    type: str
    with_labels: tuple[bool, ...]
    rows: int
    gain: float
    predicted: float
    strong: bool


@dataclass(frozen=True, slots=True)
class Score:
    """The result of a choice of cells on some rows. `over_coin` is its score above a coin's with the same
    share."""

    rows: int
    weak: float
    strong: float
    share: float
    score: Interval
    percent_of_strong: Interval
    pgr: float
    over_coin: Interval
    coin: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal, and its results on rows that it was not fitted on.

    `share_at_quality` is the smallest share of strong calls that reaches the wanted quality along the whole
    order of cells, and `coin_share` a coin's; `shuffled_*` are medians and the middle 95 % of the shuffled
    control; `splits` the shares over other ways to cut the rows.
    """

    wanted: Wanted
    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    fitted: Score
    held_out: Score
    apgr: float
    share_at_quality: float | None
    coin_share: float | None
    shuffled_score: Interval
    shuffled_apgr: Interval
    shuffled_share: Interval | None
    splits: Interval | None

    @property
    def reaches_quality(self) -> bool | None:
        """Whether even the low end of the held-out interval reaches the wanted quality; None when none was
        wanted."""
        low = self.held_out.percent_of_strong.low
        return None if self.wanted.quality is None else low is not None and low >= self.wanted.quality

    @property
    def beats_chance(self) -> bool:
        """Whether the held-out part scores clearly above a coin and above shuffled types."""
        low, high = self.held_out.over_coin.low, self.shuffled_apgr.high
        return low is not None and low > 0 and high is not None and self.apgr > high


def tune(
    table: Table, wanted: Wanted, seed: int, *, fit_share: float = 0.5, use_labels: bool = True
) -> Proposal:
    """Proposes cells for the strong model. The table has at least two rows of each part."""
    rng = np.random.default_rng(seed)
    fit, held = _cut(table, rng, fit_share)
    labels = _labels_that_help(table, fit, seed) if use_labels else ()
    kinds = _kinds(table, labels)
    gains = _gains(table, kinds, labels, fit)
    bar = _bar(table, labels, fit, wanted, seed)
    predicted = gains[kinds]
    chosen = predicted >= bar
    fitted, held_out = _score(table, fit, chosen, seed), _score(table, held, chosen, seed)
    points = _points(table, held, predicted)
    needed = None if wanted.quality is None else _needed_pgr(table, held, wanted.quality)
    control = _shuffled(table, fit, held, use_labels, held_out.share, needed, rng)
    return Proposal(
        wanted=wanted,
        labels=tuple(table.labels[place] for place in labels),
        cells=_cells(table, kinds, fit, labels, gains, bar),
        fitted=fitted,
        held_out=held_out,
        apgr=apgr_of(points),
        share_at_quality=None if needed is None else cpt_of(points, needed),
        coin_share=None if needed is None else min(max(needed, 0.0), 1.0),
        shuffled_score=control[0],
        shuffled_apgr=control[1],
        shuffled_share=control[2],
        splits=None
        if wanted.quality is None
        else _splits(table, wanted.quality, use_labels, seed, fit_share),
    )


# --- Fitting ----------------------------------------------------------------------------------------------


def _cut(table: Table, rng: np.random.Generator, share: float) -> tuple[Whole, Whole]:
    order = rng.permutation(table.rows)
    at = min(max(round(table.rows * share), 1), table.rows - 1)
    return np.sort(order[:at]), np.sort(order[at:])


def _kinds(table: Table, labels: Sequence[int]) -> Whole:
    """The cell of every row: its type and which of these labels it has."""
    kinds = table.type_of << len(labels)
    for bit, place in enumerate(labels):
        kinds = kinds | table.has[:, place].astype(np.int64) << bit
    return kinds


def _gains(table: Table, kinds: Whole, labels: Sequence[int], fit: Whole) -> Numbers:
    """The gain of every cell, learnt from the rows of `fit`: a type is drawn to the mean of all rows, a cell
    to its type."""
    gain = table.gain[fit]
    of_type = _shrunk(table.type_of[fit], gain, np.full(len(table.types), float(gain.mean())))
    return _shrunk(kinds[fit], gain, np.repeat(of_type, 1 << len(labels))) if labels else of_type


def _shrunk(kinds: Whole, gain: Numbers, towards: Numbers) -> Numbers:
    rows = np.bincount(kinds, minlength=len(towards))
    sums = np.bincount(kinds, weights=gain, minlength=len(towards))
    return (sums + SHRUNK_BY * towards) / (rows + SHRUNK_BY)


def _left_out(table: Table, labels: Sequence[int], fit: Whole, seed: int) -> Numbers:
    """For every row of `fit`, the gain predicted by the rows of the other folds."""
    kinds = _kinds(table, labels)
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(fit))
    predicted = np.zeros(len(fit))
    for number in range(FOLDS):
        inside = fold == number
        if inside.any() and not inside.all():
            predicted[inside] = _gains(table, kinds, labels, fit[~inside])[kinds[fit[inside]]]
    return predicted


def _labels_that_help(table: Table, fit: Whole, seed: int) -> tuple[int, ...]:
    """The labels, at most MOST_LABELS, that order left-out rows clearly better than types alone do."""
    found: tuple[int, ...] = ()
    best = _area(table, fit, _left_out(table, found, fit, seed))
    while len(found) < min(MOST_LABELS, len(table.labels)):
        areas = {
            place: _area(table, fit, _left_out(table, (*found, place), fit, seed))
            for place in range(len(table.labels))
            if place not in found
        }
        place = max(areas, key=areas.__getitem__)
        if areas[place] <= best + LEAST_HELP:
            break
        best, found = areas[place], (*found, place)
    return found


def _area(table: Table, rows: Whole, predicted: Numbers) -> float:
    everywhere = np.zeros(table.rows)
    everywhere[rows] = predicted
    return apgr_of(_points(table, rows, everywhere))


def _bar(table: Table, labels: Sequence[int], fit: Whole, wanted: Wanted, seed: int) -> float:
    """The predicted gain from which on a cell goes to the strong model, decided by left-out rows."""
    predicted = _left_out(table, labels, fit, seed)
    order = np.argsort(-predicted, kind="stable")
    share = np.arange(len(fit) + 1) / len(fit)
    score = np.concatenate([[0.0], np.cumsum(table.gain[fit][order])]) + table.weak[fit].sum()
    if wanted.quality is not None:
        reached = np.flatnonzero(score >= wanted.quality * table.strong[fit].sum())
        calls = int(reached[0]) if len(reached) else len(fit)
    else:
        assert wanted.budget is not None
        calls = int(np.searchsorted(share, wanted.budget, side="right")) - 1
    # The same share of the fitting rows, by the gains that all of them together give.
    kinds = _kinds(table, labels)
    whole = np.sort(_gains(table, kinds, labels, fit)[kinds[fit]])[::-1]
    if calls <= 0:
        return float("inf")
    bar = float(whole[calls - 1])
    if wanted.budget is not None and int((whole >= bar).sum()) > calls:
        # A cell is never cut in two: one that does not fit the budget whole stays out.
        above = whole[whole > bar]
        return float(above[-1]) if len(above) else float("inf")
    return bar


def _cells(
    table: Table, kinds: Whole, fit: Whole, labels: Sequence[int], gains: Numbers, bar: float
) -> tuple[Cell, ...]:
    """Every type with and without every label, the largest predicted gain first; `gain` is 0 where no fitting
    row is."""
    rows = np.bincount(kinds[fit], minlength=len(gains))
    sums = np.bincount(kinds[fit], weights=table.gain[fit], minlength=len(gains))
    occurring = np.unique(table.type_of)
    cells = [
        Cell(
            type=table.types[kind >> len(labels)],
            with_labels=tuple(bool(kind >> bit & 1) for bit in range(len(labels))),
            rows=int(rows[kind]),
            gain=float(sums[kind] / rows[kind]) if rows[kind] else 0.0,
            predicted=float(gains[kind]),
            strong=bool(gains[kind] >= bar),
        )
        for type_ in occurring.tolist()
        for kind in range(type_ << len(labels), (type_ + 1) << len(labels))
    ]
    return tuple(sorted(cells, key=lambda cell: (-cell.predicted, cell.type, cell.with_labels)))


# --- Scoring ----------------------------------------------------------------------------------------------


def _score(
    table: Table, rows: Whole, strong: "np.ndarray[tuple[int], np.dtype[np.bool_]]", seed: int
) -> Score:
    weak, best = table.weak[rows], table.strong[rows]
    mine = np.where(strong[rows], best, weak)
    share = float(strong[rows].mean())
    # Rows with the same outcomes and the same choice are one kind, so drawing rows is drawing counts.
    kinds, counts = np.unique(np.stack([weak, best, mine, strong[rows]], axis=1), axis=0, return_counts=True)
    draws = (
        np.random.default_rng(seed).multinomial(len(rows), counts / len(rows), size=DRAWS) @ kinds / len(rows)
    )
    coin = draws[:, 0] + draws[:, 3] * (draws[:, 1] - draws[:, 0])
    means = float(weak.mean()), float(best.mean()), float(mine.mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = draws[:, 2] / draws[:, 1]
    flat = means[0] == means[1]
    return Score(
        rows=len(rows),
        weak=means[0],
        strong=means[1],
        share=share,
        score=interval_of(means[2], draws[:, 2]),
        percent_of_strong=interval_of(means[2] / means[1] if means[1] else 0.0, relative),
        pgr=0.0 if flat else pgr_of(means[2], means[0], means[1]),
        over_coin=interval_of(means[2] - (means[0] + share * (means[1] - means[0])), draws[:, 2] - coin),
        coin=means[0] + share * (means[1] - means[0]),
    )


def _points(table: Table, rows: Whole, predicted: Numbers) -> list[tuple[float, float]]:
    """Share of strong calls and PGR after each cell, the largest predicted gain first."""
    gain = table.gain[rows]
    gap = float(gain.sum())
    if gap == 0:
        return []
    _, inverse = np.unique(-predicted[rows], return_inverse=True)
    calls = np.cumsum(np.bincount(inverse))
    gained = np.cumsum(np.bincount(inverse, weights=gain))
    return [
        (count / len(rows), total / gap) for count, total in zip(calls.tolist(), gained.tolist(), strict=True)
    ]


def _needed_pgr(table: Table, rows: Whole, quality: float) -> float:
    weak, strong = float(table.weak[rows].mean()), float(table.strong[rows].mean())
    return 1.0 if weak == strong else pgr_of(quality * strong, weak, strong)


def _shuffled(
    table: Table,
    fit: Whole,
    held: Whole,
    use_labels: bool,
    share: float,
    needed: float | None,
    rng: np.random.Generator,
) -> tuple[Interval, Interval, Interval | None]:
    """The same procedure with types and labels dealt to the fitting rows at random.

    Returns its score with the same share of strong calls, its area, and the share it needs.
    """
    scores, areas, shares = [], [], []
    weak, gap = float(table.weak[held].mean()), float(table.gain[held].mean())
    for _ in range(SHUFFLES):
        dealt = np.arange(table.rows)
        dealt[fit] = rng.permutation(fit)
        shuffled = Table(
            table.types, table.type_of[dealt], table.labels, table.has[dealt], table.weak, table.strong
        )
        drawn = int(rng.integers(2**31))
        labels = _labels_that_help(shuffled, fit, drawn) if use_labels else ()
        kinds = _kinds(shuffled, labels)
        predicted = _gains(shuffled, kinds, labels, fit)[kinds]
        points = _points(table, held, predicted)
        scores.append(weak + gap * gained_at(points, share))
        areas.append(apgr_of(points))
        if needed is not None:
            reached = cpt_of(points, needed)
            shares.append(1.0 if reached is None else reached)
    middle = float(np.median(shares)) if shares else 0.0
    return (
        interval_of(float(np.median(scores)), np.array(scores)),
        interval_of(float(np.median(areas)), np.array(areas)),
        interval_of(middle, np.array(shares)) if shares else None,
    )


def _splits(table: Table, quality: float, use_labels: bool, seed: int, fit_share: float) -> Interval:
    """The share of strong calls at the wanted quality over other ways to cut the rows: how much depends on
    the cut."""
    shares = []
    for number in range(SPLITS):
        fit, held = _cut(table, np.random.default_rng((seed, number)), fit_share)
        labels = _labels_that_help(table, fit, seed) if use_labels else ()
        kinds = _kinds(table, labels)
        predicted = _gains(table, kinds, labels, fit)[kinds]
        share = cpt_of(_points(table, held, predicted), _needed_pgr(table, held, quality))
        shares.append(1.0 if share is None else share)
    return Interval(float(np.median(shares)), float(min(shares)), float(max(shares)))
