"""What holds of every policy: locality, money, monotony, order, names, determinism; on structures that
Hypothesis makes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.decision.explanation import Explanation
from engine.decision.explanation_text import explanation_text
from engine.decision.facts import INDEX, FactsWithSources
from engine.language.formatter import print_statement
from engine.policy import Policy
from tests.decision.differential import Sample, compared
from tests.decision.read_back import read_back
from tests.decision.strategies import GUARDS, POLICIES, SOME_FACTS, Rule, Written, named
from tests.decision.worlds import compiled, facts_of
from tests.reference.generator import random_facts, random_world
from tests.reference.interpreter import decide

ROOT = Path(__file__).parents[2]
examples = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,  # what fails here fails everywhere
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def explain(policy: Policy, facts: dict[str, Any]) -> Explanation:
    return policy.explainer.explain(FactsWithSources(facts_of(facts), {}))


def chain(explanation: Explanation) -> list[str]:
    return [model.key for model in explanation.chain]


def totals(explanation: Explanation) -> dict[str, Decimal]:
    return {one.model.key: one.score.total for one in explanation.candidates if one.score}


@examples
@given(POLICIES, SOME_FACTS)
def test_the_engine_decides_as_the_reference_does(written: Written, some_facts: list[dict[str, Any]]) -> None:
    """On these structures too; a disagreement shrinks to the least policy that shows it."""
    world = written.world()
    naive = world.policy()
    drawn = Sample(0, world, some_facts, [decide(naive, facts) for facts in some_facts])
    assert [str(one) for one in compared([drawn]) if one] == []


@examples
@given(POLICIES, SOME_FACTS)
def test_local_only_never_selects_the_cloud(written: Written, some_facts: list[dict[str, Any]]) -> None:
    """Nowhere in the chain, whatever the author wrote."""
    policy = written.compiled()
    for facts in some_facts:
        assert {model.locality for model in explain(policy, facts | {"mode": "local-only"}).chain} <= {
            "local"
        }


@examples
@given(POLICIES, SOME_FACTS, st.sampled_from(["budget.daily.used", "budget.monthly.used"]))
def test_a_spent_budget_forces_local(written: Written, some_facts: list[dict[str, Any]], spent: str) -> None:
    """Nowhere in the chain, whatever the mode, the importance and the rules."""
    policy = written.compiled()
    for facts in some_facts:
        explanation = explain(policy, facts | {spent: Decimal(100)})
        assert {model.locality for model in explanation.chain} <= {"local"}


@examples
@given(POLICIES, SOME_FACTS, GUARDS, st.integers(0, 10))
def test_another_guard_never_lets_more_through(
    written: Written, some_facts: list[dict[str, Any]], guard: Rule, place: int
) -> None:
    """A forbid or a require, put anywhere, only takes models out; what is left keeps its order and its
    scores."""
    rules = list(written.rules)
    rules.insert(place, replace(guard, name="one-more"))
    before, after = written.compiled(), written.with_rules(rules).compiled()
    for facts in some_facts:
        was, now = explain(before, facts), explain(after, facts)
        taken = {one.model.key for one in now.candidates for rule in one.blockers if rule.name == "one-more"}
        assert chain(now) == [key for key in chain(was) if key not in taken]
        assert totals(now).items() <= totals(was).items()


@examples
@given(POLICIES, SOME_FACTS, st.randoms(use_true_random=False))
def test_the_order_of_guards_and_preferences_changes_nothing(
    written: Written, some_facts: list[dict[str, Any]], rng: Random
) -> None:
    """Only routes and weights are read in order."""
    ordered = [rule for rule in written.rules if rule.kind in ("route", "weigh")]
    shuffled = [rule for rule in written.rules if rule.kind not in ("route", "weigh")]
    rng.shuffle(shuffled)
    for rule in ordered:
        after = shuffled.index(ordered[ordered.index(rule) - 1]) + 1 if ordered.index(rule) else 0
        shuffled.insert(rng.randint(after, len(shuffled)), rule)
    before, after_ = written.compiled(), written.with_rules(shuffled).compiled()
    for facts in some_facts:
        was, now = explain(before, facts), explain(after_, facts)
        assert (chain(was), totals(was)) == (chain(now), totals(now))
        assert {one.model.key: {rule.name for rule in one.blockers} for one in was.candidates} == {
            one.model.key: {rule.name for rule in one.blockers} for one in now.candidates
        }


@examples
@given(POLICIES, SOME_FACTS)
def test_a_preference_never_escapes_eligibility(written: Written, some_facts: list[dict[str, Any]]) -> None:
    """Without any preference the same models stand in the chain, tier by tier; only their order may
    differ."""
    before = written.compiled()
    after = written.with_rules(rule for rule in written.rules if rule.kind != "preference").compiled()
    for facts in some_facts:
        was, now = explain(before, facts), explain(after, facts)
        assert was.decision.tiers == now.decision.tiers
        place = 0
        for count in was.decision.tiers:
            assert set(chain(was)[place : place + count]) == set(chain(now)[place : place + count])
            place += count


@examples
@given(POLICIES, SOME_FACTS)
def test_renaming_changes_names_only(written: Written, some_facts: list[dict[str, Any]]) -> None:
    """Every rule renamed, in an order that turns the alphabet round: the explanations differ in those names
    alone."""
    renamed = tuple(replace(rule, name=f"z{99 - number}-other") for number, rule in enumerate(written.rules))
    before, after = written.compiled(), written.with_rules(renamed).compiled()
    names = {new.name: old.name for old, new in zip(written.rules, renamed, strict=True)}
    for facts in some_facts:
        was, now = (json.dumps(explain(policy, facts).to_json()) for policy in (before, after))
        for new, old in names.items():
            now = now.replace(f'"{new}"', f'"{old}"')
        digest = before.explainer.policy_digest, after.explainer.policy_digest
        assert was == now.replace(digest[1], digest[0])


@examples
@given(POLICIES, SOME_FACTS)
def test_lets_are_only_names_for_what_they_say(written: Written, some_facts: list[dict[str, Any]]) -> None:
    """Conditions and selectors written through a let decide as those written out."""
    lets, rules = [], []
    for number, rule in enumerate(written.rules):
        head, _, condition = rule.text.partition(" when ")
        body, unless, exception = condition.partition(" unless ")
        if condition:
            lets.append(Rule("let", f"let named-{number} = {body}"))
            rules.append(replace(rule, text=f"{head} when named-{number}{unless}{exception}"))
        else:
            rules.append(rule)
    before, after = written.compiled(), written.with_rules((*rules, *lets)).compiled()
    for facts in some_facts:
        was, now = explain(before, facts), explain(after, facts)
        assert (chain(was), totals(was), was.route and was.route.name) == (
            *(chain(now), totals(now)),
            now.route and now.route.name,
        )


@examples
@given(POLICIES, SOME_FACTS)
def test_watched_guards_never_block(written: Written, some_facts: list[dict[str, Any]]) -> None:
    """With its guards on watch a policy decides as without them, and tells which would have blocked."""
    watching = written.with_rules(
        replace(rule, watch=rule.kind == "guard") for rule in written.rules
    ).compiled()
    without = written.with_rules(rule for rule in written.rules if rule.kind != "guard").compiled()
    biting = written.compiled()
    for facts in some_facts:
        was, now, bitten = (explain(policy, facts) for policy in (without, watching, biting))
        assert (chain(was), totals(was)) == (chain(now), totals(now))
        would = {(one.model.key, rule.name) for one in now.candidates for rule in one.watched}
        does = {(one.model.key, rule.name) for one in bitten.candidates for rule in one.blockers}
        assert would == {(key, name) for key, name in does if name.startswith("rule-")}


@examples
@given(POLICIES, SOME_FACTS)
def test_the_path_leads_to_the_leaf_of_the_decision(
    written: Written, some_facts: list[dict[str, Any]]
) -> None:
    """Each step's branch is the answer its fact gives, and the leaf holds the chain that is explained."""
    policy = written.compiled()
    for facts in some_facts:
        explanation = explain(policy, facts)
        node: Any = policy.tree.root
        for step in explanation.path:
            assert node.question is step.question
            assert step.branch.cell == step.question.answer(explanation.facts[INDEX[step.question.fact]])
            node = policy.tree.child(node, step.branch.cell)
        assert (node.chain, node.totals) == (explanation.decision.chain, explanation.decision.totals)
        titles = [step.question.title for step in explanation.path]
        assert len(set(titles)) == len(titles), "no question is asked twice"


