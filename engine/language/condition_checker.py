"""Expressions of the syntax tree -> typed conditions.

The checker resolves each word, types each comparison, replaces lets by what they stand for and reads
constants. It reads an expression in the same way wherever it stands and notes its subjects (a fact, a model,
or both in one comparison); `type_checker` decides which subjects a statement allows. A let is read once, and
every use of it is the same node: a policy's conditions are a graph no larger than its text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never

from engine.language import condition_nodes as nodes
from engine.language import syntax_tree as tree
from engine.language.checked_policy import (
    All,
    Any,
    Condition,
    Constant,
    CrossSets,
    In,
    IsEmpty,
    Not,
    Relation,
)
from engine.language.comparison_checker import ComparisonChecker
from engine.language.constants import Constants
from engine.language.diagnostics import Problems
from engine.language.list_checker import ListChecker
from engine.language.messages import names as name_messages
from engine.language.messages import syntax as syntax_messages
from engine.language.messages import types as type_messages
from engine.language.resolver import Namespace
from engine.language.source import Span
from engine.language.vocabulary import LOCALITIES, TERMS, Fact, Kind, Term

MOST_NESTING = 64
"""How deep brackets and `not` may stand in each other once lets are in place."""

Subject: TypeAlias = Literal["fact", "model", "cross"]
"""What a test is about: a fact alone, a model alone, or a model compared with a fact."""


@dataclass(frozen=True, slots=True)
class Mention:
    """Where an expression names a subject; `inside` is the place in the let when it does so through one."""

    span: Span
    inside: Span | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """One expression, read. `condition` is None when an error in it has been reported.

    `mentions` has the first place of each subject. `depth` counts the brackets and `not` that
    stand in each other.
    """

    condition: Condition | None
    mentions: Mapping[Subject, Mention] = field(default_factory=dict)
    depth: int = 0


UNREADABLE = Checked(None)


class ConditionChecker:
    """Reads expressions of one policy. `used` collects the names of the lets they use."""

    def __init__(self, namespace: Namespace, constants: Constants, problems: Problems) -> None:
        self.namespace = namespace
        self.constants = constants
        self.problems = problems
        self.used: set[str] = set()
        self.modes = constants.names.modes
        self.comparisons = ComparisonChecker(constants, problems)
        self.lists = ListChecker(namespace, constants, problems, self.used)
        self._lets: dict[str, Checked] = {}
        # The subjects of the expression at hand, so far.
        self._mentions: dict[Subject, Mention] = {}
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

    @property
    def let_conditions(self) -> dict[str, Condition]:
        """What each readable let stands for, lists apart."""
        return {
            name: checked.condition for name, checked in self._lets.items() if checked.condition is not None
        }

    def check(self, expression: tree.Expression) -> Checked:
        self._mentions = {}
        self._depth = 0
        condition = self._expression(expression, 0)
        return Checked(condition, self._mentions, self._depth)

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
                self._mention_model(node.span)
                return In("locality", frozenset({text}), node.span)
            if text == "any":
                self._mention_model(node.span)
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
        self.constants.versions.term(span, term)
        if term.kind is Kind.FLAG:
            self._mention(term, span)
            return nodes.flag(term, self.modes, True, span)
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
        for subject, mention in checked.mentions.items():
            self._mentions.setdefault(subject, Mention(word.span, mention.inside or mention.span))
        return True, checked.condition

    def _provider_or_model(self, value: tree.Word | tree.Text) -> Condition | None:
        text = value.text
        models = self.constants.models_called(text)
        if text in self.constants.providers:
            if models:
                self.problems.add(name_messages.provider_or_model(value.span, value.span.text))
                return None
            self._mention_model(value.span)
            return In("model.provider", frozenset({text}), value.span)
        if models:
            key = self.constants.model(value)
            if key is None:
                return None
            self._mention_model(value.span)
            return In("model.id", frozenset({key}), value.span)
        may_be_let = isinstance(value, tree.Word) and self.namespace.may_be(text)
        if not may_be_let and not self.constants.names.open & {"models", "providers"}:
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
            self.constants.versions.term(right.span, other)
            condition = self.comparisons.with_term(term, node, other)
            if condition is not None:
                self._mentions.setdefault("cross", Mention(node.span))
            return condition
        condition = self.comparisons.with_constant(term, node)
        if condition is not None:
            self._mention(term, node.span)
        return condition

    def _could_be_a_term(self, value: tree.Value) -> bool:
        return isinstance(value, tree.Word) and (
            value.text in TERMS
            or self.namespace.may_be(value.text)
            or name_messages.looks_like_a_term(value.text)
        )

    def _subject(self, value: tree.Value) -> Term | None:
        """The fact or attribute to the left of an operator."""
        text = value.text
        if isinstance(value, tree.Word):
            term = TERMS.get(text)
            if term is not None:
                self.constants.versions.term(value.span, term)
                return term
            if name_messages.looks_like_a_term(text):
                self.problems.add(name_messages.unknown_term(value.span, text))
                return None
            if self.namespace.may_be(text):
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
            condition = self.lists.range(term, right, node)
        elif term.kind is Kind.SET:
            self.problems.add(type_messages.in_on_set(span, term.name, right.span.text))
        elif term.kind is Kind.FLAG:
            self.problems.add(type_messages.yes_or_no(span, term.name, "in", right.span.text))
        else:
            condition = self.lists.of_list(term, right, "in", span)
        if condition is None:
            return None
        self._mention(term, span)
        return nodes.is_not(term, condition, span) if node.negated else condition

    def _has_some(self, node: tree.HasSome) -> Condition | None:
        term = self._subject(node.left)
        if term is None:
            return None
        if term.kind is not Kind.SET:
            self.problems.add(
                type_messages.has_some_on_single(node.span, term.name, node.quantifier, node.right.span.text)
            )
            return None
        other = TERMS.get(node.right.text) if isinstance(node.right, tree.Word) else None
        if other is not None and other.kind is Kind.SET:
            self.constants.versions.term(node.right.span, other)
            return self._set_with_set(term, node.quantifier, other, node.span)
        condition = self.lists.of_list(term, node.right, node.quantifier, node.span)
        if condition is not None:
            self._mention(term, node.span)
        return condition

    def _set_with_set(
        self, left: Term, quantifier: Literal["any", "all"], right: Term, span: Span
    ) -> Condition | None:
        """A set of the task against a set of the model, either way round: `model.offers has all task.needs`,
        `task.labels has any model.tags`."""
        if isinstance(left, Fact) == isinstance(right, Fact):
            self.problems.add(type_messages.same_side(span, left, right, isinstance(left, Fact)))
            return None
        fact, attribute = (left, right) if isinstance(left, Fact) else (right, left)
        if fact.universe in ("providers", "models"):
            self.problems.add(type_messages.set_within_set(span, left, right))
            return None
        is_closed = self.constants.names.known_values(fact) is not None
        is_old = left is attribute and quantifier == "all" and is_closed
        if not is_old and not self.constants.versions.need(span, f"`has {quantifier}` with two sets"):
            return None
        self._mentions.setdefault("cross", Mention(span))
        relation: Relation = "meets" if quantifier == "any" else "within" if fact is right else "covers"
        return self.constants.staying.of(CrossSets(fact.name, relation, attribute.name, span))

    def _is_empty(self, node: tree.IsEmpty) -> Condition | None:
        term = self._subject(node.left)
        if term is None:
            return None
        if term.kind is not Kind.SET:
            # After anything but a set, `empty` is a value like any other.
            operator: tree.Operator = "is not" if node.negated else "is"
            return self._comparison(tree.Comparison(node.left, operator, node.word, node.span))
        self._mention(term, node.span)
        condition = self.constants.staying.of(IsEmpty(term.name, node.span))
        return Not(condition, node.span) if node.negated else condition

    # --- The subjects of the expression at hand ---

    def _mention(self, term: Term, span: Span) -> None:
        self._mentions.setdefault("fact" if isinstance(term, Fact) else "model", Mention(span))

    def _mention_model(self, span: Span) -> None:
        self._mentions.setdefault("model", Mention(span))
