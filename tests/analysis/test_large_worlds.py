"""Analyses of whole random worlds (the full fact table, the engine's own guards, odd names) against sampled
tasks.

Enumeration is out of reach here; but one sampled task that contradicts a verdict is a mistake, and every
counterexample is held against the reference, with a search for a simpler one among the samples.
"""

from __future__ import annotations

from copy import copy
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from engine.analysis.linter import lint
from engine.analysis.policy_diff import compare
from engine.analysis.proofs import prove
from engine.config.folder import folder_in_memory
from engine.decision.facts import INDEX
from engine.language.diagnostics import Level, Problems
from engine.language.vocabulary import WEEKDAYS
from engine.policy import Policy, build
from tests.decision.worlds import compiled, facts_of
from tests.reference.generator import World, random_facts, random_world
from tests.reference.interpreter import assumed_facts, check_proof, decide


def sampled(rng: Random, world: World, count: int) -> list[dict[str, Any]]:
    """Random tasks, and ordinary ones with one to three facts changed, where simple counterexamples are."""
    facts = [on_one_day(random_facts(rng, world), by_date=rng.random() < 0.5) for _ in range(count)]
    usual = assumed_facts(world.policy())
    for _ in range(count):
        point = {**usual, "task.type": rng.choice(world.pools["task.type"])}
        changed = rng.sample(list(world.pools), rng.randint(0, 3))
        for fact in changed:
            point[fact] = rng.choice(world.pools[fact])
        facts.append(on_one_day(point, by_date="clock.date" in changed))
    return facts


def on_one_day(point: dict[str, Any], *, by_date: bool) -> dict[str, Any]:
    """The point with a date, a weekday and a day of the month that are of one day: of its date, or else the
    first day from its date on that has the other two."""
    day = date.fromordinal(point["clock.date"])
    if not by_date:
        wanted = point["clock.day"], point["clock.weekday"]
        while (day.day, WEEKDAYS[day.weekday()]) != wanted:
            day += timedelta(days=1)
    return {
        **point,
        "clock.date": day.toordinal(),
        "clock.day": day.day,
        "clock.weekday": WEEKDAYS[day.weekday()],
    }


def differing(policy: Any, point: dict[str, Any]) -> int:
    usual = assumed_facts(policy)
    return sum(point[fact] != value for fact, value in usual.items())


@pytest.mark.parametrize("seed", range(12))
def test_no_sampled_task_contradicts_a_verdict_on_a_proof(seed: int) -> None:
    """What is proved no sample breaks; a counterexample breaks the proof in the reference, and no sample
    is simpler."""
    for number in range(25):
        rng = Random(seed * 1_000 + number)
        world = random_world(rng)
        naive = world.policy()
        proofs = {proof.name: proof for proof in naive.proofs}
        if not proofs:
            continue
        answers = prove(compiled(world), 400_000)
        samples = sampled(rng, world, 40)
        for answer in answers:
            proof = proofs[answer.proof.name]
            broken = [
                point
                for point in samples
                if any(not check_proof(naive, proof, point, earlier) for earlier in (None, *samples))
            ]
            where = f"seed {seed} world {number} {proof.name}\n" + "\n".join(world.route_files.values())
            if answer.verdict == "proved":
                assert not broken, f"{broken[0]}\n{where}"
            if answer.counterexample is not None:
                found = dict(zip(INDEX, answer.counterexample.facts, strict=True))
                said = answer.counterexample.before
                earlier = None if said is None else {**assumed_facts(naive), "task.type": "any", **said}
                assert not check_proof(naive, proof, found, earlier), where
                if proof.after is None:
                    simplest = min((differing(naive, point) for point in broken), default=99)
                    assert differing(naive, found) <= simplest, where


@pytest.mark.parametrize("seed", range(8))
def test_no_sampled_task_contradicts_lint(seed: int) -> None:
    """A condition said never to hold, a route never reached, a model never used, a rule without effect."""
    for number in range(10):
        rng = Random(50_000 + seed * 1_000 + number)
        world = random_world(rng)
        naive, policy = world.policy(), compiled(world)
        report = lint(policy.folder, Problems())
        samples = sampled(rng, world, 40)
        results = [(point, decide(naive, point)) for point in samples]
        rules = {rule.name: rule for rule in (*naive.guards, *naive.routes, *naive.preferences)}
        where = f"seed {seed} world {number}\n" + "\n".join(world.route_files.values())
        for finding in report.findings:
            text = finding.span.text
            match finding.slug:
                case "unreachable-route" if finding.level is Level.ERROR:
                    assert all(text not in (result.route, result.weigh) for _, result in results), where
                case "unused-model":
                    key = next(
                        model.key
                        for model in policy.catalogue.models
                        if model.span.start == finding.span.start
                    )
                    assert all(key not in result.chain for _, result in results), f"{key}\n{where}"
                case "no-effect" | "idle-preference" if text in rules:
                    less = copy(naive)
                    less.guards = [rule for rule in naive.guards if rule.name != text]
                    less.routes = [rule for rule in naive.routes if rule.name != text]
                    less.preferences = [rule for rule in naive.preferences if rule.name != text]
                    for point, result in results:
                        assert decide(less, point).chain == result.chain, f"{text} {point}\n{where}"


@pytest.mark.parametrize("seed", range(8))
def test_no_sampled_task_contradicts_a_difference(seed: int) -> None:
    """A sample lies in a region exactly when its chains differ, where the comparison is complete."""
    for number in range(10):
        rng = Random(90_000 + seed * 1_000 + number)
        world = random_world(rng)
        old = compiled(world)
        new = shortened(rng, world)
        if new is None:
            continue
        difference = compare(old, new, 1_000_000, most_regions=200)
        where = f"seed {seed} world {number}"
        for point in sampled(rng, world, 30):
            facts = facts_of(point)
            chains = [[model.key for model in policy.evaluator.decide(facts).chain] for policy in (old, new)]
            inside = [region for region in difference.regions if difference.space.contains(region.box, facts)]
            if chains[0] == chains[1]:
                assert not inside, f"{point} {where}"
            elif difference.is_complete:
                assert inside, f"{point} {chains} {where}"
            for region in inside:
                assert region.order_only == (set(chains[0]) == set(chains[1])), where


def shortened(rng: Random, world: World) -> Policy | None:
    """The world's policy without one of its rules; None where that leaves something unreadable."""
    problems = Problems()
    files = folder_in_memory(world.models_yaml, world.policies_yaml, world.route_files, problems=problems)
    assert files is not None
    whole = build(files, problems)
    assert whole is not None
    from engine.language.syntax_tree import Guard, Preference, Route, Weigh

    rules = [each for each in whole.statements if isinstance(each, Guard | Preference | Route | Weigh)]
    mine = [each for each in rules if each.span.source.name in world.route_files]
    if not mine:
        return None
    gone = rng.choice(mine).span
    text = gone.source.text[: gone.start] + " " + gone.source.text[gone.end :]
    problems = Problems()
    files = folder_in_memory(
        world.models_yaml,
        world.policies_yaml,
        {**world.route_files, gone.source.name: text},
        problems=problems,
    )
    return None if files is None else build(files, problems)
