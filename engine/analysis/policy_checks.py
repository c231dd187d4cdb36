"""A policy -> how its own tests, proofs and mutation score come out, within a stated amount of work.

What the work allowed did not decide is counted apart, never as passed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.analysis.mutation import MOST_MUTANTS, MutationReport, mutate
from engine.analysis.policy_tests import CaseReport, run_tests
from engine.analysis.proofs import Answer, Prover, Verdict
from engine.policy import Policy

MOST_CASES = 2_000
"""Cases of tests that are run."""

_MOST_DECISIONS = 200_000
"""Mutants times cases: each mutant is decided for every case until one notices it."""

_MOST_PAIRS = 150_000
"""Mutants times pairs of models, whose order each mutant may change."""

_FEWEST_MUTANTS = 50
"""A score of fewer would say little."""


@dataclass(frozen=True, slots=True)
class PolicyChecks:
    """The cases that were run, every proof, and the mutants that were tried. `written` counts all cases;
    `mutation` is None when there are too many of them, or of models, for a score that says something."""

    cases: tuple[CaseReport, ...]
    written: int
    proofs: tuple[Answer, ...]
    mutation: MutationReport | None

    @property
    def passed(self) -> int:
        return sum(case.passed for case in self.cases)

    def count(self, verdict: Verdict) -> int:
        return sum(answer.verdict == verdict for answer in self.proofs)


def check_policy(policy: Policy, most_work: int) -> PolicyChecks:
    """`most_work` are the steps that all proofs may take together, and all mutants again."""
    cases = tuple(run_tests(policy, MOST_CASES))
    written = sum(len(test.cases) for test in policy.checked.tests)
    models = len(policy.catalogue.models)
    most_mutants = min(_MOST_DECISIONS // max(written, 1), _MOST_PAIRS // max(models * (models - 1) // 2, 1))
    mutation = None
    if written <= MOST_CASES and most_mutants >= _FEWEST_MUTANTS:
        most_mutants = min(most_mutants, MOST_MUTANTS)
        mutation = mutate(policy, most_together=most_work, most_mutants=most_mutants)
    return PolicyChecks(cases, written, tuple(_proofs(policy, most_work)), mutation)


def _proofs(policy: Policy, most_work: int) -> Iterator[Answer]:
    prover = Prover(policy)
    for number in range(len(policy.checked.proofs)):
        answer = prover.answer(number, most_work)
        most_work = max(most_work - answer.work, 0)
        yield answer
