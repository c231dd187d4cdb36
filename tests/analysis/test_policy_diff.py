"""Every region of a difference, and the verdict on exposure, against the enumeration of all tasks by the
reference."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from engine.analysis.answer_text import conditions
from engine.analysis.policy_diff import Difference, Region, compare
from tests.analysis.small_worlds import SmallWorld, changed_world, facts_of, worlds
from tests.reference.conditions import meaning
from tests.reference.interpreter import Policy, all_facts, decide


def cloud_of(policy: Policy, chain: tuple[str, ...]) -> set[str]:
    return {
        model.name for model in policy.models if model.name in chain and not model.attributes["model.local"]
    }


def printed(region: Region, difference: Difference) -> str:
    """The condition of a region, as text and JSON print it."""
    return " and ".join(text for _, text in conditions(difference.space, region.box))


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
    meanings = {id(region): meaning(printed(region, difference)) for region in difference.regions}
    for point in old.points:
        chains = [decide(policy, point).chain for policy in naive]
        clouds = [cloud_of(policy, chain) for policy, chain in zip(naive, chains, strict=True)]
        looser, stricter = looser or bool(clouds[1] - clouds[0]), stricter or bool(clouds[0] - clouds[1])
        inside = [
            region for region in difference.regions if difference.space.contains(region.box, facts_of(point))
        ]
        facts = all_facts(naive[0], point)
        said = [region for region in difference.regions if meanings[id(region)](facts)]
        assert said == inside, f"{point}\n{[printed(region, difference) for region in said]}\n{where}"
        assert bool(inside) == (chains[0] != chains[1]), f"{point} {chains}\n{where}"
        for region in inside:
            assert region.order_only == (set(chains[0]) == set(chains[1])), where
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
