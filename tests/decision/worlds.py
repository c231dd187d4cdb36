"""A reference world -> the engine's own policy for it, and decisions told in the reference's terms.

The bridge of every comparison between the two: it decides nothing itself.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from engine.config.folder import folder_in_memory
from engine.decision.cache_prices import is_cache_price
from engine.decision.decision_tree import Leaf
from engine.decision.evaluator import Decision
from engine.decision.explanation import Explanation
from engine.decision.facts import DEFAULTS, INDEX, Facts, FactsWithSources
from engine.language.diagnostics import Level, Problems
from engine.language.vocabulary import Day
from engine.policy import Policy, build
from tests.reference.generator import World
from tests.reference.interpreter import Result


def compiled(world: World) -> Policy:
    """The world's policy, compiled; a world is valid, so a problem is a failure here."""
    policy = compiled_within_cap(world)
    assert policy is not None, "a condition of this world comes to too many alternatives"
    return policy


def compiled_within_cap(world: World) -> Policy | None:
    """The same; None where the language refuses a condition because it comes to too many alternatives."""
    problems = Problems()
    files = folder_in_memory(world.models_yaml, world.policies_yaml, world.route_files, problems=problems)
    policy = files and build(files, problems)
    errors = {problem.slug for problem in problems if problem.level is Level.ERROR}
    if errors == {"rule-too-complex"}:
        return None
    assert policy is not None, "\n".join(f"{problem.span}: {problem.message}" for problem in problems)
    return policy


def facts_of(facts: dict[str, Any]) -> Facts:
    """The reference's facts as the engine's; a fact that the reference does not know has its default."""
    values = {**facts, "clock.date": Day(facts.get("clock.date", DEFAULTS.clock_date))}
    return Facts(*(values.get(name, DEFAULTS[position]) for name, position in INDEX.items()))


def result_of(policy: Policy, facts: dict[str, Any]) -> Result:
    """What the engine decides, with everything an explanation says of it, as the reference tells it."""
    explanation = policy.explainer.explain(FactsWithSources(facts_of(facts), {}))
    return told(policy, explanation)


def told(policy: Policy, explanation: Explanation) -> Result:
    decision, candidates = explanation.decision, explanation.candidates
    return Result(
        outcome=explanation.outcome,
        chain=tuple(model.key for model in decision.chain),
        scores={c.model.key: Fraction(c.score.total) for c in candidates if c.score},
        route=decision.route.name if decision.route else None,
        weigh=decision.weigh.name if decision.weigh.span.source.name.endswith(".route") else None,
        blockers={c.model.key: tuple(rule.name for rule in c.blockers) for c in candidates if c.blockers},
        watched={c.model.key: tuple(rule.name for rule in c.watched) for c in candidates if c.watched},
        preferences={
            c.model.key: {
                rule.name: Fraction(points)
                for rule, points in c.score.preferences
                if not is_cache_price(rule)
            }
            for c in candidates
            if c.score
        },
    )


def same_outcome(decision: Decision, leaf: Leaf) -> bool:
    """Whether the evaluator and the tree end in one chain with one set of scores."""
    return decision.chain == leaf.chain and decision.totals == leaf.totals
