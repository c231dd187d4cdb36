"""A file's statements -> every name in them, with what it is: declared, spoken of, a fact, a value of a fact.

What a name means in one policy (a let, a model, a provider) is for the view to say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from engine.language import syntax_tree as tree
from engine.language.source import Span
from engine.language.vocabulary import ATTRIBUTES, FACTS

Role: TypeAlias = Literal["declaration", "rule", "name", "list", "term", "value", "model"]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One name at one place.

    `declaration` of a rule, let or proof; `rule`: a rule spoken of; `name`: whatever stands alone (a let, `local`, a model, a yes/no
    fact); `list`: a named list; `term`: a fact or attribute; `value`: what a fact or attribute, `of`, is compared with; `model`: of a chain.
    """

    span: Span
    text: str
    role: Role
    of: str | None = None


def occurrence_at(file: tree.File, offset: int) -> Occurrence | None:
    """The name at an offset; its end counts as in it."""
    return next((each for each in occurrences(file) if each.span.start <= offset <= each.span.end), None)


def occurrences(file: tree.File) -> Iterator[Occurrence]:
    """Every name of a file, in order within each clause."""
    for statement in file.statements:
        yield from _of_statement(statement)


def _of_statement(statement: tree.Statement) -> Iterator[Occurrence]:
    match statement:
        case tree.Language():
            return
        case tree.Test():
            for case in statement.cases:
                yield from _of_case(case)
            return
        case _:
            yield _identifier(statement.name, "declaration")
    match statement:
        case tree.Let(value=tree.List()):
            return
        case tree.Let():
            yield from _of_expression(statement.value)  # type: ignore[arg-type]
            return
        case tree.Guard() | tree.Preference() | tree.Prove():
            yield from _of_expression(statement.selector)
        case tree.Route():
            for tier in statement.tiers:
                yield from _of_expression(tier)
        case tree.Weigh():
            pass
        case _:
            assert_never(statement)
    for condition in (statement.clauses.when, statement.clauses.unless):
        if condition is not None:
            yield from _of_expression(condition)


def _identifier(name: tree.Identifier, role: Role) -> Occurrence:
    return Occurrence(name.span, name.text, role)


def _of_case(case: tree.Case) -> Iterator[Occurrence]:
    for given in case.given:
        yield Occurrence(given.fact.span, given.fact.text, "term")
        if isinstance(given, tree.GivenIs | tree.GivenHas):
            yield from _value(given.value, given.fact.text)
    match case.expectation:
        case tree.ExpectFirst(selector) | tree.ExpectChain(_, selector):
            yield from _of_expression(selector)
        case tree.ExpectModels(models):
            for model in models:
                yield Occurrence(model.span, model.text, "model")
        case tree.ExpectRoute(name):
            yield _identifier(name, "rule")
        case tree.ExpectRefused():
            pass
        case _:
            assert_never(case.expectation)
    if case.because is not None:
        yield _identifier(case.because, "rule")


def _of_expression(node: tree.Expression) -> Iterator[Occurrence]:
    """Recursive: the parser keeps nesting within 64."""
    match node:
        case tree.And(parts=parts) | tree.Or(parts=parts):
            for part in parts:
                yield from _of_expression(part)
        case tree.Not(part=part) | tree.Group(part=part):
            yield from _of_expression(part)
        case tree.Name(value=value):
            yield Occurrence(value.span, value.text, "name" if isinstance(value, tree.Word) else "model")
        case tree.Comparison(left=left, right=right):
            yield _term(left)
            yield from _value(right, left.text)
        case tree.Membership(left=left, right=operand) | tree.HasSome(left=left, right=operand):
            yield _term(left)
            match operand:
                case tree.List(items):
                    for item in items:
                        yield from _value(item, left.text)
                case tree.Range(low, high):
                    yield from _value(low, left.text)
                    yield from _value(high, left.text)
                case tree.Word():
                    yield Occurrence(operand.span, operand.text, "list")
                case _:
                    assert_never(operand)
        case tree.IsEmpty(left=left):
            yield _term(left)
        case _:
            assert_never(node)


def _term(value: tree.Value) -> Occurrence:
    return Occurrence(value.span, value.text, "term")


def _value(value: tree.Value, of: str) -> Iterator[Occurrence]:
    if isinstance(value, tree.Word) and (value.text in FACTS or value.text in ATTRIBUTES):
        yield _term(value)
    elif not isinstance(value, tree.Number):
        yield Occurrence(value.span, value.text, "value", of)
