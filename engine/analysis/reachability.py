"""A policy under the linter -> its rules that never apply, are never reached, or change nothing when they are
taken away.

Three different things: a condition no task meets, a route that earlier ones leave nothing to, a rule whose
work others do already. Each is decided over all facts; what reaches its cap is not reported.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal, TypeAlias

from engine.analysis.lint_questions import LintQuestions
from engine.analysis.questions import every, none_live, placing, some_live
from engine.analysis.search import Goal, Obstacle
from engine.decision.evaluator import decide_live
from engine.language.checked_policy import Forbid, Origin, Prefer, Require, Use, Weigh

MOST_REQUIRES = 500
"""Requires that are held against each other; every two of them are looked at."""

_STEPS_A_GOAL = 5
"""Steps (see `lint_questions`) that it takes to ask about one pair of models."""

Redundancy: TypeAlias = Literal["rules", "routes", "catalogue"]
"""Why a rule changes nothing: other rules of its kind do it already, no route offers what it takes away,
or no model is touched by it."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A require that leaves no model, alone or with an earlier one; both by their place among the rules."""

    require: int
    earlier: int | None = None


class Reachability:
    """What is found out about the rules of one policy, each answer once."""

    def __init__(self, questions: LintQuestions) -> None:
        self._questions = questions

    @cached_property
    def never(self) -> frozenset[int]:
        """The author's rules whose condition no task meets, whatever the model."""
        rules = ((index, self._questions.condition(index)) for index, _ in self._questions.rules)
        return frozenset(index for index, masks in rules if masks is not None and not any(masks))

    @cached_property
    def unreachable(self) -> frozenset[int]:
        """Routes and weighs, lowered ones included, whose condition some task meets, but none that earlier
        ones leave."""
        policy, found = self._questions.compiled, set()
        for index, rule in enumerate(policy.rules[: self._questions.questioned.first_question]):
            if index in self.never or rule.origin is Origin.BASE or not isinstance(rule.effect, Use | Weigh):
                continue
            bits = self._questions.bits(index)
            among = policy.routes if isinstance(rule.effect, Use) else policy.weighs
            mine = bits & among
            if (
                mine
                and self._questions.find(
                    "unreachable-route",
                    [every(some_live(mine), none_live(self._questions.earlier(index, among)))],
                )
                is None
            ):
                found.add(index)
        return frozenset(found)

    @cached_property
    def selecting_nothing(self) -> tuple[int, ...]:
        """Guards and preferences that bear on no model, although their condition can hold."""
        found = []
        for index, rule in self._questions.of_effect(Forbid, Require, Prefer):
            # A require that blocks nobody is met by every model; that is `no-effect`.
            if (
                index not in self.never
                and not self._questions.bits(index)
                and not isinstance(rule.effect, Require)
            ):
                found.append(index)
        return tuple(found)

    @cached_property
    def without_effect(self) -> dict[int, Redundancy]:
        """Guards, routes and weighs without which every chain would be the same, and why.

        Guards are looked at last to first, each with those already found taken away, so that of two equal
        ones the first is kept.
        """
        found: dict[int, Redundancy] = {}
        gone = 0
        models = len(self._questions.models)
        for index, rule in reversed(list(self._questions.of_effect(Forbid, Require))):
            if rule.watch or index in self.never or index in self.selecting_nothing:
                continue
            if not self._questions.affords("no-effect", models):
                continue
            if _guards_nothing(self._questions, index, gone, whatever_the_route=False):
                if not self._questions.bits(index):
                    found[index] = "catalogue"
                else:
                    found[index] = (
                        "rules"
                        if _guards_nothing(self._questions, index, gone, whatever_the_route=True)
                        else "routes"
                    )
                gone |= self._questions.questioned.bits(index)
        ordered = list(self._questions.of_effect(Use, Weigh))
        most_work = self._questions.part(1_000_000, len(ordered))
        for index, rule in ordered:
            if index in self.never or index in self.unreachable:
                continue
            if not self._questions.affords("no-effect", _STEPS_A_GOAL * models * (models + 1) // 2):
                continue
            goals = _changed_by(self._questions, index, isinstance(rule.effect, Use))
            if self._questions.find("no-effect", goals, most_work=most_work) is None:
                # Other tiers or weights that come to the same order today may not do so with other models.
                differs = _changed_by(self._questions, index, isinstance(rule.effect, Use), only_in_text=True)
                found[index] = (
                    "rules"
                    if self._questions.find("no-effect", differs, most_work=most_work) is None
                    else "catalogue"
                )
        return found

    @cached_property
    def contradictions(self) -> tuple[Contradiction, ...]:
        """Requires that no model meets, alone or together with an earlier one. Of each the first
        contradiction is told."""
        questions = self._questions
        requires = [
            index
            for index, rule in questions.of_effect(Require)
            if not rule.watch and index not in self.never
        ]
        if len(requires) > MOST_REQUIRES:
            questions.open_questions["requires-contradict"] += 1
            del requires[MOST_REQUIRES:]
        found = []
        for place, index in enumerate(requires):
            if _blocks_every_model(questions, [index]) and not _leaves_a_model(questions, index, [index]):
                found.append(Contradiction(index))
                continue
            for earlier in requires[:place]:
                if not questions.affords("requires-contradict", len(questions.models)):
                    break
                both = [index, earlier]
                # Most pairs leave some model alone altogether; the others are asked about.
                if not _blocks_every_model(questions, both) or not _leaves_a_model(
                    questions, earlier, [earlier]
                ):
                    continue
                if not all(_leaves_a_model(questions, each, both) for each in both):
                    found.append(Contradiction(index, earlier))
                    break
        return tuple(found)

    # --- Preferences ---

    @cached_property
    def idle_preferences(self) -> tuple[int, ...]:
        """Preferences, lowered ones included, without which every chain would stand in the same order."""
        found = []
        for index in self._favours():
            if not self._questions.affords("idle-preference", _pairs_at_most(self._questions, index)):
                continue
            if not any(
                self._questions.find("idle-preference", [goal], most_work=self._questions.part(0, 1))
                is not None
                for goal in _swaps(self._questions, index)
            ):
                found.append(index)
        return tuple(found)

    @cached_property
    def across_tiers(self) -> tuple[int, ...]:
        """Of the idle preferences those whose models never share a tier with a model they do not favour
        alike."""
        found = []
        for index in self.idle_preferences:
            steps = _STEPS_A_GOAL * _pairs_at_most(self._questions, index)
            if not self._questions.affords("preference-across-tiers", steps):
                continue
            goals = [
                _share_a_tier(self._questions, index, one, other)
                for one, other in _pairs(self._questions, index)
            ]
            if goals and self._questions.find("preference-across-tiers", goals) is None:
                found.append(index)
        return tuple(found)

    def _favours(self) -> Iterator[int]:
        for index, rule in enumerate(
            self._questions.compiled.rules[: self._questions.questioned.first_question]
        ):
            is_idle = index in self.never or rule.origin is Origin.BASE
            if isinstance(rule.effect, Prefer) and not is_idle and self._questions.bits(index):
                yield index

    def favours_all_alike(self, index: int) -> bool:
        """Whether every model is always given the same points by a preference."""
        return len(set(_points_by_model(self._questions, index))) <= 1


def _guards_nothing(questions: LintQuestions, index: int, gone: int, *, whatever_the_route: bool) -> bool:
    bits, goals = questions.bits(index), []
    for model in questions.models:
        guard = questions.compiled.guards[model]
        if mine := guard & bits:
            in_tiers: list[Goal] = [] if whatever_the_route else [questions.chains.in_tiers(model)]
            others = guard & ~questions.questioned.bits(index) & ~gone
            goals.append(every(some_live(mine), none_live(others), *in_tiers))
    return questions.find("no-effect", goals) is None


def _changed_by(
    questions: LintQuestions, index: int, is_route: bool, *, only_in_text: bool = False
) -> list[Goal]:
    """The rule is the first of its kind, and without it the chain is another (or only the tiers or weights
    are).

    One goal for each model that joins or leaves, and for each two that change places: what bears on one or
    two is little.
    """
    policy, all_bits = questions.compiled, questions.questioned.bits(index)
    among = policy.routes if is_route else policy.weighs
    mine = all_bits & among
    others = among & ~mine
    taken = [some_live(mine), none_live(questions.earlier(index, among))]

    def is_same(following: int | None) -> bool:
        if is_route:
            return policy.tiers[index] == (policy.default if following is None else policy.tiers[following])
        return following is not None and policy.scores[index] == policy.scores[following]

    def other_text(live: int) -> Obstacle | None:
        after = live & others
        first = after & -after
        if not is_same(policy.owners[first.bit_length() - 1] if first else None):
            return None
        # Whoever decides next decides alike: only another one behind the rule can make a difference.
        return Obstacle(
            kills=(first.bit_length() - 1,) if first else (),
            wakes=others & ((first - 1) if first else others),
        )

    if only_in_text:
        return [every(*taken, other_text)]
    goals = []
    place = {model.key: number for number, model in enumerate(policy.models)}

    def order(live: int, models: tuple[int, ...]) -> list[int]:
        return [number for model in decide_live(policy, live).chain if (number := place[model.key]) in models]

    alone: list[tuple[int, ...]] = [(model,) for model in questions.models] if is_route else []
    for models in (*alone, *combinations(questions.models, 2)):
        goals.append(_moved(questions, taken, other_text, models, all_bits, order))
    return goals


def _moved(
    questions: LintQuestions,
    taken: list[Goal],
    other_text: Goal,
    models: tuple[int, ...],
    rule: int,
    order: Callable[[int, tuple[int, ...]], list[int]],
) -> Goal:
    """One or two models, all eligible, stand otherwise in the chain than without a rule."""
    bears = questions.chains.between(models[0], models[-1])

    def goal(live: int) -> Obstacle | None:
        return Obstacle(splits=bears) if order(live, models) == order(live & ~rule, models) else None

    eligible = [none_live(questions.compiled.guards[model]) for model in models]
    return every(*taken, *eligible, other_text, goal)


# --- Preferences ----------------------------------------------------------------------------------------


def _pairs(questions: LintQuestions, index: int) -> list[tuple[int, int]]:
    """Ordered pairs of models: the first is given points at some time, the other may not be at that time."""
    mine = _points_by_model(questions, index)
    return [
        (one, other)
        for one in questions.models
        for other in questions.models
        if one != other and mine[one] and mine[one] != mine[other]
    ]


def _points_by_model(questions: LintQuestions, index: int) -> list[int]:
    """For each model the cubes in which a preference gives it points."""
    bits, favours = questions.bits(index), questions.compiled.favours
    return [favours[model].mask & bits for model in questions.models]


def _pairs_at_most(questions: LintQuestions, index: int) -> int:
    """Steps it takes to look at the pairs of a preference."""
    mine = _points_by_model(questions, index)
    favours = questions.compiled.favours
    others = sum(len(favour.each) + len(favour.once) for favour in favours)
    return others + len(mine) * sum(bool(mask) for mask in mine)


def _swaps(questions: LintQuestions, index: int) -> Iterator[Goal]:
    """For each pair that the points can make change places, the goal that they do."""
    policy, bits = questions.compiled, questions.questioned.bits(index)
    effect = policy.rules[index].effect
    assert isinstance(effect, Prefer)
    points = int(effect.points.scaleb(policy.scale))
    others = [_range_of_others(questions, model, bits) for model in questions.models]
    place = {model.key: number for number, model in enumerate(policy.models)}
    for one, other in _pairs(questions, index):
        (low, high), (other_low, other_high) = others[one], others[other]
        if not any(
            _can_swap(
                scores[one] - scores[other] + low - other_high,
                scores[one] - scores[other] + high - other_low,
                points,
            )
            for scores in policy.scores.values()
        ):
            continue
        bears = questions.chains.between(one, other)
        mine, theirs = policy.favours[one].mask & bits, policy.favours[other].mask & bits

        def goal(live: int, one: int = one, other: int = other, bears: int = bears) -> Obstacle | None:
            chains = decide_live(policy, live).chain, decide_live(policy, live & ~bits).chain
            orders = [
                [place[model.key] for model in chain if place[model.key] in (one, other)] for chain in chains
            ]
            return None if orders[0] != orders[1] else Obstacle(splits=bears)

        in_chain = [questions.chains.in_chain(one), questions.chains.in_chain(other)]
        yield every(some_live(mine), none_live(theirs & ~mine), *in_chain, goal)


def _range_of_others(questions: LintQuestions, model: int, bits: int) -> tuple[int, int]:
    """The least and the most that the other preferences can add to a model."""
    favours = questions.compiled.favours[model]
    low = high = 0
    for points, mask in favours.each:
        count = (mask & ~bits & questions.space.feasible).bit_count()
        low, high = low + min(points * count, 0), high + max(points * count, 0)
    for points, mask in favours.once:
        if mask & ~bits:
            low, high = low + min(points, 0), high + max(points, 0)
    return low, high


def _can_swap(least: int, most: int, points: int) -> bool:
    """Whether a lead between `least` and `most` can be overturned, or made or broken as a tie, by these
    points."""
    return min(least, least + points) <= 0 <= max(most, most + points) and not (
        least > 0 and least + points > 0
    )


def _share_a_tier(questions: LintQuestions, index: int, one: int, other: int) -> Goal:
    policy, bits = questions.compiled, questions.questioned.bits(index)
    mine, theirs = policy.favours[one].mask & bits, policy.favours[other].mask & bits
    routes = policy.routes
    bears = routes
    for tiers in policy.tiers.values():
        bears |= placing(tiers, one) | placing(tiers, other)

    def goal(live: int) -> Obstacle | None:
        _, tiers = questions.chains.route(live)
        first = [
            next((place for place, tier in enumerate(tiers) if model in tier.members(live)), -1)
            for model in (one, other)
        ]
        return None if first[0] == first[1] >= 0 else Obstacle(splits=bears)

    return every(
        some_live(mine),
        none_live(theirs & ~mine),
        questions.chains.in_chain(one),
        questions.chains.in_chain(other),
        goal,
    )


# --- Requires -------------------------------------------------------------------------------------------


def _blocks_every_model(questions: LintQuestions, requires: list[int]) -> bool:
    """Whether each model is blocked by one of these for some task."""
    blocking = 0
    for each in requires:
        blocking |= questions.bits(each)
    return all(guard & blocking for guard in questions.compiled.guards)


def _leaves_a_model(questions: LintQuestions, index: int, requires: list[int]) -> bool:
    """Whether some task of one require has a model that all of these let through."""
    masks = questions.condition(index)
    if masks is not None and len(set(masks)) > 1:
        return True  # asked of each model: those it does not apply to are let through
    blocking = 0
    for each in requires:
        blocking |= questions.bits(each)
    goals = []
    for model in questions.models:
        passes = none_live(questions.compiled.guards[model] & blocking)
        goals.append(passes if masks is None else every(some_live(masks[model]), passes))
    return questions.find("requires-contradict", goals) is not None
