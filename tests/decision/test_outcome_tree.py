"""The picture of a policy is the policy: outcomes, the diagram of them, and the rows that are drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.commands.tree import AT_REST
from engine.decision.decision_tree import TooManyNodes
from engine.decision.diagrams import Diagram, End, parts
from engine.decision.facts import DEFAULTS, INDEX, Facts
from engine.decision.outcome_tree import OutcomeTree, outcome_tree
from engine.decision.outcomes import Outcome, Outcomes, Place
from engine.decision.tree_outline import GRAINS, Outline, Row
from engine.policy import Policy, load_or_raise
from tests.commands.running import FOLDERS
from tests.decision.worlds import compiled, facts_of
from tests.reference.conditions import meaning
from tests.reference.generator import World, random_facts, random_world

read = cache(meaning)
RESTING = {fact: DEFAULTS[place] for fact, place in INDEX.items() if fact.startswith(AT_REST)}
every_folder = pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS.keys())


def walked(tree: OutcomeTree, diagram: Diagram[Any], facts: Facts) -> Any:
    """The value that a diagram has for a task."""
    while not isinstance(diagram, End):
        question = tree.questions[diagram.question]
        diagram = diagram.ways[question.answer(facts[INDEX[question.fact]])]
    return diagram.value


def resting(facts: Facts, held: Mapping[str, object] = RESTING) -> Facts:
    return facts._replace(**{name: held[fact] for fact, name in _FIELDS if fact in held})


def random_tree(seed: int, held: Mapping[str, object]) -> tuple[Random, World, Policy, OutcomeTree]:
    """The first random policy of a seed whose diagram is not too large to be drawn."""
    for number in range(50):
        rng = Random(seed + 1_000 * number)
        world = random_world(rng)
        policy = compiled(world)
        try:
            return rng, world, policy, outcome_tree(policy.compiled, policy.checked, held)
        except TooManyNodes:
            continue
    raise AssertionError("fifty random policies are all too large to be drawn")


_FIELDS = [(fact, Facts._fields[place]) for fact, place in INDEX.items()]


# --- Outcomes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_the_diagram_has_the_outcome_of_the_decision(seed: int) -> None:
    """For random policies and tasks: the place, the chain, and the deciding rules, worked out from all that
    holds."""
    rng, world, policy, tree = random_tree(seed, RESTING)
    outcomes = Outcomes(policy.compiled)
    for _ in range(60):
        facts = resting(facts_of(random_facts(rng, world)))
        decision = policy.evaluator.decide(facts)
        assert walked(tree, tree.root, facts) == outcomes.of(decision.live), facts
        assert [model.key for model in decision.chain] == list(walked(tree, tree.root, facts).chain)


def test_the_deciding_rule_of_a_shut_side_blocks_all_of_it() -> None:
    """In the default policy, private tasks are kept here by the guard that says so, whatever else would."""
    policy = load_or_raise(Path(FOLDERS["default"]))
    outcomes = Outcomes(policy.compiled)
    expected = {
        ("qa", "low", "local-preferred", "pii", 1000): (Place.HERE, ["private-stays-home"]),
        ("qa", "low", "local-preferred", "", 1000): (Place.HERE, ["cloud-for-critical-only"]),
        ("qa", "low", "local-only", "", 1000): (Place.HERE, ["mode-forbids-cloud"]),
        ("planning", "critical", "local-preferred", "", 1000): (Place.OUT, ["critical-work"]),
        ("qa", "high", "local-preferred", "", 1000): (Place.THEN_CLOUD, ["mode-local-preferred"]),
        ("qa", "low", "balanced", "", 1000): (Place.OUT, ["weights-balanced"]),
        ("qa", "low", "balanced", "", 40_000): (Place.OUT, ["context-window"]),
        ("qa", "low", "balanced", "pii", 40_000): (
            Place.REFUSED,
            ["private-stays-home", "context-window"],
        ),
        ("qa", "low", "balanced", "", 2_000_000): (Place.REFUSED, ["context-window"]),
    }
    for (task_type, criticality, mode, label, size), (place, rules) in expected.items():
        facts = DEFAULTS._replace(
            task_type=task_type,
            criticality=criticality,
            mode=mode,
            labels=frozenset([label] if label else []),
            context_size=size,
        )
        outcome = outcomes.of(policy.evaluator.decide(facts).live)
        named = [policy.compiled.rules[rule].name for rule in outcome.rules]
        assert (place, rules) == (outcome.place, named), facts


# --- Rows -----------------------------------------------------------------------------------------------


@every_folder
@pytest.mark.parametrize("leaves", GRAINS)
def test_the_labels_of_the_picture_lead_to_the_decision(folder: str, leaves: str) -> None:
    """Read as it is written, for random tasks: one answer fits at each question, and what stands there is the
    place, a deciding rule and one of the chains."""
    policy = load_or_raise(Path(folder))
    tree = outcome_tree(policy.compiled, policy.checked, RESTING)
    rows = Outline(tree, leaves).rows()
    outcomes = Outcomes(policy.compiled)
    for facts in random_tasks(policy, tree, Random(folder), 150):
        outcome = outcomes.of(policy.evaluator.decide(facts).live)
        results = [result for result in reading(rows, tree, facts) if outcome.chain in result.chains]
        deciding = outcome.rules[:1]
        assert results, (facts, outcome)
        assert any(
            result.place is outcome.place
            and {policy.compiled.rules[rule].name for rule in deciding}
            <= {rule.name for rule in result.rules}
            for result in results
        ), (facts, outcome, results)


@pytest.mark.parametrize("seed", range(30))
def test_the_picture_of_a_random_policy_leads_to_the_decision(seed: int) -> None:
    """Whatever it asks about: sets that are empty, names and labels that no rule mentions, shares, hours."""
    held = {fact: value for fact, value in RESTING.items() if not fact.startswith(("clock.", "task."))}
    rng, world, policy, tree = random_tree(500 + seed, held)
    rows, outcomes = Outline(tree).rows(), Outcomes(policy.compiled)
    for _ in range(40):
        facts = resting(facts_of(random_facts(rng, world)), held)
        outcome = outcomes.of(policy.evaluator.decide(facts).live)
        places = {result.place for result in reading(rows, tree, facts) if outcome.chain in result.chains}
        assert outcome.place in places, facts


@every_folder
def test_a_cut_picture_says_what_it_leaves_out(folder: str) -> None:
    """With `depth` rows are left out, counted, and what they come to is there."""
    policy = load_or_raise(Path(folder))
    outline = Outline(outcome_tree(policy.compiled, policy.checked, RESTING))
    whole = outline.rows()
    places = {result.place for row in whole for result in row.results}
    for depth in (1, 2, 3):
        rows = outline.rows(depth)
        assert max(row.level for row in rows) <= depth
        assert {result.place for row in rows for result in row.results} == places
        assert any(row.cut for row in rows) == (len(rows) < len(whole))


@every_folder
def test_each_chain_stands_at_one_place_when_chains_are_drawn_apart(folder: str) -> None:
    """`--leaves chains`: no result has two chains, `--leaves models` none has two first models."""
    policy = load_or_raise(Path(folder))
    tree = outcome_tree(policy.compiled, policy.checked, RESTING)
    chains = [result.chains for row in Outline(tree, "chains").rows() for result in row.results]
    assert {len(each) for each in chains} == {1}
    firsts = [result.firsts for row in Outline(tree, "models").rows() for result in row.results]
    assert max(len(each) for each in firsts) == 1


def test_a_condition_with_a_name_is_asked_by_its_name() -> None:
    """The first question of the default policy is its own word `private`."""
    policy = load_or_raise(Path(FOLDERS["default"]))
    rows = Outline(outcome_tree(policy.compiled, policy.checked, RESTING)).rows()
    answers = [row.branch for row in rows if row.parent == 0]
    assert (rows[0].question, answers) == ("private", ["yes", "no"])


def test_too_much_is_said_to_be_too_much() -> None:
    """A tree with more half-decided tasks than the cap is not drawn."""
    policy = load_or_raise(Path(FOLDERS["default"]))
    with pytest.raises(TooManyNodes):
        outcome_tree(policy.compiled, policy.checked, RESTING, most=100)


@pytest.mark.parametrize("seed", range(12))
def test_narrowing_keeps_what_is_inside_and_no_more(seed: int) -> None:
    """A diagram narrowed to a region is right inside it, and has no end that is not met there."""
    rng = Random(seed)
    world = random_world(rng)
    policy = compiled(world)
    tree = outcome_tree(policy.compiled, policy.checked, RESTING)
    tasks = [resting(facts_of(random_facts(rng, world))) for _ in range(80)]
    for named in tree.regions:
        for region in (named.region, tree.diagrams.opposite(named.region)):
            narrowed = tree.diagrams.narrowed(tree.root, region)
            met = set[Outcome]()
            for facts in tasks:
                if walked(tree, region, facts):
                    met.add(walked(tree, tree.root, facts))
                    assert walked(tree, narrowed, facts) == walked(tree, tree.root, facts)
            assert met <= {part.value for part in parts(narrowed) if isinstance(part, End)}


def random_tasks(policy: Policy, tree: OutcomeTree, rng: Random, count: int) -> Iterator[Facts]:
    """Tasks on both sides of whatever the policy asks about; the surroundings at rest."""
    numbers = sorted({edge for question in tree.questions for edge in _edges(question.branches)})
    labels = sorted(
        {question.element for question in tree.questions if question.fact == "task.labels"} - {None}
    )
    for _ in range(count):
        size = rng.choice([*numbers, 0, 1000])
        yield DEFAULTS._replace(
            task_type=rng.choice(policy.names.task_types or ("qa", "coding", "planning", "something-else")),
            criticality=rng.choice(["low", "medium", "high", "critical"]),
            latency_sensitivity=rng.choice(["low", "medium", "high"]),
            budget_sensitivity=rng.choice(["low", "medium", "high"]),
            tool_use_required=rng.random() < 0.5,
            mode=rng.choice(list(policy.names.modes)),
            context_size=max(0, size + rng.choice([-1, 0, 1])),
            labels=frozenset(label for label in labels if rng.random() < 0.3),
        )


def _edges(branches: Any) -> Iterator[int]:
    for branch in branches:
        yield from (int(word.replace("k", "000")) for word in re.findall(r"\d+k?", branch.label))


def reading(rows: list[Row], tree: OutcomeTree, facts: Facts) -> list[Any]:
    """The results that a reader finds for a task, by the picture and by the conditions behind it."""
    row, named = rows[0], dict(zip(INDEX, facts, strict=True))
    while not row.results:
        if row.again is not None:
            row = rows[row.again]
            continue
        children = [child for child in rows if child.parent == row.number]
        taken = [child for child in children if _takes(row.question, child.condition, tree, facts)]
        assert len(taken) == 1, (row, facts, taken)
        row = taken[0]
    if not row.question:
        return list(row.results)
    steps = list(dict.fromkeys((result.values, result.condition) for result in row.results))
    inside = [values for values, condition in steps if read(condition)(named)]
    # A ladder is read from the bottom: the first step that is high enough, otherwise `more`.
    climbed = [values for values, _ in steps if values != "more" and read(_compared(row, values))(named)]
    assert (climbed or ["more"])[:1] == inside, (row, facts)
    return [result for result in row.results if result.values == inside[0]]


def _takes(question: str, condition: str, tree: OutcomeTree, facts: Facts) -> bool:
    regions = [named.region for named in tree.regions if named.title == question]
    if regions:
        return walked(tree, regions[0], facts) is (condition == question)
    return read(condition)(dict(zip(INDEX, facts, strict=True)))


def _compared(row: Row, values: str) -> str:
    return " and ".join(f"{row.question} {each}" for each in values.split(" and "))
