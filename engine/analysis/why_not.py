"""A decision and a model it did not choose -> what stands in the way, and the smallest change of facts that would choose it.

The search goes over the cells of the policy, fewest changed facts first, so the first hit is a smallest change
(rulings 41 and 74); the work it may do is capped, and reaching the cap is said, never hidden.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from engine.decision.cells import Column
from engine.decision.evaluator import decide_live
from engine.decision.explanation import Candidate, Explainer, Explanation
from engine.decision.facts import Facts
from engine.language.checked_policy import FactValue

CHANGEABLE = ("task.", "mode", "clock.")
"""Facts a change may touch: what the asker can do something about (ruling 74)."""

MOST_WORK = 300_000
"""Decisions one search may take by default; about two seconds."""


@dataclass(frozen=True, slots=True)
class WhyNot:
    """`change` is None when nothing chooses the model, or when the search stopped at its cap (`is_complete` False)."""

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
    columns = explainer.policy.columns
    changeable = [column for column in columns if column.fact.startswith(CHANGEABLE)]
    search = _Search(explainer, explanation.facts, model_key, most_work)
    try:
        return WhyNot(candidate, search.smallest(changeable), is_complete=True)
    except _OutOfWork:
        return WhyNot(candidate, None, is_complete=False)


class _OutOfWork(Exception):  # noqa: N818
    pass


class _Search:
    """Goes through changes of facts from few to many, cell by cell."""

    def __init__(self, explainer: Explainer, facts: Facts, model_key: str, most_work: int) -> None:
        policy = explainer.policy
        self._policy, self._work_left = policy, most_work
        self._model = next(index for index, model in enumerate(policy.models) if model.key == model_key)
        self._now = {
            column.fact: column.mask(column.lookup(facts[column.position])) for column in policy.columns
        }
        self._others = {
            column.fact: [
                (value, column.mask(column.lookup(value)))
                for value in column.samples()
                if column.lookup(value) != column.lookup(facts[column.position])
            ]
            for column in policy.columns
        }

    def smallest(self, columns: Sequence[Column]) -> dict[str, FactValue] | None:
        for size in range(1, len(columns) + 1):
            for changed in combinations(columns, size):
                found = self._within([column.fact for column in changed])
                if found is not None:
                    return found
        return None

    def _within(self, changed: list[str]) -> dict[str, FactValue] | None:
        rest = self._policy.full
        for fact, mask in self._now.items():
            if fact not in changed:
                rest &= mask
        for values in product(*(self._others[fact] for fact in changed)):
            if self._work_left <= 0:
                raise _OutOfWork
            self._work_left -= 1
            live = rest
            for _, mask in values:
                live &= mask
            if live & self._policy.guards[self._model]:
                continue
            chain = decide_live(self._policy, live).chain
            if chain and chain[0] is self._policy.models[self._model]:
                return {fact: value for fact, (value, _) in zip(changed, values, strict=True)}
        return None
