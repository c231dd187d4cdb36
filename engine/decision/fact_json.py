"""The value of a fact -> its JSON: exact as logs hold it, rounded as explanations show it; and the JSON
Schema of both logs.

`engine.decision.facts.read_json` reads either form.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any, assert_never

from engine.language.vocabulary import (
    GIVEN,
    HIGHEST,
    LOWEST,
    Day,
    Fact,
    FactOrigin,
    FactValue,
    Kind,
    given_by,
)

FOUR_PLACES = Decimal("0.0001")


def exact_json(value: FactValue) -> Any:
    """As logs hold it: sets as sorted lists, percentages as text such as "79.999999%"; nothing is rounded."""
    match value:
        case frozenset():
            return sorted(value)
        case Decimal():
            return f"{value:f}%"
        case Day():
            return str(value)
        case _:
            return value


def json_value(value: FactValue) -> Any:
    """As explanations show it: sets as sorted lists, percentages as numbers."""
    match value:
        case frozenset():
            return sorted(value)
        case Decimal():
            return json_number(value)
        case Day():
            return str(value)
        case _:
            return value


def json_number(number: Decimal) -> int | float:
    """A JSON number with at most four decimals, rounded half up, so that a score reads as a person would
    write it."""
    rounded = float(number.quantize(FOUR_PLACES, ROUND_HALF_UP))
    return int(rounded) if rounded.is_integer() else rounded


def decision_log_properties() -> dict[str, Any]:
    """JSON Schema of every fact of a decision, for schemas/decision-log.schema.json."""
    return {fact.name: _schema(fact) for fact in GIVEN}


def shadow_properties() -> dict[str, Any]:
    """JSON Schema of what a profile says of a task, for schemas/shadow.schema.json. A profile without a key
    has no bucket."""
    properties = {fact.name: _schema(fact) for fact in given_by(FactOrigin.PROFILE)}
    for fact in given_by(FactOrigin.PROFILE):
        if fact.kind is Kind.BUCKET:
            properties[fact.name]["type"] = [properties[fact.name]["type"], "null"]
    return properties


def _schema(fact: Fact) -> dict[str, Any]:
    """What `exact_json` makes of a fact. Names of the user's own lists are any text: a log outlives their
    lists."""
    match fact.kind:
        case Kind.NAME | Kind.ORDERED:
            return {"enum": list(fact.scale)} if fact.scale else {"type": "string"}
        case Kind.FLAG:
            return {"type": "boolean"}
        case Kind.SET:
            return {"type": "array", "items": {"type": "string"}}
        case Kind.PERCENT:
            return {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$"}
        case Kind.TOKENS | Kind.COUNT:
            return {"type": "integer", "minimum": 0}
        case Kind.DATE:
            return {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
        case Kind.HOUR | Kind.MINUTE | Kind.DAY | Kind.BUCKET:
            return {"type": "integer", "minimum": LOWEST.get(fact.kind, 0), "maximum": HIGHEST[fact.kind]}
        case Kind.PRICE | Kind.DOLLARS | Kind.TIME:
            raise ValueError(f"{fact.name}: no fact is {fact.kind.value}")
        case _:
            assert_never(fact.kind)
