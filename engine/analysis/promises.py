"""The tests and proofs of a policy, and a draft that is to replace it -> those that fail under the draft, and
those of the policy that the draft does not keep.

Tests and proofs of the policy are held as the policy means them: a draft can neither rewrite them, nor the
`let` that they name, nor leave them out. It may add some, and make a proof hold for more tasks.
"""

from collections.abc import Iterator
from dataclasses import replace

from engine.analysis.answer_text import facts_to_state, task_text
from engine.analysis.later_calls import LaterCalls
from engine.analysis.objection import Objection
from engine.analysis.policy_tests import CaseReport, run_tests
from engine.analysis.proofs import Answer, in_question, prove
from engine.analysis.questions import Asked, Questioned, TooComplex, every, none_live, some_live
from engine.analysis.search import MOST_WORK, OutOfWork, Work, find
from engine.language import syntax_tree as tree
from engine.language.checked_policy import Condition, Proof
from engine.language.formatter import print_expectation, print_given
from engine.policy import Policy


def broken_promises(old: Policy, new: Policy, most_work: int = MOST_WORK) -> Iterator[Objection]:
    """What fails of the draft's own tests and proofs, and of the policy's; then what is dropped.

    The proofs share `most_work` steps: a draft can bring as many as it likes.
    """
    most_work //= len(old.checked.proofs) + len(new.checked.proofs) + 1
    yield from _failing_tests(new, "the")
    yield from _failing_tests(_with_tests_of(old, new), "the folder's")
    yield from _failing_proofs(prove(new, most_work), "the")
    yield from _failing_proofs(_held(old, new, most_work), "the folder's")
    yield from _dropped_cases(old, new)
    yield from _dropped_proofs(old, new, most_work)


# --- Tests ----------------------------------------------------------------------------------------------


def _failing_tests(policy: Policy, whose: str) -> Iterator[Objection]:
    for report in run_tests(policy):
        if not report.passed:
            chain = tuple(model.key for model in report.explanation.chain)
            yield Objection("test", _failure(report, chain, whose), report.case.given, after=chain)


def _failure(report: CaseReport, chain: tuple[str, ...], whose: str) -> str:
    span, because = report.case.span, report.case.because
    title = f'{whose} test "{report.test.title}" ({span.source.name}:{span.line})'
    decided = ", then ".join(chain) or "refused"
    if report.is_met:
        return f"{title} fails: {because} did not matter"
    return f"{title} fails: expected {print_expectation(report.written.expectation)}, decided {decided}"


def _with_tests_of(old: Policy, new: Policy) -> Policy:
    """The draft with those tests of the policy that it does not have in the same meaning, as far as their
    mode exists."""
    kept = {test.title: test for test in new.checked.tests}
    tests = tuple(
        test
        for test in old.checked.tests
        if kept.get(test.title) != test
        and all(case.given.get("mode", new.settings.default_mode) in new.names.modes for case in test.cases)
    )
    return replace(new, checked=replace(new.checked, tests=tests), statements=old.statements)


def _dropped_cases(old: Policy, new: Policy) -> Iterator[Objection]:
    kept = {_written(case) for _, case in _cases(new)}
    for title, case in _cases(old):
        if _written(case) not in kept:
            where = f"{case.span.source.name}:{case.span.line}"
            text = f'the folder\'s test "{title}" ({where}) is changed or gone: {_written(case)}'
            yield Objection("dropped", text)


def _cases(policy: Policy) -> Iterator[tuple[str, tree.Case]]:
    for statement in policy.statements:
        if isinstance(statement, tree.Test):
            yield from ((statement.title.text, case) for case in statement.cases)


def _written(case: tree.Case) -> str:
    because = "" if case.because is None else f" because {case.because.text}"
    return f"given {print_given(case.given)} expect {print_expectation(case.expectation)}{because}"


# --- Proofs ---------------------------------------------------------------------------------------------


def _failing_proofs(answers: list[Answer], whose: str) -> Iterator[Objection]:
    for answer in answers:
        title = f"{whose} proof {answer.proof.name}"
        found = answer.counterexample
        if found is not None:
            chain = tuple(model.key for model in found.decision.chain)
            shown = f"{task_text(found.given)} goes to {', '.join(chain) or 'no model'}"
            yield Objection("proof", f"{title} is refuted: {shown}", found.given, after=chain)
        elif answer.verdict == "unknown":
            yield Objection("unknown", f"{title} was not decided: {answer.work:,} steps did not suffice")


def _held(old: Policy, new: Policy, most_work: int) -> list[Answer]:
    """The policy's proofs, in the policy's meaning, over the draft; those that the draft has too are left
    out."""
    proofs = tuple(proof for proof in old.checked.proofs if proof not in new.checked.proofs)
    return prove(replace(new, checked=replace(new.checked, proofs=proofs)), most_work) if proofs else []


def _dropped_proofs(old: Policy, new: Policy, most_work: int) -> Iterator[Objection]:
    kept = {proof.name: proof for proof in new.checked.proofs}
    for proof in old.checked.proofs:
        now = kept.get(proof.name)
        if now is None:
            yield Objection("dropped", f"the folder's proof {proof.name} is gone")
        elif (now.expectation, now.after) != (proof.expectation, proof.after):
            yield Objection("dropped", f"the folder's proof {proof.name} says something else")
        elif now != proof:
            yield from _weakened(proof, now, new, most_work)


def _spoken_of(proof: Proof, policy: Policy) -> Condition:
    """The tasks that a proof speaks of. Raises TooComplex."""
    later = None
    if proof.after is not None:
        later = LaterCalls(proof.after, policy.checked, policy.catalogue.models, policy.names)
    return in_question(proof, later)


def _weakened(before: Proof, now: Proof, policy: Policy, most_work: int) -> Iterator[Objection]:
    """Whether the draft's proof speaks of fewer tasks than the policy's of that name."""
    questioned = Questioned(
        policy.checked,
        policy.catalogue.models,
        policy.names,
        [Asked(_spoken_of(before, policy)), Asked(_spoken_of(now, policy))],
    )
    try:
        left_out = every(some_live(questioned.condition(0)), none_live(questioned.condition(1)))
        witness = find(questioned.space, [left_out], Work(most_work))
    except (OutOfWork, TooComplex):
        text = f"whether the folder's proof {before.name} holds for as many tasks was not decided"
        yield Objection("unknown", text)
        return
    if witness is not None:
        given = facts_to_state(witness.facts, questioned.domain.defaults)
        text = f"the folder's proof {before.name} no longer speaks of {task_text(given)}"
        yield Objection("dropped", text, given)
