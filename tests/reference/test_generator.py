"""Generated worlds are valid, reproducible, and leave no part of the language out."""

from __future__ import annotations

from functools import cache
from itertools import islice
from random import Random

import pytest

from .generator import World, random_facts, random_world
from .interpreter import assumed_facts, decide
from .reader import FACTS, OPERATORS, SUBJECTS
from .yaml_words import read_yaml

WORLDS = 400


@cache
def worlds() -> list[World]:
    rng = Random(20)
    return [random_world(rng) for _ in range(WORLDS)]


@cache
def all_text() -> str:
    return "\n".join(text for world in worlds() for text in world.route_files.values())


def test_every_world_can_be_read_and_decided() -> None:
    """No generated policy, catalogue or fact is one the language does not have."""
    rng = Random(1)
    outcomes = {decide(world.policy(), random_facts(rng, world)).outcome for world in worlds()}
    assert outcomes == {"chosen", "refused"}


def test_the_yaml_text_says_what_the_dicts_say() -> None:
    """A backend that reads the text sees the world the reference was given."""
    for world in worlds():
        assert world.models == read_yaml(world.models_yaml)
        if world.policies_yaml is not None:
            assert world.policies == read_yaml(world.policies_yaml)


def test_the_same_seed_makes_the_same_world_and_facts() -> None:
    """A disagreement can be reported as a number."""
    first, second = Random(7), Random(7)
    for _ in range(20):
        one, other = random_world(first), random_world(second)
        assert one == other
        assert random_facts(first, one) == random_facts(second, other)


def test_names_are_unique_in_every_world() -> None:
    """Rules, proofs and tests of one policy never share a name."""
    for world in worlds():
        policy = world.policy()
        names = [rule.name for rule in (*policy.guards, *policy.preferences, *policy.routes)]
        names += [name for name, _, _ in policy.weighs if name] + [proof.name for proof in policy.proofs]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("subject", sorted(SUBJECTS))
def test_every_fact_and_attribute_is_asked_about(subject: str) -> None:
    """Some policy speaks of it."""
    assert f"{subject} " in all_text() or f"{subject}\n" in all_text()


@pytest.mark.parametrize(
    "words",
    [
        *OPERATORS,
        *("forbid", "require", "prefer", "avoid", "weigh", "route", "let", "test", "prove", "language 1"),
        *("when", "unless", "because", "(watch):", ", then", "..", "[", "not (", "and", "or", "all-up"),
        *(
            "expect refused",
            "expect chain",
            ", ...",
            "expect only",
            "expect never",
            "expect some",
            "expect route",
        ),
        *("is empty,", "has any some-labels", "in some-types", '"openai/gpt-4o"', "model.price is unknown"),
        *("task.context_size <= model.max_context", "provider.down has model.provider", "has task.type"),
    ],
)
def test_every_form_of_the_language_is_written(words: str) -> None:
    """Some policy uses it."""
    assert words in all_text()


def test_facts_are_given_under_every_name_that_can_be_given() -> None:
    """Those a test assumes, and the type of the task."""
    world = worlds()[0]
    given = random_facts(Random(1), world)
    assert given.keys() == assumed_facts(world.policy()).keys() | {"task.type"}
    assert given.keys() <= FACTS


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        *(("budget.daily.used", value) for value in (0, 100)),
        *(("task.context_size", value) for value in (0, 8191, 8192, 8193)),
        *(("clock.hour", value) for value in (0, 23)),
        *(("task.bucket", value) for value in (0, 99)),
        *(("task.labels", value) for value in (frozenset(), frozenset(["unmentioned"]))),
    ],
)
def test_facts_lean_towards_boundaries(fact: str, value: object) -> None:
    """The edges come up often, not by luck."""
    rng = Random(3)
    drawn = [random_facts(rng, world)[fact] for world in islice(worlds(), 200) for _ in range(20)]
    assert drawn.count(value) >= 10
