"""What the analysis finds -> words of the policy language, for every answer that shows a task or a set of
tasks.

A witness is its facts, a region the conditions that describe it; either can be pasted into a policy.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from engine.language.vocabulary import FACTS, GIVEN, TERMS, WEEKDAYS, Fact, Kind
from engine.language.wording import written_name

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
    others = cells_of.pop(OTHER, None)
    present = [written_name(element) for element, cells in cells_of.items() if cells == 2]
    absent = [written_name(element) for element, cells in cells_of.items() if cells == 1]
    if others == 1:
        return f"{fact} is empty"
    parts = [f"{fact} is not empty"] if others == 2 else []
    if present:
        parts.append(f"{fact} has {_one_or_all(present, 'all')}")
    if absent:
        parts.append(f"not {fact} has {_one_or_all(absent, 'any')}")
    return " and ".join(parts)


def _one_or_all(names: Sequence[str], word: str) -> str:
    return names[0] if len(names) == 1 else f"{word} [{', '.join(names)}]"


def _condition(fact: Fact, axis: Axis, cells: int, closed: tuple[str, ...] | None) -> str:
    chosen = [cell for cell in range(len(axis.values)) if cells >> cell & 1]
    match fact.kind:
        case Kind.FLAG:
            return fact.name if axis.values[chosen[0]] else f"not {fact.name}"
        case Kind.NAME | Kind.ORDERED:
            return _names_condition(fact, axis, chosen, closed)
        case Kind.HOUR:
            return _hours_condition(fact, axis, chosen)
        case _:
            stretches = [_stretch(fact, axis, first, last) for first, last in _runs(chosen)]
            return stretches[0] if len(stretches) == 1 else f"({' or '.join(stretches)})"


def _names_condition(fact: Fact, axis: Axis, chosen: Sequence[int], closed: tuple[str, ...] | None) -> str:
    """One cell stands for all names that nobody mentions: the rest of a closed list, or whatever may come."""
    mentioned = {value: cell for cell, value in enumerate(axis.values) if cell != axis.others}
    if closed is None:
        names = [name for name, cell in mentioned.items() if cell in chosen]
        left_out = [name for name, cell in mentioned.items() if cell not in chosen]
        if axis.others in chosen:
            return _membership(fact.name, left_out, inside=False)
        return _membership(fact.name, names, inside=True)
    is_in = [mentioned.get(name, axis.others) in chosen for name in closed]
    names = [name for name, inside in zip(closed, is_in, strict=True) if inside]
    left_out = [name for name, inside in zip(closed, is_in, strict=True) if not inside]
    if fact.kind is Kind.ORDERED and len(names) > 2 and (ends := _ends_of_run(fact, is_in)) is not None:
        return f"{fact.name} in {closed[ends[0]]}..{closed[ends[1]]}"
    if len(left_out) == 1 and len(names) > 1:
        return _membership(fact.name, left_out, inside=False)
    if len(left_out) < len(names) // 2:
        return _membership(fact.name, left_out, inside=False)
    return _membership(fact.name, names, inside=True)


def _membership(fact: str, names: Sequence[str], *, inside: bool) -> str:
    names = [written_name(name) for name in names]
    if len(names) == 1:
        return f"{fact} is {'' if inside else 'not '}{names[0]}"
    return f"{fact} {'' if inside else 'not '}in [{', '.join(names)}]"


def _ends_of_run(fact: Fact, is_in: Sequence[bool]) -> tuple[int, int] | None:
    """The first and last place of one unbroken run; weekdays go round."""
    size = len(is_in)
    starts = [place for place in range(size) if is_in[place] and not is_in[place - 1]]
    ends = [place for place in range(size) if is_in[place] and not is_in[(place + 1) % size]]
    if len(starts) != 1 or (starts[0] > ends[0] and fact.scale != WEEKDAYS):
        return None
    return starts[0], ends[0]


def _hours_condition(fact: Fact, axis: Axis, chosen: Sequence[int]) -> str:
    """`in 22..6` begins with its first hour and ends before its last; it may go round midnight."""
    begins = [int(value) for value, _ in axis.edges]
    ends = [*begins[1:], 24]
    runs = [(begins[first], ends[last]) for first, last in _runs(list(chosen))]
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][1] == 24:
        runs = [(runs[-1][0], runs[0][1]), *runs[1:-1]]
    parts = []
    for begin, end in runs:
        if begin == 0:
            parts.append(f"{fact.name} < {end}")
        elif end == 24:
            parts.append(f"{fact.name} >= {begin}")
        else:
            parts.append(f"{fact.name} in {begin}..{end}")
    return parts[0] if len(parts) == 1 else f"({' or '.join(parts)})"


def _runs(cells: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = last = cells[0]
    for cell in cells[1:]:
        if cell != last + 1:
            yield first, last
            first = cell
        last = cell
    yield first, last


def _stretch(fact: Fact, axis: Axis, first: int, last: int) -> str:
    parts = []
    is_whole = fact.kind is not Kind.PERCENT
    if first > 0:
        value, side = axis.edges[first]
        # Whoever wrote `> 32k` meant 32,001 and up.
        if is_whole and value % 1000 == 1 and value > 1:
            parts.append(f"{fact.name} > {_number(value - 1, is_whole)}")
        else:
            parts.append(f"{fact.name} {'>' if side else '>='} {_number(value, is_whole)}")
    if last + 1 < len(axis.edges):
        value, side = axis.edges[last + 1]
        if is_whole and value % 1000:
            parts.append(f"{fact.name} <= {_number(value - 1, is_whole)}")
        else:
            parts.append(f"{fact.name} {'<=' if side else '<'} {_number(value, is_whole)}")
    return " and ".join(parts)


def _number(value: int | Decimal, is_whole: bool) -> str:
    if not is_whole:
        return format_value(Decimal(value))
    return f"{value // 1000}k" if value and value % 1000 == 0 else str(value)
