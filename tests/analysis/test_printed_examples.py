"""A task that is printed as an example, read back as a person would paste it, is what its sentence says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from engine.analysis import answer_text
from engine.analysis.answer_text import task_text
from engine.analysis.linter import lint
from engine.analysis.policy_diff import compare
from engine.analysis.policy_tests import run_tests
from engine.analysis.proofs import prove
from engine.config.folder import folder_in_memory
from engine.decision.facts import INDEX, fact_named, facts_from, read_text
from engine.decision.tree_drawing import json_values
from engine.language.checked_policy import FactValue
from engine.language.diagnostics import Diagnostic, Problems
from engine.language.source import Source
from engine.language.syntax_tree import Prove
from engine.policy import Policy, build
from tests.analysis.small_worlds import worlds
from tests.reference.interpreter import Policy as Reference
from tests.reference.interpreter import check_expectation, decide

EXAMPLE = re.compile(r"for example (?:for )?((?:[a-z_.]+=\S*(?: (?=\S+=))?)+?)(?=: |$)")


def pasted(text: str, policy: Policy) -> dict[str, FactValue]:
    """The facts of a task as the command line reads them."""
    given = {}
    for word in shlex.split(text):
        name, _, value = word.partition("=")
        fact = fact_named(name)
        given[fact.name] = read_text(fact, value, policy.names)
    return given


def whole(given: Mapping[str, FactValue], policy: Policy) -> dict[str, Any]:
    return dict(zip(INDEX, facts_from(given, policy.names, policy.assumed.facts), strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_the_example_of_a_finding_is_one(seed: int) -> None:
    """It is refused, or tied, or breaks the proof, to the reference."""
    for number, world in worlds(15, 8_000 + seed, cross=seed % 2 == 1):
        policy, naive = world.engine(), world.reference()
        for finding in lint(policy.folder, Problems()).findings:
            found = EXAMPLE.search(finding.message)
            if found is not None:
                task = whole(pasted(found[1], policy), policy)
                is_one = is_example(finding, naive, task)
                assert is_one, f"world {number}: {finding.message}\n{world.text()}{world.base}"


def is_example(finding: Diagnostic, naive: Reference, task: dict[str, Any]) -> bool:
    decision = decide(naive, task)
    match finding.slug:
        case "route-can-refuse":
            return not decision.chain and decision.route == finding.span.text
        case "refusal-without-route":
            return not decision.chain and decision.route is None
        case "tie-by-catalogue-order":
            first, second = re.findall(r"`(\w+)`", finding.message)
            return decision.chain[:2] == (first, second)
        case "refuted-proof":
            (proof,) = (each for each in naive.proofs if each.name == finding.span.text)
            is_given = ", ".join(decision.chain)
            says = f"it is given {is_given}" if is_given else "it is refused"
            return finding.message.endswith(says) and not check_expectation(naive, proof.expectation, task)
    raise AssertionError(f"{finding.slug} gives an example that nothing here looks at")


ODD = """\
forbid a: cloud when task.labels has "not" or task.labels has any ["any", "all", "two words"]
let private = task.labels has "it's"
prove not-there: never cloud when task.type is "not" and task.labels has "it's" and private
prove any-there: never cloud when task.type in ["any", "empty"] and task.labels has "two words; #"
prove quoted: never cloud when task.type is "say \\"hi\\"" and not task.labels has "all"
prove given: some cloud when task.type is "when" and task.labels has all ["not", "task.type"]
"""
MODELS = """\
providers:
  ollama: {type: local, models: [{id: small, capabilities: [qa], max_context: 8000, quality_tier: low,
    latency_tier: low, cost_profile: {type: local_cpu}}]}
  openai: {type: cloud, models: [{id: gpt, capabilities: [qa], max_context: 8000, quality_tier: high,
    latency_tier: low, cost_profile: {type: paid, input_per_1m: 1, output_per_1m: 1}}]}
"""


def test_names_that_are_no_bare_words_are_printed_to_be_pasted() -> None:
    """A counterexample goes to the command line, and as a test into the policy, where it fails."""
    policy = odd(ODD)
    answers = prove(policy)
    assert [answer.verdict for answer in answers] == ["refuted"] * 4
    written = {each.name.text: each for each in policy.statements if isinstance(each, Prove)}
    for answer in answers:
        assert answer.counterexample is not None
        given = answer.counterexample.given
        assert whole(pasted(task_text(given), policy), policy) == whole(given, policy)
        test = answer_text.test_of_proof(written[answer.proof.name], given, is_chain=True)
        (report,) = run_tests(odd(ODD + test))
        assert (report.case.given, report.passed) == (given, False)


def test_an_empty_set_is_printed_to_be_pasted() -> None:
    """Not as `none`, which would be a name."""
    given = {"task.type": "qa", "task.labels": frozenset[str]()}
    assert task_text(given) == "type=qa labels="
    assert pasted("type=qa labels=", odd(ODD)) == given


def odd(text: str) -> Policy:
    problems = Problems()
    files = folder_in_memory(MODELS, None, {"a.route": text}, problems=problems)
    assert files is not None
    policy = build(replace(files, base=Source("base.route", "")), problems)
    assert policy is not None, [problem.message for problem in problems]
    return policy


def test_conditions_with_such_names_can_be_pasted() -> None:
    """Those of the regions of a difference and of the edges of the tree: a guard with each reads, and takes
    the witness."""
    old = odd(ODD)
    new = odd(ODD.replace("forbid a:", 'forbid b: cloud when task.type in ["not", "empty"]\nforbid a:'))
    difference = compare(old, new)
    assert len(difference.regions) > 0
    for region in difference.regions:
        condition = " and ".join(text for _, text in answer_text.conditions(difference.space, region.box))
        assert not odd(f"forbid region: any when {condition}\n").evaluator.decide(region.facts).chain
    edges = [
        way["condition"]
        for node in json_values(new.tree.drawn({}), new.compiled.scale)["nodes"]
        for way in node.get("branches", ())
    ]
    assert 'task.labels has any ["all", "any", "not", "two words"]' in edges
    for condition in edges:
        odd(f"forbid edge: any when {condition}\n")
