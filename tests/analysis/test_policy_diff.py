"""Every region of a difference, and the verdict on exposure, against the enumeration of all tasks by the
reference."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

import pytest

from engine.analysis.judgement import Judgement
from engine.analysis.policy_diff import Difference, compare
from engine.commands.diff_formats import difference_json, difference_text
from tests.analysis.small_worlds import SmallWorld, changed_world, facts_of, worlds
from tests.reference.conditions import meaning
from tests.reference.interpreter import Policy, all_facts, decide


def cloud_of(policy: Policy, chain: tuple[str, ...]) -> set[str]:
    return {
        model.name for model in policy.models if model.name in chain and not model.attributes["model.local"]
    }


def in_text(difference: Difference) -> list[str]:
    """The condition of each region, as `engine diff` prints it."""
    text = difference_text(difference, Judgement((), (), (), 0))
    found = re.findall(r"^[0-9]+\. [a-z ]+: (.*)$", text, re.MULTILINE)
    return ["" if condition == "every task" else condition for condition in found]


def in_json(difference: Difference) -> list[str]:
    regions = difference_json(difference, Judgement((), (), (), 0))["regions"]
    return [" and ".join(region["facts"].values()) for region in regions]


def pairs(count: int, seed: int) -> list[tuple[int, SmallWorld, SmallWorld]]:
    return [
        (number, world, changed_world(Random(-number), world))
        for number, world in worlds(count, seed, cross=seed % 2 == 1)
    ]


def check_diff(number: int, old: SmallWorld, new: SmallWorld) -> None:
    """Every task that is decided differently lies in a region, no other task in any, and exposure is as it
    is."""
    naive = old.reference(), new.reference()
    difference = compare(old.engine(), new.engine(), most_regions=10_000)
    where = f"world {number}\n{old.text()}---\n{new.text()}{old.base}"
    assert difference.is_complete, where
    looser = stricter = False
    printed = [[meaning(each) for each in show(difference)] for show in (in_text, in_json)]
    assert {len(each) for each in printed} == {len(difference.regions)}, where
    for point in old.points:
        chains = [decide(policy, point).chain for policy in naive]
        clouds = [cloud_of(policy, chain) for policy, chain in zip(naive, chains, strict=True)]
        looser, stricter = looser or bool(clouds[1] - clouds[0]), stricter or bool(clouds[0] - clouds[1])
        inside = [
            region for region in difference.regions if difference.space.contains(region.box, facts_of(point))
        ]
        facts = all_facts(naive[0], point)
        for meanings in printed:
            said = [
                region for region, holds in zip(difference.regions, meanings, strict=True) if holds(facts)
            ]
            assert said == inside, f"{point}\n{in_text(difference)}\n{where}"
        assert bool(inside) == (chains[0] != chains[1]), f"{point} {chains}\n{where}"
        for region in inside:
            assert region.order_only == (set(chains[0]) == set(chains[1])), where
            # What the text says of the whole region: who joins, who leaves, who comes first.
            old, new = ([model.key for model in side.decision.chain] for side in (region.old, region.new))
            assert set(chains[1]) - set(chains[0]) == {*new} - {*old}, where
            assert set(chains[0]) - set(chains[1]) == {*old} - {*new}, where
            if region.order_only and old[0] != new[0]:
                assert (chains[0][0], chains[1][0]) == (old[0], new[0]), where
            assert (region.looser, region.stricter) == (
                bool(clouds[1] - clouds[0]),
                bool(clouds[0] - clouds[1]),
            ), where
    assert (difference.looser, difference.stricter) == (looser, stricter), where
    verdict = {(False, False): "equivalent", (True, False): "looser", (False, True): "stricter"}
    assert difference.exposure == verdict.get((looser, stricter), "mixed"), where


@pytest.mark.parametrize("seed", range(20))
def test_the_regions_are_exactly_the_tasks_that_differ(seed: int) -> None:
    """In every world."""
    for number, old, new in pairs(40, 1000 + seed):
        check_diff(number, old, new)


def test_a_label_of_a_list_that_only_the_new_policy_has_is_a_label() -> None:
    """Before, any label was taken: a task with one of the list that no rule mentions is not empty."""
    rules = ("forbid r1: gpt when task.labels has pii", "forbid r2: gpt when task.labels is empty")
    old = SmallWorld(rules, ("mode", "task.labels"), ("small", "gpt"), is_open=True)
    check_diff(0, old, replace(old, statements=rules[:1], is_open=False))


@pytest.mark.parametrize("seed", range(4))
def test_regions_over_the_facts_of_language_1_1_are_exact_too(seed: int) -> None:
    """Dates, days of the month, minutes and counts, as they are printed."""
    for number, world in worlds(12, 1_500 + seed, recent=True):
        check_diff(number, world, changed_world(Random(-number), world))


@pytest.mark.parametrize("seed", range(4))
def test_a_policy_does_not_differ_from_itself(seed: int) -> None:
    """Nor from itself with a comment, or with its proofs left out."""
    for number, world in worlds(10, 2000 + seed):
        same = replace(
            world, statements=tuple(text for text in world.statements if not text.startswith("prove"))
        )
        difference = compare(world.engine(), same.engine())
        assert (difference.regions, difference.exposure, difference.is_complete) == (
            (),
            "equivalent",
            True,
        ), number
