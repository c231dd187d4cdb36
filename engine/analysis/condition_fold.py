"""A condition and facts -> whether it holds, read word for word, without cubes or cells.

The second opinion on everything the analysis finds: a witness is shown to a person only after it has been
replayed here and through the evaluator.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any, assert_never

from engine.config.catalogue import Model
from engine.decision.cubes import in_order, model_holds, name_attribute, set_attribute
from engine.decision.evaluator import Decision
from engine.decision.facts import INDEX, Facts
from engine.language.checked_policy import (
    All,
    ChainIs,
    Condition,
    Constant,
    CrossCompare,
    CrossIs,
    FactCompare,
    FactEmpty,
    FactHas,
    FactHasModel,
    FactIn,
    ModelCompare,
    ModelEmpty,
    ModelHas,
    ModelHasFact,
    ModelIn,
    Not,
    PriceUnknown,
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
        case FactIn(fact, names):
            value = _value(facts, fact)
            return ({True: "yes", False: "no"}[value] if isinstance(value, bool) else value) in names
        case FactCompare(fact, order, value):
            return in_order(Fraction(_value(facts, fact)), order, Fraction(value))
        case FactHas(fact, element):
            return element in _value(facts, fact)
        case FactEmpty(fact):
            return not _value(facts, fact)
    assert model is not None, "a condition on models is asked with a model"
    match condition:
        case ModelCompare("model.call_cost", order, value):
            if model.price is None:
                return False
            cost = model.price * facts.context_size / 1_000_000
            return in_order(cost, order, Fraction(Decimal(value)))
        case ModelIn() | ModelHas() | ModelEmpty() | PriceUnknown() | ModelCompare():
            return model_holds(condition, model)
        case CrossCompare(fact, order, _):
            return in_order(Fraction(_value(facts, fact)), order, Fraction(model.max_context))
        case CrossIs(fact, attribute):
            return bool(_value(facts, fact) == name_attribute(model, attribute))
        case FactHasModel(fact, attribute):
            return name_attribute(model, attribute) in _value(facts, fact)
        case ModelHasFact(attribute, fact):
            return _value(facts, fact) in set_attribute(model, attribute)
        case _:
            assert_never(condition)


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


def _value(facts: Facts, fact: str) -> Any:
    return facts[INDEX[fact]]
