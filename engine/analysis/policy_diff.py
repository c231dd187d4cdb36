"""Two policies -> where they decide differently: regions with a witness each, and whether more goes out to
the cloud.

Both are compiled over one space, in which a cube that both have is one cube; so most of two similar policies
cancels out before anything is searched. Who is in a chain is compared first, exactly; an order that alone
differs is told apart, since it lets nothing out. Modes, closed types and labels that only one side knows are
listed and not compared.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from itertools import combinations
from operator import or_
from typing import Literal, TypeAlias

from engine.analysis.altered_cubes import Altered, altered_cubes
from engine.analysis.answer_text import is_expressible
from engine.analysis.box_decisions import order, selected
from engine.analysis.joint_policies import (
    JointCubes,
    common_domain,
    compiled_knowing,
    elements_beside,
)
from engine.analysis.questions import Chains, every, selected_by, some_live
from engine.analysis.search import MOST_WORK, Goal, Obstacle, OutOfWork, Witness, Work, find
from engine.analysis.space import Box, Space
from engine.decision.cubes import OTHER
from engine.decision.evaluator import Decision, Evaluator, decide_live
from engine.decision.facts import INDEX, Facts
from engine.language.checked_policy import Rule
from engine.policy import Policy

Exposure: TypeAlias = Literal["equivalent", "stricter", "looser", "mixed"]
MOST_REGIONS = 50
MOST_PAIRS = 1_000
"""Pairs of models whose order is compared; of more, an even sample."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one policy decides for the witness of a region, and the rule that makes the difference."""

    decision: Decision
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Region:
    """Tasks that are decided differently in one way; `box` says which, `facts` is the plainest of them."""

    box: Box
    facts: Facts
    old: Side
    new: Side
    order_only: bool
    looser: bool
    stricter: bool


@dataclass(frozen=True, slots=True)
class OneSided:
    """Names of one kind that only one of the policies knows."""

    kind: str
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """`is_complete` is False when the cap on work or on regions was reached; `looser` and `stricter` are
    None when then unknown."""

    regions: tuple[Region, ...]
    looser: bool | None
    stricter: bool | None
    one_sided: tuple[OneSided, ...]
    is_complete: bool
    space: Space

    @property
    def exposure(self) -> Exposure | None:
        if self.looser is None or self.stricter is None:
            return "looser" if self.looser else "stricter" if self.stricter else None
        if self.looser:
            return "mixed" if self.stricter else "looser"
        return "stricter" if self.stricter else "equivalent"


def compare(
    old: Policy,
    new: Policy,
    most_work: int = MOST_WORK,
    most_regions: int = MOST_REGIONS,
    mode: str | None = None,
) -> Difference:
    """Everything two policies decide differently, the plainest tasks first; with `mode`, in that mode
    alone."""
    comparison = Comparison(old, new)
    within: Box = {}
    for number, axis in enumerate(comparison.space.axes):
        if mode is not None and axis.fact == INDEX["mode"]:
            within[number] = 1 << axis.cell(mode)
    return comparison.run(most_work, most_regions, within)


@dataclass(slots=True)
class _Found:
    """The regions that were found, no more than `most`, and the boxes that are left."""

    most: int
    remaining: list[Box]
    regions: list[Region] = field(default_factory=list)


# --- One space for two policies ---------------------------------------------------------------------------


