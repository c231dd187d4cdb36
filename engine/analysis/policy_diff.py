"""Two policies -> where they decide differently: regions with a witness each, and whether more goes out to
the cloud.

Both are compiled over one space, in which a cube that both have is one cube; so most of two similar policies
cancels out before anything is searched. Who is in a chain is compared first, exactly; an order that alone
differs is told apart, since it lets nothing out. Modes, closed types and labels that only one side knows are
listed and not compared.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations
from typing import Literal, TypeAlias

from engine.analysis.answer_text import is_expressible
from engine.analysis.box_decisions import order, selected
from engine.analysis.joint_policies import (
    JointCubes,
    by_first_bit,
    common_domain,
    compiled_knowing,
    elements_beside,
)
from engine.analysis.questions import Chains, every, selected_by
from engine.analysis.search import MOST_WORK, Goal, Obstacle, OutOfWork, Witness, Work, find
from engine.analysis.space import Box, Space
from engine.decision.cubes import OTHER
from engine.decision.evaluator import Decision, Evaluator, decide_live
from engine.decision.facts import INDEX, Facts
from engine.language.checked_policy import Rule
from engine.policy import Policy

Exposure: TypeAlias = Literal["equivalent", "stricter", "looser", "mixed"]
MOST_REGIONS = 50


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
        regions: list[Region] = []
        remaining, is_complete = [within], None not in (looser, stricter)
        for goals, order_only in ((self._member_goals, False), (self._order_goals, True)):
            if order_only and is_complete:
                work = Work(max(most_work // 4, 1))
            try:
                while goals and len(regions) < most_regions:
                    witness = find(self.space, goals, work, remaining)
                    if witness is None:
                        break
                    region = self._region(witness, order_only)
                    regions.append(region)
                    remaining = [piece for box in remaining for piece in self._less(box, region.box)]
                else:
                    is_complete = is_complete and not goals
            except OutOfWork:
                is_complete = False
        # A list cut short still knows what it has shown.
        looser = looser or (any(region.looser for region in regions) or looser)
        stricter = stricter or (any(region.stricter for region in regions) or stricter)
        return Difference(
            tuple(regions), looser, stricter, _one_sided(*self._policies), is_complete, self.space
        )

    def joining(self, work: Work, within: Box) -> Witness | None:
        """The plainest task for which a cloud model is in the new chain and not in the old; one that was
        another provider's, or a local one, was not in it. Raises OutOfWork."""
        before = {model.key: (model.provider, model.locality) for model in self.old.models}
        goals = []
        for place, model in enumerate(self.new.models):
            if model.locality == "cloud":
                is_same = before.get(model.key) == (model.provider, model.locality)
                goals.append(self._only_on(1, model.key) if is_same else self.chains[1].in_chain(place))
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

    def _cloud_goals(self, to: int) -> list[Goal]:
        """A cloud model is in the chain of one side and not of the other."""
        models = (self.old, self.new)[to].models
        return [self._only_on(to, model.key) for model in models if model.locality == "cloud"]

    @cached_property
    def _member_goals(self) -> list[Goal]:
        return [self._only_on(side, key) for side in (0, 1) for key in self._keys[side]]

    def _only_on(self, side: int, key: str) -> Goal:
        here, there = self.chains[side], self.chains[1 - side]
        mine, other = self._keys[side][key], self._keys[1 - side].get(key)
        if other is None:
            return here.in_chain(mine)
        spared = here.policy.guards[mine]
        return every(here.in_chain(mine), out_of_chain(there, other, impossible=spared))

    @cached_property
    def same_order(self) -> bool:
        """Whether both put any models they have in a chain in the same order. Guards decide who is in a
        chain, never the order of those who are."""
        old, new = self.old, self.new
        return (
            (old.routes, old.weighs, old.favours, old.ties) == (new.routes, new.weighs, new.favours, new.ties)
            and [model.key for model in old.models] == [model.key for model in new.models]
            and by_first_bit(old, old.tiers) == by_first_bit(new, new.tiers)
            and by_first_bit(old, old.scores) == by_first_bit(new, new.scores)
        )

    @cached_property
    def _order_goals(self) -> list[Goal]:
        if self.same_order:
            return []
        common = [key for key in self._keys[0] if key in self._keys[1]]
        return [self._swapped(one, other) for one, other in combinations(common, 2)]

    def _swapped(self, one: str, other: str) -> Goal:
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

        return every(*in_chains, goal)

    def _chain(self, side: int, live: int) -> tuple[str, ...]:
        return tuple(model.key for model in decide_live((self.old, self.new)[side], live).chain)

    # --- Regions ---

    def _region(self, witness: Witness, order_only: bool) -> Region:
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
        box = self._grown(witness, order_only)
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

    def _grown(self, witness: Witness, order_only: bool) -> Box:
        """A box around the witness, as large as it can be seen to be, in which the two sides differ in the
        same way.

        That is who joins and who leaves the chain; where only the order differs, who comes first, or else the
        whole order.
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

        def same(candidate: Box) -> bool:
            return change(candidate) == wanted

        # Elements that nobody mentions come first: the language speaks of them only where the rest is absent.
        places = sorted((axis.element is None, axis.element != OTHER, at) for at, axis in enumerate(axes))
        for *_, number in places:
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
