"""The syntax tree -> `.route` text in the one canonical layout; what is printed parses to an equal tree.

A statement is a header, `KEYWORD NAME: BODY`, and its clauses on lines of their own. Comments are no part of a statement: `fmt` will
put them back between the printed statements, by their spans.
"""

import re
from itertools import groupby
from typing import assert_never

from engine.language import syntax_tree as tree

INDENT = "    "
LINE_WIDTH = 100


def print_file(file: tree.File) -> str:
    """Every statement in order, a blank line between them; neighbouring lets and proofs stand close and aligned."""
    paragraphs = []
    for kind, run in groupby(file.statements, type):
        statements = list(run)
        if kind is tree.Let or kind is tree.Prove:
            width = max(len(_name(statement)) for statement in statements)
            paragraphs.append("\n".join(print_statement(statement, width) for statement in statements))
        else:
            paragraphs += map(print_statement, statements)
    return "\n\n".join(paragraphs) + "\n" if paragraphs else ""


def _name(statement: tree.Statement) -> str:
    return "" if isinstance(statement, tree.Language | tree.Test) else statement.name.text


def print_statement(statement: tree.Statement, name_width: int = 0) -> str:
    """The statement's lines, without a line break at the end; the name of a let or proof padded to a width."""
    match statement:
        case tree.Language():
            return f"language {statement.version.text}"
        case tree.Let():
            return f"let {statement.name.text:<{name_width}} = {_let_value(statement.value)}"
        case tree.Guard():
            watch = " (watch)" if statement.watch else ""
            body = print_expression(statement.selector)
            return _rule(f"{statement.kind} {statement.name.text}{watch}: {body}", statement.clauses)
        case tree.Preference():
            body = f"{print_expression(statement.selector)} by {statement.points.text}"
            return _rule(f"{statement.kind} {statement.name.text}: {body}", statement.clauses)
        case tree.Weigh():
            body = ", ".join(f"{share.part.text} {share.weight.text}" for share in statement.shares)
            return _rule(f"weigh {statement.name.text}: {body}", statement.clauses)
        case tree.Route():
            body = ", then ".join(map(print_expression, statement.tiers))
            return _rule(f"route {statement.name.text}: use {body}", statement.clauses)
        case tree.Prove():
            return _prove(statement, name_width)
        case tree.Test():
            cases = [line for case in statement.cases for line in _case(case)]
            return "\n".join([f"test {_quoted(statement.title.text)}:", *cases])
        case _:
            assert_never(statement)


def _let_value(value: tree.Expression | tree.List) -> str:
    return _list(value) if isinstance(value, tree.List) else print_expression(value)


def _rule(header: str, clauses: tree.Clauses) -> str:
    return "\n".join([header, *(INDENT + clause for clause in _clauses(clauses))])


def _clauses(clauses: tree.Clauses) -> list[str]:
    lines = []
    if clauses.when is not None:
        lines.append(f"when {print_expression(clauses.when)}")
    if clauses.unless is not None:
        lines.append(f"unless {print_expression(clauses.unless)}")
    if clauses.because is not None:
        lines.append(f"because {_quoted(clauses.because.text)}")
    return lines


def _prove(statement: tree.Prove, name_width: int) -> str:
    """On one line where it fits: proofs are read as a list."""
    name = f"{statement.name.text}:".ljust(name_width + 1)
    header = f"prove {name} {statement.quantifier} {print_expression(statement.selector)}"
    line = " ".join([header, *_clauses(statement.clauses)])
    return line if len(line) <= LINE_WIDTH else _rule(header, statement.clauses)


def _case(case: tree.Case) -> list[str]:
    given = ", ".join(map(_given, case.given))
    because = f" because {case.because.text}" if case.because else ""
    return [f"{INDENT}given {given}", f"{INDENT}expect {_expectation(case.expectation)}{because}"]


