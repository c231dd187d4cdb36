"""Mutation testing of policies: every fate held against the mutant written out as text, built afresh and
asked for every task there is."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from engine.analysis.answer_text import facts_to_state, pasteable_test
from engine.analysis.changes import Change, changes
from engine.analysis.mutation import MutationReport, mutate
from engine.analysis.policy_tests import run_tests
from engine.analysis.proofs import prove
from engine.bundled import bundled_path
from engine.decision.facts import DEFAULTS
from engine.language import syntax_tree as tree
from engine.language.diagnostics import Problems
from engine.language.formatter import print_statement
from engine.language.parser import parse
from engine.language.source import Source
from engine.policy import Policy, load_or_raise
from tests.analysis.small_worlds import CONDITIONS, SmallWorld, facts_of, worlds
from tests.analysis.test_policy_tests import policy_of

SEED = 11
WORLDS = 16
MUTANTS_A_WORLD = 14
USUAL = DEFAULTS._replace(mode="balanced")
NOWHERE = Source("", "").span(0, 0)


def written(text: str, change: Change) -> str:
    """The policy's text with the change made in it."""
    span = change.statement.span
    replacement = "" if change.replacement is None else print_statement(change.replacement)
    if change.ahead_of is None:
        return text[: span.start] + replacement + text[span.end :]
    start = change.ahead_of.span.start
    return text[:start] + replacement + "\n" + text[start : span.start] + text[span.end :]


def with_lets_and_tests(world: SmallWorld, generator: random.Random) -> SmallWorld:
    """The world with a let that a rule, a proof and another let use, and three tests that hold or nearly
    so."""
    conditions = [each for fact in world.varied for each in CONDITIONS[fact]]
    first, second, third = (generator.choice(conditions) for _ in range(3))
    lets = (
        f"let odd = {first} or {second}",
        f"let odder = odd and {third}",
        "forbid in-odd: gpt when odder",
        "prove odd-is: never gpt when odder",
    )
    world = replace(world, statements=(*world.statements, *lets))
    policy = world.engine()
    tests = []
    for number in range(3):
        facts = facts_of(generator.choice(world.points))
        chain = policy.evaluator.decide(facts).chain
        models = tuple(tree.Word(model.key, NOWHERE) for model in chain)
        expected: tree.Expectation = (
            tree.ExpectModels(models, False, NOWHERE) if models else tree.ExpectRefused(NOWHERE)
        )
        tests.append(pasteable_test(f"t{number}", facts_to_state(facts, USUAL), expected))
    return replace(
        world, statements=(*world.statements, *tests, 'test "wrong": given task.type is qa expect not any')
    )


def test_every_fate_is_that_of_the_mutant_written_out() -> None:
    """Killed by a test or proof that really fails, equivalent on every task, surviving with a witness and
    nothing that fails."""
    generator = random.Random(SEED)
    fates: Counter[str] = Counter()
    for seed, plain in worlds(WORLDS, SEED):
        world = with_lets_and_tests(plain, generator)
        policy = world.engine()
        report = mutate(policy)
        ignored = set(report.ignored)
        assert "test 'wrong'" in ignored
        (source,) = policy.folder.routes
        tried = generator.sample(report.mutants, min(MUTANTS_A_WORLD, len(report.mutants)))
        for mutant in tried:
            text = written(source.text, mutant.change)
            problems = Problems()
            other = replace(world, statements=(text,)).engine()
            told_as = f"{seed}: {mutant.change.edit} {mutant.fate} {mutant.by}\n{text}"
            assert list(problems) == [], told_as
            failing = {f"test {case.test.title!r}" for case in run_tests(other) if not case.passed}
            failing |= {
                f"proof {answer.proof.name}" for answer in prove(other) if answer.verdict == "refuted"
            }
            failing -= ignored
            same = all(
                policy.evaluator.decide(facts).chain == other.evaluator.decide(facts).chain
                for facts in map(facts_of, world.points)
            )
            match mutant.fate:
                case "killed":
                    assert mutant.by in failing, told_as
                case "equivalent":
                    assert (same, failing) == (True, set()), told_as
                case "survived":
                    assert failing == set(), told_as
                    assert mutant.given is not None
                    facts = other.explain(mutant.given, {}).facts
                    assert mutant.before is not None
                    assert mutant.after is not None
                    assert mutant.before.chain == policy.evaluator.decide(facts).chain, told_as
                    assert mutant.after.chain == other.evaluator.decide(facts).chain != mutant.before.chain, (
                        told_as
                    )
                case _:
                    pytest.fail(f"undecided: {told_as}")
            fates[mutant.fate] += 1
    assert min(fates[fate] for fate in ("killed", "equivalent", "survived")) > 15, fates


