"""What the analysis finds -> words of the policy language, for every answer that shows a task or a set of
tasks.

A witness is its facts, a region the conditions that describe it; either can be pasted into a policy.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from shlex import quote

from engine.analysis.axes import Axis
from engine.analysis.space import Box, Space
from engine.decision.condition_text import (
    Stretch,
    class_of,
    condition_name,
    names_condition,
    numbers_condition,
    set_condition,
)
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
    Name,
    Number,
    Prove,
    Test,
    Text,
    Word,
)
from engine.language.vocabulary import FACTS, GIVEN, Fact, Kind

_NOWHERE = Source("", "").span(0, 0)


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
    """A task as the command line takes it: `type=planning mode=local-only labels=`."""
    return " ".join(f"{name.removeprefix('task.')}={_argument(value)}" for name, value in given.items())


def _argument(value: FactValue) -> str:
    # An empty set is shown to people as `none`, which the command line would take for a name.
    return quote(visible(format_value(value))) if value != frozenset() else ""


def test_of_proof(proof: Prove, given: Mapping[str, FactValue], *, is_chain: bool) -> str:
    """A test that fails as long as the proof is refuted at these facts, and holds once the policy is
    mended. `is_chain` is false of `never refused`."""
    expectation: Expectation = proof.claim
    match proof.claim:
        case ExpectChain("never", Name(Word("refused"))) if not is_chain:
            expectation = ExpectChain("some", Name(Word("any", _NOWHERE), _NOWHERE), _NOWHERE)
        case _:
            pass
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
    return Word(name, _NOWHERE) if condition_name(name) == name else Text(name, _NOWHERE)


# --- A set of tasks -------------------------------------------------------------------------------------


def conditions(space: Space, box: Box) -> Iterator[tuple[str, str]]:
    """Each fact that a box restricts, and the condition on it, to be pasted into a policy.

    Together the conditions hold for the tasks in the box and for no others. A box that restricts the
    elements of a set which nobody mentions must leave none of the mentioned ones open (`is_expressible`).
    """
    restricted: dict[int, list[tuple[Axis, int]]] = {}
    for number in sorted(box):
        axis = space.axes[number]
        cells = box[number] & axis.domain
        if cells != axis.domain:
            restricted.setdefault(axis.fact, []).append((axis, cells))
    for place, axes in restricted.items():
        fact = GIVEN[place]
        if fact.kind is Kind.SET:
            yield fact.name, _set_condition(fact.name, axes)
        else:
            ((axis, cells),) = axes
            yield fact.name, _condition(fact, axis, cells, space.domain.closed[fact.name])


def is_expressible(space: Space, box: Box) -> bool:
    """Whether the conditions of a box can say what it asks of the elements that nobody mentions.

    The language speaks of these only by `is empty`, so every mentioned element must be absent.
    """
    return all(
        box.get(other, 3) & space.axes[other].domain == 1
        for number in box
        if space.axes[number].element == OTHER
        for other in space.elements_of(number)
        if other != number
    )


def _set_condition(fact: str, axes: Sequence[tuple[Axis, int]]) -> str:
    cells_of = {axis.element: cells for axis, cells in axes if axis.element is not None}
    present = [element for element, cells in cells_of.items() if cells == 2]
    return set_condition(fact, present, [element for element, cells in cells_of.items() if cells == 1])


def _condition(fact: Fact, axis: Axis, cells: int, closed: tuple[str, ...] | None) -> str:
    chosen = [cell for cell in range(len(axis.values)) if cells >> cell & 1]
    match fact.kind:
        case Kind.FLAG:
            return fact.name if axis.values[chosen[0]] else f"not {fact.name}"
        case Kind.NAME | Kind.ORDERED:
            mentioned = {name: cell for cell, name in enumerate(axis.values) if cell != axis.others}
            is_in = {name: cell in chosen for name, cell in mentioned.items()}
            return names_condition(fact, class_of(is_in, axis.others in chosen, closed), closed)
        case _:
            return numbers_condition(fact, [_stretch(axis, first, last) for first, last in _runs(chosen)])


def _runs(cells: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = last = cells[0]
    for cell in cells[1:]:
        if cell != last + 1:
            yield first, last
            first = cell
        last = cell
    yield first, last


def _stretch(axis: Axis, first: int, last: int) -> Stretch:
    return Stretch(
        axis.edges[first] if first else None, axis.edges[last + 1] if last + 1 < len(axis.edges) else None
    )
