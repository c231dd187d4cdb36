"""A policy's `prove` statements -> a verdict each, over all facts: proved, refuted with the simplest
counterexample, or unknown.

A counterexample is replayed, word for word and through the evaluator, before anyone sees it. Rules on watch
decide nothing, so no proof depends on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from engine.analysis.answer_text import facts_to_state
from engine.analysis.condition_fold import holds, keeps
from engine.analysis.questions import Asked, Chains, Questioned, TooComplex, every, some_live
from engine.analysis.search import MOST_WORK, Goal, OutOfWork, Witness, Work, find
from engine.decision.evaluator import Decision, Evaluator
from engine.decision.facts import Facts
from engine.language.checked_policy import FactValue, Proof
from engine.policy import Policy

Verdict: TypeAlias = Literal["proved", "refuted", "unknown"]


@dataclass(frozen=True, slots=True)
class Counterexample:
    """The simplest task that breaks a proof, and what is decided for it."""

    facts: Facts
    given: Mapping[str, FactValue]
    decision: Decision


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict on one proof. `vacuous` when its condition can never hold: it is proved, and says nothing.

    `work` are the steps taken; `differing` says, of an unknown, that every task with fewer facts than this
    away from the defaults was looked at.
    """

    proof: Proof
    verdict: Verdict
    vacuous: bool = False
    counterexample: Counterexample | None = None
    work: int = 0
    differing: int = 0


def prove(policy: Policy, most_work: int = MOST_WORK) -> list[Answer]:
    """Decides every proof of a policy, in the order of the files."""
    return Prover(policy).answers(most_work)


class Prover:
    """The proofs of one policy, compiled together with it."""

    def __init__(self, policy: Policy, also: Sequence[Asked] = ()) -> None:
        """`also` are further questions, compiled behind those of the proofs."""
        self._policy = policy
        self._proofs = policy.checked.proofs
        asked: list[Asked] = []
        for proof in self._proofs:
            # What a witness must show: for `never` a model that is selected, otherwise one that is not.
            is_never = proof.expectation.quantifier == "never"
            asked.append(Asked(proof.condition))
            asked.append(Asked(proof.condition, proof.expectation.selector, negated=not is_never))
        self.questioned = Questioned(policy.checked, policy.catalogue.models, policy.names, [*asked, *also])
        self._chains = Chains(self.questioned.compiled)

    def answers(self, most_work: int = MOST_WORK) -> list[Answer]:
        return [self.answer(number, most_work) for number in range(len(self._proofs))]

    def answer(self, number: int, most_work: int = MOST_WORK) -> Answer:
        """The verdict on one proof."""
        proof, work, space = self._proofs[number], Work(most_work), self.questioned.space
        try:
            holding = some_live(self.questioned.condition(2 * number))
            if find(space, [holding], work) is None:
                return Answer(proof, "proved", vacuous=True, work=work.done)
            witness = find(space, self._goals(number, holding), work)
        except OutOfWork as stopped:
            return Answer(proof, "unknown", work=stopped.done, differing=stopped.differing)
        except TooComplex:
            return Answer(proof, "unknown")
        if witness is None:
            return Answer(proof, "proved", work=work.done)
        return Answer(proof, "refuted", counterexample=self._replayed(proof, witness), work=work.done)

    def _goals(self, number: int, holding: Goal) -> list[Goal]:
        shown, chains = self.questioned.asked(2 * number + 1), self._chains
        if self._proofs[number].expectation.quantifier == "some":
            # A model that is not selected is no help, so it counts as if it were not in the chain.
            guards = self.questioned.compiled.guards
            return [
                every(
                    holding, chains.nobody([guard | mask for guard, mask in zip(guards, shown, strict=True)])
                )
            ]
        return [every(some_live(mask), chains.in_chain(model)) for model, mask in enumerate(shown) if mask]

    def _replayed(self, proof: Proof, witness: Witness) -> Counterexample:
        """Raises AssertionError when the evaluator does not agree that this is a counterexample: a bug in
        the analysis."""
        facts = witness.facts
        decision = Evaluator(self._policy.compiled).decide(facts)
        assert holds(proof.condition, facts), f"the counterexample to {proof.name} is outside its condition"
        assert not keeps(proof.expectation, decision, facts), f"the counterexample to {proof.name} is none"
        return Counterexample(facts, facts_to_state(facts, self.questioned.domain.defaults), decision)
