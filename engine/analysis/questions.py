"""A compiled policy and a question -> goals for the search: what must hold of the live cubes, and what to
change when it does not.

Questions of an author's own (a proof's condition and selector) are compiled as rules on watch behind the
policy's, so that their constants cut the same cells and no decision can depend on them. `never`, `only` and
`some` need guards, routes and tiers; who comes first needs the evaluator itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import or_

from engine.analysis.axes import Domain
from engine.analysis.search import Goal, Obstacle
from engine.analysis.space import Space
from engine.config.catalogue import Model
from engine.decision.compiler import CompiledPolicy, Tier, compile_policy
from engine.decision.evaluator import decide_live
from engine.decision.partitions import bits_of, mask_of
from engine.language.checked_policy import CheckedPolicy, Condition, Constant, Forbid, Not, Origin, Rule
from engine.language.diagnostics import Problems
from engine.language.known_names import Names
from engine.language.source import Source

ALWAYS_TRUE = Constant(True, Source("", "").span(0, 0))


@dataclass(frozen=True, slots=True)
class Asked:
    """A selector under a condition, to be compiled behind the policy. `selector` None speaks of every
    model."""

    condition: Condition = ALWAYS_TRUE
    selector: Condition | None = None
    negated: bool = False


class TooComplex(Exception):  # noqa: N818 - an answer, not a fault
    """A question's own condition comes to more cubes than a rule may have."""


class Questioned:
    """A policy compiled together with questions, and the space of all tasks it is asked over."""

    def __init__(
        self,
        checked: CheckedPolicy,
        models: tuple[Model, ...],
        names: Names,
        asked: Sequence[Asked] = (),
    ) -> None:
        rules = tuple(_as_rule(number, each) for number, each in enumerate(asked))
        problems = Problems()
        self.compiled = compile_policy(
            replace(checked, rules=(*checked.rules, *rules)), models, names, problems
        )
        self.refused = frozenset(
            problem.span.start for problem in problems if problem.span.source is _QUESTIONS
        )
        self.first_question = len(checked.rules)
        self.domain = Domain.of(names)

    @cached_property
    def space(self) -> Space:
        return Space(self.compiled.cubes, self.domain)

    def asked(self, question: int) -> tuple[int, ...]:
        """For each model the cubes in which a question's selector and condition hold. Raises TooComplex."""
        if question in self.refused:
            raise TooComplex
        mine = self.bits(self.first_question + question)
        return tuple(watched & mine for watched in self.compiled.watched)

    def condition(self, question: int) -> int:
        """The cubes of a question that speaks of every model. Raises TooComplex."""
        if question in self.refused:
            raise TooComplex
        return self.bits(self.first_question + question)

    def bits(self, rule: int) -> int:
        """The cubes of one rule."""
        return self._bits_by_rule.get(rule, 0)

    @cached_property
    def _bits_by_rule(self) -> dict[int, int]:
        found: dict[int, list[int]] = {}
        for bit, owner in enumerate(self.compiled.owners):
            found.setdefault(owner, []).append(bit)
        return {owner: mask_of(bits) for owner, bits in found.items()}


_QUESTIONS = Source("questions", "")


def _as_rule(number: int, asked: Asked) -> Rule:
    selector = ALWAYS_TRUE if asked.selector is None else asked.selector
    effect = Forbid(Not(selector, selector.span) if asked.negated else selector)
    place = _QUESTIONS.span(number, number)
    # No author can write such a name, and `watch` keeps it out of every decision.
    return Rule(f"\0question-{number}", effect, asked.condition, None, True, Origin.BASE, place, place)


# --- Goals ----------------------------------------------------------------------------------------------


def every(*goals: Goal) -> Goal:
    """All of them; the first that fails says what to change."""

    def goal(live: int) -> Obstacle | None:
        for each in goals:
            obstacle = each(live)
            if obstacle is not None:
                return obstacle
        return None

    return goal


def some_live(mask: int) -> Goal:
    """At least one of these cubes holds."""
    return lambda live: None if live & mask else Obstacle(wakes=mask)


def none_live(mask: int) -> Goal:
    """None of these cubes holds."""
    return lambda live: Obstacle(dying=live & mask) if live & mask else None


