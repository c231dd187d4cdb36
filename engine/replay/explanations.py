"""Refused rows, and rows that moved to another model -> the rules responsible, with the number of rows of
each.

Each different combination of partitions is looked at once, and decided in full by the evaluator's own masks.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.config.catalogue import Model
from engine.decision.evaluator import Decision, first_rule
from engine.decision.partitions import bits_of
from engine.language.checked_policy import Rule
from engine.replay.encoding import Whole
from engine.replay.pruning import different
from engine.replay.simulation import Played, Simulation

MOST_COMBINATIONS = 50_000
"""Combinations of cells looked at in one chunk, the most frequent first; rows beyond them are counted without
a reason."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One effect of one rule: `did` describes it in a few words, `rule` is the rule's name and `place` its
    file and line (`main.route:12`)."""

    did: str
    rule: str
    place: str


BEYOND = Reason("not looked at: too many different combinations", "", "")


class Combinations:
    """The different combinations of partitions among some rows that were played, under one policy or two."""

    def __init__(self, played: Sequence[Played], rows: Whole) -> None:
        codes = [fact.codes[rows] for one in played for _, fact in one.encoded if fact.codes is not None]
        for one in played:
            starts = np.array([start for start, _ in one.stretches], np.int64)
            # Stretches with the same cells are one: what matters is the cells, not when.
            same: dict[tuple[Any, ...], int] = {}
            kind = np.array(
                [same.setdefault(tuple(cells.values()), len(same)) for _, cells in one.stretches], np.int64
            )
            codes.append(kind[np.searchsorted(starts, rows, side="right") - 1])
        keys = np.zeros(len(rows), np.int64)
        for column in codes:
            shifted = column - int(column.min())
            width = int(shifted.max()) + 1
            if width == 1:
                continue
            if (int(keys.max()) + 1) * width > 2**62:
                keys = np.unique(keys, return_inverse=True)[1]
            keys = keys * width + shifted
        _, first, inverse, counts = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        order = np.lexsort((first, -counts))
        self.rows = rows[first[order]]
        self.counts = counts[order]
        self._order = order
        self._sorted = rows[np.argsort(inverse, kind="stable")]
        self._ends = np.cumsum(counts)

    def members(self, place: int) -> Whole:
        """The rows of one combination, by its place in `rows`."""
        number = int(self._order[place])
        end = int(self._ends[number])
        return self._sorted[end - int(self.counts[place]) : end]


def decision_at(simulation: Simulation, played: Played, row: int) -> Decision:
    """The whole decision of one row."""
    cells = {
        column.fact: encoded.cells[0 if encoded.codes is None else int(encoded.codes[row])]
        for column, encoded in played.encoded
    }
    starts = [start for start, _ in played.stretches]
    stretch = int(np.searchsorted(starts, row, side="right")) - 1
    return simulation.pruning.decision({**cells, **played.stretches[stretch][1]})


class Refusals:
    """Refused rows -> how often each rule blocks a model of the route's tiers.

    Rows with the same live guards and routes form one class, and each class is looked at once.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        policy = simulation.policy.compiled
        self._relevant = policy.routes
        for guard in policy.guards:
            self._relevant |= guard
        for tiers in policy.tiers.values():
            for tier in tiers:
                for _, mask in tier.depending:
                    self._relevant |= mask
        self._owners: dict[int, frozenset[int]] = {}
        self._rules: dict[int, tuple[int, ...]] = {}
        self._counts: Counter[int] = Counter()

    def add(self, played: Played, rows: Whole) -> None:
        """Counts the refused rows of a chunk."""
        masks, index = classes(self._simulation, played, rows, self._relevant)
        for live, count in zip(masks, np.bincount(index, minlength=len(masks)).tolist(), strict=True):
            found = self._rules.get(live)
            if found is None:
                found = self._rules[live] = self._blocking(live)
            for rule in found:
                self._counts[rule] += count

    def counted(self) -> list[tuple[Reason, int]]:
        """Every reason with its rows, the most frequent first."""
        rules = self._simulation.policy.compiled.rules
        counted = []
        for rule, count in self._counts.items():
            did = "blocks" if rule >= 0 else "its tiers hold no model here"
            counted.append((_reason(did, rules[rule if rule >= 0 else ~rule]), count))
        return sorted(counted, key=lambda item: (-item[1], item[0].rule))

    def _blocking(self, live: int) -> tuple[int, ...]:
        """The rules that block members of the route's tiers; a route without members stands for itself,
        inverted."""
        policy = self._simulation.policy.compiled
        route = first_rule(policy, live & policy.routes)
        tiers = policy.default if route is None else policy.tiers[route]
        members = {model for tier in tiers for model in tier.members(live)}
        if not members and route is not None:
            return (~route,)
        rules: set[int] = set()
        for model in members:
            bits = live & policy.guards[model]
            owners = self._owners.get(bits)
            if owners is None:
                owners = self._owners[bits] = frozenset(policy.owners[bit] for bit in bits_of(bits))
            rules |= owners
        return tuple(rules)


