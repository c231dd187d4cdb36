"""Turns `tests/conformance/*.yaml` into cases, and says where a backend's decision differs from a case.

A file has `policy` (text, or a mapping of file names to texts), `models` and `policies` (YAML text; the
migration guide's two files where they are left out, `policies: none` for no such file) and `cases` of claim,
facts and expectation. Facts stand over what a test assumes. An expectation may name outcome, model, chain,
route, blockers and watched (all of them), preferences (all of them, as decimals), scores (of some models,
compared to the decimals written) and proofs (verdicts at these facts). `tests` gives the verdicts of the
policy's own test statements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from .generator import World
from .interpreter import Result, assumed_facts, decide
from .reader import YES_NO, moment
from .yaml_words import read_yaml

FOLDER = Path(__file__).parents[1] / "conformance"

Backend = Callable[[World], Callable[[dict[str, Any]], Result]]
"""Prepares a world once and then decides facts; a result need only have the fields a case asks about."""


@dataclass(frozen=True)
class Case:
    place: str
    claim: str
    world: World
    facts: dict[str, Any]
    expect: dict[str, Any]


def reference(world: World) -> Callable[[dict[str, Any]], Result]:
    policy = world.policy()
    return lambda facts: decide(policy, facts)


def worlds() -> dict[str, World]:
    return {path.stem: read_world(path) for path in sorted(FOLDER.glob("*.yaml"))}


def read_world(path: Path) -> World:
    written = read_yaml(path.read_text(encoding="utf-8"))
    guide = {
        name: (FOLDER / "guide" / f"{name}.yaml").read_text(encoding="utf-8")
        for name in ("models", "policies")
    }
    texts = guide | {name: written[name] for name in guide if name in written}
    if texts["policies"] == "none":
        texts["policies"] = None
    policy = written["policy"]
    route_files = policy if isinstance(policy, dict) else {"main.route": policy} if policy else {}
    policies = None if texts["policies"] is None else read_yaml(texts["policies"])
    return World(route_files, texts["models"], texts["policies"], read_yaml(texts["models"]), policies)


def cases() -> list[Case]:
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        world = read_world(path)
        assumed = assumed_facts(world.policy())
        for number, case in enumerate(read_yaml(path.read_text(encoding="utf-8"))["cases"], start=1):
            facts = assumed | {fact: fact_value(fact, value) for fact, value in case["facts"].items()}
            found.append(Case(f"{path.stem}-{number}", case["claim"], world, facts, case["expect"]))
    return found


def written_verdicts() -> dict[str, dict[str, list[bool]]]:
    """File name -> title of a test statement -> one verdict a case."""
    written = {path.stem: read_yaml(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.yaml")}
    return {stem: one["tests"] for stem, one in sorted(written.items()) if "tests" in one}


def fact_value(fact: str, value: Any) -> Any:
    if fact in YES_NO:
        return value in ("yes", True)
    if fact == "clock.date":
        return moment(value)
    return frozenset(value) if isinstance(value, list) else value


def differences(expect: dict[str, Any], result: Result) -> list[str]:
    """The differences between a decision and the case, one sentence each; verdicts of proofs are not looked
    at."""
    decided: dict[str, Any] = {
        "outcome": result.outcome,
        "model": result.chain[0] if result.chain else None,
        "chain": list(result.chain),
        "route": result.route,
        "blockers": {name: list(rules) for name, rules in result.blockers.items()},
        "watched": {name: list(rules) for name, rules in result.watched.items()},
    }
    if "preferences" in expect:
        decided["preferences"] = {
            model: {
                rule: format(Decimal(decimal(points)).normalize(), "f") for rule, points in applied.items()
            }
            for model, applied in result.preferences.items()
        }
    if "scores" in expect:
        decided["scores"] = {
            model: decimal_text(result.scores[model], places(score)) if model in result.scores else None
            for model, score in expect["scores"].items()
        }
    return [
        f"{name}: expected {value}, decided {decided[name]}"
        for name, value in expect.items()
        if name in decided and decided[name] != value
    ]


def decimal(number: Any) -> Decimal:
    value = Fraction(number)
    return Decimal(value.numerator) / Decimal(value.denominator)


def places(text: str) -> int:
    return len(text.partition(".")[2])


def decimal_text(number: Any, decimals: int) -> str:
    return str(decimal(number).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))
