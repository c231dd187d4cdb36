"""Encoded rows -> states, each of which chooses one model. Rows that no rule can tell apart are one state.

Facts are applied one after the other, to all rows together. After each fact a state keeps only the cubes that
can still change which model comes first; states that keep the same cubes become one. Facts about money come
last (`Choices`), so that a spent budget decides the states again and not the rows.

INVARIANT: the chosen model is the first of the chain that the evaluator decides for the same facts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.decision.compiler import CompiledPolicy, Tier
from engine.decision.evaluator import Decision, decide_live, first_rule
from engine.decision.partitions import Column, bits_of
from engine.language.vocabulary import FACTS, WHOLE, Kind
from engine.replay.encoding import Encoded, Whole

REFUSED = -1
MOST_FLAGS = 1 << 23
MOST_COMPARED = 16


class State(NamedTuple):
    """The rest of a decision: the live cubes, the models that can no longer come first, and the parts already
    settled.

    `route` and `weigh` are numbers of kinds (see `Pruning`), OPEN while it is unknown which of them holds.
    `order` has the remaining models from best to worst once nothing can change their scores; weights and
    preferences are then dropped.
    """

    live: int
    blocked: int
    route: int
    weigh: int
    order: tuple[int, ...] | None


OPEN = -1


class Pruning:
    """The states of one policy that occurred so far. `last` are the facts that are applied after all others.

    Routes with the same tiers are one kind, and so are weights that give every model the same score.
    """

    def __init__(self, policy: CompiledPolicy, last: frozenset[str]) -> None:
        self.policy = policy
        self.first_columns = sorted((c for c in policy.columns if c.fact not in last), key=_few_cells_first)
        self.last_columns = [column for column in policy.columns if column.fact in last]
        self._touched = [_touched(column) for column in self.first_columns]
        self._touched_last = _all_of(_touched(column) for column in self.last_columns)
        later, self._later = self._touched_last, []
        for touched in reversed(self._touched):
            self._later.append(later)
            later |= touched
        self._later.reverse()
        self._everyone = (1 << len(policy.models)) - 1
        self._tiers: dict[tuple[Tier, ...], int] = {policy.default: 0}
        self._route_kinds = {
            rule: self._tiers.setdefault(tiers, len(self._tiers)) for rule, tiers in policy.tiers.items()
        }
        self._tiers_of = list(self._tiers)
        scores: dict[tuple[int, ...], int] = {}
        self._weigh_kinds = {
            rule: scores.setdefault(parts, len(scores)) for rule, parts in policy.scores.items()
        }
        self._scores_of = list(scores)
        self._numbers: dict[State, int] = {}
        self.states: list[State] = []
        self._reduced: dict[tuple[int, State], int] = {}
        self.start = self._number(self._reduce(State(policy.full, 0, OPEN, OPEN, None), later))

    def rows(self, encoded: Sequence[Encoded], rows: int) -> tuple[list[int], Whole]:
        """The states that occur, and each row's place among them. `encoded` is in the order of
        `first_columns`."""
        occurring = [self.start]
        index = np.zeros(rows, np.int64)
        for place, fact in enumerate(encoded):
            touched, mask = self._touched[place], self.first_columns[place].mask
            sensitive = [bool(self.states[state].live & touched) for state in occurring]
            if not any(sensitive):
                continue
            if fact.codes is None:
                masks = [mask(fact.cells[0])]
                stepped = [self._step(place, state, masks[0]) for state in occurring]
                occurring, table = _without_doubles(stepped)
                index = table[index]
                continue
            width = len(fact.cells)
            masks = [mask(cell) for cell in fact.cells]
            if all(sensitive):
                keys = index * width + fact.codes
            else:
                keys = index * width + fact.codes * np.array(sensitive, np.int64)[index]
            pairs, inverse = different(keys, len(occurring) * width)
            states = [occurring[at] for at in (pairs // width).tolist()]
            stepped = [
                self._step(place, state, masks[code]) if self.states[state].live & touched else state
                for state, code in zip(states, (pairs % width).tolist(), strict=True)
            ]
            occurring, table = _without_doubles(stepped)
            index = table[inverse]
        return occurring, index

    def choose(self, state: int, last_mask: int) -> int:
        """The model that comes first in a state when the last facts leave these cubes; REFUSED for none."""
        live, blocked, route, weigh, order = self.states[state]
        if live == 0 and order is not None and len(order) < 2:
            return order[0] if order else REFUSED
        live &= last_mask
        policy = self.policy
        if route == OPEN:
            rule = first_rule(policy, live & policy.routes)
            route = 0 if rule is None else self._route_kinds[rule]
        if order is None:
            rule = first_rule(policy, live & policy.weighs)
            scores = self._scores_of[weigh if rule is None else self._weigh_kinds[rule]]
        for tier in self._tiers_of[route]:
            best = None
            for model in tier.members(live):
                if blocked >> model & 1 or live & policy.guards[model]:
                    continue
                if order is None:
                    place = -scores[model] - policy.favours[model].total(live), policy.ties[model], model
                else:
                    place = order.index(model), 0, model
                best = place if best is None else min(best, place)
            if best is not None:
                return best[2]
        return REFUSED

    def last_mask(self, cells: Mapping[str, Any]) -> int:
        """The cubes that remain when the last facts have these partitions."""
        mask = self.policy.full
        for column in self.last_columns:
            mask &= column.mask(cells[column.fact])
        return mask

    def relevant_last(self, state: int) -> int:
        """The cubes of a state that the last facts decide."""
        return self.states[state].live & self._touched_last

    def decision(self, cells: Mapping[str, Any]) -> Decision:
        """The whole decision when every fact has these partitions; for explanations and for tests."""
        live = self.policy.full
        for column in self.policy.columns:
            live &= column.mask(cells[column.fact])
        return decide_live(self.policy, live)

    # -- one step

    def _step(self, place: int, state: int, mask: int) -> int:
        before = self.states[state]
        after = before._replace(live=before.live & mask)
        key = place, after
        found = self._reduced.get(key)
        if found is None:
            found = self._number(self._reduce(after, self._later[place]))
            if len(self._reduced) > 1_000_000:
                self._reduced.clear()
            self._reduced[key] = found
        return found

    def _number(self, state: State) -> int:
        number = self._numbers.get(state)
        if number is None:
            number = self._numbers[state] = len(self.states)
            self.states.append(state)
        return number

    def _reduce(self, state: State, later: int) -> State:
        """Drops whatever can no longer change which model comes first; `later` are the cubes that some fact
        still decides."""
        policy, guards = self.policy, self.policy.guards
        live, blocked, route, weigh, order = state
        settled = live & ~later
        for model, guard in enumerate(guards):
            if settled & guard:
                blocked |= 1 << model

        routes, kinds = 0, [route]
        if route == OPEN:
            routes, kinds = self._open_kinds(live & policy.routes, settled, self._route_kinds, 0)
            if len(kinds) == 1:
                routes, route = 0, kinds[0]
        reach, tier_bits = 0, 0
        for kind in kinds:
            models, bits = self._reach(self._tiers_of[kind], live, settled, blocked)
            reach, tier_bits = reach | models, tier_bits | bits

        weighs, weigh_kinds = 0, [weigh]
        if order is None and weigh == OPEN:
            weighs, weigh_kinds = self._open_kinds(live & policy.weighs, settled, self._weigh_kinds, None)
            if len(weigh_kinds) == 1:
                weighs, weigh = 0, weigh_kinds[0]

        in_reach = [model for model in range(len(guards)) if reach >> model & 1]
        if order is not None:
            order = tuple(model for model in order if reach >> model & 1)
        elif len(in_reach) < 2:
            order = tuple(in_reach)
        elif weigh != OPEN and not any(live & later & policy.favours[model].mask for model in in_reach):
            scores = self._scores_of[weigh]
            totals = {model: scores[model] + policy.favours[model].total(live) for model in in_reach}
            order = tuple(sorted(in_reach, key=lambda model: (-totals[model], policy.ties[model])))
        if len(in_reach) > 1 and len(kinds) * len(weigh_kinds) <= MOST_COMPARED:
            beaten = self._beaten(live, settled, in_reach, kinds, weigh_kinds, order)
            if beaten:
                in_reach = [model for model in in_reach if model not in beaten]
                order = tuple(in_reach) if len(in_reach) == 1 else order
                if order is not None:
                    order = tuple(model for model in order if model not in beaten)

        blocked = self._everyone
        for model in in_reach:
            blocked ^= 1 << model
        if not in_reach:
            return State(0, blocked, OPEN, OPEN, ())
        if len(in_reach) == 1 and not live & guards[in_reach[0]]:
            held = (self._surely_in(self._tiers_of[kind], in_reach[0], settled) is not None for kind in kinds)
            if all(held):
                return State(0, blocked, OPEN, OPEN, (in_reach[0],))
        kept = routes | tier_bits
        for model in in_reach:
            kept |= guards[model]
        if order is None:
            kept |= weighs
            for model in in_reach:
                kept |= policy.favours[model].mask
        else:
            weigh = OPEN
        return State(live & kept, blocked, route, weigh, order)

    def _open_kinds(
        self, live: int, settled: int, kinds: Mapping[int, int], otherwise: int | None
    ) -> tuple[int, list[int]]:
        """The bits of the rules that may still be the first that holds, and their kinds."""
        first = live & settled
        if first:
            live &= (first & -first) * 2 - 1
        found = dict.fromkeys(kinds[self.policy.owners[bit]] for bit in bits_of(live))
        if not first and otherwise is not None:
            found[otherwise] = None
        return live, list(found)

    def _reach(self, tiers: Sequence[Tier], live: int, settled: int, blocked: int) -> tuple[int, int]:
        """The models that may come first by these tiers, and the bits that decide which models the tiers
        hold."""
        reach, bits = 0, 0
        for tier in tiers:
            sure = False
            for model in tier.always:
                if not blocked >> model & 1:
                    reach |= 1 << model
                    sure = sure or not live & self.policy.guards[model]
            for model, mask in tier.depending:
                if mask & live and not blocked >> model & 1:
                    reach |= 1 << model
                    bits |= mask
                    sure = sure or bool(mask & settled and not live & self.policy.guards[model])
            if sure:
                break
        return reach, bits

    def _beaten(
        self,
        live: int,
        settled: int,
        in_reach: Sequence[int],
        kinds: Sequence[int],
        weigh_kinds: Sequence[int],
        order: tuple[int, ...] | None,
    ) -> set[int]:
        """The models that come after some surely eligible model, whatever the open facts are."""
        sure = [model for model in in_reach if not live & self.policy.guards[model]]
        if not sure:
            return set()
        surely = {
            (kind, model): self._surely_in(self._tiers_of[kind], model, settled)
            for kind in kinds
            for model in sure
        }
        earliest = {
            (kind, model): self._earliest_in(self._tiers_of[kind], model, live)
            for kind in kinds
            for model in in_reach
        }
        bounds = (
            {} if order is not None else {model: self._bounds(model, live, settled) for model in in_reach}
        )
        ties = self.policy.ties
        beaten: set[int] = set()
        for model in in_reach:
            for better in sure:
                if better == model or better in beaten:
                    continue
                if order is not None:
                    outscored = order.index(better) < order.index(model)
                else:
                    most, least = bounds[model][1], bounds[better][0]
                    outscored = all(
                        (-(scores[better] + least), ties[better]) < (-(scores[model] + most), ties[model])
                        for scores in (self._scores_of[kind] for kind in weigh_kinds)
                    )
                for kind in kinds:
                    here, there = surely[kind, better], earliest[kind, model]
                    if there is None:
                        continue
                    if here is None or here > there or (here == there and not outscored):
                        break
                else:
                    beaten.add(model)
                    break
        return beaten

    def _bounds(self, model: int, live: int, settled: int) -> tuple[int, int]:
        """The least and the most that preferences may add to a model's score."""
        least = most = 0
        favours = self.policy.favours[model]
        if not live & favours.mask:
            return 0, 0
        for points, mask in favours.each:
            sure, open_ = (settled & mask).bit_count(), (live & ~settled & mask).bit_count()
            least += points * sure + min(0, points * open_)
            most += points * sure + max(0, points * open_)
        for points, mask in favours.once:
            if settled & mask:
                least, most = least + points, most + points
            elif live & mask:
                least, most = least + min(0, points), most + max(0, points)
        return least, most

    @staticmethod
    def _surely_in(tiers: Sequence[Tier], model: int, settled: int) -> int | None:
        """The first tier that surely holds a model, or None."""
        for place, tier in enumerate(tiers):
            if model in tier.always or any(
                member == model and mask & settled for member, mask in tier.depending
            ):
                return place
        return None

    @staticmethod
    def _earliest_in(tiers: Sequence[Tier], model: int, live: int) -> int | None:
        """The first tier that may hold a model, or None."""
        for place, tier in enumerate(tiers):
            if model in tier.always or any(
                member == model and mask & live for member, mask in tier.depending
            ):
                return place
        return None


