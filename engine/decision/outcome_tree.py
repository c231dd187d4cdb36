"""A compiled policy -> the diagram of its outcomes, and the conditions that its author gave a name.

The diagram is the same function as deciding and asking `Outcomes`, of the questions that the policy asks
anyway. What is drawn of it is for `tree_outline` to say.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import assert_never

from engine.decision.compiler import CompiledPolicy
from engine.decision.condition_text import condition_name
from engine.decision.cubes import OTHER
from engine.decision.decision_tree import MOST_NODES, TooManyNodes, up_to_first
from engine.decision.diagrams import Diagram, Diagrams, Region
from engine.decision.outcomes import Outcome, Outcomes
from engine.decision.partitions import Question, bits_of
from engine.language.checked_policy import (
    All,
    Any,
    CheckedPolicy,
    Compare,
    Condition,
    Constant,
    CrossCompare,
    CrossName,
    CrossSets,
    Has,
    In,
    IsEmpty,
    Not,
    PriceUnknown,
    walk,
)
from engine.language.source import Span
from engine.language.vocabulary import FACTS, WHOLE, Kind


@dataclass(frozen=True, slots=True)
class NamedRegion:
    """A condition about facts as its author wrote it: the name of a `let`, or a set and its elements."""

    title: str
    region: Region


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeTree:
    """The outcomes of a policy below fixed facts; `questions` are numbered as the diagram numbers them."""

    policy: CompiledPolicy
    diagrams: Diagrams
    root: Diagram[Outcome]
    questions: tuple[Question, ...]
    regions: tuple[NamedRegion, ...]


def outcome_tree(
    policy: CompiledPolicy, checked: CheckedPolicy, fixed: Mapping[str, object], most: int = MOST_NODES
) -> OutcomeTree:
    """The outcomes below the fixed facts. Raises TooManyNodes when more than `most` states of a half-decided
    task would have to be looked at."""
    growth = _Growth(policy, fixed, most)
    diagrams = Diagrams()
    root = diagrams.grown(growth.begin, growth.asked)
    regions = tuple(_named_regions(checked, growth.questions, diagrams))
    return OutcomeTree(policy, diagrams, root, growth.questions, regions)


class _Growth:
    """The states of a half-decided task: which question comes next, and which cubes may still hold."""

    def __init__(self, policy: CompiledPolicy, fixed: Mapping[str, object], most: int) -> None:
        self._policy, self._most = policy, most
        self._outcomes = Outcomes(policy)
        asked = [question for column in policy.columns for question in column.questions()]
        live = policy.full
        for question in asked:
            if question.fact in fixed:
                live &= question.masks[question.answer(fixed[question.fact])]
        guards = reduce(or_, policy.guards, 0)
        self.questions = tuple(
            sorted(
                (question for question in asked if question.fact not in fixed),
                key=lambda question: _rank(question, guards),
            )
        )
        later, self._later = 0, [0] * (len(self.questions) + 1)
        for position in range(len(self.questions) - 1, -1, -1):
            later |= self.questions[position].touched
            self._later[position] = later
        self._depending = {
            route: reduce(or_, (mask for tier in tiers for _, mask in tier.depending), 0)
            for route, tiers in policy.tiers.items()
        }
        self._states = 0
        self.begin = self._state(0, live)

    def asked(self, state: tuple[int, int]) -> tuple[int, list[tuple[int, int]]] | Outcome:
        """The question of a state and where its answers lead, or the outcome that nothing can change."""
        position, live = state
        if position == len(self.questions):
            return self._outcomes.of(live)
        self._states += 1
        if self._states > self._most:
            raise TooManyNodes
        return position, [self._state(position + 1, live & mask) for mask in self.questions[position].masks]

    def _state(self, position: int, live: int) -> tuple[int, int]:
        policy, later = self._policy, self._later
        settled = live & ~later[position]
        routes, weighs = (
            up_to_first(live & policy.routes, settled),
            up_to_first(live & policy.weighs, settled),
        )
        kept = self._outcomes.relevant(live, settled) | routes | weighs
        for route in {policy.owners[bit] for bit in bits_of(routes)}:
            kept |= live & self._depending[route]
        unsettled = kept & later[position]
        while position < len(self.questions) and not unsettled & self.questions[position].touched:
            position += 1
        return position, kept


def _rank(question: Question, guards: int) -> tuple[bool, bool, bool, int, bool, str]:
    """What guards ask about comes first, elements of sets before the rest and numbers last: most of what is
    half-decided is then shut early, and stays small."""
    return (
        asks_number(question),
        question.element is None,
        not question.touched & guards,
        -question.touched.bit_count(),
        question.element == OTHER,
        question.title,
    )


def asks_number(question: Question) -> bool:
    return FACTS[question.fact].kind in (*WHOLE, Kind.PERCENT)


# --- Conditions as regions ------------------------------------------------------------------------------


def _named_regions(
    checked: CheckedPolicy, questions: tuple[Question, ...], diagrams: Diagrams
) -> Iterator[NamedRegion]:
    """Every let, `has any` and `has all` that the questions can tell; each region once."""
    reading = _Reading(questions, diagrams)
    lists = (
        (_title_of_set(part, checked.lets), part)
        for part in walk(rule.condition for rule in checked.rules)
        if isinstance(part, All | Any) and all(isinstance(one, Has) for one in part.parts)
    )
    seen = {diagrams.everywhere, diagrams.nowhere}
    for title, condition in (*checked.let_conditions.items(), *lists):
        region = reading.region(condition)
        if region is not None and region not in seen:
            seen |= {region, diagrams.opposite(region)}
            yield NamedRegion(title, region)


def _title_of_set(condition: All | Any, lets: Mapping[str, Span]) -> str:
    """`task.labels has any confidential` when the list has a name, the list itself otherwise."""
    text, source, start = condition.span.text, condition.span.source, condition.span.start
    if not text.startswith("["):
        return " ".join(text.split())
    for name, span in lets.items():
        if span.source is source and source.text[span.end : start].strip() == "=":
            text = name
    fact = next(part.subject for part in condition.parts if isinstance(part, Has))
    return f"{fact} has {'any' if isinstance(condition, Any) else 'all'} {' '.join(text.split())}"


class _Reading:
    """Reads conditions about facts as regions of the questions; None for what the questions cannot tell."""

    def __init__(self, questions: tuple[Question, ...], diagrams: Diagrams) -> None:
        self._diagrams = diagrams
        self._questions = {
            (question.fact, question.element): (place, question) for place, question in enumerate(questions)
        }

    def region(self, condition: Condition) -> Region | None:
        match condition:
            case Constant(value):
                return self._diagrams.end(value)
            case All(parts):
                return self._joined(parts, every=True)
            case Any(parts):
                return self._joined(parts, every=False)
            case Not(part):
                inside = self.region(part)
                return None if inside is None else self._diagrams.opposite(inside)
            case In(subject, names):
                return self._names(subject, names)
            case Has(subject, element):
                return self._cells(subject, element, {1})
            case Compare():
                return self._number(condition)
            case IsEmpty() | PriceUnknown() | CrossCompare() | CrossName() | CrossSets():
                return None
            case _:
                assert_never(condition)

    def _joined(self, parts: Iterable[Condition], every: bool) -> Region | None:
        regions = [self.region(part) for part in parts]
        known = [region for region in regions if region is not None]
        return self._diagrams.joined(known, every) if len(known) == len(regions) else None

    def _cells(self, fact: str, element: str | None, cells: set[int]) -> Region | None:
        found = self._questions.get((fact, element))
        if found is None:
            return None
        place, question = found
        holds = [self._diagrams.end(branch.cell in cells) for branch in question.branches]
        return self._diagrams.fork(place, holds)

    def _names(self, fact: str, names: frozenset[str]) -> Region | None:
        found = self._questions.get((fact, None))
        if found is None:
            return None
        cells = {branch.label: branch.cell for branch in found[1].branches}
        written = set(map(condition_name, names))
        # A name that shares its cell with others cannot be told from them.
        return self._cells(fact, None, {cells[name] for name in written}) if written <= cells.keys() else None

    def _number(self, condition: Compare) -> Region | None:
        found = self._questions.get((condition.subject, None))
        if found is None:
            return None
        answer, value = found[1].answer, condition.value
        step = 1 if isinstance(value, int) else Decimal("1e-9")
        below, at, above = answer(value - step), answer(value), answer(value + step)
        every = range(len(found[1].branches))
        match condition.order:
            case "<" | ">=" if below != at:
                cells = {cell for cell in every if (cell < at) == (condition.order == "<")}
            case "<=" | ">" if at != above:
                cells = {cell for cell in every if (cell <= at) == (condition.order == "<=")}
            case "is" if below != at != above:
                cells = {at}
            case _:
                return None
        return self._cells(condition.subject, None, cells)
