"""Facts found by an analysis -> a `test` that an author can paste into a policy, as the formatter prints it."""

from collections.abc import Iterator, Mapping

from engine.decision.facts import format_value
from engine.language.checked_policy import FactValue
from engine.language.formatter import print_statement
from engine.language.source import Source
from engine.language.syntax_tree import (
    Case,
    Expectation,
    ExpectChain,
    Given,
    GivenEmpty,
    GivenFlag,
    GivenHas,
    GivenIs,
    Number,
    Prove,
    Test,
    Text,
    Word,
)
from engine.language.vocabulary import ATTRIBUTES, FACTS, Kind

_NOWHERE = Source("", "").span(0, 0)
_NEVER_BARE = {"not", "any", "all", "empty", *FACTS, *ATTRIBUTES}


def test_of_proof(proof: Prove, given: Mapping[str, FactValue]) -> str:
    """A test that fails as long as the proof is refuted at these facts, and holds once the policy is mended."""
    expectation = ExpectChain(proof.quantifier, proof.selector, _NOWHERE)
    return pasteable_test(f"counterexample to {proof.name.text}", given, expectation)


def pasteable_test(title: str, given: Mapping[str, FactValue], expectation: Expectation) -> str:
    """A `test` statement with one case."""
    facts = tuple(node for name, value in given.items() for node in _given(name, value))
    case = Case(facts, expectation, None, _NOWHERE)
    return print_statement(Test(Text(title, _NOWHERE), (case,), _NOWHERE))


def _given(name: str, value: FactValue) -> Iterator[Given]:
    fact = Word(name, _NOWHERE)
    match value:
        case bool():
            yield GivenFlag(fact, value, _NOWHERE)
        case frozenset():
            if not value:
                yield GivenEmpty(fact, _NOWHERE)
            for element in sorted(value):
                yield GivenHas(fact, _name(element), _NOWHERE)
        case str():
            yield GivenIs(fact, _name(value), _NOWHERE)
        case _:
            assert FACTS[name].kind is not Kind.SET
            yield GivenIs(fact, Number(format_value(value), _NOWHERE), _NOWHERE)


def _name(name: str) -> Word | Text:
    return Text(name, _NOWHERE) if name in _NEVER_BARE else Word(name, _NOWHERE)
