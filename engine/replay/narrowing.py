"""Rows as cells -> states, each of which chooses one model: rows no rule can tell apart are one state, and decided once.

Facts are asked one after the other, for all rows together. After each, a state keeps only the cubes that can still change which
model comes first; states that keep the same are the same. What depends on money is asked last (`Choices`), so that a spent
budget asks the states again and not the rows.

INVARIANT: the model chosen is the first of the chain that the evaluator decides for the same facts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.decision.cells import Column
from engine.decision.compiler import CompiledPolicy
from engine.decision.evaluator import Decision, decide_live, rank
from engine.language.vocabulary import FACTS, Kind
from engine.replay.coding import Coded, Whole

REFUSED = -1
MOST_FLAGS = 1 << 23


class State(NamedTuple):
    """The cubes that may yet matter, and the models that can no longer come first. `live` is 0 once nothing matters."""

    live: int
    blocked: int


class Narrowing:
    """The states of one policy, met so far. `last` are the facts asked after all others."""

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
        self._numbers: dict[State, int] = {}
        self.states: list[State] = []
        self._reduced: dict[tuple[int, State], int] = {}
        self.start = self._number(self._reduce(policy.full, 0, later))
        self._alone = {1 << model: model for model in range(len(policy.models))}

    def rows(self, coded: Sequence[Coded], rows: int) -> tuple[list[int], Whole]:
        """The states that occur, and for each row which of them it is in. `coded` follows `first_columns`."""
        occurring = [self.start]
        index = np.zeros(rows, np.int64)
        for place, fact in enumerate(coded):
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
            pairs, inverse = _different(keys, len(occurring) * width)
            states = [occurring[at] for at in (pairs // width).tolist()]
            stepped = [
                self._step(place, state, masks[code]) if self.states[state].live & touched else state
                for state, code in zip(states, (pairs % width).tolist(), strict=True)
            ]
            occurring, table = _without_doubles(stepped)
            index = table[inverse]
        return occurring, index

    def choose(self, state: int, last_mask: int) -> int:
        """The model that comes first in a state when what is asked last leaves these cubes; REFUSED for none."""
        live, blocked = self.states[state]
        if blocked == self._everyone:
            return REFUSED
        alone = self._alone.get(self._everyone ^ blocked)
        if live == 0 and alone is not None:
            return alone
        live &= last_mask
        policy = self.policy
        eligible = [
            not (blocked >> model & 1) and not (live & guard) for model, guard in enumerate(policy.guards)
        ]
        if not any(eligible):
            return REFUSED
        chain = rank(policy, live, eligible).chain
        return policy.models.index(chain[0]) if chain else REFUSED

    def last_mask(self, cells: Mapping[str, Any]) -> int:
        """What is left of all cubes when the last facts have these cells."""
        mask = self.policy.full
        for column in self.last_columns:
            mask &= column.mask(cells[column.fact])
        return mask

    def relevant_last(self, state: int) -> int:
        """The cubes of a state that the last facts decide."""
        return self.states[state].live & self._touched_last

    def decision(self, cells: Mapping[str, Any]) -> Decision:
        """The whole decision when every fact has these cells: for reasons, and for whoever doubts."""
        live = self.policy.full
        for column in self.policy.columns:
            live &= column.mask(cells[column.fact])
        return decide_live(self.policy, live)

    # -- one step

    def _step(self, place: int, state: int, mask: int) -> int:
        live, blocked = self.states[state]
        key = place, State(live & mask, blocked)
        found = self._reduced.get(key)
        if found is None:
            found = self._number(self._reduce(live & mask, blocked, self._later[place]))
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

    def _reduce(self, live: int, blocked: int, later: int) -> State:
        """Drops what can no longer change which model comes first; `later` are the cubes that some fact still decides."""
        policy, guards = self.policy, self.policy.guards
        settled = live & ~later
        for model, guard in enumerate(guards):
            if settled & guard:
                blocked |= 1 << model
        routes = live & policy.routes
        first = routes & settled
        if first:
            routes &= (first & -first) * 2 - 1
        tiers = {policy.owners[bit] for bit in _bits(routes)}
        kept, in_reach = 0, 0
        if not first:
            in_reach, kept = self._reach(policy.default, live, settled, blocked)
        for route in tiers:
            models, bits = self._reach(policy.tiers[route], live, settled, blocked)
            in_reach, kept = in_reach | models, kept | bits
        blocked |= self._everyone ^ in_reach
        if in_reach == 0:
            return State(0, blocked)
        if in_reach & (in_reach - 1) == 0 and not live & guards[in_reach.bit_length() - 1]:
            model = in_reach.bit_length() - 1
            surely = all(self._surely_holds(policy.tiers[route], model, settled) for route in tiers) and (
                bool(first) or self._surely_holds(policy.default, model, settled)
            )
            if surely:
                return State(0, blocked)
        kept |= routes
        weighs = live & policy.weighs
        first = weighs & settled
        kept |= weighs & ((first & -first) * 2 - 1) if first else weighs
        several = in_reach & (in_reach - 1)
        for model in _bits(in_reach):
            kept |= guards[model] | (policy.favours[model].mask if several else 0)
        return State(live & kept, blocked)

    def _reach(self, tiers: Sequence[Any], live: int, settled: int, blocked: int) -> tuple[int, int]:
        """The models that may come first by these tiers, and the bits that say who is in them."""
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

    @staticmethod
    def _surely_holds(tiers: Sequence[Any], model: int, settled: int) -> bool:
        return any(
            model in tier.always or any(member == model and mask & settled for member, mask in tier.depending)
            for tier in tiers
        )


class Choices:
    """Which model each state chooses, for one combination of what is asked last; asked when first needed."""

    def __init__(
        self, narrowing: Narrowing, cells: Mapping[str, Any], memory: dict[tuple[int, int], int]
    ) -> None:
        self._narrowing, self._memory = narrowing, memory
        self._mask = narrowing.last_mask(cells)

    def of(self, states: Sequence[int]) -> Whole:
        """The chosen models' numbers, in the order of the catalogue."""
        narrowing, memory, mask = self._narrowing, self._memory, self._mask
        chosen = np.empty(len(states), np.int64)
        for place, state in enumerate(states):
            key = state, narrowing.relevant_last(state) & mask
            model = memory.get(key)
            if model is None:
                model = memory[key] = narrowing.choose(state, mask)
            chosen[place] = model
        return chosen