def edits(text: str) -> list[str]:
    file = parse(Source("main.route", text), Problems())
    return [f"{change.edit.before} -> {change.edit.after}" for change in changes(file.statements)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (("let a = x > "
         "32k"), ["x > 32k -> x >= 32k", "x > 32k -> x <= 32k", "x > 32k -> x > 31k", "x > 32k -> x > 33k"]),
        (("let a = x < "
         "$0.05"), [("x < $0.05 -> x <= "
                   "$0.05"), "x < $0.05 -> x >= $0.05", "x < $0.05 -> x < $0.04", "x < $0.05 -> x < $0.06"]),
        ("let a = x >= 0%", ["x >= 0% -> x > 0%", "x >= 0% -> x < 0%", "x >= 0% -> x >= 1%"]),
        (("let a = task.criticality >= "
         "high"), [("task.criticality >= high -> task.criticality < "
                  "high"), ("task.criticality >= high -> task.criticality >= "
                          "medium"), "task.criticality >= high -> task.criticality >= critical"]),
        ("let a = x is b", ["x is b -> x is not b"]),
        ("let a = x has b", ["x has b -> not x has b"]),
        ("let a = x has any [b]", ["x has any [b] -> not x has any [b]"]),
        ("let a = x has any c", ["x has any c -> not x has any c", "x has any c -> x has all c"]),
        ("let a = [b, c]", ["b -> ", "c -> "]),
        ("let a = local", ["local -> cloud"]),
        ("let a = not b", ["not b -> b", "b -> not b"]),
        ("let a = x is empty", ["x is empty -> x is not empty"]),
        ("let a = clock.hour in 23..6", [
            "clock.hour in 23..6 -> clock.hour not in 23..6",
            "clock.hour in 23..6 -> clock.hour in 22..6",
            "clock.hour in 23..6 -> clock.hour in 0..6",
            "clock.hour in 23..6 -> clock.hour in 23..5",
            "clock.hour in 23..6 -> clock.hour in 23..7",
        ]),
        ("weigh a: cost 1, quality 0, latency 0", [
            "weigh a -> ",
            "cost 1, quality 0 -> cost 0, quality 1",
            "cost 1, latency 0 -> cost 0, latency 1",
        ]),
        (("route a: use b, then "
         "c"), ["route a -> ", "b -> ", "b, then c -> c, then b", "b -> not b", "c -> ", "c -> not c"]),
        ("forbid a (watch): b when c", []),
        ("avoid a: b by 5", ["avoid a -> ", "avoid -> prefer", "b -> not b"]),
        (("require a: b unless "
         "c"), ["require a -> ", "require -> forbid", "b -> not b", "unless c ->", "c -> not c"]),
    ],
)  # fmt: skip
def test_the_changes_of_each_form(policy: str, expected: list[str]) -> None:
    """As an author's slip would make them."""
    assert [each.rstrip() for each in expected] == [each.rstrip() for each in edits(policy)]


def fates(report: MutationReport) -> dict[str, str]:
    return {f"{each.change.edit.before} -> {each.change.edit.after}": each.fate for each in report.mutants}


def test_a_boundary_that_no_test_looks_at_survives() -> None:
    """And a test at the boundary kills it."""
    rule = "forbid long: small when task.context_size > 5k\n"
    far = (
        'test "far": given task.type is a, task.context_size is 7k expect chain big given task.type is a '
        "expect some small\n"
    )
    near = 'test "near": given task.type is a, task.context_size is 5k expect some small\n'
    change = "task.context_size > 5k -> task.context_size >= 5k"
    assert fates(mutate(policy_of(rule + far)))[change] == "survived"
    assert fates(mutate(policy_of(rule + far + near)))[change] == "killed"


def test_a_change_that_changes_nothing_is_discarded() -> None:
    """A rule that another one implies, say."""
    policy = policy_of(
        "forbid a: small when task.type is x\nforbid b: small when task.type in [x, y]\n"
        'test "t": given task.type is x expect big given task.type is y expect big given task.type is z '
        "expect some small"
    )
    found = fates(mutate(policy))
    assert found["forbid a -> "] == "equivalent"
    assert found["forbid b -> "] == "killed"
    assert mutate(policy).score == 1  # of what matters, everything was noticed


def test_the_default_policy_would_notice_nearly_everything() -> None:
    """Its tests and proofs are a lesson too."""
    report = mutate(load_or_raise(bundled_path("policies", "default")))
    assert (report.ignored, report.count("undecided")) == ((), 0)
    assert report.score > 0.95


def test_reaching_the_cap_is_no_verdict() -> None:
    """Undecided mutants count against the score."""
    policy = load_or_raise(bundled_path("policies", "default"))
    report = mutate(policy, most_work=1)
    assert report.count("undecided") > 0
    assert report.count("equivalent") == 0
    assert report.score < 1


def test_what_does_not_hold_as_it_is_kills_nothing() -> None:
    """Failing tests and refuted proofs are named and left out."""
    policy = policy_of(
        'forbid a: small\ntest "wrong": given task.type is x expect small\nprove p: only small\n'
    )
    report = mutate(policy)
    assert report.ignored == ("test 'wrong'", "proof p")
    assert report.count("killed") == 0


def test_a_policy_without_rules_has_nothing_to_miss() -> None:
    """The score is 1, of no changes."""
    report = mutate(policy_of(""))
    assert (report.possible, report.score) == (0, 1.0)


def policy_with(count: int) -> Policy:
    rules = "\n".join(
        f"forbid r{n}: small when task.context_size > {n}k and task.type is t{n}" for n in range(count)
    )
    return policy_of(rules + '\ntest "t": given task.type is t3, task.context_size is 4k expect big')


def test_more_changes_than_the_cap_are_sampled() -> None:
    """Evenly, and the report says how many there are."""
    report = mutate(policy_with(10), most_mutants=20)
    assert report.possible > 100
    assert 10 <= len(report.mutants) <= 20
