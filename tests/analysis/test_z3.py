"""Proofs, reachability and exposure against z3, an SMT solver: another independent judge, and one that needs
no small domains.

The checked policy goes into formulas word for word: no cubes, no cells, no search, and numbers stay numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from random import Random
from typing import Any

import pytest

from engine.analysis.lint_context import LintContext
from engine.analysis.policy_diff import compare
from engine.analysis.proofs import prove
from engine.config.catalogue import Model
from engine.decision.facts import INDEX
from engine.language import checked_policy as said
from engine.language.checked_policy import Condition, Forbid, Proof, Require, Rule, Use, Weigh
from engine.language.vocabulary import FACTS, HIGHEST, LOWEST, SESSION_COST, Kind
from engine.policy import Policy
from tests.analysis.small_worlds import changed_world, worlds
from tests.decision.worlds import compiled
from tests.reference.generator import random_world

z3 = pytest.importorskip("z3")

WORDS: dict[str, int] = {}
"""A number for each name, the same in every policy."""


def exact(value: Any) -> Any:
    fraction = Fraction(value)
    return z3.Q(fraction.numerator, fraction.denominator)


def in_order(left: Any, order: str, right: Any) -> Any:
    match order:
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right
        case _:
            return left == right


class Formulas:
    """A policy as formulas over facts. Two policies share facts by their names."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.models: Sequence[Model] = policy.catalogue.models
        self.rules = policy.checked.rules
        self._made: dict[tuple[int, str], Any] = {}

    # --- Facts ---

    def number(self, fact: str) -> Any:
        return z3.Real(fact) if FACTS[fact].kind is Kind.PERCENT else z3.Int(fact)

    def is_named(self, fact: str, name: str) -> Any:
        """A yes/no fact is a Boolean, any other name fact a word."""
        if FACTS[fact].kind is Kind.FLAG:
            return z3.Bool(fact) if name == "yes" else z3.Not(z3.Bool(fact))
        return z3.Int(fact) == WORDS.setdefault(name, len(WORDS))

    def has(self, fact: str, element: str) -> Any:
        return z3.Bool(f"{fact} has {element}")

    def closed(self, fact: str) -> Iterable[str] | None:
        names = self.policy.names
        match FACTS[fact].name:
            case "task.type":
                return names.task_types
            case "task.labels":
                return names.labels
            case "mode":
                return names.modes
            case "budget.exhausted_providers":
                return names.limited_providers
            case "provider.down" | "provider.busy":
                return names.providers
            case "task.group":
                return [*names.groups, "none"]
            case "task.asked_model":
                return [*(model.key for model in self.models), "none"]
            case "session.labels":
                return names.labels
            case "models.warm" | "models.capable" | "session.warm" | "task.avoid_models":
                return [model.key for model in self.models]
            case "task.needs":
                return names.needs
            case _:
                return FACTS[fact].scale

    def possible(self) -> Any:
        """What can happen at all."""
        parts = []
        for fact in (fact for fact in FACTS.values() if not fact.follows):
            closed = self.closed(fact.name)
            match fact.kind:
                case Kind.FLAG:
                    pass
                case Kind.NAME | Kind.ORDERED:
                    if closed is not None:
                        parts.append(z3.Or([self.is_named(fact.name, name) for name in closed]))
                case Kind.SET:
                    if closed is not None:
                        parts += [
                            z3.Not(self.has(fact.name, name))
                            for name in self._named(fact.name)
                            if name not in closed
                        ]
                case _:
                    parts.append(self.number(fact.name) >= LOWEST.get(fact.kind, 0))
                    if fact.kind in HIGHEST:
                        parts.append(self.number(fact.name) <= HIGHEST[fact.kind])
        return z3.And(parts)

    # --- Conditions ---

    def holds(self, condition: Condition, model: Model | None = None) -> Any:
        key = id(condition), model.key if model else ""
        if key not in self._made:
            self._made[key] = self._holds(condition, model)
        return self._made[key]

    def _holds(self, condition: Condition, model: Model | None) -> Any:
        match condition:
            case said.Constant(value):
                return z3.BoolVal(value)
            case said.All(parts):
                return z3.And([self.holds(part, model) for part in parts])
            case said.Any(parts):
                return z3.Or([self.holds(part, model) for part in parts])
            case said.Not(part):
                return z3.Not(self.holds(part, model))
            case said.In(fact, names) if fact in FACTS:
                return z3.Or([self.is_named(fact, name) for name in sorted(names)])
            case said.Compare(fact, order, value) if fact in FACTS:
                return in_order(self.number(fact), order, exact(value))
            case said.Has(fact, element) if fact in FACTS:
                return self.has(fact, element)
            case said.IsEmpty(fact) if fact in FACTS:
                return z3.Not(z3.Or([self.has(fact, name) for name in self._elements(fact)]))
        assert model is not None
        return self._of_model(condition, model)

    def _named(self, fact: str) -> list[str]:
        """Every element of a set fact that some rule or proof names."""
        return sorted(self._mentioned.get(fact, ()))

    def _elements(self, fact: str) -> list[str]:
        """Everything a set fact can have. Where any name may come, those that nobody names are one more."""
        closed = self.closed(fact)
        return [*self._named(fact), *(("\0other",) if closed is None else closed)]

    @cached_property
    def _mentioned(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}

        def walk(condition: Condition) -> None:
            match condition:
                case said.All(parts) | said.Any(parts):
                    for part in parts:
                        walk(part)
                case said.Not(part):
                    walk(part)
                case said.Has(fact, element) if fact in FACTS:
                    found.setdefault(fact, set()).add(element)
                case said.CrossSets(fact, _, attribute):
                    found.setdefault(fact, set()).update(
                        name for model in self.models for name in self.attribute(model, attribute)
                    )
                case said.CrossName(fact, attribute) if FACTS[fact].kind is Kind.SET:
                    names = {self.attribute(model, attribute) for model in self.models}
                    found.setdefault(fact, set()).update(names - {None})

        for rule in self.rules:
            walk(rule.condition)
            for selector in getattr(rule.effect, "tiers", None) or [getattr(rule.effect, "selector", None)]:
                if selector is not None:
                    walk(selector)
        for proof in self.policy.checked.proofs:
            walk(proof.condition)
            if isinstance(proof.expectation, said.ChainIs):
                walk(proof.expectation.selector)
        return found

    def attribute(self, model: Model, name: str) -> Any:
        """None for a zone or a price that is not written: no name is that zone, no comparison with it
        holds."""
        word = name.removeprefix("model.")
        if word == "id":
            return model.key
        return getattr(model, word)

    def _of_model(self, condition: Condition, model: Model) -> Any:
        match condition:
            case said.In(attribute, names):
                return z3.BoolVal(self.attribute(model, attribute) in names)
            case said.Compare("model.call_cost", order, value):
                return self._costs(model.price, order, value)
            case said.Compare(subject, order, value) if subject == SESSION_COST:
                usual, warm, written = (
                    self._costs(model.price if price is None else price, order, value)
                    for price in (None, model.warm_price, model.written_price)
                )
                begun = z3.Or([self.has("session.warm", name) for name in self._elements("session.warm")])
                return z3.If(self.has("session.warm", model.key), warm, z3.If(begun, written, usual))
            case said.Compare(attribute, order, value):
                mine = self.attribute(model, attribute)
                known = mine is not None and in_order(Fraction(mine), order, Fraction(value))
                return z3.BoolVal(known)
            case said.Has(attribute, element):
                return z3.BoolVal(element in self.attribute(model, attribute))
            case said.IsEmpty(attribute):
                return z3.BoolVal(not self.attribute(model, attribute))
            case said.PriceUnknown():
                return z3.BoolVal(model.price is None)
            case said.CrossCompare(fact, order, attribute):
                return in_order(self.number(fact), order, self.attribute(model, attribute))
            case said.CrossName(fact, attribute):
                mine = self.attribute(model, attribute)
                names = [] if mine is None else [mine] if isinstance(mine, str) else sorted(mine)
                is_name = self.has if FACTS[fact].kind is Kind.SET else self.is_named
                return z3.Or([is_name(fact, name) for name in names])
            case said.CrossSets(fact, relation, attribute):
                mine = self.attribute(model, attribute)
                match relation:
                    case "within":
                        others = [name for name in self._elements(fact) if name not in mine]
                        return z3.Not(z3.Or([self.has(fact, name) for name in others]))
                    case "covers":
                        return z3.And([self.has(fact, name) for name in sorted(mine)])
                    case _:
                        return z3.Or([self.has(fact, name) for name in sorted(mine)])
        raise AssertionError(condition)

    def _costs(self, price: Fraction | None, order: str, value: Any) -> Any:
        """What the exchange costs at this price, against a constant."""
        if price is None:
            return z3.BoolVal(False)
        cost = exact(price) * z3.ToReal(self.number("task.context_size"))
        return in_order(cost, order, exact(Fraction(value) * 1_000_000))

    # --- Decisions ---

    def blocked(self, model: Model) -> Any:
        stops = []
        for rule in self.rules:
            if rule.watch:
                continue
            when = self.holds(rule.condition, model)
            match rule.effect:
                case Forbid(selector):
                    stops.append(z3.And(when, self.holds(selector, model)))
                case Require(selector):
                    stops.append(z3.And(when, z3.Not(self.holds(selector, model))))
        return z3.Or(stops)

    def reached(self, rule: Rule) -> Any:
        """The condition holds, and that of no earlier rule of its kind."""
        kind = type(rule.effect)
        earlier = self.rules[: self.rules.index(rule)]
        return z3.And(
            self.holds(rule.condition),
            *(z3.Not(self.holds(each.condition)) for each in earlier if type(each.effect) is kind),
        )

    @cached_property
    def in_chain(self) -> dict[str, Any]:
        routes = [(rule, rule.effect.tiers) for rule in self.rules if isinstance(rule.effect, Use)]
        unrouted = z3.Not(z3.Or([self.holds(rule.condition) for rule, _ in routes]))
        return {
            model.key: z3.And(
                z3.Not(self.blocked(model)),
                z3.Or(
                    unrouted,
                    *(
                        z3.And(self.reached(rule), z3.Or([self.holds(tier, model) for tier in tiers]))
                        for rule, tiers in routes
                    ),
                ),
            )
            for model in self.models
        }

    def breaks(self, proof: Proof) -> Any:
        assert isinstance(proof.expectation, said.ChainIs), "these worlds are of version 1"
        selector = proof.expectation.selector
        chosen = [(self.in_chain[model.key], self.holds(selector, model)) for model in self.models]
        match proof.expectation.quantifier:
            case "never":
                broken = z3.Or([z3.And(inside, is_meant) for inside, is_meant in chosen])
            case "only":
                broken = z3.Or([z3.And(inside, z3.Not(is_meant)) for inside, is_meant in chosen])
            case _:
                broken = z3.Not(z3.Or([z3.And(inside, is_meant) for inside, is_meant in chosen]))
        return z3.And(self.holds(proof.condition), broken)

    # --- How plain a task is ---

    def differs(self, fact: str, default: Any) -> Any:
        """Whether a fact is not what a test takes for granted."""
        match FACTS[fact].kind:
            case Kind.FLAG:
                return z3.Bool(fact) != default
            case Kind.NAME | Kind.ORDERED:
                return z3.Not(self.is_named(fact, default))
            case Kind.SET:
                return z3.Or([self.has(fact, name) != (name in default) for name in self._elements(fact)])
            case _:
                return self.number(fact) != exact(default)

    def plainer(self, defaults: Any, count: int) -> Any:
        """Fewer than `count` facts differ; the task's type has no default."""
        pairs = zip(INDEX, defaults, strict=True)
        differing = [(self.differs(fact, value), 1) for fact, value in pairs if fact != "task.type"]
        return z3.PbLe(differing, count - 1)


