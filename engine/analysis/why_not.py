"""A decision and a model it did not choose -> what stands in the way, and the smallest change of facts that
would choose it.

A question to the search like any other, asked around the facts of the decision instead of a test's defaults:
fewest changed facts first, so the first hit is a smallest change. Reaching the cap is
said, never hidden.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.analysis.questions import Chains, every
from engine.analysis.search import OutOfWork, Work, find
from engine.analysis.space import Box, Domain, Space
from engine.decision.candidate import Candidate
from engine.decision.explanation import Explainer, Explanation
from engine.language.checked_policy import FactValue
from engine.language.vocabulary import GIVEN

CHANGEABLE = frozenset(fact.name for fact in GIVEN if fact.name.split(".")[0] in ("task", "mode", "clock"))
"""Facts a change may touch: what the asker can do something about."""

MOST_WORK = 2_000_000
"""Steps one search may take by default; about two seconds."""


@dataclass(frozen=True, slots=True)
class WhyNot:
    """`change` is None when nothing chooses the model, or when the search stopped at its cap
    (`is_complete` False)."""

    candidate: Candidate
    change: Mapping[str, FactValue] | None
    is_complete: bool


def why_not(
    explainer: Explainer, explanation: Explanation, model_key: str, most_work: int = MOST_WORK
) -> WhyNot:
    """Why this model was not chosen. Raises KeyError for a model the catalogue does not have."""
    candidate = {candidate.model.key: candidate for candidate in explanation.candidates}[model_key]
    if candidate.verdict == "chosen":
        return WhyNot(candidate, {}, is_complete=True)
    try:
        return WhyNot(
            candidate, _smallest_change(explainer, explanation, model_key, most_work), is_complete=True
        )
    except OutOfWork:
        return WhyNot(candidate, None, is_complete=False)


def _smallest_change(
    explainer: Explainer, explanation: Explanation, model_key: str, most_work: int
) -> dict[str, FactValue] | None:
    policy = explainer.policy
    closed = {fact.name: policy.names.known_values(fact) for fact in GIVEN}
    space = Space(policy.cubes, Domain(closed, explanation.facts))
    wanted = next(index for index, model in enumerate(policy.models) if model.key == model_key)

    fixed: Box = {
        number: 1 << axis.usual
        for number, axis in enumerate(space.axes)
        if axis.usual is not None
        and (
            GIVEN[axis.fact].name not in CHANGEABLE
            # A need can be dropped; needing more is no way to get a model.
            or (GIVEN[axis.fact].name == "task.needs" and axis.element not in explanation.facts.needs)
        )
    }
    chains = Chains(policy)
    witness = find(space, [every(chains.in_chain(wanted), chains.is_first(wanted))], Work(most_work), [fixed])
    if witness is None:
        return None
    changed: dict[str, FactValue] = {}
    for fact, before, after in zip(GIVEN, explanation.facts, witness.facts, strict=True):
        if after != before:
            changed[fact.name] = after
    return changed