class Choices:
    """The model that each state chooses, for one combination of the last facts; decided on first use."""

    def __init__(
        self, pruning: Pruning, cells: Mapping[str, Any], memory: dict[tuple[int, int], int]
    ) -> None:
        self._narrowing, self._memory = pruning, memory
        self._mask = pruning.last_mask(cells)

    def of(self, states: Sequence[int]) -> Whole:
        """The chosen models' numbers, in the order of the catalogue."""
        pruning, memory, mask = self._narrowing, self._memory, self._mask
        chosen = np.empty(len(states), np.int64)
        for place, state in enumerate(states):
            key = state, pruning.relevant_last(state) & mask
            model = memory.get(key)
            if model is None:
                model = memory[key] = pruning.choose(state, mask)
            chosen[place] = model
        return chosen


def _few_cells_first(column: Column) -> tuple[int, int, int]:
    kind = FACTS[column.fact].kind
    number = kind in WHOLE or kind is Kind.PERCENT
    return (2 if number else 1 if kind is Kind.SET else 0), -_touched(column).bit_count(), column.position


def _touched(column: Column) -> int:
    return _all_of(question.touched for question in column.questions())


def _all_of(masks: Any) -> int:
    together = 0
    for mask in masks:
        together |= mask
    return together


def _without_doubles(states: list[int]) -> tuple[list[int], Whole]:
    """Each state once, and the place of each given state among them."""
    places: dict[int, int] = {}
    table = np.fromiter((places.setdefault(state, len(places)) for state in states), np.int64, len(states))
    return list(places), table


def different(keys: Whole, bound: int) -> tuple[Whole, Whole]:
    """The different keys in ascending order, and each row's place among them. All keys are below `bound`."""
    if bound > MOST_FLAGS:
        different, inverse = np.unique(keys, return_inverse=True)
        return different, inverse
    flags = np.zeros(bound, bool)
    flags[keys] = True
    different = np.flatnonzero(flags)
    places = np.empty(bound, np.int64)
    places[different] = np.arange(len(different))
    return different, places[keys]