def can_be(*formulas: Any) -> bool:
    solver = z3.SolverFor("ALL")
    solver.set("timeout", 20_000)
    solver.add(*formulas)
    answer = solver.check()
    assert answer != z3.unknown
    return bool(answer == z3.sat)


CALENDAR = re.compile(r"clock\.(date|day|weekday|time|minute)")


def check_proofs(policy: Policy, where: str, most_work: int = 400_000, *, simplest: bool = True) -> int:
    """Every verdict, vacuity, and that no counterexample differs in fewer facts; how many were decided.

    Of proofs about chains and single calls; those over sessions are held by enumeration (`test_later_calls`).
    """
    formulas = Formulas(policy)
    decided = 0
    for answer in prove(policy, most_work):
        is_about_chains = isinstance(answer.proof.expectation, said.ChainIs) and answer.proof.after is None
        if answer.verdict == "unknown" or not is_about_chains:
            continue
        decided += 1
        inside, broken = formulas.holds(answer.proof.condition), formulas.breaks(answer.proof)
        possible = formulas.possible()
        assert answer.verdict == ("refuted" if can_be(possible, broken) else "proved"), where
        assert answer.vacuous != can_be(possible, inside), where
        if answer.counterexample is not None and simplest:
            usual = policy.assumed.facts
            found = dict(zip(INDEX, answer.counterexample.facts, strict=True))
            count = sum(
                found[fact] != value for fact, value in zip(INDEX, usual, strict=True) if fact != "task.type"
            )
            assert not can_be(possible, broken, formulas.plainer(usual, count)), where
    return decided