@examples
@given(POLICIES, SOME_FACTS)
def test_what_is_printed_decides_the_same(written: Written, some_facts: list[dict[str, Any]]) -> None:
    """`engine show` prints what decides: its text, read again, gives the same chains and scores."""
    world = written.world()
    policy = compiled(world)
    # The engine's own guards are among it, and they are of 1.1.
    text = "\n".join(("language 1.1", *map(print_statement, policy.statements)))
    again = read_back(text, world.models_yaml, world.policies_yaml)
    for facts in some_facts:
        was, now = explain(policy, facts), explain(again, facts)
        assert (chain(was), totals(was)) == (chain(now), totals(now))


@examples
@given(POLICIES, SOME_FACTS)
def test_the_same_inputs_give_the_same_bytes(written: Written, some_facts: list[dict[str, Any]]) -> None:
    """Compiled twice, asked in another order, warm or cold: JSON and text are equal to the last byte."""
    first, second = written.compiled(), written.compiled()
    once = [_bytes(explain(first, facts)) for facts in some_facts]
    again = [_bytes(explain(second, facts)) for facts in reversed(some_facts)][::-1]
    assert once == again == [_bytes(explain(first, facts)) for facts in some_facts]


def _bytes(explanation: Explanation) -> bytes:
    return "\n".join(
        [
            json.dumps(explanation.to_json()),
            explanation_text(explanation),
            explanation_text(explanation, full=True),
        ]
    ).encode()


