"""What the analysis finds -> words of the policy language, for every answer that shows a task or a set of
tasks.

A witness is its facts, a region the conditions that describe it; either can be pasted into a policy.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from engine.analysis.space import Axis, Box, Space
from engine.decision.cubes import OTHER
from engine.decision.facts import DEFAULTS, Facts, format_value
from engine.language.checked_policy import FactValue
from engine.language.diagnostics import visible
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
from engine.language.vocabulary import FACTS, GIVEN, TERMS, Fact, Kind

_NOWHERE = Source("", "").span(0, 0)
_NEVER_BARE = {"not", "any", "all", "empty", *TERMS}


# --- A task ---------------------------------------------------------------------------------------------


def facts_to_state(facts: Facts, usual: Facts) -> dict[str, FactValue]:
    """The facts that have to be said: the task's type, and what differs from what a test assumes."""
    rows: Iterable[tuple[Fact, FactValue, FactValue, FactValue]] = zip(
        GIVEN, facts, usual, DEFAULTS, strict=True
    )
    return {
        fact.name: value
        for fact, value, default, plain in rows
        if fact.name == "task.type" or value != default or (fact.name != "mode" and value != plain)
    }


def task_text(given: Mapping[str, FactValue]) -> str:
    """A task as the command line takes it: `type=planning mode=local-only`."""
    return " ".join(
        f"{name.removeprefix('task.')}={visible(format_value(value))}" for name, value in given.items()
    )


def test_of_proof(proof: Prove, given: Mapping[str, FactValue]) -> str:
    """A test that fails as long as the proof is refuted at these facts, and holds once the policy is
    mended."""
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


# --- A set of tasks -------------------------------------------------------------------------------------


def conditions(space: Space, box: Box) -> Iterator[tuple[str, str]]:
    """Each fact that a box restricts, and the condition on it."""
    by_fact: dict[str, list[str]] = {}
    for number in sorted(box):
        axis, cells = space.axes[number], box[number]
        if cells & axis.domain != axis.domain:
            name = GIVEN[axis.fact].name
            by_fact.setdefault(name, []).append(_condition(name, axis, cells))
    return ((fact, " and ".join(parts)) for fact, parts in by_fact.items())


def _condition(fact: str, axis: Axis, cells: int) -> str:
    kind = GIVEN[axis.fact].kind
    if axis.element is not None:
        element = "any other" if axis.element == OTHER else axis.element
        return f"{fact} has {element}" if cells == 2 else f"not {fact} has {element}"
    chosen = [cell for cell in range(len(axis.values)) if cells >> cell & 1]
    if kind is Kind.FLAG:
        return fact if axis.values[chosen[0]] else f"not {fact}"
    if kind in (Kind.NAME, Kind.ORDERED):
        names = [str(axis.values[cell]) for cell in chosen]
        left_out = [str(axis.values[cell]) for cell in range(len(axis.values)) if cell not in chosen]
        if len(left_out) == 1 and len(names) > 1:
            return f"{fact} is not {left_out[0]}"
        return f"{fact} is {names[0]}" if len(names) == 1 else f"{fact} in [{', '.join(names)}]"
    return " or ".join(_stretch(fact, axis, first, last) for first, last in _runs(chosen))


def _runs(cells: list[int]) -> Iterator[tuple[int, int]]:
    first = last = cells[0]
    for cell in cells[1:]:
        if cell != last + 1:
            yield first, last
            first = cell
        last = cell
    yield first, last


def _stretch(fact: str, axis: Axis, first: int, last: int) -> str:
    parts = []
    is_whole = GIVEN[axis.fact].kind is not Kind.PERCENT
    if first > 0:
        value, side = axis.edges[first]
        # Whoever wrote `> 32k` meant 32,001 and up.
        if is_whole and value % 1000 == 1 and value > 1:
            parts.append(f"{fact} > {_number(value - 1, is_whole)}")
        else:
            parts.append(f"{fact} {'>' if side else '>='} {_number(value, is_whole)}")
    if last + 1 < len(axis.edges):
        value, side = axis.edges[last + 1]
        if is_whole and value % 1000:
            parts.append(f"{fact} <= {_number(value - 1, is_whole)}")
        else:
            parts.append(f"{fact} {'<=' if side else '<'} {_number(value, is_whole)}")
    return " and ".join(parts)


def _number(value: int | Decimal, is_whole: bool) -> str:
    if not is_whole:
        return format_value(Decimal(value))
    return f"{value // 1000}k" if value and value % 1000 == 0 else str(value)