class Chains:
    """Goals about who is in a chain: eligibility, the route taken and its tiers."""

    def __init__(self, policy: CompiledPolicy) -> None:
        self.policy = policy
        self._welcomes: dict[int, int] = {}

    def route(self, live: int) -> tuple[int, Sequence[Tier]]:
        """The cube by which the route was taken, 0 when none was, and its tiers."""
        routes = live & self.policy.routes
        if not routes:
            return 0, self.policy.default
        first = routes & -routes
        return first, self.policy.tiers[self.policy.owners[first.bit_length() - 1]]

    def in_chain(self, model: int) -> Goal:
        """The model is in the chain."""
        return every(none_live(self.policy.guards[model]), self.in_tiers(model))

    def in_tiers(self, model: int) -> Goal:
        """The route taken selects the model."""

        def goal(live: int) -> Obstacle | None:
            first, tiers = self.route(live)
            if not first:
                return None
            is_member, depending = selected_by(tiers, model)
            if is_member or live & depending:
                return None
            earlier = self._welcoming(model) & (first - 1)
            return Obstacle(kills=(first.bit_length() - 1,), wakes=earlier | depending)

        return goal

    def is_first(self, model: int) -> Goal:
        """The model, one of the chain, is the first of it."""
        policy = self.policy
        place = {each.key: index for index, each in enumerate(policy.models)}

        def goal(live: int) -> Obstacle | None:
            first = place[decide_live(policy, live).chain[0].key]
            # As long as nothing changes that bears on these two, the one stays before the other.
            return (
                None if first == model else Obstacle(splits=policy.guards[first] | self.between(first, model))
            )

        return goal

    def between(self, one: int, other: int) -> int:
        """The cubes on which it depends which of two models comes first, when both are in the chain."""
        return self.policy.routes | self.policy.weighs | self._bearing[one] | self._bearing[other]

    @cached_property
    def _bearing(self) -> list[int]:
        """For each model the cubes on which its tiers and points depend."""
        bearing = [points.mask for points in self.policy.favours]
        for tiers in self.policy.tiers.values():
            for tier in tiers:
                for model, mask in tier.depending:
                    bearing[model] |= mask
        return bearing

    def not_by(self, route: str) -> Goal:
        """The route of this name is not the one taken."""
        policy = self.policy
        mine = mask_of(
            bit for bit in bits_of(policy.routes) if policy.rules[policy.owners[bit]].name == route
        )

        def goal(live: int) -> Obstacle | None:
            first, _ = self.route(live)
            if not first & mine:
                return None
            return Obstacle(kills=(first.bit_length() - 1,), wakes=policy.routes & (first - 1) & ~mine)

        return goal

    def _welcoming(self, model: int) -> int:
        """The cubes of routes that can select the model."""
        if model not in self._welcomes:
            policy = self.policy
            welcome = {route for route, tiers in policy.tiers.items() if any(selected_by(tiers, model))}
            self._welcomes[model] = mask_of(
                bit for bit in bits_of(policy.routes) if policy.owners[bit] in welcome
            )
        return self._welcomes[model]

    def nobody(self, excuses: Sequence[int]) -> Goal:
        """No model is in the chain but those for which one of their `excuses` holds; the guards are
        usually among these."""
        policy = self.policy

        def goal(live: int) -> Obstacle | None:
            first, tiers = self.route(live)
            offender = next(
                (model for tier in tiers for model in tier.members(live) if not live & excuses[model]), None
            )
            if offender is None:
                return None
            is_member, depending = selected_by(tiers, offender)
            kills = [first.bit_length() - 1] if first else []
            if not is_member:
                kills.append(_lowest(live & depending))
            earlier = policy.routes & (first - 1) if first else policy.routes
            return Obstacle(kills=tuple(kills), wakes=earlier | excuses[offender])

        return goal


def selected_by(tiers: Iterable[Tier], model: int) -> tuple[bool, int]:
    """Whether tiers always select a model, and the cubes under which they select it."""
    depending = 0
    for tier in tiers:
        if model in tier.always:
            return True, 0
        for other, mask in tier.depending:
            if other == model:
                depending |= mask
    return False, depending


def placing(tiers: Iterable[Tier], model: int) -> int:
    """The cubes on which it depends in which of some tiers a model stands first."""
    return reduce(or_, (mask for tier in tiers for other, mask in tier.depending if other == model), 0)


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1