class Comparison:
    """Two policies over one space. With `modes` each is looked at in its own mode, and the space has none."""

    def __init__(self, old: Policy, new: Policy, modes: tuple[str, str] | None = None) -> None:
        self._policies, self._modes = (old, new), modes
        self.domain = common_domain(old, new)
        # Each side is compiled knowing the elements of the other, so that "any other label" means the same on
        # both.
        sides = [
            compiled_knowing(policy, elements_beside(policy, other, self.domain))
            for policy, other in ((old, new), (new, old))
        ]
        joint = JointCubes()
        self.old, self.new = (
            joint.renumbered(side, policy, mode)
            for side, policy, mode in zip(sides, (old, new), modes or (None, None), strict=True)
        )
        self.space = Space(joint.cubes, self.domain)
        self.chains = Chains(self.old), Chains(self.new)
        self._keys = [
            {model.key: index for index, model in enumerate(side.models)} for side in (self.old, self.new)
        ]

    def run(self, most_work: int, most_regions: int, within: Box) -> Difference:
        work = Work(most_work)
        looser = self._exists(self._cloud_goals(to=1), work, within)
        stricter = self._exists(self._cloud_goals(to=0), work, within)
        found = _Found(most_regions, [within])
        is_complete = None not in (looser, stricter)
        is_complete &= self._collect(self._member_goals(), found, work, order_only=False)
        if is_complete:
            work = Work(max(most_work // 4, 1))
        pairs = self._reordered
        if len(pairs) > MOST_PAIRS:
            # A look at where something is altered, and at some pairs: not everywhere.
            half = Work(max((work.most - work.done) // 2, 0))
            self._collect([self._any_reordered(half)], found, half, order_only=True)
            is_complete = False
        goals = [self._swapped(*pair) for pair in pairs[:: -(-len(pairs) // MOST_PAIRS) or 1]]
        is_complete &= self._collect(goals, found, work, order_only=True)
        regions = found.regions
        # A list cut short still knows what it has shown.
        looser = looser or (any(region.looser for region in regions) or looser)
        stricter = stricter or (any(region.stricter for region in regions) or stricter)
        return Difference(
            tuple(regions), looser, stricter, _one_sided(*self._policies), is_complete, self.space
        )

    def _collect(self, goals: Sequence[Goal], found: _Found, work: Work, *, order_only: bool) -> bool:
        """Finds regions until there is none more. False when work or the number of regions ends it."""
        try:
            while goals and len(found.regions) < found.most:
                witness = find(self.space, goals, work, found.remaining)
                if witness is None:
                    return True
                region = self._region(witness, order_only, work)
                found.regions.append(region)
                found.remaining = [piece for box in found.remaining for piece in self._less(box, region.box)]
        except OutOfWork:
            return False
        return not goals

    def joining(self, work: Work, within: Box) -> Witness | None:
        """The plainest task for which a cloud model is in the new chain and not in the old; one that was
        another provider's, or a local one, was not in it. Raises OutOfWork."""
        before = {model.key: (model.provider, model.locality) for model in self.old.models}
        goals = []
        for place, model in enumerate(self.new.models):
            if model.locality == "cloud":
                is_same = before.get(model.key) == (model.provider, model.locality)
                goals += self._only_on(1, model.key) if is_same else [self.chains[1].in_chain(place)]
        return find(self.space, goals, work, [within])

    def facts(self, witness: Witness) -> tuple[Facts, Facts]:
        """A task as each side sees it."""
        old, new = (
            _seen(policy, witness.facts if mode is None else witness.facts._replace(mode=mode))
            for policy, mode in zip(self._policies, self._modes or (None, None), strict=True)
        )
        return old, new

    def _exists(self, goals: Sequence[Goal], work: Work, within: Box) -> bool | None:
        try:
            return find(self.space, goals, work, [within]) is not None
        except OutOfWork:
            return None

    # --- Goals ---

    @cached_property
    def altered(self) -> Altered:
        """The cubes that the two use otherwise."""
        return altered_cubes(self.old, self.new)

    def _cloud_goals(self, to: int) -> list[Goal]:
        """A cloud model is in the chain of one side and not of the other."""
        models = (self.old, self.new)[to].models
        return self._only(to, [model.key for model in models if model.locality == "cloud"])

    def _member_goals(self) -> list[Goal]:
        return [goal for side in (0, 1) for goal in self._only(side, self._keys[side])]

    def _only(self, side: int, keys: Iterable[str]) -> list[Goal]:
        """A model is in the chain of one side only; of models that are always there together one is asked
        for."""
        alike = {self.altered.likeness.get(key, key): key for key in reversed([*keys])}
        return [goal for key in reversed(alike.values()) for goal in self._only_on(side, key)]

    def _only_on(self, side: int, key: str) -> list[Goal]:
        """No goal where nothing that bears on the model is altered."""
        here, there = self.chains[side], self.chains[1 - side]
        mine, other = self._keys[side][key], self._keys[1 - side].get(key)
        if other is None:
            return [here.in_chain(mine)]
        altered = self.altered.membership[key]
        if not altered:
            return []
        spared = here.policy.guards[mine]
        return [every(some_live(altered), here.in_chain(mine), out_of_chain(there, other, impossible=spared))]

    @cached_property
    def same_order(self) -> bool:
        """Whether both put any models they have in a chain in the same order. Guards decide who is in a
        chain, never the order of those who are."""
        order = self.altered.order
        return self._keys[0].keys() == self._keys[1].keys() and order is not None and not any(order.values())

    @cached_property
    def _reordered(self) -> list[tuple[str, str, int]]:
        """The pairs of models whose order may be another, and the cubes that may make it so; 0 when any
        may. Those of a local and a cloud model come first."""
        order = self.altered.order
        common = [model for model in self.old.models if model.key in self._keys[1]]
        pairs = [
            (one.key, other.key, 0 if order is None else order[one.key] | order[other.key])
            for is_alike in (False, True)
            for one, other in combinations(common, 2)
            if (one.locality == other.locality) is is_alike
        ]
        return pairs if order is None else [pair for pair in pairs if pair[2]]

    def _any_reordered(self, work: Work) -> Goal:
        """The models that are in both chains are in another order, where something is altered."""
        altered = reduce(or_, (mask for *_, mask in self._reordered))
        bears = reduce(or_, (policy.routes | policy.weighs for policy in (self.old, self.new)))

        def goal(live: int) -> Obstacle | None:
            if altered and not live & altered:
                return Obstacle(wakes=altered)
            work.done += len(self.old.models) + len(self.new.models)
            before, after = self._chain(0, live), self._chain(1, live)
            both = {*before} & {*after}
            is_same = [key for key in before if key in both] == [key for key in after if key in both]
            return Obstacle(splits=bears) if is_same else None

        return goal

    def _swapped(self, one: str, other: str, altered: int) -> Goal:
        """Two models are in both chains, in another order."""
        pairs = [(keys[one], keys[other]) for keys in self._keys]
        in_chains = [
            chains.in_chain(model) for chains, pair in zip(self.chains, pairs, strict=True) for model in pair
        ]
        bears = 0
        for chains, pair in zip(self.chains, pairs, strict=True):
            bears |= chains.between(*pair)

        def goal(live: int) -> Obstacle | None:
            orders = [[key for key in self._chain(side, live) if key in (one, other)] for side in (0, 1)]
            return Obstacle(splits=bears) if orders[0] == orders[1] else None

        return every(*([some_live(altered)] if altered else []), *in_chains, goal)

    def _chain(self, side: int, live: int) -> tuple[str, ...]:
        return tuple(model.key for model in decide_live((self.old, self.new)[side], live).chain)

    # --- Regions ---

    def _region(self, witness: Witness, order_only: bool, work: Work) -> Region:
        facts = witness.facts
        chains = [self._chain(side, witness.live) for side in (0, 1)]
        decisions = [_decide(policy, facts) for policy in self._policies]
        for decision, chain in zip(decisions, chains, strict=True):
            assert tuple(model.key for model in decision.chain) == chain, (
                "the evaluator decides the witness otherwise"
            )
        clouds = [
            {model.key for model in decision.chain if model.locality == "cloud"} for decision in decisions
        ]
        sides = [self._side(side, witness.live, decisions[side], chains[1 - side]) for side in (0, 1)]
        box = self._grown(witness, order_only, work)
        return Region(
            box,
            facts,
            sides[0],
            sides[1],
            order_only,
            bool(clouds[1] - clouds[0]),
            bool(clouds[0] - clouds[1]),
        )

    def _side(self, side: int, live: int, decision: Decision, others: Sequence[str]) -> Side:
        """The rule to look at: what blocks a model that the other side has, else the route."""
        policy = (self.old, self.new)[side]
        mine = {model.key for model in decision.chain}
        for key in others:
            model = self._keys[side].get(key)
            if key not in mine and model is not None and (blocking := policy.guards[model] & live):
                return Side(decision, policy.rules[policy.owners[(blocking & -blocking).bit_length() - 1]])
        return Side(decision, decision.route)

    def _grown(self, witness: Witness, order_only: bool, work: Work) -> Box:
        """A box around the witness, as large as it can be seen to be, in which the two sides differ in the
        same way.

        That is who joins and who leaves the chain; where only the order differs, who comes first, or else the
        whole order. It grows no further when no work is left.
        """
        axes = self.space.axes
        box: Box = {
            number: 1 << axis.plainest(witness.box.get(number, axis.domain))
            for number, axis in enumerate(axes)
        }
        change: Callable[[Box], object] = self._change
        if order_only:
            firsts = {self._chain(side, witness.live)[0] for side in (0, 1)}
            change = partial(self._orders, only_first=len(firsts) > 1)
        wanted = change(box)
        assert wanted is not None, "a single point is decided"

        price = len(axes) + len(self.old.models) + len(self.new.models)

        def same(candidate: Box) -> bool:
            work.done += price
            return change(candidate) == wanted

        # Elements that nobody mentions come first: the language speaks of them only where the rest is absent.
        places = sorted((axis.element is None, axis.element != OTHER, at) for at, axis in enumerate(axes))
        for *_, number in places:
            if work.done > work.most and is_expressible(self.space, box):
                break  # smaller than it could be, and as true
            wider = {other: cells for other, cells in box.items() if other != number}
            if is_expressible(self.space, wider) and same(wider):
                box = wider
                continue
            for cell in range(len(axes[number].values)):
                more = {**box, number: box[number] | 1 << cell & axes[number].domain}
                if more != box and is_expressible(self.space, more) and same(more):
                    box = more
        return box

    def _change(self, box: Box) -> object:
        """Who joins and who leaves the chain everywhere in a box; None when that is not seen at once.

        A model that may be in either chain or not changes nothing as long as the same cubes decide about it
        on both sides.
        """
        may, must = self._bounds(box)
        sides = [selected(side, may, must) for side in (self.old, self.new)]
        joined, left = [], []
        for key in dict.fromkeys((*self._keys[0], *self._keys[1])):
            statuses: list[bool | None] = []
            guards = []
            for side, keys, (always, sometimes) in zip((self.old, self.new), self._keys, sides, strict=True):
                model = keys.get(key)
                guard = 0 if model is None else side.guards[model] & may
                guards.append((guard, model in always))
                if model is None or model not in sometimes or guard & must:
                    statuses.append(False)
                elif model in always and not guard:
                    statuses.append(True)
                else:
                    statuses.append(None)
            if None in statuses and not (guards[0] == guards[1] and guards[0][1]):
                return None
            if statuses == [False, True]:
                joined.append(key)
            elif statuses == [True, False]:
                left.append(key)
        return joined, left

    def _orders(self, box: Box, *, only_first: bool) -> object:
        may, must = self._bounds(box)
        orders = [order(side, may, must, only_first=only_first) for side in (self.old, self.new)]
        return None if None in orders or self._change(box) != ([], []) else orders

    def _bounds(self, box: Box) -> tuple[int, int]:
        """The cubes that hold somewhere in a box, and those that hold everywhere."""
        return self.space.possible(box), self.space.certain(box)

    def _less(self, box: Box, region: Box) -> list[Box]:
        for number, cells in region.items():
            if not box.get(number, self.space.axes[number].domain) & cells:
                return [box]
        return self.space.without(box, tuple(region.items()))


def out_of_chain(chains: Chains, model: int, impossible: int = 0) -> Goal:
    """The model is not in the chain; cubes in `impossible` are known not to hold."""
    policy = chains.policy
    guards = policy.guards[model]

    def goal(live: int) -> Obstacle | None:
        first, tiers = chains.route(live)
        is_member, depending = selected_by(tiers, model)
        if live & guards or not (is_member or live & depending):
            return None
        kills = [first.bit_length() - 1] if first else []
        if not is_member:
            held = live & depending
            kills.append((held & -held).bit_length() - 1)
        earlier = policy.routes & (first - 1) if first else policy.routes
        return Obstacle(kills=tuple(kills), wakes=earlier | (guards & ~impossible))

    return goal


def _decide(policy: Policy, facts: Facts) -> Decision:
    """What the evaluator says, of the facts as this side sees them."""
    return Evaluator(policy.compiled).decide(_seen(policy, facts))


def _seen(policy: Policy, facts: Facts) -> Facts:
    seen = facts.budget_exhausted_providers & frozenset(policy.names.limited_providers)
    return facts._replace(budget_exhausted_providers=seen)  # type: ignore[no-any-return]


def _one_sided(old: Policy, new: Policy) -> tuple[OneSided, ...]:
    kinds: list[tuple[str, Iterable[str] | None, Iterable[str] | None]] = [
        ("mode", old.names.modes, new.names.modes),
        ("task type", old.names.task_types, new.names.task_types),
        ("label", old.names.labels, new.names.labels),
        ("model", [m.key for m in old.catalogue.models], [m.key for m in new.catalogue.models]),
    ]
    found = []
    for kind, mine, others in kinds:
        if mine is None or others is None:
            continue
        only = OneSided(
            kind,
            tuple(n for n in mine if n not in set(others)),
            tuple(n for n in others if n not in set(mine)),
        )
        if only.old or only.new:
            found.append(only)
    return tuple(found)
