"""The engine against the reference: random worlds and facts, every visible part of every decision compared.

    python -m tests.decision.differential --triples 5000000

Seeded and plain: the same seed draws the same triples on every machine. Prints the first disagreements with
everything that is needed to repeat them, and exits with 1 when there was one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.decision.worlds import compiled, facts_of, same_outcome, told
from tests.reference.generator import World, random_facts, random_world
from tests.reference.interpreter import Result
from tests.reference.interpreter import decide as reference_decide

FACTS_A_WORLD = 250

Decide = Callable[[Any, dict[str, Any]], Result]


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


def triples(count: int, seed: int, decide: Decide = reference_decide) -> Iterator[Disagreement | None]:
    """One item a triple, None where both agree. Every world has its own seed, so that one can be repeated alone."""
    worlds = -(-count // FACTS_A_WORLD)
    for number in range(worlds):
        world_seed = seed * 1_000_003 + number
        rng = Random(world_seed)
        world = random_world(rng)
        policy, naive = compiled(world), world.policy()
        for _ in range(min(FACTS_A_WORLD, count - number * FACTS_A_WORLD)):
            facts = random_facts(rng, world)
            yield compare(policy, naive, world, world_seed, facts, decide)


def compare(
    policy: Any, naive: Any, world: World, seed: int, facts: dict[str, Any], decide: Decide
) -> Disagreement | None:
    expected = decide(naive, facts)
    given = facts_of(facts)
    from engine.decision.explanation import Explanation
    from engine.decision.facts import Gathered

    decision = policy.evaluator.decide(given)
    result = told(policy, Explanation(policy.explainer, Gathered(given, {}), decision))
    parts = tuple(
        part
        for part in ("outcome", "chain", "scores", "route", "blockers", "watched", "preferences")
        if getattr(result, part) != getattr(expected, part)
    )
    if not same_outcome(decision, policy.tree.leaf(given)):
        parts += ("tree",)
    return Disagreement(seed, world, facts, parts, result, expected) if parts else None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--triples", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.perf_counter()
    found = 0
    for done, disagreement in enumerate(triples(arguments.triples, arguments.seed), start=1):
        if disagreement is not None:
            found += 1
            if found <= 3:
                print(disagreement, file=sys.stderr)
        if done % 100_000 == 0:
            rate = done / (time.perf_counter() - began)
            print(f"{done:,} triples, {found} disagreements, {rate:,.0f} a second", file=sys.stderr)
    print(f"{arguments.triples:,} triples, {found} disagreements")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
