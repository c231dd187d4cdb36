"""A comparison of a term with a constant, or of a fact with a model's attribute -> its condition."""

from decimal import Decimal

from engine.language import condition_nodes as nodes
from engine.language import syntax_tree as tree
from engine.language.checked_policy import (
    Condition,
    CrossCompare,
    CrossName,
    Has,
    Not,
    Order,
    PriceUnknown,
)
from engine.language.constants import BOUNDS, Constants
from engine.language.diagnostics import Problems
from engine.language.messages import types as messages
from engine.language.vocabulary import Fact, Kind, Term

_TURNED: dict[str, Order] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "is": "is"}


class ComparisonChecker:
    """Holds the operator and the right side of a comparison against the kind of the term on its left."""

    def __init__(self, constants: Constants, problems: Problems) -> None:
        self.constants = constants
        self.problems = problems
        self.modes = constants.names.modes

    def with_constant(self, term: Term, node: tree.Comparison) -> Condition | None:
        match term.kind:
            case Kind.SET:
                return self._of_set(term, node)
            case Kind.FLAG:
                return self._of_flag(term, node)
            case Kind.NAME | Kind.ORDERED:
                return self._of_name(term, node)
            case _:
                return self._of_number(term, node)

    def _of_set(self, term: Term, node: tree.Comparison) -> Condition | None:
        if node.operator != "has":
            right = node.right.span.text
            self.problems.add(messages.set_is_single(node.span, term.name, node.operator, right))
            return None
        element = self.constants.element(term, node.right)
        if element is None:
            return None
        return self.constants.staying.of(Has(term.name, element, node.span))

    def _of_name(self, term: Term, node: tree.Comparison) -> Condition | None:
        operator, span = node.operator, node.span
        if operator == "has":
            self.problems.add(messages.has_on_single(span, term.name, node.right.span.text))
            return None
        if operator not in ("is", "is not") and term.kind is Kind.NAME:
            self.problems.add(messages.no_order(span, term.name, operator))
            return None
        name = self.constants.name(term, node.right)
        if name is None:
            return None
        match operator:
            case "is":
                return nodes.among(term, self.modes, (name,), span)
            case "is not":
                return Not(nodes.among(term, self.modes, (name,), span), span)
            case _:
                names = _ordered(term.scale, operator, name)
                if not names or len(names) == len(term.scale):
                    self.problems.add(messages.same_for_all(span, bool(names)))
                return nodes.among(term, self.modes, names, span)

    def _of_flag(self, term: Term, node: tree.Comparison) -> Condition | None:
        right, operator = node.right, node.operator
        if (
            operator not in ("is", "is not")
            or isinstance(right, tree.Number)
            or right.text not in ("yes", "no")
        ):
            self.problems.add(messages.yes_or_no(node.span, term.name, operator, right.span.text))
            return None
        return nodes.flag(term, self.modes, (right.text == "yes") == (operator == "is"), node.span)

    def _of_number(self, term: Term, node: tree.Comparison) -> Condition | None:
        operator, right, span = node.operator, node.right, node.span
        if operator == "has":
            self.problems.add(messages.has_on_single(span, term.name, right.span.text))
            return None
        if term.kind is Kind.PRICE and isinstance(right, tree.Word) and right.text == "unknown":
            if operator not in ("is", "is not"):
                self.problems.add(messages.unknown_has_no_order(span, term.name))
                return None
            return PriceUnknown(span) if operator == "is" else Not(PriceUnknown(span), span)
        value = self.constants.number(term, right)
        if value is None:
            return None
        least, greatest = BOUNDS[term.kind]
        if _is_same_for_all(operator, value, least, greatest):
            self.problems.add(messages.same_for_all(span, operator in ("<=", ">=")))
        unlimited, subject = self.constants.names.unlimited, self.constants.subject(term, span)
        if operator == "is not":
            return nodes.is_not(term, nodes.compare(term, unlimited, "is", value, span, subject), span)
        return nodes.compare(term, unlimited, operator, value, span, subject)

    def with_term(self, left: Term, node: tree.Comparison, right: Term) -> Condition | None:
        """Tokens with tokens, names with names, and always one of each side."""
        operator, span = node.operator, node.span
        if isinstance(left, Fact) == isinstance(right, Fact):
            self.problems.add(messages.same_side(span, left, right, isinstance(left, Fact)))
            return None
        fact, attribute = (left, right) if isinstance(left, Fact) else (right, left)
        condition: Condition | None = None
        if left.kind is Kind.TOKENS and right.kind is Kind.TOKENS and operator != "has":
            order: Order = "is" if operator == "is not" else operator
            if fact is right:
                order = _TURNED[order]
            condition = CrossCompare(fact.name, order, attribute.name, span)
        elif _holds_names(left) and _holds_names(right) and operator in ("is", "is not"):
            condition = CrossName(fact.name, attribute.name, span)
        elif left.kind is Kind.SET and _holds_names(right):
            if operator != "has":
                self.problems.add(messages.set_is_single(span, left.name, operator, right.name))
                return None
            if _can_hold(left, right):
                condition = self.constants.staying.of(CrossName(fact.name, attribute.name, span))
        elif right.kind is Kind.SET and _holds_names(left) and _can_hold(right, left):
            self.problems.add(messages.set_on_the_right(span, left.name, operator, right.name))
            return None
        if condition is None:
            self.problems.add(messages.cannot_be_compared(span, left, operator, right))
            return None
        return Not(condition, span) if operator == "is not" else condition


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
