"""A policy under study -> its rules that never apply, are never reached, or change nothing when they are taken away.

Three different things (ruling 69): a condition no task meets, a route that earlier ones leave nothing to, a rule whose work
others do already. Each is decided over all facts; what reaches its cap is not reported.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.analysis.questions import every, none_live, placing, some_live
from engine.analysis.search import Goal, Obstacle
from engine.decision.evaluator import decide_live
from engine.language.checked_policy import Forbid, Origin, Prefer, Require, Use, Weigh

if TYPE_CHECKING:
    from engine.analysis.lint_context import LintContext


def never(study: "LintContext") -> frozenset[int]:
    """The author's rules whose condition no task meets, whatever the model."""
    rules = ((index, study.condition(index)) for index, _ in study.rules)
    return frozenset(index for index, masks in rules if masks is not None and not any(masks))


def unreachable(study: "LintContext") -> frozenset[int]:
    """Routes and weighs, lowered ones included, whose condition some task meets, but none that earlier ones leave."""
    policy, found = study.compiled, set()
    for index, rule in enumerate(policy.rules[: study.questioned.first_question]):
        if index in study.never or rule.origin is Origin.BASE or not isinstance(rule.effect, Use | Weigh):
            continue
        bits = study.bits(index)
        among = policy.routes if isinstance(rule.effect, Use) else policy.weighs
        mine = bits & among
        if (
            mine
            and study.find(
                "unreachable-route", [every(some_live(mine), none_live(study.earlier(index, among)))]
            )
            is None
        ):
            found.add(index)
    return frozenset(found)


def selecting_nothing(study: "LintContext") -> tuple[int, ...]:
    """Guards and preferences that bear on no model, although their condition can hold."""
    found = []
    for index, rule in study.of_effect(Forbid, Require, Prefer):
        # A require that blocks nobody is met by every model; that is `no-effect`.
        if index not in study.never and not study.bits(index) and not isinstance(rule.effect, Require):
            found.append(index)
    return tuple(found)


Redundancy: TypeAlias = Literal["rules", "routes", "catalogue"]
"""Why a rule changes nothing: other rules of its kind do it already, no route offers what it takes away, or no model is touched by it."""


def without_effect(study: "LintContext") -> dict[int, Redundancy]:
    """Guards, routes and weighs without which every chain would be the same, and why.

    Guards are looked at last to first, each with those already found taken away, so that of two equal ones the first is kept.
    """
    found: dict[int, Redundancy] = {}
    gone = 0
    for index, rule in reversed(list(study.of_effect(Forbid, Require))):
        if rule.watch or index in study.never or index in study.selecting_nothing:
            continue
        if _guards_nothing(study, index, gone, whatever_the_route=False):
            if not study.bits(index):
                found[index] = "catalogue"
            else:
                found[index] = (
                    "rules" if _guards_nothing(study, index, gone, whatever_the_route=True) else "routes"
                )
            gone |= study.questioned.bits(index)
    ordered = list(study.of_effect(Use, Weigh))
    most_work = study.part(1_000_000, len(ordered))
    for index, rule in ordered:
        if index in study.never or index in study.unreachable:
            continue
        goals = _changed_by(study, index, isinstance(rule.effect, Use))
        if study.find("no-effect", goals, most_work=most_work) is None:
            # Other tiers or weights that come to the same order today may not do so with other models.
            differs = _changed_by(study, index, isinstance(rule.effect, Use), only_in_text=True)
            found[index] = (
                "rules" if study.find("no-effect", differs, most_work=most_work) is None else "catalogue"
            )
    return found


def _guards_nothing(study: "LintContext", index: int, gone: int, *, whatever_the_route: bool) -> bool:
    bits, goals = study.bits(index), []
    for model in study.models:
        guard = study.compiled.guards[model]
        if mine := guard & bits:
            in_tiers: list[Goal] = [] if whatever_the_route else [study.chains.in_tiers(model)]
            others = guard & ~study.questioned.bits(index) & ~gone
            goals.append(every(some_live(mine), none_live(others), *in_tiers))
    return study.find("no-effect", goals) is None


def _changed_by(
    study: "LintContext", index: int, is_route: bool, *, only_in_text: bool = False
) -> list[Goal]:
    """The rule is the first of its kind, and without it the chain is another (or only the tiers or weights are).

    One goal for each model that joins or leaves, and for each two that change places: what bears on one or two is little.
    """
    policy, all_bits = study.compiled, study.questioned.bits(index)
    among = policy.routes if is_route else policy.weighs
    mine = all_bits & among
    others = among & ~mine
    taken = [some_live(mine), none_live(study.earlier(index, among))]

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

    alone: list[tuple[int, ...]] = [(model,) for model in study.models] if is_route else []
    for models in (*alone, *combinations(study.models, 2)):
        goals.append(_moved(study, taken, other_text, models, all_bits, order))
    return goals


