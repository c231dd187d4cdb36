"""A decision and a model it did not choose -> what stands in the way, and the smallest change of facts that
would choose it.

A question to the search like any other, asked around the facts of the decision instead of a test's defaults:
fewest changed facts first, so the first hit is a smallest change. Reaching the cap is
said, never hidden.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod

from engine.analysis.answer_text import conditions, is_expressible
from engine.analysis.axes import Domain
from engine.analysis.questions import Chains, every
from engine.analysis.search import OutOfWork, Witness, Work, find
from engine.analysis.space import Box, Space
from engine.decision.candidate import Candidate
from engine.decision.cubes import OTHER
from engine.decision.evaluator import decide_live
from engine.decision.explanation import Explainer, Explanation
from engine.decision.partitions import bits_of
from engine.language.checked_policy import FactValue
from engine.language.vocabulary import GIVEN

CHANGEABLE = frozenset(fact.name for fact in GIVEN if fact.name.split(".")[0] in ("task", "mode", "clock"))
"""Facts a change may touch: what the asker can do something about."""

MOST_WORK = 2_000_000
"""Steps one search may take by default; about two seconds."""

MOST_TASKS = 2_000
"""Tasks that are decided to find out how far the change may go."""


@dataclass(frozen=True, slots=True)
class WhyNot:
    """`change` is None when nothing chooses the model, or when the search stopped at its cap
    (`is_complete` False).

    `conditions` say of each changed fact which of its values choose the model, those of `change` among them,
    with all other facts as they are.
    """

    candidate: Candidate
    change: Mapping[str, FactValue] | None
    is_complete: bool
    conditions: Mapping[str, str] = field(default_factory=dict)


def why_not(
    explainer: Explainer, explanation: Explanation, model_key: str, most_work: int = MOST_WORK
) -> WhyNot:
    """Why this model was not chosen. Raises KeyError for a model the catalogue does not have."""
    candidate = {candidate.model.key: candidate for candidate in explanation.candidates}[model_key]
    if candidate.verdict == "chosen":
        return WhyNot(candidate, {}, is_complete=True)
    search = _Search(explainer, explanation, model_key)
    try:
        witness = search.smallest(most_work)
    except OutOfWork:
        return WhyNot(candidate, None, is_complete=False)
    if witness is None:
        return WhyNot(candidate, None, is_complete=True)
    changed = {
        fact.name: after
        for fact, before, after in zip(GIVEN, explanation.facts, witness.facts, strict=True)
        if after != before
    }
    return WhyNot(candidate, changed, True, dict(conditions(search.space, search.widened(witness, changed))))


class _Search:
    """The tasks around a decision, and those among them that choose a model."""

    def __init__(self, explainer: Explainer, explanation: Explanation, model_key: str) -> None:
        self._policy = policy = explainer.policy
        closed = {fact.name: policy.names.known_values(fact) for fact in GIVEN}
        self.space = Space(policy.cubes, Domain(closed, explanation.facts))
        self._key = model_key
        self._fixed: Box = {
            number: 1 << axis.usual
            for number, axis in enumerate(self.space.axes)
            if axis.usual is not None
            and (
                GIVEN[axis.fact].name not in CHANGEABLE
                # A need can be dropped; needing more is no way to get a model.
                or (GIVEN[axis.fact].name == "task.needs" and axis.element not in explanation.facts.needs)
            )
        }

    def smallest(self, most_work: int) -> Witness | None:
        """The task with the fewest changed facts that chooses the model. Raises OutOfWork."""
        wanted = next(index for index, model in enumerate(self._policy.models) if model.key == self._key)
        chains = Chains(self._policy)
        goal = every(chains.in_chain(wanted), chains.is_first(wanted))
        return find(self.space, [goal], Work(most_work), [self._fixed])

    def widened(self, witness: Witness, changed: Container[str]) -> Box:
        """A box around the witness in which every task chooses the model, as far as the changed facts go.

        Each task in it is decided, so the box is exact; it grows by one cell at a time.
        """
        axes = self.space.axes
        box = {
            number: 1 << axis.plainest(witness.box.get(number, axis.domain))
            for number, axis in enumerate(axes)
            if GIVEN[axis.fact].name in changed
        }
        left = MOST_TASKS
        # Elements that nobody mentions come first: the language speaks of them only where the rest is absent.
        for number in sorted(box, key=lambda number: (axes[number].element != OTHER, number)):
            for cell in bits_of(axes[number].domain & self._fixed.get(number, -1) & ~box[number]):
                added = {**box, number: 1 << cell}
                wider = {**box, number: box[number] | 1 << cell}
                left -= prod(cells.bit_count() for cells in added.values())
                if left >= 0 and self._is_expressible(wider) and self._all_choose(added):
                    box = wider
        return box

    def _is_expressible(self, box: Box) -> bool:
        axes = self.space.axes
        restricted = {number: cells for number, cells in box.items() if cells != axes[number].domain}
        return is_expressible(self.space, restricted)

    def _all_choose(self, box: Box) -> bool:
        cells = [[1 << cell for cell in bits_of(cells)] for cells in box.values()]
        points = (dict(zip(box, point, strict=True)) for point in product(*cells))
        return all(self._chooses(point) for point in points)

    def _chooses(self, point: Box) -> bool:
        chain = decide_live(self._policy, self.space.live(point)).chain
        return bool(chain) and chain[0].key == self._key
