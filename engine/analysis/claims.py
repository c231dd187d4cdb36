"""A proof's claim -> goals for the search: together they find every task that breaks it."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import assert_never

from engine.analysis.chain_difference import within
from engine.analysis.questions import Asked, Chains, every, some_live
from engine.analysis.search import Goal
from engine.language.checked_policy import Answered, ChainIs, Claim, Condition, FirstIs, Refused, RouteIs


def broken_by(claim: Claim, condition: Condition) -> Asked:
    """The question that a witness against a claim shows: for `never` a model that is selected, for `only`,
    `some` and `first` one that is not; else nothing of a model."""
    match claim:
        case ChainIs(quantifier, selector):
            return Asked(condition, selector, negated=quantifier != "never")
        case FirstIs(selector):
            return Asked(condition, selector, negated=True)
        case Refused() | Answered() | RouteIs():
            return Asked(condition)
        case _:
            assert_never(claim)


def goals_against(
    claim: Claim, chains: Chains, condition: int, shown: Sequence[int], in_force: int
) -> list[Goal]:
    """Goals of which a task that breaks the claim meets one.

    `condition` are the cubes in which the proof speaks, `shown` for each model those of `broken_by`,
    `in_force` the cubes of the rules that decide.
    """
    holding = some_live(condition)
    guards = [guard & in_force for guard in chains.policy.guards]
    refused = every(holding, within(chains.nobody(guards), in_force))
    match claim:
        case ChainIs("some"):
            # A model that is not selected is no help, so it counts as if it were not in the chain.
            excuses = [guard | mask for guard, mask in zip(guards, shown, strict=True)]
            return [every(holding, within(chains.nobody(excuses), reduce(or_, shown, in_force)))]
        case ChainIs():
            return [
                every(some_live(mask), within(chains.in_chain(model), in_force))
                for model, mask in enumerate(shown)
                if mask
            ]
        case FirstIs():
            return [
                refused,
                *(
                    every(
                        some_live(mask),
                        within(every(chains.in_chain(model), chains.is_first(model)), in_force),
                    )
                    for model, mask in enumerate(shown)
                    if mask
                ),
            ]
        case Refused():
            models = range(len(chains.policy.models))
            return [every(holding, within(chains.in_chain(model), in_force)) for model in models]
        case Answered():
            return [refused]
        case RouteIs(route):
            return [every(holding, within(chains.not_by(route), in_force))]
        case _:
            assert_never(claim)