def check_reachability(policy: Policy, where: str) -> int:
    """Rules whose condition no task meets, and routes and weighs that earlier ones leave nothing to."""
    formulas, context = Formulas(policy), LintContext(policy)
    asked = 0
    for number, rule in context.rules:
        met = [formulas.holds(rule.condition, model) for model in formulas.models]
        is_met = can_be(formulas.possible(), z3.Or(met))
        assert (number in context.reachability.never) == (not is_met), f"{rule.name} {where}"
        asked += 1
        if isinstance(rule.effect, Use | Weigh):
            is_reached = can_be(formulas.possible(), formulas.reached(rule))
            assert (number in context.reachability.unreachable) == (is_met and not is_reached), (
                f"{rule.name} {where}"
            )
    assert not context.open_questions
    return asked


@pytest.mark.parametrize("seed", range(4))
def test_small_worlds(seed: int) -> None:
    """Proofs, reachability, and exposure of a change."""
    for number, drawn in worlds(40, 7_000 + seed, cross=seed % 2 == 1):
        # A set is encoded by the names that one policy mentions, so two are compared over closed lists.
        world = replace(drawn, is_open=False)
        policy, where = world.engine(), f"world {number}\n{world.text()}{world.base}"
        check_proofs(policy, where)
        check_reachability(policy, where)
        changed = changed_world(Random(-number), world)
        new = changed.engine()
        one, other = Formulas(policy), Formulas(new)
        clouds = [model.key for model in one.models if model.locality == "cloud"]
        joins = [z3.And(other.in_chain[key], z3.Not(one.in_chain[key])) for key in clouds]
        leaves = [z3.And(one.in_chain[key], z3.Not(other.in_chain[key])) for key in clouds]
        possible = one.possible(), other.possible()
        difference = compare(policy, new)
        assert difference.looser is can_be(*possible, z3.Or(joins)), f"{where}---\n{changed.text()}"
        assert difference.stricter is can_be(*possible, z3.Or(leaves)), f"{where}---\n{changed.text()}"


@pytest.mark.parametrize("seed", range(4))
def test_large_worlds(seed: int) -> None:
    """Whole policies over every fact, of which no enumeration could ask all tasks."""
    decided = 0
    for number in range(400):
        if decided >= 12:
            break
        world = random_world(Random(800_000 + seed * 1_000 + number))
        where = f"seed {seed} world {number}\n" + "\n".join(world.route_files.values())
        if CALENDAR.search(where):  # z3 is told nothing of the calendar; `test_calendar` is
            continue
        policy = compiled(world)
        decided += check_proofs(policy, where)
        check_reachability(policy, where)
    assert decided >= 10
