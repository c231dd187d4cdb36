"""The engine against the reference: random worlds and facts, every visible part of every decision compared.

    python -m tests.decision.differential --triples 5000000

Seeded and plain: the same seed draws the same triples on every machine. Prints the first disagreements with
everything that is needed to repeat them, and exits with 1 when there was one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from engine.decision.explanation import Explanation
from engine.decision.facts import FactsWithSources
from engine.policy import Policy
from tests.decision.worlds import compiled_within_cap, facts_of, same_outcome, told
from tests.reference.generator import World, random_facts, random_world
from tests.reference.interpreter import Result, decide

FACTS_A_WORLD = 200
PARTS = ("outcome", "chain", "scores", "route", "weigh", "blockers", "watched", "preferences")


@dataclass(frozen=True)
class Sample:
    """One world, facts in it, and what somebody else decides there. The seed draws them again."""

    seed: int
    world: World
    facts: list[dict[str, Any]]
    expected: list[Result]


@dataclass(frozen=True)
class Disagreement:
    """One triple on which the two differ, and in what."""

    seed: int
    world: World
    facts: dict[str, Any]
    parts: tuple[str, ...]
    engine: Result
    reference: Result

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: they differ in {', '.join(self.parts)}"]
        lines += [f"  engine    {part}: {getattr(self.engine, part, None)}" for part in self.parts]
        lines += [f"  reference {part}: {getattr(self.reference, part, None)}" for part in self.parts]
        lines += [f"  {fact} = {value}" for fact, value in self.facts.items()]
        for name, text in self.world.route_files.items():
            lines += [f"--- {name}", text]
        lines += [
            "--- models.yaml",
            self.world.models_yaml,
            "--- policies.yaml",
            self.world.policies_yaml or "(none)",
        ]
        return "\n".join(lines)


def sample(seed: int, size: int) -> Sample:
    """What the reference decides in the seed's world."""
    rng = Random(seed)
    world = random_world(rng)
    naive = world.policy()
    facts = [random_facts(rng, world) for _ in range(size)]
    return Sample(seed, world, facts, [decide(naive, one) for one in facts])


def samples(count: int, seed: int, size: int = FACTS_A_WORLD) -> Iterator[Sample]:
    """Samples of `count` triples in all; every world has a seed of its own, so that one can be repeated
    alone."""
    for number in range(-(-count // size)):
        yield sample(seed * 1_000_003 + number, min(size, count - number * size))


def compared(drawn: Iterable[Sample]) -> Iterator[Disagreement | None]:
    """One item a triple, None where the engine agrees. A world that is beyond the language's cap on
    alternatives has no decisions to compare and gives nothing."""
    for one in drawn:
        policy = compiled_within_cap(one.world)
        if policy is None:
            continue
        for facts, expected in zip(one.facts, one.expected, strict=True):
            yield compare(policy, one, facts, expected)


def compare(policy: Policy, drawn: Sample, facts: dict[str, Any], expected: Result) -> Disagreement | None:
    given = facts_of(facts)
    decision = policy.evaluator.decide(given)
    result = told(policy, Explanation(policy.explainer, FactsWithSources(given, {}), decision))
    same_at_leaf = same_outcome(decision, policy.tree.leaf(given))
    if result == expected and same_at_leaf:
        return None
    parts = tuple(part for part in PARTS if getattr(result, part) != getattr(expected, part))
    return Disagreement(
        drawn.seed, drawn.world, facts, parts if same_at_leaf else (*parts, "tree"), result, expected
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--triples", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.perf_counter()
    done = found = 0
    drawn = islice(compared(samples(2 * arguments.triples, arguments.seed)), arguments.triples)
    for disagreement in drawn:
        done += 1
        if disagreement is not None:
            found += 1
            if found <= 3:
                print(disagreement, file=sys.stderr)
        if done % 100_000 == 0:
            print(f"{done:,} triples, {found} disagreements, {_rate(done, began)} a second", file=sys.stderr)
    print(f"{done:,} triples, {found} disagreements, {_rate(done, began)} a second")
    return 1 if found else 0


def _rate(done: int, began: float) -> str:
    return f"{done / (time.perf_counter() - began):,.0f}"


if __name__ == "__main__":
    raise SystemExit(main())