class Watched:
    """Watched guards -> how many chosen models each would have blocked."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._relevant = 0
        for mask in simulation.policy.compiled.watched:
            self._relevant |= mask
        self._counts: Counter[int] = Counter()

    def add(self, played: Played) -> None:
        """Counts a chunk."""
        if not self._relevant:
            return
        policy = self._simulation.policy.compiled
        rows = np.flatnonzero(played.chosen >= 0)
        masks, index = classes(self._simulation, played, rows, self._relevant)
        width = len(policy.models)
        pairs = np.bincount(index * width + played.chosen[rows], minlength=len(masks) * width)
        for pair in np.flatnonzero(pairs).tolist():
            bits = masks[pair // width] & policy.watched[pair % width]
            for rule in {policy.owners[bit] for bit in bits_of(bits)}:
                self._counts[rule] += int(pairs[pair])

    def counted(self) -> list[tuple[Reason, int]]:
        """Every watched guard, those without a hit included; the most frequent first."""
        policy = self._simulation.policy.compiled
        rules = {policy.owners[bit] for bit in bits_of(self._relevant)}
        counted = [
            (_reason("would have blocked it", policy.rules[rule]), self._counts[rule]) for rule in rules
        ]
        return sorted(counted, key=lambda item: (-item[1], item[0].rule))


def classes(simulation: Simulation, played: Played, rows: Whole, relevant: int) -> tuple[list[int], Whole]:
    """The different sets of `relevant` cubes that hold among these rows, and for each row which of them."""
    masks, index = [relevant], np.zeros(len(rows), np.int64)
    for column, encoded in played.encoded:
        codes = None if encoded.codes is None else encoded.codes[rows]
        masks, index = _divided(masks, index, codes, [column.mask(cell) for cell in encoded.cells])
    starts = np.array([start for start, _ in played.stretches], np.int64)
    last = [simulation.pruning.last_mask(cells) for _, cells in played.stretches]
    return _divided(masks, index, np.searchsorted(starts, rows, side="right") - 1, last)


def _divided(
    masks: list[int], index: Whole, codes: Whole | None, of_cells: list[int]
) -> tuple[list[int], Whole]:
    """Divides every class by one fact, and joins classes in which the same rules hold."""
    if codes is None:
        codes = np.zeros(len(index), np.int64)
    width = len(of_cells)
    pairs, inverse = different(index * width + codes, len(masks) * width)
    places: dict[int, int] = {}
    table = [
        places.setdefault(masks[pair // width] & of_cells[pair % width], len(places))
        for pair in pairs.tolist()
    ]
    return list(places), np.array(table, np.int64)[inverse]


def why_moved(before: Simulation, was: Decision, after: Simulation, now: Decision) -> list[Reason]:
    """The reasons why the two chains begin with different models; never empty."""
    old = was.chain[0] if was.chain else None
    new = now.chain[0] if now.chain else None
    reasons: list[Reason] = []
    if old is not None:
        place = _place_of(after, old)
        if place is None:
            reasons.append(Reason(f"{old.key} is no longer in the catalogue", "", "models.yaml"))
        else:
            reasons += [_reason(f"now blocks {old.key}", rule) for rule in _guards(after, now, place)]
    if new is not None:
        place = _place_of(before, new)
        if place is None:
            reasons.append(Reason(f"{new.key} is new in the catalogue", "", "models.yaml"))
        else:
            reasons += [_reason(f"no longer blocks {new.key}", rule) for rule in _guards(before, was, place)]
    if _written(was.route) != _written(now.route):
        reasons.append(
            Reason("no route speaks of it now", "", "")
            if now.route is None
            else _reason("now routes it", now.route)
        )
    if reasons:
        return reasons
    if _written(was.weigh) != _written(now.weigh):
        reasons.append(_reason("now weighs it", now.weigh))
    for model in (old, new):
        if model is None:
            continue
        one, other = _favours(before, was, model), _favours(after, now, model)
        reasons += [
            _reason(f"now moves the score of {model.key}", rule)
            for name, rule in other.items()
            if name not in one
        ]
        reasons += [
            _reason(f"no longer moves the score of {model.key}", rule)
            for name, rule in one.items()
            if name not in other
        ]
    return reasons or [Reason("prices, tiers or attributes of the models differ", "", "models.yaml")]


def _guards(simulation: Simulation, decision: Decision, model: int) -> tuple[Rule, ...]:
    return simulation.policy.explainer.rules(decision.live & simulation.policy.compiled.guards[model])


def _favours(simulation: Simulation, decision: Decision, model: Model) -> dict[str, Rule]:
    place = _place_of(simulation, model)
    if place is None:
        return {}
    live = decision.live & simulation.policy.compiled.favours[place].mask
    return {_written(rule): rule for rule in simulation.policy.explainer.rules(live)}


def _place_of(simulation: Simulation, model: Model) -> int | None:
    return next((place for place, known in enumerate(simulation.models) if known.key == model.key), None)


def _written(rule: Rule | None) -> str:
    return "" if rule is None else rule.name


def _reason(did: str, rule: Rule) -> Reason:
    span = rule.span
    return Reason(did, rule.name, f"{span.source.name}:{span.line}")