def digest_of_many(worlds: int) -> str:
    """Explanations, shown rules and drawn trees of many random worlds in one hash."""
    from engine.decision import tree_drawing
    from engine.decision.decision_tree import TooManyNodes

    digest = hashlib.sha256()
    for seed in range(worlds):
        rng = Random(60_000 + seed)
        world = random_world(rng)
        policy = compiled(world)
        for _ in range(10):
            digest.update(_bytes(explain(policy, random_facts(rng, world))))
        for statement in policy.statements:
            digest.update(print_statement(statement).encode())
        fixed = {
            fact: policy.assumed.facts[place]
            for fact, place in INDEX.items()
            if not fact.startswith(("task.", "mode"))
        }
        try:
            drawn = policy.tree.drawn(fixed, 2_000)
            digest.update(json.dumps(tree_drawing.json_values(drawn, policy.compiled.scale)).encode())
        except TooManyNodes:
            digest.update(b"too many")
    return digest.hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "31337"])
def test_another_process_says_the_same_bytes(hash_seed: str) -> None:
    """Whatever order its sets and dicts happen to have."""
    script = "from tests.decision.test_properties import digest_of_many; print(digest_of_many(15))"
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV", "PYTEST"))
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=variables | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=1800,
    )
    assert digest_of_many(15) == done.stdout.strip()


def test_names_are_handed_out_in_order() -> None:
    """The strategies number rules, so that a failing policy reads from top to bottom."""
    assert [rule.name for rule in named([Rule("guard", ""), Rule("route", "")])] == ["rule-0", "rule-1"]
