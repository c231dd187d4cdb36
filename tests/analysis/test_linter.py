"""What lint says of rules, models, routes and tiers, against the enumeration of all tasks by the
reference."""

from __future__ import annotations

from collections import defaultdict
from copy import copy
from typing import Any

import pytest

from engine.analysis.lint_context import LintContext
from engine.analysis.linter import lint
from engine.language.diagnostics import Problems
from tests.analysis.small_worlds import SmallWorld, worlds
from tests.reference.interpreter import Policy, about, all_facts, decide

CAPACITY = ("context-window", "tools-unsupported")
QUIET = {"budget.daily.used": 0, "provider.down": frozenset(), "budget.exhausted_providers": frozenset()}


class Oracle:
    """Answers by going through every task of a small world."""

    def __init__(self, world: SmallWorld) -> None:
        self.policy = world.reference()
        self.points = world.points
        self.facts = [all_facts(self.policy, point) for point in self.points]
        self.results = [decide(self.policy, point) for point in self.points]
        self.rules = {
            rule.name: rule
            for rule in (*self.policy.guards, *self.policy.routes, *self.policy.preferences)
            if rule.name.startswith("r")
        }
        self.weighs = {name: when for name, when, _ in self.policy.weighs if name}

    def holds(self, name: str) -> bool:
        when = self.weighs.get(name) or self.rules[name].when
        return any(when(facts) for facts in self.facts)

    def always_holds(self, name: str) -> bool:
        when = self.weighs.get(name) or self.rules[name].when
        return all(when(facts) for facts in self.facts)

    def without(self, *names: str) -> Policy:
        policy = copy(self.policy)
        policy.guards = [rule for rule in policy.guards if rule.name not in names]
        policy.routes = [rule for rule in policy.routes if rule.name not in names]
        policy.preferences = [rule for rule in policy.preferences if rule.name not in names]
        policy.weighs = [row for row in policy.weighs if row[0] not in names]
        return policy

    def changes(self, before: Policy | None, after: Policy) -> bool:
        """Whether some chain differs."""
        for point, result in zip(self.points, self.results, strict=True):
            chain = result.chain if before is None else decide(before, point).chain
            if decide(after, point).chain != chain:
                return True
        return False

    def selects_nobody(self, name: str) -> bool:
        rule = self.rules[name]
        return not any(
            rule.when(facts) and rule.selector(about(model, facts))
            for facts in self.facts
            for model in self.policy.models
        )


def expected(world: SmallWorld) -> dict[str, set[str]]:
    oracle, found = Oracle(world), defaultdict(set)
    names = [*oracle.rules, *oracle.weighs]
    conditions = {
        name for name in names if " when " in _text(world, name) or " unless " in _text(world, name)
    }
    never = {name for name in names if not oracle.holds(name)}
    found["condition-never-true"] = never
    found["condition-always-true"] = {name for name in conditions - never if oracle.always_holds(name)}
    routes = [rule.name for rule in oracle.policy.routes]
    unreachable = {
        name for name in routes if name not in never and all(r.route != name for r in oracle.results)
    }
    unreachable |= {n for n in oracle.weighs if n not in never and all(r.weigh != n for r in oracle.results)}
    found["unreachable-route"] = unreachable
    guards = [rule for rule in oracle.policy.guards if rule.name in oracle.rules]
    idle_selectors = {
        rule.name
        for rule in (*guards, *oracle.policy.preferences)
        if rule.keyword != "require" and rule.name not in never and oracle.selects_nobody(rule.name)
    }
    found["selects-nothing"] = idle_selectors
    gone: list[str] = []
    for rule in reversed(guards):
        if not rule.watched and rule.name not in never | idle_selectors:
            before = oracle.without(*gone)
            if not oracle.changes(before, oracle.without(rule.name, *gone)):
                gone.append(rule.name)
    found["no-effect"] = set(gone) | {
        name
        for name in (*routes, *oracle.weighs)
        if name not in never | unreachable and not oracle.changes(None, oracle.without(name))
    }
    found["idle"] = {
        rule.name
        for rule in oracle.policy.preferences
        if rule.name not in never | idle_selectors and not oracle.changes(None, oracle.without(rule.name))
    }
    used = {key for result in oracle.results for key in result.chain}
    found["unused-model"] = {model.name for model in oracle.policy.models} - used
    found["route-can-refuse"] = _refusing(oracle) - unreachable - never - _all_cloud(oracle)
    found["tier-never-used"] = _unused_tiers(oracle, unreachable | never)
    return found


def _text(world: SmallWorld, name: str) -> str:
    return next(text for text in world.statements if f" {name}:" in text or f" {name} (watch):" in text)


def _refusing(oracle: Oracle) -> set[str | None]:
    policy = oracle.without(*CAPACITY)
    quiet = [p for p in oracle.points if all(p[fact] == value for fact, value in QUIET.items())]
    return {result.route for result in (decide(policy, point) for point in quiet) if not result.chain} - {
        None
    }


def _members(oracle: Oracle, tier: Any) -> set[str]:
    """The models of a tier; in small worlds a tier speaks of models alone."""
    return {model.name for model in oracle.policy.models if tier(model.attributes)}


def _all_cloud(oracle: Oracle) -> set[str]:
    local = {model.name for model in oracle.policy.models if model.attributes["model.local"]}
    found = set()
    for route in oracle.policy.routes:
        members = set().union(*(_members(oracle, tier) for tier in route.tiers))
        if members and not members & local:
            found.add(route.name)
    return found


def _unused_tiers(oracle: Oracle, skipped: set[str]) -> set[str]:
    found = set()
    for route in oracle.policy.routes:
        placed: set[str] = set()
        for tier in route.tiers:
            members = _members(oracle, tier)
            fresh = members - placed
            placed |= members
            chains = [set(result.chain) for result in oracle.results if result.route == route.name]
            if members and route.name not in skipped and not any(fresh & chain for chain in chains):
                found.add(route.name)
    return found


def told(world: SmallWorld) -> dict[str, set[str]]:
    policy = world.engine()
    context = LintContext(policy)
    found = defaultdict(set)
    report = lint(policy.folder, Problems())
    assert report.context is not None
    # What the small base leaves out is not the author's: only rules called r... count.
    for finding in report.findings:
        slug = "idle" if finding.slug in ("idle-preference", "preference-across-tiers") else finding.slug
        text = finding.span.source.text
        if finding.span.source.name == "models.yaml":
            found[slug].add(finding.span.text)
        elif finding.span.source.name == "a.route":
            statement = next(
                each for each in context.statements if each.span.start <= finding.span.start < each.span.end
            )
            found[slug].add(text[statement.name.span.start : statement.name.span.end])  # type: ignore[union-attr]
    assert not report.context.open_questions, report.context.open_questions
    return found


SLUGS = (
    *(
        "condition-never-true",
        "condition-always-true",
        "unreachable-route",
        "selects-nothing",
        "no-effect",
        "idle",
    ),
    *("unused-model", "route-can-refuse", "tier-never-used"),
)


def check_lint(number: int, world: SmallWorld) -> None:
    """Exactly the rules, models and tiers of which it is true."""
    want, have = expected(world), told(world)
    for slug in SLUGS:
        where = f"world {number}, {slug}: {have[slug]}, not {want[slug]}\n{world.text()}{world.base}"
        assert have[slug] == want[slug], where


@pytest.mark.parametrize("seed", range(20))
def test_every_lint_verdict_agrees_with_enumeration(seed: int) -> None:
    """In every world; `python -m tests.analysis.agreement` asks as many as one likes."""
    for number, world in worlds(50, 100 + seed):
        check_lint(number, world)