def _few_cells_first(column: Column) -> tuple[int, int, int]:
    kind = FACTS[column.fact].kind
    number = kind in (Kind.TOKENS, Kind.PERCENT, Kind.HOUR, Kind.BUCKET)
    return (2 if number else 1 if kind is Kind.SET else 0), -_touched(column).bit_count(), column.position


def _touched(column: Column) -> int:
    return _all_of(question.touched for question in column.questions())


def _all_of(masks: Any) -> int:
    together = 0
    for mask in masks:
        together |= mask
    return together


def _bits(mask: int) -> list[int]:
    bits = []
    while mask:
        low = mask & -mask
        bits.append(low.bit_length() - 1)
        mask ^= low
    return bits


def _without_doubles(states: list[int]) -> tuple[list[int], Whole]:
    """Each state once, and where each of the given ones stands among them."""
    places: dict[int, int] = {}
    table = np.fromiter((places.setdefault(state, len(places)) for state in states), np.int64, len(states))
    return list(places), table


def _different(keys: Whole, bound: int) -> tuple[Whole, Whole]:
    """The different keys in ascending order, and for each row where its key stands. All keys are below `bound`."""
    if bound > MOST_FLAGS:
        different, inverse = np.unique(keys, return_inverse=True)
        return different, inverse
    flags = np.zeros(bound, bool)
    flags[keys] = True
    different = np.flatnonzero(flags)
    places = np.empty(bound, np.int64)
    places[different] = np.arange(len(different))
    return different, places[keys]
