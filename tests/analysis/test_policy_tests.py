"""Tests in policies: verdicts, and what they cover, against the reference interpreter and by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.analysis.coverage import RuleCoverage, coverage
from engine.analysis.policy_tests import run_tests
from engine.bundled import bundled_path
from engine.config.folder import folder_in_memory
from engine.language.diagnostics import Problems
from engine.policy import Policy, build, load_or_raise
from tests.decision.worlds import compiled
from tests.reference.generator import random_world
from tests.reference.interpreter import check_test

SEED = 31
FOLDERS = [bundled_path("policies", "default"), *sorted(bundled_path("policies", "examples").iterdir())]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_tests_of_every_shipped_policy_pass(folder: Path) -> None:
    """And each of them has some."""
    reports = run_tests(load_or_raise(folder))
    assert len(reports) >= 4
    assert [report.test.title for report in reports if not report.passed] == []


def test_verdicts_agree_with_the_reference() -> None:
    """Every case of 100 random worlds, met and unmet, with and without `because`."""
    generator = random.Random(SEED)
    verdicts = {True: 0, False: 0}
    for _ in range(100):
        world = random_world(generator)
        reference = world.policy()
        expected = [verdict for test in reference.tests for verdict in check_test(reference, test)]
        verdict = [report.passed for report in run_tests(compiled(world))]
        assert expected == verdict
        for each in verdict:
            verdicts[each] += 1
    assert min(verdicts.values()) > 40


MODELS = """
providers:
  ollama:
    type: local
    models:
      - {id: small, capabilities: [], max_context: 8000, quality_tier: low, latency_tier: low}
      - {id: big, capabilities: [], max_context: 32000, quality_tier: high, latency_tier: high}
"""


def policy_of(text: str) -> Policy:
    problems = Problems()
    files = folder_in_memory(MODELS, None, {"main.route": text}, problems=problems)
    policy = files and build(files, problems)
    assert policy is not None, [problem.message for problem in problems]
    return policy


def covered(text: str) -> dict[str, RuleCoverage]:
    policy = policy_of(text)
    return {each.rule.name: each for each in coverage(policy, run_tests(policy))}


def test_a_rule_decided_when_the_chain_would_be_another_without_it() -> None:
    """A guard that another one makes superfluous mattered, and decided nothing."""
    found = covered(
        """
        forbid one: small when task.type is a
        forbid two: small when task.type in [a, b]
        forbid three: big when task.type is c
        test "t":
            given task.type is a expect big because one
            given task.type is b expect big because two
        """
    )
    assert {name: (each.decided, each.mattered) for name, each in found.items()} == {
        "one": (0, 1),
        "two": (1, 2),
        "three": (0, 0),
    }
    assert [name for name, each in found.items() if not each.is_covered] == ["one", "three"]


def test_conditions_are_seen_true_and_false_as_they_are_written() -> None:
    """Each comparison by itself, also in a let, and once for every model where it speaks of one."""
    found = covered(
        """
        let urgent = task.criticality is high or task.latency_sensitivity is high
        forbid one: model.quality is low and not task.context_size > model.max_context
            when urgent and task.labels has any [x, y]
        test "t":
            given task.type is a, task.criticality is high expect some small
            given task.type is a, task.labels has x expect some small
        """
    )
    seen = {
        condition.span.text: (condition.was_true, condition.was_false)
        for condition in found["one"].conditions
    }
    assert seen == {
        "task.criticality is high": (True, True),
        "task.latency_sensitivity is high": (False, True),
        "task.labels has any [x, y]": (True, True),
        "task.context_size > model.max_context": (False, True),
    }


def test_a_rule_on_watch_is_covered_when_it_would_have_blocked() -> None:
    """It decides nothing."""
    found = covered(
        """
        forbid one (watch): small when task.type is a
        forbid two (watch): small when task.type is b
        test "t": given task.type is a expect some small
        """
    )
    assert (found["one"].decided, found["one"].is_covered, found["two"].is_covered) == (0, True, False)


def test_the_only_weights_left_have_decided() -> None:
    """Without a mode's own weights nothing would say how to score."""
    policy = load_or_raise(FOLDERS[0])
    found = {each.rule.name: each for each in coverage(policy, run_tests(policy))}
    assert found["weights-local-preferred"].decided > 0
