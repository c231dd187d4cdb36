"""Two policies over one space -> the plainest task that went to a local model first and now goes to a cloud
model that was behind it.

Who comes first turns on scores, and so on nearly every rule. So it is asked of each two models apart, and a
box is left out as soon as the least and the most that each can score in it show that the one is not first, or
that nothing which changed suffices to bring the other past it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property, reduce
from operator import or_

from engine.analysis.box_decisions import firsts, owners, selected
from engine.analysis.policy_diff import Comparison
from engine.analysis.questions import placing
from engine.analysis.search import Witness, Work, easiest, explore, split
from engine.analysis.space import Box
from engine.decision.compiler import CompiledPolicy, Points
from engine.decision.evaluator import decide_live
from engine.decision.partitions import bits_of

_STEPS_A_PAIR = 10
_LOOKS_A_STEP = 4
"""What making a pair, and looking at models in a box, cost in steps of the search."""


def moved_to_cloud(comparison: Comparison, work: Work) -> Witness | None:
    """Raises OutOfWork."""
    old, new = comparison.old, comparison.new
    if comparison.same_order and old.guards == new.guards:
        return None
    return _Search(comparison, work).plainest()


class _Search:
    """Boxes of tasks, the plainest first, each asked about one pair of models."""

    def __init__(self, comparison: Comparison, work: Work) -> None:
        self._work, self._space = work, comparison.space
        self._old, self._new = comparison.old, comparison.new
        self._changed = _changed(self._old, self._new)
        places = {model.key: place for place, model in enumerate(self._new.models)}
        local = [model for model in self._old.models if model.locality == "local"]
        before = {model.key: place for place, model in enumerate(self._old.models)}
        self._firsts_of: dict[tuple[int, int], tuple[set[int], set[int]]] = {}
        work.spend(_STEPS_A_PAIR * len(local) * (len(self._new.models) - len(local)), (0, (), ()))
        self._pairs = [
            _Pair(self._old, self._new, (before[one.key], before[other.key]), (places.get(one.key), place))
            for place, other in enumerate(self._new.models)
            if other.locality == "cloud" and other.key in before
            for one in local
        ]

    def plainest(self) -> Witness | None:
        return explore(self._space, len(self._pairs), self._look, self._work)

    def _look(self, number: int, box: Box, live: int) -> Iterable[Box] | None:
        pair = self._pairs[number]
        return None if pair.is_moved(live) else self._parts(pair, box, live)

    def _parts(self, pair: "_Pair", box: Box, live: int) -> Iterator[Box]:
        """Boxes within a box that hold every such task it has."""
        if blocking := live & pair.blocking:
            yield from self._space.outside(box, easiest(self._space, box, blocking))
            return
        may, must = self._space.possible(box), self._space.certain(box)
        # Where no cube holds that the two use otherwise, they decide alike.
        if self._changed is not None and not may & self._changed:
            return
        if not pair.is_among(*self._firsts(may, must)):
            return
        self._charge(may)
        if not pair.can_move(may, must):
            return
        undecided = may & ~must
        if cubes := pair.open_cubes(undecided):
            yield from split(self._space, box, cubes)
            return
        # The two stand to each other as they should; whoever is before them must score less, or be blocked.
        offender = pair.offender(live)
        if offender is None:
            return
        policy, model = offender
        if bearing := undecided & (_placing(policy, model) | policy.favours[model].mask):
            yield from split(self._space, box, bearing)
            return
        for bit in bits_of(policy.guards[model] & may & ~pair.blocking):
            met = self._space.meet(box, bit)
            if met is not None:
                yield met

    def _firsts(self, may: int, must: int) -> tuple[set[int], set[int]]:
        """The models that may be first on each side; many pairs ask the same."""
        found = self._firsts_of.get((may, must))
        if found is None:
            self._charge(may)
            found = firsts(self._old, may, must), firsts(self._new, may, must)
            self._firsts_of[may, must] = found
        return found

    def _charge(self, may: int) -> None:
        """Who may be first is asked of every model behind every route that may be taken."""
        for policy in (self._old, self._new):
            routes = (may & policy.routes).bit_count() + 1
            self._work.done += routes * len(policy.models) // _LOOKS_A_STEP


class _Pair:
    """A local model, first in the old chain, and a cloud model that is behind it and first in the new one."""

    def __init__(
        self, old: CompiledPolicy, new: CompiledPolicy, before: tuple[int, int], after: tuple[int | None, int]
    ) -> None:
        """`before` and `after` are the places of the two in the old and in the new catalogue."""
        self._old, self._new = old, new
        self._before, self._after = before, after
        local, cloud = before
        self.blocking = old.guards[local] | old.guards[cloud] | new.guards[after[1]]
        """Cubes in which one of the two is not in a chain that it must be in."""
        self._gained = None
        if after[0] is not None and old.scale == new.scale:
            self._gained = _Sum(
                (new.favours[after[1]], 1),
                (new.favours[after[0]], -1),
                (old.favours[cloud], -1),
                (old.favours[local], 1),
            )

    def is_moved(self, live: int) -> bool:
        if live & self.blocking:
            return False
        before, after = decide_live(self._old, live).chain, decide_live(self._new, live).chain
        local, cloud = (self._old.models[place] for place in self._before)
        return bool(before and after) and (
            before[0] is local and cloud in before and after[0] is self._new.models[self._after[1]]
        )

    def is_among(self, before: set[int], after: set[int]) -> bool:
        """Whether each is one that may be first where it must be."""
        return self._before[0] in before and self._after[1] in after

    def can_move(self, may: int, must: int) -> bool:
        """Whether such a task may be among those in which some cubes may hold and some must."""
        if must & self.blocking:
            return False
        may &= ~self.blocking
        return (
            self._before[0] in firsts(self._old, may, must)
            and self._before[1] in selected(self._old, may, must)[1]
            and self._after[1] in firsts(self._new, may, must)
            and self._can_pass(may, must)
        )

    def _can_pass(self, may: int, must: int) -> bool:
        """Whether the one gains enough on the other by the change, where the two are compared by score."""
        local = self._after[0]
        if self._gained is None or local is None or may & self._new.guards[local]:
            return True
        sides = ((self._old, self._before), (self._new, (local, self._after[1])))
        if not all(_share_a_tier(policy, places, may, must) for policy, places in sides):
            return True
        before, after = (
            [
                _lead(policy, places, weigh)
                for weigh in owners(policy, policy.weighs, may, must)
                if weigh is not None
            ]
            for policy, places in sides
        )
        return max(after) - min(before) + self._gained.most(may, must) >= 0

    def open_cubes(self, undecided: int) -> int:
        """The cubes on which it turns how the two stand to each other, those that settle most first."""
        return next((undecided & cubes for cubes in self._stages if undecided & cubes), 0)

    def offender(self, live: int) -> tuple[CompiledPolicy, int] | None:
        """Who is first, and on which side, where one of the two should be."""
        for policy, model in ((self._old, self._before[0]), (self._new, self._after[1])):
            first = decide_live(policy, live).chain[0]
            if first is not policy.models[model]:
                return policy, next(place for place, each in enumerate(policy.models) if each is first)
        return None

    @cached_property
    def _stages(self) -> tuple[int, ...]:
        old, new = self._old, self._new
        tiers = favours = 0
        for policy, places in ((old, self._before), (new, self._after)):
            for place in places:
                if place is not None:
                    tiers |= _placing(policy, place)
                    favours |= policy.favours[place].mask
        return old.routes | new.routes, old.weighs | new.weighs, tiers, favours


def _placing(policy: CompiledPolicy, model: int) -> int:
    return reduce(or_, (placing(tiers, model) for tiers in policy.tiers.values()), 0)


def _share_a_tier(policy: CompiledPolicy, models: tuple[int, int], may: int, must: int) -> bool:
    """Whether two models stand in one tier first, whatever of `may` holds."""
    for route in owners(policy, policy.routes, may, must):
        for tier in policy.default if route is None else policy.tiers[route]:
            possible = {*tier.always, *(model for model, mask in tier.depending if mask & may)}
            certain = {*tier.always, *(model for model, mask in tier.depending if mask & must)}
            if certain.issuperset(models):
                break
            if not possible.isdisjoint(models):
                return False
        else:
            return False
    return True


def _lead(policy: CompiledPolicy, models: tuple[int, int], weigh: int) -> int:
    """By how much the second scores more than the first without preferences."""
    scores = policy.scores[weigh]
    return scores[models[1]] - scores[models[0]]


class _Sum:
    """The points of several models, each with its sign; what cancels out is left out."""

    def __init__(self, *parts: tuple[Points, int]) -> None:
        each: Counter[tuple[int, int]] = Counter()
        once: Counter[tuple[int, int]] = Counter()
        for points, sign in parts:
            for terms, counted in ((points.each, each), (points.once, once)):
                for term in terms:
                    counted[term] += sign
        self._each = [(sign * points, mask) for (points, mask), sign in each.items() if sign]
        self._once = [(sign * points, mask) for (points, mask), sign in once.items() if sign]

    def most(self, may: int, must: int) -> int:
        """The most that it can come to when some cubes may hold and some must."""
        most = 0
        for points, mask in self._each:
            most += points * (mask & (may if points > 0 else must)).bit_count()
        for points, mask in self._once:
            most += points * bool(mask & (may if points > 0 else must))
        return most


def _changed(old: CompiledPolicy, new: CompiledPolicy) -> int | None:
    """The cubes that two policies use otherwise; None when more than rules is different."""
    keys = [[model.key for model in side.models] for side in (old, new)]
    if keys[0] != keys[1] or (old.ties, old.default, old.scale) != (new.ties, new.default, new.scale):
        return None
    changed = (old.routes ^ new.routes) | (old.weighs ^ new.weighs)
    for one, other in zip(old.guards, new.guards, strict=True):
        changed |= one ^ other
    for mine, theirs in zip(old.favours, new.favours, strict=True):
        if mine != theirs:
            changed |= mine.mask | theirs.mask
    for bit in bits_of(old.routes & new.routes):
        tiers = old.tiers[old.owners[bit]], new.tiers[new.owners[bit]]
        if tiers[0] != tiers[1]:
            changed |= 1 << bit
    for bit in bits_of(old.weighs & new.weighs):
        if old.scores[old.owners[bit]] != new.scores[new.owners[bit]]:
            changed |= 1 << bit
    return changed
