"""A file's statements -> every name in them, with what it is: a declaration, a mention, a fact, a value of a
fact.

What a name means in one policy (a let, a model, a provider) is for the view to say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from engine.language import syntax_tree as tree
from engine.language.source import Span
from engine.language.vocabulary import TERMS

Role: TypeAlias = Literal["declaration", "rule", "name", "list", "term", "value", "model"]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One name at one place.

    `declaration` of a rule, let or proof; `rule`: a mention of a rule; `name`: whatever stands alone (a let,
    `local`, a model, a yes/no fact); `list`: a named list; `term`: a fact or attribute; `value`: what a fact
    or attribute, `of`, is compared with; `model`: of a chain.
    """

    span: Span
    text: str
    role: Role
    of: str | None = None


def occurrence_at(file: tree.File, offset: int) -> Occurrence | None:
    """The name at an offset; its end counts as in it."""
    return next((each for each in occurrences(file) if each.span.start <= offset <= each.span.end), None)


def occurrences(file: tree.File) -> Iterator[Occurrence]:
    """Every name of a file, in the order of the text."""
    for statement in file.statements:
        for node in tree.walk(statement):
            yield from _own(node)


def _own(node: tree.Node) -> Iterator[Occurrence]:
    """The names that a form holds itself, those of the expressions inside it left out."""
    if isinstance(node, tree.Declaration):
        yield _identifier(node.name, "declaration")
    match node:
        case tree.GivenIs(fact=fact, value=value) | tree.GivenHas(fact=fact, value=value):
            yield _term(fact)
            yield from _value(value, fact.text)
        case tree.GivenEmpty(fact=fact) | tree.GivenFlag(fact=fact):
            yield _term(fact)
        case tree.ExpectModels(models):
            for model in models:
                yield Occurrence(model.span, model.text, "model")
        case tree.ExpectRoute(name):
            yield _identifier(name, "rule")
        case tree.Case(because=tree.Identifier() as because):
            yield _identifier(because, "rule")
        case tree.Name(value=value):
            yield Occurrence(value.span, value.text, "name" if isinstance(value, tree.Word) else "model")
        case tree.Comparison(left=left, right=right):
            yield _term(left)
            yield from _value(right, left.text)
        case tree.Membership(left=left, right=operand) | tree.HasSome(left=left, right=operand):
            yield _term(left)
            if isinstance(operand, tree.Word):
                yield Occurrence(operand.span, operand.text, "list")
            else:
                for member in tree.children(operand):
                    yield from _value(member, left.text)
        case tree.IsEmpty(left=left):
            yield _term(left)
        case _:
            pass


def _identifier(name: tree.Identifier, role: Role) -> Occurrence:
    return Occurrence(name.span, name.text, role)


def _term(value: tree.Value) -> Occurrence:
    return Occurrence(value.span, value.text, "term")


def _value(value: tree.Node, of: str) -> Iterator[Occurrence]:
    if isinstance(value, tree.Word) and value.text in TERMS:
        yield _term(value)
    elif isinstance(value, tree.Word | tree.Text):
        yield Occurrence(value.span, value.text, "value", of)