def _given(given: tree.Given) -> str:
    match given:
        case tree.GivenIs(fact, value):
            return f"{fact.text} is {_value(value, 'empty')}"
        case tree.GivenHas(fact, value):
            return f"{fact.text} has {_value(value)}"
        case tree.GivenEmpty(fact):
            return f"{fact.text} is empty"
        case tree.GivenFlag(fact, value):
            return fact.text if value else f"not {fact.text}"
        case _:
            assert_never(given)


_OUTCOME_WORD = re.compile(r"(?:refused|chain|only|never|some|route)(?![A-Za-z0-9_.:-])")


def _expectation(expectation: tree.Expectation) -> str:
    match expectation:
        case tree.ExpectFirst():
            selector = print_expression(expectation.selector)
            # A model may be called `chain`; there only quotes make it a name.
            return (
                _OUTCOME_WORD.sub(r'"\g<0>"', selector, count=1)
                if _OUTCOME_WORD.match(selector)
                else selector
            )
        case tree.ExpectChain():
            return f"{expectation.quantifier} {print_expression(expectation.selector)}"
        case tree.ExpectModels():
            models = [_value(model) for model in expectation.models]
            return "chain " + ", ".join([*models, "..."] if expectation.is_open else models)
        case tree.ExpectRoute():
            return f"route {expectation.name.text}"
        case tree.ExpectRefused():
            return "refused"
        case _:
            assert_never(expectation)


# --- Expressions ------------------------------------------------------------------------------------


def print_expression(expression: tree.Expression) -> str:
    """On one line, with the author's brackets, and others only where the meaning needs them.

    Recursive: the parser keeps nesting within 64.
    """
    match expression:
        case tree.Or():
            return " or ".join(map(_or_part, expression.parts))
        case tree.And():
            return " and ".join(map(_and_part, expression.parts))
        case tree.Not():
            return f"not {_and_part(expression.part)}"
        case tree.Group():
            return f"({print_expression(expression.part)})"
        case tree.Name():
            return _value(expression.value, "not")
        case tree.Comparison():
            return _comparison(expression)
        case tree.Membership():
            negated = "not " if expression.negated else ""
            return f"{_value(expression.left, 'not')} {negated}in {_operand(expression.right)}"
        case tree.HasSome():
            return (
                f"{_value(expression.left, 'not')} has {expression.quantifier} {_operand(expression.right)}"
            )
        case tree.IsEmpty():
            return f"{_value(expression.left, 'not')} is {'not ' if expression.negated else ''}empty"
        case _:
            assert_never(expression)


def _or_part(part: tree.Expression) -> str:
    return _in_brackets(part) if isinstance(part, tree.Or) else print_expression(part)


def _and_part(part: tree.Expression) -> str:
    needs_brackets = isinstance(part, tree.Or | tree.And)
    return _in_brackets(part) if needs_brackets else print_expression(part)


def _in_brackets(part: tree.Expression) -> str:
    return f"({print_expression(part)})"


def _comparison(comparison: tree.Comparison) -> str:
    # The words that would be read as something else at this place.
    reserved = {"is": ("not", "empty"), "is not": ("empty",), "has": ("any", "all")}.get(
        comparison.operator, ()
    )
    left, right = _value(comparison.left, "not"), _value(comparison.right, *reserved)
    return f"{left} {comparison.operator} {right}"


def _operand(operand: tree.List | tree.Range | tree.Word) -> str:
    match operand:
        case tree.List():
            return _list(operand)
        case tree.Range():
            return f"{operand.low.text}..{operand.high.text}"
        case tree.Word():
            return _value(operand)
        case _:
            assert_never(operand)


def _list(items: tree.List) -> str:
    return f"[{', '.join(map(_value, items.items))}]"


# --- Values -----------------------------------------------------------------------------------------

_BARE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[-.:][A-Za-z0-9_]+)*")


def _value(value: tree.Value, *reserved: str) -> str:
    """A name bare where it can be; quoted where it is no bare name, or a word of the language at this place."""
    match value:
        case tree.Number():
            return value.text
        case tree.Text():
            return _quoted(value.text)
        case tree.Word():
            is_bare = _BARE_NAME.fullmatch(value.text) and value.text not in reserved
            return value.text if is_bare else _quoted(value.text)
        case _:
            assert_never(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