def _moved(
    study: "LintContext",
    taken: list[Goal],
    other_text: Goal,
    models: tuple[int, ...],
    rule: int,
    order: Callable[[int, tuple[int, ...]], list[int]],
) -> Goal:
    """One or two models, all eligible, stand otherwise in the chain than without a rule."""
    bears = study.chains.between(models[0], models[-1])

    def goal(live: int) -> Obstacle | None:
        return Obstacle(splits=bears) if order(live, models) == order(live & ~rule, models) else None

    eligible = [none_live(study.compiled.guards[model]) for model in models]
    return every(*taken, *eligible, other_text, goal)


# --- Preferences ----------------------------------------------------------------------------------------


def idle_preferences(study: "LintContext") -> tuple[int, ...]:
    """Preferences, lowered ones included, without which every chain would stand in the same order."""
    found = []
    for index in _favours(study):
        if not any(
            study.find("idle-preference", [goal], most_work=study.part(0, 1)) is not None
            for goal in _swaps(study, index)
        ):
            found.append(index)
    return tuple(found)


def across_tiers(study: "LintContext") -> tuple[int, ...]:
    """Of the idle preferences those whose models never share a tier with a model they do not favour alike."""
    found = []
    for index in study.idle_preferences:
        goals = [_share_a_tier(study, index, one, other) for one, other in _pairs(study, index)]
        if goals and study.find("preference-across-tiers", goals) is None:
            found.append(index)
    return tuple(found)


def _favours(study: "LintContext") -> Iterator[int]:
    for index, rule in enumerate(study.compiled.rules[: study.questioned.first_question]):
        if isinstance(rule.effect, Prefer) and index not in study.never and study.bits(index):
            yield index


def favours_all_alike(study: "LintContext", index: int) -> bool:
    """Whether every model is always given the same points by a preference."""
    return not _pairs(study, index)


def _pairs(study: "LintContext", index: int) -> list[tuple[int, int]]:
    """Ordered pairs of models: the first is given points at some time, the other may not be at that time."""
    bits, favours = study.bits(index), study.compiled.favours
    mine = [favours[model].mask & bits for model in study.models]
    return [
        (one, other)
        for one in study.models
        for other in study.models
        if one != other and mine[one] and mine[one] != mine[other]
    ]


def _swaps(study: "LintContext", index: int) -> Iterator[Goal]:
    """For each pair that the points can make change places, the goal that they do."""
    policy, bits = study.compiled, study.questioned.bits(index)
    effect = policy.rules[index].effect
    assert isinstance(effect, Prefer)
    points = int(effect.points.scaleb(policy.scale))
    others = [_range_of_others(study, model, bits) for model in study.models]
    place = {model.key: number for number, model in enumerate(policy.models)}
    for one, other in _pairs(study, index):
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
        bears = study.chains.between(one, other)
        mine, theirs = policy.favours[one].mask & bits, policy.favours[other].mask & bits

        def goal(live: int, one: int = one, other: int = other, bears: int = bears) -> Obstacle | None:
            chains = decide_live(policy, live).chain, decide_live(policy, live & ~bits).chain
            orders = [
                [place[model.key] for model in chain if place[model.key] in (one, other)] for chain in chains
            ]
            return None if orders[0] != orders[1] else Obstacle(splits=bears)

        in_chain = [study.chains.in_chain(one), study.chains.in_chain(other)]
        yield every(some_live(mine), none_live(theirs & ~mine), *in_chain, goal)


def _range_of_others(study: "LintContext", model: int, bits: int) -> tuple[int, int]:
    """The least and the most that the other preferences can add to a model."""
    favours = study.compiled.favours[model]
    low = high = 0
    for points, mask in favours.each:
        count = (mask & ~bits & study.space.feasible).bit_count()
        low, high = low + min(points * count, 0), high + max(points * count, 0)
    for points, mask in favours.once:
        if mask & ~bits:
            low, high = low + min(points, 0), high + max(points, 0)
    return low, high


def _can_swap(least: int, most: int, points: int) -> bool:
    """Whether a lead between `least` and `most` can be overturned, or made or broken as a tie, by these points."""
    return min(least, least + points) <= 0 <= max(most, most + points) and not (
        least > 0 and least + points > 0
    )


def _share_a_tier(study: "LintContext", index: int, one: int, other: int) -> Goal:
    policy, bits = study.compiled, study.questioned.bits(index)
    mine, theirs = policy.favours[one].mask & bits, policy.favours[other].mask & bits
    routes = policy.routes
    bears = routes
    for tiers in policy.tiers.values():
        bears |= placing(tiers, one) | placing(tiers, other)

    def goal(live: int) -> Obstacle | None:
        _, tiers = study.chains.route(live)
        first = [
            next((place for place, tier in enumerate(tiers) if model in tier.members(live)), -1)
            for model in (one, other)
        ]
        return None if first[0] == first[1] >= 0 else Obstacle(splits=bears)

    return every(
        some_live(mine),
        none_live(theirs & ~mine),
        study.chains.in_chain(one),
        study.chains.in_chain(other),
        goal,
    )
