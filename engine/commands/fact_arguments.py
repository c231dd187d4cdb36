"""`FACT=VALUE` arguments, or an object of JSON -> given facts."""

from collections.abc import Mapping, Sequence

from engine.decision.facts import InvalidFact, fact_named, read_json, read_text
from engine.language.checked_policy import FactValue
from engine.language.known_names import Names


def given_facts(arguments: Sequence[str], names: Names) -> Mapping[str, FactValue]:
    """Facts by their full name. Raises InvalidFact, also for a fact that is given twice."""
    given: dict[str, FactValue] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise InvalidFact(f"{argument!r} is no fact; write FACT=VALUE, such as type=planning")
        fact = fact_named(name.strip())
        if fact.name in given:
            raise InvalidFact(f"{fact.name} is given twice")
        given[fact.name] = read_text(fact, text.strip(), names)
    return given


def facts_of_json(written: Mapping[str, object], names: Names) -> Mapping[str, FactValue]:
    """Facts by their full name. Raises InvalidFact, also for a fact that is given twice."""
    given: Mapping[str, FactValue] = {
        (fact := fact_named(name)).name: read_json(fact, value, names) for name, value in written.items()
    }
    if len(given) < len(written):
        raise InvalidFact("a fact is given twice, with `task.` and without")
    return given
