"""A condition and facts -> whether it holds, read word for word, without cubes or cells.

The second opinion on everything the analysis finds: a witness is shown to a person only after it has been
replayed here and through the evaluator.
"""

from fractions import Fraction
from typing import assert_never

from engine.config.catalogue import Model
from engine.decision.cache_prices import price_in_session
from engine.decision.cubes import in_order, names_of
from engine.decision.evaluator import Decision
from engine.decision.facts import INDEX, Facts
from engine.language.checked_policy import (
    All,
    Answered,
    ChainIs,
    Claim,
    Compare,
    Condition,
    Constant,
    CrossCompare,
    CrossName,
    CrossSets,
    FirstIs,
    Has,
    In,
    IsEmpty,
    Not,
    PriceUnknown,
    Refused,
    RouteIs,
)
from engine.language.checked_policy import Any as Either


def holds(condition: Condition, facts: Facts, model: Model | None = None) -> bool:
    """Whether a condition holds of a task, and of a model where it speaks of one."""

    match condition:
        case Constant(value):
            return value
        case All(parts):
            return all(holds(part, facts, model) for part in parts)
        case Either(parts):
            return any(holds(part, facts, model) for part in parts)
        case Not(part):
            return not holds(part, facts, model)
        case In(subject, names):
            return not names.isdisjoint(_names(subject, facts, model))
        case Has(subject, element):
            return element in _names(subject, facts, model)
        case IsEmpty(subject):
            return not _names(subject, facts, model)
        case CrossName(fact, attribute):
            return not _names(fact, facts, model).isdisjoint(_names(attribute, facts, model))
        case CrossSets(fact, relation, attribute):
            mine, models = _names(fact, facts, model), _names(attribute, facts, model)
            match relation:
                case "within":
                    return mine <= models
                case "covers":
                    return models <= mine
                case "meets":
                    return not mine.isdisjoint(models)
                case _:
                    assert_never(relation)
        case Compare(subject, order, value):
            number = _number(subject, facts, model)
            return number is not None and in_order(number, order, Fraction(value))
        case CrossCompare(fact, order, attribute):
            number, other = _number(fact, facts, model), _number(attribute, facts, model)
            return number is not None and other is not None and in_order(number, order, other)
        case PriceUnknown():
            return _number("model.price", facts, model) is None
        case _:
            assert_never(condition)


def meets(expectation: Claim, decision: Decision, facts: Facts) -> bool:
    """Whether a decision is as a proof claims."""
    chain = decision.chain
    match expectation:
        case FirstIs(selector):
            return bool(chain) and holds(selector, facts, chain[0])
        case ChainIs():
            return keeps(expectation, decision, facts)
        case RouteIs(route):
            return decision.route is not None and decision.route.name == route
        case Refused():
            return not chain
        case Answered():
            return bool(chain)
        case _:
            assert_never(expectation)


def keeps(expectation: ChainIs, decision: Decision, facts: Facts) -> bool:
    """Whether a chain is as `only`, `never` or `some` says; a refusal breaks `some` alone."""
    selected = [holds(expectation.selector, facts, model) for model in decision.chain]
    match expectation.quantifier:
        case "only":
            return all(selected)
        case "never":
            return not any(selected)
        case "some":
            return any(selected)
        case _:
            assert_never(expectation.quantifier)


def _names(subject: str, facts: Facts, model: Model | None) -> frozenset[str]:
    """The members of a set, or the one name that a fact or the model has."""
    if subject not in INDEX:
        return frozenset(names_of(_asked(model), subject))
    value = facts[INDEX[subject]]
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return frozenset((value,)) if isinstance(value, str) else value


def _number(subject: str, facts: Facts, model: Model | None) -> Fraction | None:
    """None for a price that is not known."""
    match subject:
        case "model.max_context":
            return Fraction(_asked(model).max_context)
        case "model.price":
            return _asked(model).price
        case "model.call_cost in its session":
            price = price_in_session(_asked(model), facts.session_warm)
            return None if price is None else price * facts.context_size / 1_000_000
        case "model.call_cost":
            price = _asked(model).price
            return None if price is None else price * facts.context_size / 1_000_000
        case _:
            return Fraction(facts[INDEX[subject]])


def _asked(model: Model | None) -> Model:
    assert model is not None, "a condition on models is asked with a model"
    return model
