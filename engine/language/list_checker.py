"""Lists and ranges -> the condition that they state of a term."""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Literal, TypeAlias, TypeVar

from engine.language import condition_nodes as nodes
from engine.language import syntax_tree as tree
from engine.language.checked_policy import All, Any, Compare, Condition, Has
from engine.language.constants import BOUNDS, Constants
from engine.language.diagnostics import Problems
from engine.language.messages import types as messages
from engine.language.resolver import Namespace
from engine.language.source import Span
from engine.language.vocabulary import TERMS, WEEKDAYS, Kind, Term

_NUMBERS = frozenset(BOUNDS)
ListForm: TypeAlias = Literal["in", "any", "all"]
Meant = TypeVar("Meant")


class ListChecker:
    """Reads the lists and ranges of one policy, and adds each list that is named to `used`."""

    def __init__(
        self, namespace: Namespace, constants: Constants, problems: Problems, used: set[str]
    ) -> None:
        self.namespace = namespace
        self.constants = constants
        self.problems = problems
        self.used = used
        self.modes = constants.names.modes
        self._named_lists: dict[tuple[str, str, ListForm], Condition | None] = {}

    def of_list(
        self, term: Term, right: tree.List | tree.Word, form: ListForm, span: Span
    ) -> Condition | None:
        """What a list says of a term; a named list that is used twice is one node."""
        if isinstance(right, tree.List):
            return self._of_members(term, right, form, span)
        written = self._named_list(term, right)
        if written is None:
            return None
        key = (right.text, term.name, form)
        if key not in self._named_lists:
            self._named_lists[key] = self._of_members(term, written, form, written.span)
        return self._named_lists[key]

    def _of_members(self, term: Term, written: tree.List, form: ListForm, span: Span) -> Condition | None:
        tests: tuple[Condition, ...]
        if term.kind is Kind.SET:
            elements = self._members(written, partial(self.constants.element, term))
            tests = tuple(self.constants.staying.of(Has(term.name, element, span)) for element in elements)
        elif term.kind in _NUMBERS:
            numbers: tuple[int | Decimal, ...] = self._members(written, partial(self.constants.number, term))
            unlimited, subject = self.constants.names.unlimited, self.constants.subject(term, span)
            tests = tuple(nodes.compare(term, unlimited, "is", number, span, subject) for number in numbers)
        else:
            names = self._members(written, partial(self.constants.name, term))
            return nodes.among(term, self.modes, names, span) if names else None
        if len(tests) < 2:
            return tests[0] if tests else None
        return All(tests, span) if form == "all" else Any(tests, span)

    def _named_list(self, term: Term, word: tree.Word) -> tree.List | None:
        name = word.text
        let = self.namespace.let(name)
        if let is None:
            if name in TERMS:
                self.problems.add(messages.term_for_list(word.span, term, TERMS[name]))
            elif not self.namespace.may_be(name):
                lists: list[str] = []
                lets = self.namespace.lets
                if self.constants.may_search(len(lets)):
                    lists = [known.name.text for known in lets if isinstance(known.value, tree.List)]
                self.problems.add(messages.not_a_list(word.span, name, lists, None, term.scale))
            return None
        self.used.add(name)
        if not isinstance(let.value, tree.List):
            self.problems.add(messages.not_a_list(word.span, name, [], declared=let.name.span))
            return None
        return let.value

    def _members(self, written: tree.List, read: Callable[[tree.Value], Meant | None]) -> tuple[Meant, ...]:
        """The values of a list, each once; none when there is an error in it."""
        if not written.items:
            self.problems.add(messages.empty_list(written.span))
        places: dict[Meant, Span] = {}
        is_good = True
        for item in written.items:
            value = read(item)
            if value is None:
                is_good = False
            elif value in places:
                self.problems.add(messages.member_twice(item.span, item.span.text, places[value]))
                is_good = False
            else:
                places[value] = item.span
        return tuple(places) if is_good else ()

    def range(self, term: Term, written: tree.Range, node: tree.Membership) -> Condition | None:
        match term.kind:
            case Kind.HOUR:
                return self._hours(term, written, node.span)
            case Kind.TIME:
                return self._times(term, written, node.span)
            case Kind.DATE:
                return self._dates(term, written, node.span)
            case Kind.ORDERED:
                return self._stretch(term, written, node.span)
            case _:
                self.problems.add(messages.no_range(node.span, term, written, node.negated))
                return None

    def _hours(self, term: Term, written: tree.Range, span: Span) -> Condition | None:
        """`22..6` is 22:00 to 05:59: the last hour is not in it."""
        if isinstance(written.high, tree.Number) and written.high.text == "24":
            self.problems.add(messages.midnight_is_zero(written.high.span, written.low.span.text))
            return None
        if term.kind is Kind.HOUR and (right := _whole_hours(written.span.text)) is not None:
            self.problems.add(messages.hours_are_whole(written.span, right))
            return None
        low = self.constants.number(term, written.low)
        high = self.constants.number(term, written.high)
        if low is None or high is None:
            return None
        if low == high:
            self.problems.add(messages.empty_range(written.span, term.name, low))
            return None
        begun = Compare(term.name, ">=", low, span)
        if high == 0:
            return begun
        not_over = Compare(term.name, "<", high, span)
        if low == 0:
            return not_over
        return All((begun, not_over), span) if low < high else Any((begun, not_over), span)

    def _times(self, term: Term, written: tree.Range, span: Span) -> Condition | None:
        """`22:30..06:00` begins at 22:30 and ends before 06:00, and goes round midnight."""
        low = self.constants.number(term, written.low)
        high = self.constants.number(term, written.high)
        if low is None or high is None:
            return None
        if low == high:
            self.problems.add(messages.empty_range(written.span, term.name, low))
            return None
        begun = nodes.compare(term, (), ">=", low, span)
        not_over = nodes.compare(term, (), "<", high, span)
        return All((begun, not_over), span) if low < high else Any((begun, not_over), span)

    def _dates(self, term: Term, written: tree.Range, span: Span) -> Condition | None:
        """`2026-12-24..2027-01-01`, both ends included."""
        low = self.constants.number(term, written.low)
        high = self.constants.number(term, written.high)
        if low is None or high is None:
            return None
        if low > high:
            texts = written.low.text, written.high.text
            self.problems.add(messages.backward_range(written.span, *texts))
            return None
        begun = nodes.compare(term, (), ">=", low, span)
        return All((begun, nodes.compare(term, (), "<=", high, span)), span)

    def _stretch(self, term: Term, written: tree.Range, span: Span) -> Condition | None:
        """`mon..fri`, both ends included; only the days of the week begin anew after the last."""
        low = self.constants.name(term, written.low)
        high = self.constants.name(term, written.high)
        if low is None or high is None:
            return None
        scale = term.scale
        first, last = scale.index(low), scale.index(high)
        if first <= last:
            names = scale[first : last + 1]
        elif term.scale == WEEKDAYS:
            names = (*scale[first:], *scale[: last + 1])
        else:
            self.problems.add(messages.backward_range(written.span, low, high))
            return None
        if len(names) == len(scale):
            self.problems.add(messages.same_for_all(span, always=True))
        return nodes.among(term, self.modes, names, span)


def _whole_hours(text: str) -> str | None:
    """`22:00..06:00` as `22..6`."""
    ends = re.fullmatch(r"([0-9]{1,2}):00\s*\.\.\s*([0-9]{1,2}):00", text)
    return None if ends is None else f"{int(ends[1])}..{int(ends[2])}"
