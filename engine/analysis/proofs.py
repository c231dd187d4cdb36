"""A policy's `prove` statements -> a verdict each, over all facts: proved, refuted with the simplest
counterexample, or unknown.

A counterexample is replayed, word for word and through the evaluator, before anyone sees it. Rules on watch
decide nothing, so no proof depends on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from engine.analysis.answer_text import facts_to_state
from engine.analysis.claims import broken_by, goals_against
from engine.analysis.condition_fold import holds, meets
from engine.analysis.later_calls import LaterCalls
from engine.analysis.questions import Asked, Chains, Questioned, TooComplex, some_live
from engine.analysis.search import MOST_WORK, Goal, OutOfWork, Witness, Work, find
from engine.decision.evaluator import Decision, Evaluator
from engine.decision.facts import Facts
from engine.language.checked_policy import All, Condition, FactValue, Proof
from engine.policy import Policy

Verdict: TypeAlias = Literal["proved", "refuted", "unknown"]


@dataclass(frozen=True, slots=True)
class Counterexample:
    """The simplest task that breaks a proof, and what is decided for it; `before` is an earlier call of its
    session, where the proof speaks of one."""

    facts: Facts
    given: Mapping[str, FactValue]
    decision: Decision
    before: Mapping[str, FactValue] | None = None


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
        self._later = [self._later_calls(proof) for proof in self._proofs]
        asked: list[Asked] = []
        for proof, later in zip(self._proofs, self._later, strict=True):
            condition = in_question(proof, later)
            asked += [Asked(condition), broken_by(proof.expectation, condition)]
        self.questioned = Questioned(policy.checked, policy.catalogue.models, policy.names, [*asked, *also])
        self._chains = Chains(self.questioned.compiled)

    def answers(self, most_work: int = MOST_WORK) -> list[Answer]:
        return [self.answer(number, most_work) for number in range(len(self._proofs))]

    def answer(self, number: int, most_work: int = MOST_WORK) -> Answer:
        """The verdict on one proof."""
        proof, work, space = self._proofs[number], Work(most_work), self.questioned.space
        if self._later[number] is TooComplex:
            return Answer(proof, "unknown")
        try:
            holding = some_live(self.questioned.condition(2 * number))
            if find(space, [holding], work) is None:
                return Answer(proof, "proved", vacuous=True, work=work.done)
            witness = find(space, self._goals(number), work)
        except OutOfWork as stopped:
            return Answer(proof, "unknown", work=stopped.done, differing=stopped.differing)
        except TooComplex:
            return Answer(proof, "unknown")
        if witness is None:
            return Answer(proof, "proved", work=work.done)
        return Answer(proof, "refuted", counterexample=self._replayed(number, witness), work=work.done)

    def _later_calls(self, proof: Proof) -> "LaterCalls | type[TooComplex] | None":
        if proof.after is None:
            return None
        policy = self._policy
        try:
            return LaterCalls(proof.after, policy.checked, policy.catalogue.models, policy.names)
        except TooComplex:
            return TooComplex

    def _goals(self, number: int) -> list[Goal]:
        questioned = self.questioned
        condition, shown = questioned.condition(2 * number), questioned.asked(2 * number + 1)
        everything = questioned.compiled.full
        return goals_against(self._proofs[number].expectation, self._chains, condition, shown, everything)

    def _replayed(self, number: int, witness: Witness) -> Counterexample:
        """Raises AssertionError when the evaluator does not agree that this is a counterexample: a bug in
        the analysis."""
        proof, later, facts = self._proofs[number], self._later[number], witness.facts
        decision = Evaluator(self._policy.compiled).decide(facts)
        assert holds(proof.condition, facts), f"the counterexample to {proof.name} is outside its condition"
        assert not meets(proof.expectation, decision, facts), f"the counterexample to {proof.name} is none"
        usual = self.questioned.domain.defaults
        before = facts_to_state(later.earlier(facts), usual) if isinstance(later, LaterCalls) else None
        return Counterexample(facts, facts_to_state(facts, usual), decision, before)


def in_question(proof: Proof, later: "LaterCalls | type[TooComplex] | None") -> Condition:
    """The tasks that a proof speaks of."""
    if not isinstance(later, LaterCalls):
        return proof.condition
    return All((later.condition, proof.condition), proof.condition.span)
