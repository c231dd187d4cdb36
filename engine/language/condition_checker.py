"""Expressions as written -> conditions: each word resolved, each comparison typed, lets put in place,
constants read.

An expression is read once and alike wherever it stands; what it speaks of (a fact, a model, both at once) is
noted with it, and `type_checker` holds that against what may stand there. A let is therefore read once too,
and every use of it is the same node: a policy's conditions are a graph no larger than its text.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Literal, TypeAlias, TypeVar, assert_never

from engine.language import syntax_tree as tree
from engine.language.checked_policy import (
    All,
    Any,
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
    Order,
    PriceUnknown,
)
from engine.language.constants import BOUNDS, TERMS, Constants
from engine.language.diagnostics import Problems
from engine.language.messages import names as name_messages
from engine.language.messages import syntax as syntax_messages
from engine.language.messages import types as type_messages
from engine.language.resolver import Namespace
from engine.language.source import Span
from engine.language.vocabulary import LOCALITIES, WEEKDAYS, Fact, Kind, Term

MOST_NESTING = 64
"""How deep brackets and `not` may stand in each other once lets are in place."""

_NUMBERS = frozenset(BOUNDS)
ListForm: TypeAlias = Literal["in", "any", "all"]
Meant = TypeVar("Meant")
_TURNED: dict[str, Order] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "is": "is"}


@dataclass(frozen=True, slots=True)
class Mention:
    """Where an expression speaks of something; `inside` is the place in a let when it does so through one."""

    span: Span
    inside: Span | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """One expression, read. `condition` is None when an error in it has been reported.

    `fact`, `model` and `cross` are the first places that speak of a fact alone, of a model alone, and of a
    model compared with a fact. `depth` counts the brackets and `not` that stand in each other.
    """

    condition: Condition | None
    fact: Mention | None = None
    model: Mention | None = None
    cross: Mention | None = None
    depth: int = 0


UNREADABLE = Checked(None)


class ConditionChecker:
    """Reads expressions of one policy. `used` gathers the lets that were spoken of."""

    def __init__(self, namespace: Namespace, constants: Constants, problems: Problems) -> None:
        self.namespace = namespace
        self.constants = constants
        self.problems = problems
        self.used: set[str] = set()
        self._lets: dict[str, Checked] = {}
        self._named_lists: dict[tuple[str, str, ListForm], Condition | None] = {}
        # What the expression at hand has spoken of so far.
        self._fact: Mention | None = None
        self._model: Mention | None = None
        self._cross: Mention | None = None
        self._depth = 0

    def check_lets(self) -> None:
        """Read every let, each after those it is made of, so that no reading waits on another."""
        for let in self.namespace.lets:
            if isinstance(let.value, tree.List):
                continue
            checked = self.check(let.value)
            if self.namespace.let(let.name.text) is let:
                self._lets[let.name.text] = checked
        self.used.clear()

    def check(self, expression: tree.Expression) -> Checked:
        self._fact = self._model = self._cross = None
        self._depth = 0
        condition = self._expression(expression, 0)
        return Checked(condition, self._fact, self._model, self._cross, self._depth)

    # --- Formulas ---

    def _expression(self, node: tree.Expression, depth: int) -> Condition | None:
        match node:
            case tree.Comparison():
                return self._comparison(node)
            case tree.Name():
                return self._name(node, depth)
            case tree.Membership():
                return self._membership(node)
            case tree.HasSome():
                return self._has_some(node)
            case tree.IsEmpty():
                return self._is_empty(node)
            case tree.And(parts=parts):
                conditions = self._parts(parts, depth)
                return None if conditions is None else All(conditions, node.span)
            case tree.Or(parts=parts):
                conditions = self._parts(parts, depth)
                return None if conditions is None else Any(conditions, node.span)
            case tree.Not(part=part):
                if not self._may_nest(node.span, depth + 1):
                    return None
                condition = self._expression(part, depth + 1)
                return None if condition is None else Not(condition, node.span)
            case tree.Group(part=part):
                if not self._may_nest(node.span, depth + 1):
                    return None
                return self._expression(part, depth + 1)
            case _:
                assert_never(node)

    def _parts(self, parts: tuple[tree.Expression, ...], depth: int) -> tuple[Condition, ...] | None:
        conditions = [self._expression(part, depth) for part in parts]
        readable = tuple(condition for condition in conditions if condition is not None)
        return readable if len(readable) == len(conditions) else None

    def _may_nest(self, span: Span, depth: int) -> bool:
        if depth > MOST_NESTING:
            self.problems.add(syntax_messages.nesting_too_deep(span, MOST_NESTING))
            return False
        if depth > self._depth:
            self._depth = depth
        return True

    # --- A name standing alone ---

    def _name(self, node: tree.Name, depth: int) -> Condition | None:
        value = node.value
        text = value.text
        if isinstance(value, tree.Word):
            if text in LOCALITIES:
                self._speaks_of_model(node.span)
                return ModelIn("locality", frozenset({text}), node.span)
            if text == "any":
                self._speaks_of_model(node.span)
                return Constant(True, node.span)
            term = TERMS.get(text)
            if term is not None:
                return self._term_alone(term, node.span)
            if text in self.namespace.declared or text in self.namespace.unreadable:
                readable, condition = self._let(value, depth)
                if readable:
                    return condition
        return self._provider_or_model(value)

    def _term_alone(self, term: Term, span: Span) -> Condition | None:
        if term.kind is Kind.FLAG:
            self._speaks_of(term, span)
            return self._flag(term, True, span)
        self.problems.add(type_messages.must_be_compared(span, term, self.constants.listed(term)))
        return None

    def _let(self, word: tree.Word, depth: int) -> tuple[bool, Condition | None]:
        """Whether the word is a let (or was meant to be one), and what it stands for."""
        name = word.text
        let = self.namespace.let(name)
        if let is None:
            return name in self.namespace.unreadable, None
        self.used.add(name)
        if isinstance(let.value, tree.List):
            self.problems.add(type_messages.list_alone(word.span, name, let.name.span))
            return True, None
        checked = self._lets.get(name, UNREADABLE)
        if checked.condition is None:
            return True, None
        # A let stands for its expression in brackets.
        depth += 1 + checked.depth
        if depth > MOST_NESTING:
            self.problems.add(syntax_messages.nesting_through_let(word.span, name, MOST_NESTING))
            return True, None
        self._depth = max(self._depth, depth)
        if checked.fact is not None and self._fact is None:
            self._fact = Mention(word.span, checked.fact.inside or checked.fact.span)
        if checked.model is not None and self._model is None:
            self._model = Mention(word.span, checked.model.inside or checked.model.span)
        if checked.cross is not None and self._cross is None:
            self._cross = Mention(word.span, checked.cross.inside or checked.cross.span)
        return True, checked.condition

    def _provider_or_model(self, value: tree.Word | tree.Text) -> Condition | None:
        text = value.text
        models = self.constants.models_called(text)
        if text in self.constants.providers:
            if models:
                self.problems.add(name_messages.provider_or_model(value.span, value.span.text))
                return None
            self._speaks_of_model(value.span)
            return ModelIn("model.provider", frozenset({text}), value.span)
        if models:
            key = self.constants.model(value)
            if key is None:
                return None
            self._speaks_of_model(value.span)
            return ModelIn("model.id", frozenset({key}), value.span)
        self._unknown(value)
        return None

    def _unknown(self, value: tree.Word | tree.Text) -> None:
        text = value.text
        if isinstance(value, tree.Word) and name_messages.looks_like_a_term(text):
            self.problems.add(name_messages.unknown_term(value.span, text))
            return
        declaration = self.namespace.declared.get(text)
        if isinstance(value, tree.Word) and declaration is not None:
            noun, place = declaration.noun, declaration.statement.name.span
            self.problems.add(name_messages.rule_alone(value.span, text, noun, place))
            return
        lets, names = self.namespace.lets, self.constants.names
        search = self.constants.may_search(len(lets) + len(names.models))
        self.problems.add(
            name_messages.unknown_name(
                value.span,
                text,
                lets=[let.name.text for let in lets] if search else [],
                names=names,
                is_quoted=isinstance(value, tree.Text),
                search=search,
            )
        )

    # --- Comparisons ---

    def _comparison(self, node: tree.Comparison) -> Condition | None:
        right = node.right
        other = TERMS.get(right.text) if isinstance(right, tree.Word) else None
        if other is not None and not self._could_be_a_term(node.left):
            self.problems.add(
                name_messages.turned_round(node.span, node.left.span.text, other, node.operator)
            )
            return None
        term = self._subject(node.left)
        if term is None:
            return None
        if other is not None:
            return self._cross_test(term, node, other)
        condition: Condition | None
        match term.kind:
            case Kind.SET:
                condition = self._set_comparison(term, node)
            case Kind.FLAG:
                condition = self._flag_comparison(term, node)
            case Kind.NAME | Kind.ORDERED:
                condition = self._name_comparison(term, node)
            case _:
                condition = self._number_comparison(term, node)
        if condition is not None:
            self._speaks_of(term, node.span)
        return condition

    def _could_be_a_term(self, value: tree.Value) -> bool:
        return isinstance(value, tree.Word) and (
            value.text in TERMS
            or value.text in self.namespace.unreadable
            or name_messages.looks_like_a_term(value.text)
        )

    def _subject(self, value: tree.Value) -> Term | None:
        """The fact or attribute to the left of an operator."""
        text = value.text
        if isinstance(value, tree.Word):
            term = TERMS.get(text)
            if term is not None:
                return term
            if name_messages.looks_like_a_term(text):
                self.problems.add(name_messages.unknown_term(value.span, text))
                return None
            if text in self.namespace.unreadable:
                return None
            if self._stands_alone(text):
                self.problems.add(type_messages.stands_alone(value.span, text))
                return None
        self.problems.add(name_messages.unknown_subject(value.span, text, isinstance(value, tree.Word)))
        return None

    def _stands_alone(self, text: str) -> bool:
        return (
            text in LOCALITIES
            or text == "any"
            or self.namespace.let(text) is not None
            or text in self.constants.providers
            or bool(self.constants.models_called(text))
        )

    def _set_comparison(self, term: Term, node: tree.Comparison) -> Condition | None:
        if node.operator != "has":
            right = node.right.span.text
            self.problems.add(type_messages.set_is_single(node.span, term.name, node.operator, right))
            return None
        element = self.element(term, node.right)
        return None if element is None else _has(term, element, node.span)

    def _name_comparison(self, term: Term, node: tree.Comparison) -> Condition | None:
        operator, span = node.operator, node.span
        if operator == "has":
            self.problems.add(type_messages.has_on_single(span, term.name, node.right.span.text))
            return None
        if operator not in ("is", "is not") and term.kind is Kind.NAME:
            self.problems.add(type_messages.no_order(span, term.name, operator))
            return None
        name = self.constants.name(term, node.right)
        if name is None:
            return None
        match operator:
            case "is":
                return self._in(term, (name,), span)
            case "is not":
                return Not(self._in(term, (name,), span), span)
            case _:
                names = _ordered(term.scale, operator, name)
                if not names or len(names) == len(term.scale):
                    self.problems.add(type_messages.same_for_all(span, bool(names)))
                return self._in(term, names, span)

    def _flag_comparison(self, term: Term, node: tree.Comparison) -> Condition | None:
        right, operator = node.right, node.operator
        if (
            operator not in ("is", "is not")
            or isinstance(right, tree.Number)
            or right.text not in ("yes", "no")
        ):
            self.problems.add(type_messages.yes_or_no(node.span, term.name, right.span.text))
            return None
        return self._flag(term, (right.text == "yes") == (operator == "is"), node.span)

    def _number_comparison(self, term: Term, node: tree.Comparison) -> Condition | None:
        operator, right, span = node.operator, node.right, node.span
        if operator == "has":
            self.problems.add(type_messages.has_on_single(span, term.name, right.span.text))
            return None
        if term.kind is Kind.PRICE and isinstance(right, tree.Word) and right.text == "unknown":
            if operator not in ("is", "is not"):
                self.problems.add(type_messages.unknown_has_no_order(span, term.name))
                return None
            return PriceUnknown(span) if operator == "is" else Not(PriceUnknown(span), span)
        value = self.constants.number(term, right)
        if value is None:
            return None
        least, greatest = BOUNDS[term.kind]
        if _is_same_for_all(operator, value, least, greatest):
            self.problems.add(type_messages.same_for_all(span, operator in ("<=", ">=")))
        if operator == "is not":
            return _is_not(term, _compare(term, "is", value, span), span)
        return _compare(term, operator, value, span)

    # --- A model's attribute against a fact ---

    def _cross_test(self, left: Term, node: tree.Comparison, right: Term) -> Condition | None:
        """Tokens with tokens, names with names, and always one of each side."""
        operator, span = node.operator, node.span
        if isinstance(left, Fact) == isinstance(right, Fact):
            self.problems.add(type_messages.same_side(span, left, right, isinstance(left, Fact)))
            return None
        fact, attribute = (left, right) if isinstance(left, Fact) else (right, left)
        condition: Condition | None = None
        if left.kind is Kind.TOKENS and right.kind is Kind.TOKENS and operator != "has":
            order: Order = "is" if operator == "is not" else operator
            if fact is right:
                order = _TURNED[order]
            condition = CrossCompare(fact.name, order, attribute.name, span)
        elif _holds_names(left) and _holds_names(right) and operator in ("is", "is not"):
            condition = CrossIs(fact.name, attribute.name, span)
        elif left.kind is Kind.SET and _holds_names(right):
            if operator != "has":
                self.problems.add(type_messages.set_is_single(span, left.name, operator, right.name))
                return None
            if _can_hold(left, right):
                condition = (
                    FactHasModel(fact.name, attribute.name, span)
                    if fact is left
                    else ModelHasFact(attribute.name, fact.name, span)
                )
        elif right.kind is Kind.SET and _holds_names(left) and _can_hold(right, left):
            self.problems.add(type_messages.set_on_the_right(span, left.name, right.name))
            return None
        if condition is None:
            self.problems.add(type_messages.cannot_be_compared(span, left, operator, right))
            return None
        if self._cross is None:
            self._cross = Mention(span)
        return Not(condition, span) if operator == "is not" else condition

    # --- Lists and ranges ---

    def _membership(self, node: tree.Membership) -> Condition | None:
        right, span = node.right, node.span
        other = TERMS.get(right.text) if isinstance(right, tree.Word) else None
        if other is not None and not self._could_be_a_term(node.left):
            operator = "not in" if node.negated else "in"
            self.problems.add(name_messages.turned_round(span, node.left.span.text, other, operator))
            return None
        term = self._subject(node.left)
        if term is None:
            return None
        condition: Condition | None = None
        if isinstance(right, tree.Range):
            condition = self._range(term, right, node)
        elif term.kind is Kind.SET:
            self.problems.add(type_messages.in_on_set(span, term.name, right.span.text))
        elif term.kind is Kind.FLAG:
            self.problems.add(type_messages.yes_or_no(span, term.name, right.span.text))
        else:
            condition = self._of_list(term, right, "in", span)
        if condition is None:
            return None
        self._speaks_of(term, span)
        return _is_not(term, condition, span) if node.negated else condition

    def _has_some(self, node: tree.HasSome) -> Condition | None:
        term = self._subject(node.left)
        if term is None:
            return None
        if term.kind is not Kind.SET:
            self.problems.add(type_messages.has_some_on_single(node.span, term.name, node.right.span.text))
            return None
        condition = self._of_list(term, node.right, node.quantifier, node.span)
        if condition is not None:
            self._speaks_of(term, node.span)
        return condition

    def _of_list(
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
            elements = self._members(written, partial(self.element, term))
            tests = tuple(_has(term, element, span) for element in elements)
        elif term.kind in _NUMBERS:
            numbers: tuple[int | Decimal, ...] = self._members(written, partial(self.constants.number, term))
            tests = tuple(_compare(term, "is", number, span) for number in numbers)
        else:
            names = self._members(written, partial(self.constants.name, term))
            return self._in(term, names, span) if names else None
        if len(tests) < 2:
            return tests[0] if tests else None
        return All(tests, span) if form == "all" else Any(tests, span)

    def _named_list(self, term: Term, word: tree.Word) -> tree.List | None:
        name = word.text
        let = self.namespace.let(name)
        if let is None:
            if name in TERMS:
                self.problems.add(type_messages.term_for_list(word.span, term, TERMS[name]))
            elif name not in self.namespace.unreadable:
                lists: list[str] = []
                lets = self.namespace.lets
                if self.constants.may_search(len(lets)):
                    lists = [known.name.text for known in lets if isinstance(known.value, tree.List)]
                self.problems.add(type_messages.not_a_list(word.span, name, lists, declared=None))
            return None
        self.used.add(name)
        if not isinstance(let.value, tree.List):
            self.problems.add(type_messages.not_a_list(word.span, name, [], declared=let.name.span))
            return None
        return let.value

    def _members(self, written: tree.List, read: Callable[[tree.Value], Meant | None]) -> tuple[Meant, ...]:
        """The values of a list, each once; none when there is an error in it."""
        if not written.items:
            self.problems.add(type_messages.empty_list(written.span))
        places: dict[Meant, Span] = {}
        is_good = True
        for item in written.items:
            value = read(item)
            if value is None:
                is_good = False
            elif value in places:
                self.problems.add(type_messages.member_twice(item.span, item.span.text, places[value]))
                is_good = False
            else:
                places[value] = item.span
        return tuple(places) if is_good else ()

    def _range(self, term: Term, written: tree.Range, node: tree.Membership) -> Condition | None:
        match term.kind:
            case Kind.HOUR:
                return self._hours(term, written, node.span)
            case Kind.ORDERED:
                return self._stretch(term, written, node.span)
            case _:
                self.problems.add(type_messages.no_range(node.span, term, written, node.negated))
                return None

    def _hours(self, term: Term, written: tree.Range, span: Span) -> Condition | None:
        """`22..6` is 22:00 to 05:59: the last hour is not in it."""
        if isinstance(written.high, tree.Number) and written.high.text == "24":
            self.problems.add(type_messages.midnight_is_zero(written.high.span, written.low.span.text))
            return None
        low = self.constants.number(term, written.low)
        high = self.constants.number(term, written.high)
        if low is None or high is None:
            return None
        if low == high:
            self.problems.add(type_messages.empty_range(written.span, term.name, low))
            return None
        begun = _compare(term, ">=", low, span)
        if high == 0:
            return begun
        not_over = _compare(term, "<", high, span)
        if low == 0:
            return not_over
        return All((begun, not_over), span) if low < high else Any((begun, not_over), span)

    def _stretch(self, term: Term, written: tree.Range, span: Span) -> Condition | None:
        """`mon..fri`, both ends included; only the days of the week come round again."""
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
            self.problems.add(type_messages.backward_range(written.span, term.name, low, high))
            return None
        if len(names) == len(scale):
            self.problems.add(type_messages.same_for_all(span, always=True))
        return self._in(term, names, span)

    def _is_empty(self, node: tree.IsEmpty) -> Condition | None:
        term = self._subject(node.left)
        if term is None:
            return None
        if term.kind is not Kind.SET:
            # After anything but a set, `empty` is a value like any other.
            operator: tree.Operator = "is not" if node.negated else "is"
            return self._comparison(tree.Comparison(node.left, operator, node.word, node.span))
        self._speaks_of(term, node.span)
        condition: Condition
        if isinstance(term, Fact):
            condition = FactEmpty(term.name, node.span)
        else:
            condition = ModelEmpty(term.name, node.span)
        return Not(condition, node.span) if node.negated else condition

    # --- Tests of one fact or one attribute ---

    def element(self, term: Term, value: tree.Value) -> str | None:
        """A member that a set fact or attribute may have."""
        element = self.constants.name(term, value)
        if (
            element is not None
            and term.name == "budget.exhausted_providers"
            and element not in self.constants.limited_providers
        ):
            self.problems.add(type_messages.never_exhausted(value.span, element))
        return element

    def _in(self, term: Term, names: Iterable[str], span: Span) -> Condition:
        if not isinstance(term, Fact):
            return _model_in(term.name, frozenset(names), span)
        if term.name == "mode.cloud_usage":
            # Derived: what is asked of the strategy is asked of the modes that have it.
            usages = frozenset(names)
            modes = self.constants.names.modes.items()
            return _fact_in("mode", (mode for mode, meaning in modes if meaning.cloud_usage in usages), span)
        return _fact_in(term.name, names, span)

    def _flag(self, term: Term, wanted: bool, span: Span) -> Condition:
        """A yes/no fact; the derived ones by what they follow from."""
        match term.name:
            case "budget.exhausted":
                used_up = Any(
                    (
                        FactCompare("budget.daily.used", ">=", Decimal(100), span),
                        FactCompare("budget.monthly.used", ">=", Decimal(100), span),
                    ),
                    span,
                )
                return used_up if wanted else Not(used_up, span)
            case "mode.allow_cloud":
                modes = self.constants.names.modes.items()
                return _fact_in(
                    "mode", (mode for mode, meaning in modes if meaning.allow_cloud is wanted), span
                )
            case _:
                return _fact_in(term.name, ("yes" if wanted else "no",), span)

    # --- What the expression at hand speaks of ---

    def _speaks_of(self, term: Term, span: Span) -> None:
        if isinstance(term, Fact):
            if self._fact is None:
                self._fact = Mention(span)
        else:
            self._speaks_of_model(span)

    def _speaks_of_model(self, span: Span) -> None:
        if self._model is None:
            self._model = Mention(span)


# A test that nothing can pass is the constant it is, so that no later phase meets an empty list of names.


def _fact_in(fact: str, names: Iterable[str], span: Span) -> Condition:
    chosen = frozenset(names)
    return FactIn(fact, chosen, span) if chosen else Constant(False, span)


def _model_in(attribute: str, names: Iterable[str], span: Span) -> Condition:
    chosen = frozenset(names)
    return ModelIn(attribute, chosen, span) if chosen else Constant(False, span)


def _has(term: Term, element: str, span: Span) -> Condition:
    if isinstance(term, Fact):
        return FactHas(term.name, element, span)
    return ModelHas(term.name, element, span)


def _compare(term: Term, order: Order, value: int | Decimal, span: Span) -> Condition:
    if isinstance(term, Fact):
        return FactCompare(term.name, order, value, span)
    return ModelCompare(term.name, order, value, span)


def _is_not(term: Term, condition: Condition, span: Span) -> Condition:
    """`is not` and `not in` are comparisons too, and one with an unknown price is false."""
    if term.kind in (Kind.PRICE, Kind.DOLLARS):
        return All((Not(PriceUnknown(span), span), Not(condition, span)), span)
    return Not(condition, span)


def _ordered(scale: tuple[str, ...], operator: str, name: str) -> tuple[str, ...]:
    """The names of a scale that stand so to `name`."""
    place = scale.index(name)
    match operator:
        case "<":
            return scale[:place]
        case "<=":
            return scale[: place + 1]
        case ">":
            return scale[place + 1 :]
        case _:
            return scale[place:]


def _is_same_for_all(operator: str, value: int | Decimal, least: int, greatest: int | None) -> bool:
    """Whether every possible value, or none, stands so to the constant."""
    return (operator in ("<", ">=") and value <= least) or (
        operator in (">", "<=") and greatest is not None and value >= greatest
    )


def _holds_names(term: Term) -> bool:
    """Whether it is one name of the author's own; those of a scale mean something only on it."""
    return term.kind is Kind.NAME and term.universe != "scale"


def _can_hold(collection: Term, element: Term) -> bool:
    """Providers and models are found only among their like; labels, capabilities and tags are any names."""
    return collection.universe not in ("providers", "models") or collection.universe == element.universe
