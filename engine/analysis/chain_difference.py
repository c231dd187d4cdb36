"""Two selections of one compiled policy's rules -> the tasks whose chain is not the same under both.

A selection is a mask of cubes, so that a changed policy needs no compilation of its own (see `mutants`).
"""

from itertools import combinations

from engine.analysis.questions import Chains, every, none_live, placing, selected_by, some_live
from engine.analysis.search import Goal, Obstacle
from engine.decision.compiler import CompiledPolicy


def within(goal: Goal, mask: int) -> Goal:
    """A goal asked of the rules of a mask alone."""

    def masked(live: int) -> Obstacle | None:
        obstacle = goal(live & mask)
        if obstacle is None:
            return None
        return Obstacle(obstacle.dying, obstacle.kills, obstacle.wakes & mask, obstacle.splits & mask)

    return masked


def difference(compiled: CompiledPolicy, chains: Chains, one: int, other: int) -> list[Goal]:
    """Goals that together find every task whose chain is another with the rules of one mask than with those
    of another.

    Two chains differ when a model that is in one is blocked in the other, or is in no tier of the other's
    route, or when two models of both stand in another order.
    """
    moved = one ^ other
    goals: list[Goal] = []
    models = range(len(compiled.models))
    for model in models:
        guard = compiled.guards[model]
        for here, only in ((one, other & ~one), (other, one & ~other)):
            if guard & only:
                goals.append(every(some_live(guard & only), within(chains.in_chain(model), here)))
    routing = compiled.routes
    for tiers in compiled.tiers.values():
        for model in models:
            routing |= placing(tiers, model)
    if moved & routing:
        for model in models:
            unblocked = none_live(compiled.guards[model] & (one | other))
            membership = _compared(_Membership(chains, model), one, other)
            goals.append(every(some_live(moved & routing), unblocked, membership))
    for first, second in combinations(models, 2):
        favours = compiled.favours[first].mask | compiled.favours[second].mask
        bears = moved & (routing | compiled.weighs | favours)
        if bears:
            unblocked = none_live((compiled.guards[first] | compiled.guards[second]) & (one | other))
            order = _compared(_Order(chains, first, second), one, other)
            goals.append(every(some_live(bears), unblocked, order))
    return goals


def _compared(aspect: "_Membership | _Order", one: int, other: int) -> Goal:
    """The aspect is another under the one set of rules than under the other."""

    def goal(live: int) -> Obstacle | None:
        before, on_before = aspect.of(live & one, one)
        after, on_after = aspect.of(live & other, other)
        return None if before != after else Obstacle(splits=on_before | on_after)

    return goal


class _Membership:
    """Whether the route taken selects a model, and the cubes on which that turns as things are."""

    def __init__(self, chains: Chains, model: int) -> None:
        self._chains, self._model = chains, model

    def of(self, live: int, mask: int) -> tuple[bool, int]:
        compiled, chains = self._chains.policy, self._chains
        first, tiers = chains.route(live)
        always, depending = selected_by(tiers, self._model)
        depending &= mask
        return always or bool(live & depending), _up_to(compiled.routes & mask, first) | depending


class _Order:
    """Where two models stand to each other, both being eligible: their tiers and scores; and the cubes on
    which that turns."""

    def __init__(self, chains: Chains, one: int, other: int) -> None:
        self._chains, self._models = chains, (one, other)

    def of(self, live: int, mask: int) -> tuple[object, int]:
        compiled, chains = self._chains.policy, self._chains
        first, tiers = chains.route(live)
        turns = _up_to(compiled.routes & mask, first)
        places = []
        for model in self._models:
            place = None
            for number, tier in enumerate(tiers):
                always, depending = selected_by([tier], model)
                turns |= depending & mask
                if place is None and (always or live & depending):
                    place = number
            places.append(place)
        if None in places:
            return None, turns
        if places[0] != places[1]:
            return places[0] < places[1], turns  # type: ignore[operator]
        weighs = live & compiled.weighs
        weigh = weighs & -weighs
        turns |= _up_to(compiled.weighs & mask, weigh)
        scores = compiled.scores[compiled.owners[weigh.bit_length() - 1]]
        ranks = []
        for model in self._models:
            favours = compiled.favours[model]
            turns |= favours.mask & mask
            ranks.append((-scores[model] - favours.total(live & favours.mask), compiled.ties[model]))
        return ranks[0] < ranks[1], turns


def _up_to(bits: int, first: int) -> int:
    """Those of some cubes that decide which is the first to hold: up to the one that is, or all when none
    is."""
    return bits & (2 * first - 1) if first else bits
