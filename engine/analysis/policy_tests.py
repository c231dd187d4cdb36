"""A policy's `test` statements -> a report on each case: what was expected, what was decided, and why.

A test says nothing of the machine: what it does not give is as usual, so that it holds on every machine.
Nothing here prints.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from engine.analysis.condition_fold import meets as claim_holds
from engine.decision.evaluator import Decision
from engine.decision.explanation import Explanation
from engine.decision.facts import Facts
from engine.language import syntax_tree as tree
from engine.language.checked_policy import Expectation, ModelsAre, PolicyTest, TestCase
from engine.policy import Policy


@dataclass(frozen=True, slots=True)
class CaseReport:
    """One `given ... expect ...`, and how it came out.

    `number` counts the cases of a test from 1. `is_met` says whether the outcome was as expected,
    `is_because` whether the rule that the case names mattered, which is true of a case that names
    none.
    """

    test: PolicyTest
    number: int
    case: TestCase
    written: tree.Case
    explanation: Explanation
    is_met: bool
    is_because: bool

    @property
    def passed(self) -> bool:
        return self.is_met and self.is_because


def run_tests(policy: Policy, most_cases: int | None = None) -> list[CaseReport]:
    """Every case of every test, in the order of the files; no more than `most_cases`."""
    return list(islice(_reports(policy), most_cases))


def _reports(policy: Policy) -> Iterator[CaseReport]:
    written = {
        statement.title.text: statement.cases
        for statement in policy.statements
        if isinstance(statement, tree.Test)
    }
    for test in policy.checked.tests:
        for number, (case, as_written) in enumerate(
            zip(test.cases, written[test.title], strict=True), start=1
        ):
            explanation = policy.explain(case.given, dict.fromkeys(case.given, "test"))
            is_met = meets(case.expectation, explanation.decision, explanation.facts)
            is_because = case.because is None or explanation.mattered(case.because)
            yield CaseReport(test, number, case, as_written, explanation, is_met, is_because)


def meets(expectation: Expectation, decision: Decision, facts: Facts) -> bool:
    """Whether a decision is what a test says it is."""
    if isinstance(expectation, ModelsAre):
        keys = tuple(model.key for model in decision.chain)
        models = expectation.models
        return keys[: len(models)] == models if expectation.is_open else keys == models
    return claim_holds(expectation, decision, facts)
