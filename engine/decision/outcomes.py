"""The live cubes of a decision -> what the decision comes to for the house: where the task goes, and which
rule says so.

The deciding rule is a function of the facts alone, never of the order in which a tree asks about them:

- a side (local or cloud) that is shut: the first rule that shuts all of it at once, or else the first that
  blocks each of its models, those that block the most first; or the route whose tiers leave the side out;
- both sides in the chain: the route that puts one before the other, the guard that empties the tiers ahead
  of the first model, or the weights, where the score decides.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import and_

from engine.decision.compiler import CompiledPolicy
from engine.decision.decision_tree import up_to_first
from engine.decision.evaluator import Decision, first_rule, rank
from engine.decision.partitions import bits_of


class Place(Enum):
    """Where a task goes, as the picture's legend names it."""

    HERE = "here"
    THEN_CLOUD = "here, then cloud"
    OUT = "out"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision comes to. `rules` are indices into the policy's rules, the deciding one first; there is
    none where the catalogue has models of one side only. `chain` holds the keys of the models."""

    place: Place
    rules: tuple[int, ...]
    chain: tuple[str, ...]


class Outcomes:
    """The outcomes of one compiled policy."""

    def __init__(self, policy: CompiledPolicy) -> None:
        self._policy = policy
        models = range(len(policy.models))
        self._local = self._side(model for model in models if policy.models[model].locality == "local")
        self._cloud = self._side(model for model in models if policy.models[model].locality != "local")

    def _side(self, models: Iterable[int]) -> "_Side":
        members = tuple(models)
        masks = (self._policy.guards[model] for model in members)
        return _Side(members, reduce(and_, masks) if members else 0)

    def of(self, live: int) -> Outcome:
        """The outcome when exactly these cubes hold."""
        policy = self._policy
        decision = rank(policy, live, [not live & guard for guard in policy.guards])
        return Outcome(
            _place(decision), self._deciding(live, decision), tuple(model.key for model in decision.chain)
        )

    def relevant(self, live: int, settled: int) -> int:
        """The live cubes that guards and preferences still have a say with; `settled` are those that hold.

        INVARIANT: `of` gives the same outcome with and without the cubes that are left out here.
        """
        policy = self._policy
        relevant = 0
        for side in (self._local, self._cloud):
            before = up_to_first(live, settled & side.shutting)
            for model in side.models:
                blocked = settled & policy.guards[model]
                if blocked:
                    # Behind the first cube that blocks it, only a cube that shuts the side may still decide.
                    relevant |= policy.guards[model] & before & (up_to_first(live, blocked) | side.shutting)
                else:
                    relevant |= policy.guards[model] | policy.favours[model].mask
        return live & relevant

    def _deciding(self, live: int, decision: Decision) -> tuple[int, ...]:
        policy = self._policy
        route, weigh = first_rule(policy, live & policy.routes), first_rule(policy, live & policy.weighs)
        routed = () if route is None else (route,)
        assert weigh is not None, "the lowered settings weigh every mode"
        tiers = policy.default if route is None else policy.tiers[route]
        members = [frozenset(tier.members(live)) for tier in tiers]
        if not decision.chain:
            reasons = [self._shut_out(live, side, members, routed) for side in (self._cloud, self._local)]
            return tuple(dict.fromkeys(rule for reason in reasons for rule in reason))
        here = decision.chain[0].locality == "local"
        others = self._cloud if here else self._local
        if all((model.locality == "local") == here for model in decision.chain):
            return self._shut_out(live, others, members, routed)
        reached = next(place for place, count in enumerate(decision.tiers) if count)
        ahead = [model for model in others.models if any(model in tier for tier in members[: reached + 1])]
        if any(not live & policy.guards[model] for model in ahead):
            return (weigh,)
        return self._blockers(live, ahead) or routed

    def _shut_out(
        self, live: int, side: "_Side", tiers: Iterable[frozenset[int]], routed: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Why no model of a side is in the chain."""
        shut = first_rule(self._policy, live & side.shutting)
        if shut is not None:
            return (shut,)
        if all(live & self._policy.guards[model] for model in side.models):
            return self._blockers(live, side.models)
        members = frozenset[int]().union(*tiers)
        return (*self._blockers(live, [model for model in side.models if model in members]), *routed)

    def _blockers(self, live: int, models: Sequence[int]) -> tuple[int, ...]:
        """The first rule that blocks each of these models, those that block the most first."""
        policy = self._policy
        firsts = Counter(policy.owners[bits_of(live & policy.guards[model])[0]] for model in models)
        return tuple(sorted(firsts, key=lambda rule: (-firsts[rule], rule)))


@dataclass(frozen=True, slots=True)
class _Side:
    """Models, by index, and the cubes that block every one of them."""

    models: tuple[int, ...]
    shutting: int


def _place(decision: Decision) -> Place:
    if not decision.chain:
        return Place.REFUSED
    if decision.chain[0].locality != "local":
        return Place.OUT
    stays = all(model.locality == "local" for model in decision.chain)
    return Place.HERE if stays else Place.THEN_CLOUD
