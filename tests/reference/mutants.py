"""Turns the reference interpreter into interpreters with one planted bug each.

A mutant is a one-place edit of `reader.py`, `interpreter.py` or `base.route`: the text it replaces must stand
there exactly once, so an edit that no longer fits fails loudly. A comparison of two backends is worth its
while only when it sees every one of these within a small number of decisions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any
from unittest.mock import patch

from . import interpreter
from .generator import BASE, World, random_facts, random_world

HERE = Path(__file__).parent
FACTS_PER_WORLD = 20


@dataclass(frozen=True)
class Mutant:
    name: str
    part: str  # reader, interpreter or base
    old: str
    new: str


@dataclass(frozen=True)
class Planted:
    """An interpreter and the base rules it is to be used with."""

    interpreter: ModuleType
    base: str

    def backend(self, world: World) -> Callable[[dict[str, Any]], Any]:
        """What the conformance cases and a differential run call a backend."""
        policy = self.policy(world)
        return lambda facts: self.interpreter.decide(policy, facts)

    def policy(self, world: World) -> Any:
        return self.interpreter.Policy(world.route_files, world.models, world.policies, self.base)

    def seen(self, world: World, some_facts: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
        """The decision of each facts, the verdicts of the policy's proofs and, once, of its tests."""
        policy = self.policy(world)
        yield tuple(self.interpreter.check_test(policy, test) for test in policy.tests)
        for facts in some_facts:
            decided = vars(self.interpreter.decide(policy, facts))
            yield decided, [self.interpreter.check_proof(policy, proof, facts) for proof in policy.proofs]


UNCHANGED = Planted(interpreter, BASE)


def planted(mutant: Mutant) -> Planted:
    sources = {part: (HERE / f"{part}.py").read_text(encoding="utf-8") for part in ("reader", "interpreter")}
    sources["base"] = BASE
    if sources[mutant.part].count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: {mutant.old!r} must stand in {mutant.part} exactly once")
    sources[mutant.part] = sources[mutant.part].replace(mutant.old, mutant.new)
    package = f"{__package__}_with_{mutant.name.replace('-', '_')}"
    with patch.dict(sys.modules, {package: ModuleType(package)}):
        for part in ("reader", "interpreter"):
            module = sys.modules[f"{package}.{part}"] = ModuleType(f"{package}.{part}")
            module.__package__ = package
            exec(compile(sources[part], f"{part} with {mutant.name}", "exec"), module.__dict__)
    return Planted(module, sources["base"])


@cache
def sample(seed: int) -> tuple[World, list[dict[str, Any]], list[tuple[Any, ...]]]:
    """One world, facts in it, and the answers of the unchanged interpreter."""
    rng = Random(seed)
    world = random_world(rng)
    some_facts = [random_facts(rng, world) for _ in range(FACTS_PER_WORLD)]
    return world, some_facts, list(UNCHANGED.seen(world, some_facts))


