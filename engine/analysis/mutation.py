"""A policy and its tests and proofs -> which small changes of the policy they would notice, and which they
would miss.

All changed rules are compiled together with the policy, once; a mutant is then a mask that says which rules
are in force. A mutant is killed by a case or a proof that held before and no longer does. One that nobody
noticed is asked for a task that it decides otherwise, over all facts: with one it survives, and the simplest
is a test that would kill it; without one it is no change at all, and is discarded. A question that reaches
its cap leaves the mutant undecided, and is counted apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from engine.analysis.answer_text import facts_to_state
from engine.analysis.chain_difference import difference
from engine.analysis.changes import Change, changes
from engine.analysis.claims import goals_against
from engine.analysis.mutants import CompiledMutants, ProofQuestions, Variant
from engine.analysis.policy_tests import CaseReport, meets, run_tests
from engine.analysis.search import Goal, OutOfWork, Witness, Work, find
from engine.decision.evaluator import Decision, decide_live
from engine.language.checked_policy import FactValue, Proof
from engine.policy import Policy

MOST_MUTANTS = 5_000
"""Changes that are tried; of a policy that has more, an even sample."""

MOST_WORK_A_MUTANT = 200_000
"""Steps that each question about one mutant may take (see `search`)."""

Fate: TypeAlias = Literal["killed", "survived", "equivalent", "undecided"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change, and what became of it. `by` names the test or proof that killed it.

    Of a survivor, `given` are the facts of the simplest task decided otherwise, `before` and `after` what is
    decided for it.
    """

    change: Change
    fate: Fate
    by: str | None = None
    given: Mapping[str, FactValue] | None = None
    before: Decision | None = None
    after: Decision | None = None


@dataclass(frozen=True, slots=True)
class MutationReport:
    """Every change that was tried. `possible` counts those there are, `ignored` names the tests and proofs
    that do not hold as it is."""

    mutants: tuple[Mutant, ...]
    possible: int
    ignored: tuple[str, ...]

    def count(self, fate: Fate) -> int:
        return sum(mutant.fate == fate for mutant in self.mutants)

    @property
    def score(self) -> float:
        """The share, 0 to 1, of the changes that matter and were noticed; 1 when none matters."""
        killed = self.count("killed")
        mattering = killed + self.count("survived") + self.count("undecided")
        return killed / mattering if mattering else 1.0


def mutate(
    policy: Policy,
    most_work: int = MOST_WORK_A_MUTANT,
    most_together: int | None = None,
    most_mutants: int | None = None,
) -> MutationReport:
    """Tries every change of the author's own rules and lets. `most_together` are the steps that all questions
    may take; mutants that it leaves nothing for are undecided."""
    mine = {source.name for source in policy.folder.routes}
    statements = [each for each in policy.statements if each.span.source.name in mine]
    possible = list(changes(statements))
    step = -(-len(possible) // (most_mutants or MOST_MUTANTS)) or 1
    return _Mutation(policy, possible[::step], most_work, most_together).report(len(possible))


class _Mutation:
    """One policy and all its mutants; says what becomes of each."""

    def __init__(
        self, policy: Policy, tried: Sequence[Change], most_work: int, most_together: int | None
    ) -> None:
        self._policy = policy
        self._mutants = CompiledMutants(policy, tried)
        self._most, self._left = most_work, most_together

    def report(self, possible: int) -> MutationReport:
        cases = run_tests(self._policy)
        good = [case for case in cases if case.passed]
        lives = [self._mutants.live(case.explanation.facts) for case in good]
        ignored = [f"test {case.test.title!r}" for case in cases if not case.passed]
        proved = []
        for proof in self._policy.checked.proofs:
            if self._holds(proof, self._mutants.proofs[proof.name], self._mutants.original):
                proved.append(proof)
            else:
                ignored.append(f"proof {proof.name}")
        mutants = tuple(
            self._fate(variant, good, lives, proved) for variant in self._mutants.variants if variant.is_valid
        )
        return MutationReport(mutants, possible, tuple(dict.fromkeys(ignored)))

    def _fate(
        self,
        variant: Variant,
        cases: Sequence[CaseReport],
        lives: Sequence[int],
        proofs: Sequence[Proof],
    ) -> Mutant:
        for report, live in zip(cases, lives, strict=True):
            if not self._passes(variant, report, live):
                return Mutant(variant.change, "killed", f"test {report.test.title!r}")
        for proof in proofs:
            asked = variant.proofs.get(proof.name, self._mutants.proofs[proof.name])
            if self._holds(proof, asked, variant.mask) is False:
                return Mutant(variant.change, "killed", f"proof {proof.name}")
        mutants = self._mutants
        try:
            witness = self._find(difference(mutants.compiled, mutants.chains, mutants.original, variant.mask))
        except OutOfWork:
            return Mutant(variant.change, "undecided")
        if witness is None:
            return Mutant(variant.change, "equivalent")
        return self._survivor(variant, witness)

    def _survivor(self, variant: Variant, witness: Witness) -> Mutant:
        facts = witness.facts
        before = self._policy.evaluator.decide(facts)
        after = decide_live(self._mutants.compiled, self._mutants.live(facts) & variant.mask)
        assert before.chain != after.chain, "a witness is decided differently"
        given = facts_to_state(facts, self._mutants.space.domain.defaults)
        return Mutant(variant.change, "survived", None, given, before, after)

    def _passes(self, variant: Variant, report: CaseReport, live: int) -> bool:
        test = variant.tests.get(report.test.title, report.test)
        case = test.cases[report.number - 1]
        live &= variant.mask
        decision = decide_live(self._mutants.compiled, live)
        if not meets(case.expectation, decision, report.explanation.facts):
            return False
        return case.because is None or self._mattered(case.because, decision, live)

    def _mattered(self, name: str, decision: Decision, live: int) -> bool:
        """Whether a rule had a part in what a mutant decides; a changed rule goes by its name."""
        if name in (decision.weigh.name, decision.route.name if decision.route else None):
            return True
        compiled = self._mutants.compiled
        mine = live & self._mutants.named(name)
        _, tiers = self._mutants.chains.route(live)
        if any(mine & compiled.guards[model] for tier in tiers for model in tier.members(live)):
            return True
        keys = {model.key for model in decision.chain}
        return any(
            mine & compiled.favours[place].mask
            for place, model in enumerate(compiled.models)
            if model.key in keys
        )

    def _holds(self, proof: Proof, asked: ProofQuestions, mask: int) -> bool | None:
        """Whether a proof holds with these rules in force; None when the work allowed did not say."""
        condition, shown = self._mutants.asked(asked.condition), self._mutants.asked(asked.broken)
        if condition is None or shown is None:
            return None
        watched = self._mutants.compiled.watched
        goals = goals_against(
            proof.expectation, self._mutants.chains, condition, [each & shown for each in watched], mask
        )
        try:
            return self._find(goals) is None
        except OutOfWork:
            return None

    def _find(self, goals: Sequence[Goal]) -> Witness | None:
        """Raises OutOfWork, also when all questions together took what they may."""
        work = Work(self._most if self._left is None else min(self._most, self._left))
        try:
            return find(self._mutants.space, goals, work)
        finally:
            if self._left is not None:
                self._left = max(self._left - work.done, 0)