def decisions_until_seen(mutant: Mutant, budget: int) -> int | None:
    """How many triples of policy, catalogue and facts it takes to tell the mutant from the original."""
    changed = planted(mutant)
    for seed in range(budget // FACTS_PER_WORLD):
        world, some_facts, expected = sample(seed)
        for number, (was, now) in enumerate(zip(expected, changed.seen(world, some_facts), strict=True)):
            if was != now:
                return seed * FACTS_PER_WORLD + number
    return None


def _in_reader(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, "reader", old, new)


def _in_interpreter(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, "interpreter", old, new)


def _in_base(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, "base", old, new)


FILES = """        for file_name in sorted(route_files, key=str.encode):
            if not file_name.startswith("."):
                reader.read(route_files[file_name])
        self.is_newer = reader.found_newer
"""
LOWERED = """        reader.read(lowered(self.modes, overrides, self.budgets))
"""
BASE_RULES = """        reader.read(base)
"""
AND_LOOP = """        while self.accept("and"):
            left = conjunction(left, self.negated())
"""
LEFT_TO_RIGHT = """        while word := self.accept("and", "or"):
            left = (conjunction if word == "and" else disjunction)(left, self.negated())
"""

MUTANTS = (
    # comparisons
    _in_reader("less-as-at-most", '"<": operator.lt', '"<": operator.le'),
    _in_reader("at-most-as-less", '"<=": operator.le', '"<=": operator.lt'),
    _in_reader("more-as-at-least", '">": operator.gt', '">": operator.ge'),
    _in_reader("at-least-as-more", '">=": operator.ge', '">=": operator.gt'),
    _in_reader("is-not-as-is", '"is not": operator.ne', '"is not": operator.eq'),
    _in_reader("not-in-as-in", "name not in names", "name in names"),
    _in_reader(
        "in-looks-at-first-only",
        '"in": lambda name, names: name in',
        '"in": lambda name, names: name in list(names)[:1] and',
    ),
    _in_reader("has-any-as-has-all", "any(name in members for", "all(name in members for"),
    _in_reader("has-all-as-has-any", "all(name in members for", "any(name in members for"),
    _in_reader("is-empty-negated", "lambda members, _: not members", "lambda members, _: bool(members)"),
    _in_reader("is-not-empty-negated", "lambda members, _: bool(members)", "lambda members, _: not members"),
    _in_reader(
        "labels-case-folded",
        "name: name in members",
        "name: name.lower() in {one.lower() for one in members}",
    ),
    _in_reader(
        "orders-by-alphabet", "test(place(what[subject]), place(value))", "test(what[subject], value)"
    ),
    _in_reader(
        "week-begins-on-sunday",
        '("mon", "tue", "wed", "thu", "fri", "sat", "sun")',
        '("sun", "mon", "tue", "wed", "thu", "fri", "sat")',
    ),
    _in_reader("unknown-price-compares-true", "what[subject] is not None and", "what[subject] is None or"),
    _in_reader(
        "unknown-price-is-known",
        'comparison("model.unpriced", how, True)',
        'comparison("model.unpriced", how, False)',
    ),
    _in_reader(
        "cross-comparison-turned",
        "test(what[subject], what[other])",
        'test(what[other], what[subject]) if how[0] in "<>" else test(what[subject], what[other])',
    ),
    _in_reader("any-yes-no-word-is-yes", 'return name == "yes" if', "return bool(name) if"),
    # ranges and numbers
    _in_reader("last-hour-included", "last = (last - 1) % 24", "pass"),
    _in_reader("last-day-left-out", "[*order[start : end + 1]]", "[*order[start : end + (order[0] == 0)]]"),
    _in_reader("ranges-do-not-wrap", "[*order[start:], *order[: end + 1]]", "[]"),
    _in_reader("k-is-1024", '"k": 1000', '"k": 1024'),
    _in_reader("million-is-binary", '"M": 1_000_000', '"M": 1_048_576'),
    _in_reader("percent-is-a-share", '"%": 1,', '"%": Fraction(1, 100),'),
    # reading
    _in_reader("not-is-ignored", "lambda what: not inner(what)", "lambda what: inner(what)"),
    _in_reader("not-binds-loosely", "negation(self.negated())", "negation(self.conjoined())"),
    _in_reader("and-as-or", "left(what) and right(what)", "left(what) or right(what)"),
    _in_reader("or-as-and", "left(what) or right(what)", "left(what) and right(what)"),
    _in_reader("and-or-from-left-to-right", AND_LOOP, LEFT_TO_RIGHT),
    _in_reader(
        "unless-is-ignored",
        "conjunction(condition, negation(self.expression()))",
        "(self.expression(), condition)[1]",
    ),
    _in_reader(
        "unless-as-and",
        "conjunction(condition, negation(self.expression()))",
        "conjunction(condition, self.expression())",
    ),
    _in_reader(
        "unless-as-or-not",
        "conjunction(condition, negation(self.expression()))",
        "disjunction(condition, negation(self.expression()))",
    ),
    _in_reader(
        "when-is-ignored",
        'self.expression() if self.accept("when")',
        '(self.expression(), always)[1] if self.accept("when")',
    ),
    _in_reader(
        "watch-is-ignored", 'bool(self.accept("( watch )"))', 'bool(self.accept("( watch )")) and False'
    ),
    _in_reader("avoid-adds", "else -points", "else points"),
    _in_reader(
        "named-list-cut-short",
        "self.closed(self.separated(read))",
        "self.closed(self.separated(read))[:1]",
    ),
    _in_reader(
        "first-tier-only",
        'tuple(self.separated(self.expression, ", then"))',
        'tuple(self.separated(self.expression, ", then"))[:1]',
    ),
    _in_reader(
        "tiers-from-behind",
        'tuple(self.separated(self.expression, ", then"))',
        'tuple(self.separated(self.expression, ", then"))[::-1]',
    ),
    _in_reader("any-is-local", '"any": always}', '"any": local}'),
    _in_reader(
        "given-sets-do-not-add-up", "facts.get(fact, frozenset()) | {self.name()}", "frozenset({self.name()})"
    ),
    # the catalogue and scores
    _in_interpreter(
        "half-even", "Fraction((value * 200 + 1) // 2, 100)", "Fraction(round(value * 100), 100)"
    ),
    _in_interpreter(
        "rounded-down", "Fraction((value * 200 + 1) // 2, 100)", "Fraction(value * 100 // 1, 100)"
    ),
    _in_interpreter(
        "cost-not-rounded",
        '"cost": half_up(100 / (1 + Fraction(price) / 10))',
        '"cost": 100 / (1 + Fraction(price) / 10)',
    ),
    _in_interpreter(
        "blended-one-to-one",
        "(3 * Fraction(sides[0]) + Fraction(sides[1])) * factor / 4",
        "(Fraction(sides[0]) + Fraction(sides[1])) * factor / 2",
    ),
    _in_interpreter("per-thousand-as-per-million", '("1k", 1000)', '("1k", 1)'),
    _in_interpreter(
        "no-price-is-free", "    return None\n\n\ndef entry_price", "    return 0\n\n\ndef entry_price"
    ),
    _in_interpreter("local-effort-undivided", "Fraction(effort) / 10", "Fraction(effort)"),
    _in_interpreter(
        "local-effort-defaults-to-none", 'profile.get("relative_cost", 1)', 'profile.get("relative_cost", 0)'
    ),
    _in_interpreter("local-price-is-its-effort", "price = 0 if is_local", "price = effort if is_local"),
    _in_interpreter(
        "tools-not-inferred",
        '"yes" if any(name.startswith("tool_use") for name in capabilities)',
        '"yes" if False',
    ),
    _in_interpreter(
        "unknown-tools-are-no-tools",
        'for name in capabilities) else "unknown"',
        'for name in capabilities) else "no"',
    ),
    _in_interpreter(
        "providers-zone-wins",
        'entry.get("zone") or provider.get("zone")',
        'provider.get("zone") or entry.get("zone")',
    ),
    _in_interpreter(
        "no-zone-compares-false", 'or provider.get("zone") or "unknown"', 'or provider.get("zone")'
    ),
    _in_interpreter("tags-not-inherited", ' | frozenset(provider.get("tags") or ())', ""),
    _in_interpreter(
        "fast-is-slow",
        'LATENCY = {"low": 100, "medium": 50, "high": 0}',
        'LATENCY = {"low": 0, "medium": 50, "high": 100}',
    ),
    _in_interpreter("best-quality-is-90", '"very_high": 100}', '"very_high": 90}'),
    _in_interpreter(
        "call-cost-per-thousand", "price * size / Fraction(1_000_000)", "price * size / Fraction(1_000)"
    ),
    _in_interpreter(
        "unknown-call-cost-is-zero", 'model.call_cost": None if price', 'model.call_cost": 0 if price'
    ),
    # the policies file
    _in_interpreter("critical-route-without-its-exception", ' unless {spend}"', '"'),
    _in_interpreter(
        "critical-exception-too-wide", "task.criticality >= high and task", "task.criticality >= high or task"
    ),
    _in_interpreter("local-then-cloud-as-any", "use local, then cloud when", "use any when"),
    _in_interpreter("aggressive-is-worth-ten", "cloud by 20 when", "cloud by 10 when"),
    _in_interpreter("providers-are-worth-ten", "[{providers}] by 20", "[{providers}] by 10"),
    _in_interpreter("shares-not-shared", "Fraction(20, len(capabilities))", "Fraction(20)"),
    _in_interpreter("shares-with-one-decimal", ":.2f}", ":.1f}"),
    _in_interpreter("no-strategy-is-aggressive", 'strategy", "balanced")', 'strategy", "aggressive")'),
    _in_interpreter("lowered-before-user-files", FILES + LOWERED, LOWERED + FILES),
    _in_interpreter("files-in-alphabetical-order", "key=str.encode", "key=str.lower"),
    _in_interpreter("base-before-user-files", FILES + LOWERED + BASE_RULES, BASE_RULES + FILES + LOWERED),
    _in_interpreter(
        "unweighted-mode-is-balanced",
        "weights.get(mode) or fallback",
        'weights.get(mode) or GUIDE_WEIGHTS["balanced"]',
    ),
    _in_interpreter("modes-weights-win", "self.weighs += [", "self.weighs[:0] = ["),
    _in_interpreter(
        "last-weigh-wins",
        "for rule in reader.rules if rule.weights",
        "for rule in reversed(reader.rules) if rule.weights",
    ),
    # the decision
    _in_interpreter("exhausted-above-100", "daily >= 100 or monthly >= 100", "daily > 100 or monthly > 100"),
    _in_interpreter("month-is-ignored", "daily >= 100 or monthly >= 100", "daily >= 100"),
    _in_interpreter(
        "both-must-be-spent", "daily >= 100 or monthly >= 100", "daily >= 100 and monthly >= 100"
    ),
    _in_interpreter(
        "every-mode-allows-cloud", '"mode.allow_cloud": usage != "none"', '"mode.allow_cloud": True'
    ),
    _in_interpreter(
        "require-as-forbid", 'selected if guard.keyword == "forbid" else not selected', "selected"
    ),
    _in_interpreter(
        "forbid-as-require", 'selected if guard.keyword == "forbid" else not selected', "not selected"
    ),
    _in_interpreter(
        "watched-guards-block", "for guard in stopping if not guard.watched", "for guard in stopping"
    ),
    _in_interpreter(
        "first-blocker-only",
        "for guard in stopping if not guard.watched)",
        "for guard in stopping if not guard.watched)[:1]",
    ),
    _in_interpreter(
        "route-falls-through-when-empty",
        "for rule in policy.routes if rule.when(facts)",
        "for rule in policy.routes if rule.when(facts) and any(tier(what[n]) for tier in rule.tiers for n in "
        "what if not blockers[n])",
    ),
    _in_interpreter(
        "last-route-wins",
        "rule for rule in policy.routes if rule.when(facts)",
        "rule for rule in reversed(policy.routes) if rule.when(facts)",
    ),
    _in_interpreter(
        "no-route-is-no-model", "route.tiers if route else (always,):", "route.tiers if route else ():"
    ),
    _in_interpreter(
        "tiers-melted-together",
        "route.tiers if route else (always,):",
        "[lambda w: any(t(w) for t in route.tiers)] if route else (always,):",
    ),
    _in_interpreter("models-repeat-in-the-chain", " and m.name not in chain", ""),
    _in_interpreter(
        "preferences-whatever-the-facts",
        "if rule.when(what[name]) and rule.selector(what[name])",
        "if rule.selector(what[name])",
    ),
    _in_interpreter(
        "preferences-for-every-model",
        "if rule.when(what[name]) and rule.selector(what[name])",
        "if rule.when(what[name])",
    ),
    _in_interpreter(
        "only-the-best-preference", "sum(applied[name].values())", "max(applied[name].values(), default=0)"
    ),
    _in_interpreter("worst-first", "return (-score,", "return (score,"),
    _in_interpreter("compared-as-displayed", "return (-score,", "return (-half_up(score),"),
    _in_interpreter(
        "ties-cloud-first",
        'not model.attributes["model.local"], model.tie',
        'model.attributes["model.local"], model.tie',
    ),
    _in_interpreter("ties-locality-ignored", 'not model.attributes["model.local"], model.tie', "model.tie"),
    _in_interpreter(
        "ties-price-before-locality",
        'not model.attributes["model.local"], model.tie_price',
        'model.tie_price, not model.attributes["model.local"]',
    ),
    _in_interpreter("ties-dearer-first", "model.tie_price, model.place)", "-model.tie_price, model.place)"),
    _in_interpreter("ties-price-ignored", "model.tie_price, model.place)", "model.place)"),
    _in_interpreter(
        "ties-last-listed-first", "model.tie_price, model.place)", "model.tie_price, -model.place)"
    ),
    # tests and proofs
    _in_interpreter("refusal-breaks-only", "met = all(selected)", "met = bool(selected) and all(selected)"),
    _in_interpreter("refusal-satisfies-some", "met = any(selected)", "met = not selected or any(selected)"),
    _in_interpreter("never-asks-the-first-only", "met = not any(selected)", "met = not any(selected[:1])"),
    _in_interpreter(
        "whole-chain-as-beginning",
        "met = result.chain == expectation.names",
        "met = result.chain[: len(expectation.names)] == expectation.names",
    ),
    _in_interpreter("because-is-ignored", "return met and (", "return met or ("),
    # the engine's own guards
    _in_base(
        "equal-does-not-fit",
        "task.context_size > model.max_context",
        "task.context_size >= model.max_context",
    ),
    _in_base("high-is-not-critical-enough", "task.criticality < high", "task.criticality <= high"),
    _in_base(
        "provider-down-for-cloud-only",
        "provider.down has model.provider",
        "cloud and provider.down has model.provider",
    ),
    _in_base(
        "provider-budget-for-cloud-only",
        "forbid provider-budget: budget",
        "forbid provider-budget: cloud and budget",
    ),
    _in_base("budget-stops-local-too", "forbid budget-exhausted: cloud", "forbid budget-exhausted: any"),
    _in_base("tools-must-be-known", "model.tools is no\n", "model.tools is not yes\n"),
    _in_base("all-up-ignores-busy", "and provider.busy is empty\n", ""),
)
