"""The syntax tree -> `.route` text in the one canonical layout; what is printed parses to an equal tree.

A statement is a header, `KEYWORD NAME: BODY`, and its clauses on lines of their own. What does not fit on a
line is broken before `and`, `or` and `then`, and lists are filled. Comments are no part of a statement:
`file_layout` puts them back.
"""

import re
from collections.abc import Container, Iterable, Sequence
from itertools import groupby
from typing import assert_never

from engine.language import syntax_tree as tree
from engine.language.layout import CLAUSE, LINE, Break, Fill, Group, Layout, Nest, lay_out
from engine.language.wording import quoted, written_name

INDENT = 4
LINE_WIDTH = 110
_UNBROKEN = 1 << 30


def print_file(file: tree.File) -> str:
    """Every statement in order, a blank line between them; neighbouring lets and proofs stand close and
    aligned."""
    paragraphs = []
    for kind, run in groupby(file.statements, type):
        statements = list(run)
        if kind is tree.Let or kind is tree.Prove:
            width = widest_name(statements)
            paragraphs.append("\n".join(print_statement(statement, width) for statement in statements))
        else:
            paragraphs += map(print_statement, statements)
    return "\n\n".join(paragraphs) + "\n" if paragraphs else ""


def widest_name(statements: Iterable[tree.Statement]) -> int:
    """How wide the names of neighbouring lets or proofs are padded."""
    return max(len(_name(statement)) for statement in statements)


def _name(statement: tree.Statement) -> str:
    return "" if isinstance(statement, tree.Language | tree.Test) else statement.name.text


def print_statement(statement: tree.Statement, name_width: int = 0, forced: Container[int] = ()) -> str:
    """The statement's lines, without a line break at the end; the name of a let or proof padded to a width.

    `forced` are places that must end a line, as `layout` counts them.
    """
    return lay_out(_statement(statement, name_width), LINE_WIDTH, forced)


def print_expression(expression: tree.Expression) -> str:
    """On one line, with the author's brackets, and others only where the meaning needs them."""
    return lay_out(_expression(expression), _UNBROKEN)


def print_value(value: tree.Value) -> str:
    """A name, bare where it can be, a quoted text or a number."""
    return _value(value)


def print_given(given: Sequence[tree.Given]) -> str:
    """What a case gives, on one line."""
    return ", ".join(map(_given, given))


def print_expectation(expectation: tree.Expectation) -> str:
    """What a case expects, on one line."""
    return lay_out(_expectation(expectation), _UNBROKEN)


# --- Statements -------------------------------------------------------------------------------------


def _statement(statement: tree.Statement, name_width: int) -> Layout:
    match statement:
        case tree.Language():
            return f"language {statement.version.text}"
        case tree.Let():
            return _let(statement, name_width)
        case tree.Guard():
            watch = " (watch)" if statement.watch else ""
            return _rule(
                f"{statement.kind} {statement.name.text}{watch}: ",
                _expression(statement.selector),
                statement.clauses,
            )
        case tree.Preference():
            body = _expression(statement.selector), f" by {statement.points.text}"
            return _rule(f"{statement.kind} {statement.name.text}: ", body, statement.clauses)
        case tree.Weigh():
            shares = [f"{share.part.text} {share.weight.text}" for share in statement.shares]
            return _rule(f"weigh {statement.name.text}: ", _filled(shares), statement.clauses)
        case tree.Route():
            tiers = [_expression(tier) for tier in statement.tiers]
            parts: list[Layout] = [tiers[0]]
            for tier in tiers[1:]:
                parts += [",", LINE, "then ", tier]
            return _rule(f"route {statement.name.text}: use ", Group(tuple(parts)), statement.clauses)
        case tree.Prove():
            return _prove(statement, name_width)
        case tree.Test():
            cases: list[Layout] = []
            for case in statement.cases:
                cases += _case(case)
            return f"test {quoted(statement.title.text)}:", Nest(INDENT, tuple(cases))
        case _:
            assert_never(statement)


def _let(statement: tree.Let, name_width: int) -> Layout:
    name = f"let {statement.name.text:<{name_width}} ="
    if isinstance(statement.value, tree.List):
        return name, " ", _list(statement.value)
    return name, Group((Nest(INDENT, (LINE, _expression(statement.value))),))


def _rule(header: str, body: Layout, clauses: tree.Clauses) -> Layout:
    # What runs over from the header stands further in than the clauses.
    following = [part for clause in _clauses(clauses) for part in (CLAUSE, clause)]
    return header, Nest(2 * INDENT, (body,)), Nest(INDENT, tuple(following))


def _clauses(clauses: tree.Clauses) -> list[Layout]:
    written: list[Layout] = []
    if clauses.when is not None:
        written.append(("when ", Nest(INDENT, (_expression(clauses.when),))))
    if clauses.unless is not None:
        written.append(("unless ", Nest(INDENT, (_expression(clauses.unless),))))
    if clauses.because is not None:
        written.append(f"because {quoted(clauses.because.text)}")
    return written


def _prove(statement: tree.Prove, name_width: int) -> Layout:
    """On one line where it fits: proofs are read as a list."""
    name = f"{statement.name.text}:".ljust(name_width + 1)
    written = _clauses(statement.clauses)
    if statement.after is not None:
        written.insert(0, ("after ", Nest(INDENT, (_expression(statement.after),))))
    clauses = [part for clause in written for part in (LINE, clause)]
    return Group((f"prove {name} ", *_claim(statement.claim), Nest(INDENT, tuple(clauses))))


def _claim(claim: tree.Claim) -> tuple[Layout, ...]:
    match claim:
        case tree.ExpectChain(quantifier, selector):
            return f"{quantifier} ", Nest(2 * INDENT, (_expression(selector),))
        case tree.ExpectFirst(selector):
            return "first ", Nest(2 * INDENT, (_expression(selector),))
        case tree.ExpectRoute() | tree.ExpectRefused():
            return (_expectation(claim),)
        case _:
            assert_never(claim)


def _case(case: tree.Case) -> list[Layout]:
    given = Nest(len("given "), ("given ", _filled(list(map(_given, case.given)))))
    expect: list[Layout] = ["expect ", _expectation(case.expectation)]
    if case.because:
        expect += [LINE, f"because {case.because.text}"]
    return [CLAUSE, given, CLAUSE, Group((Nest(INDENT, tuple(expect)),))]


def _filled(parts: Sequence[Layout]) -> Fill:
    """Parts with commas, as many on a line as fit."""
    filled: list[Layout] = []
    for place, part in enumerate(parts):
        is_last = place + 1 == len(parts)
        filled += [part] if is_last else [(part, ","), LINE]
    return Fill(tuple(filled))


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
        case tree.GivenHistory(word, inner):
            return f"{word.text} had [{print_given(inner)}]"
        case _:
            assert_never(given)


_OUTCOME_WORD = re.compile(r"(?:refused|chain|only|never|some|route)(?![A-Za-z0-9_.:-])")


def _expectation(expectation: tree.Expectation) -> Layout:
    match expectation:
        case tree.ExpectFirst():
            selector = print_expression(expectation.selector)
            # A model may be called `chain`; there only quotes make it a name.
            if _OUTCOME_WORD.match(selector):
                return _OUTCOME_WORD.sub(r'"\g<0>"', selector, count=1)
            return _expression(expectation.selector)
        case tree.ExpectChain():
            return f"{expectation.quantifier} ", _expression(expectation.selector)
        case tree.ExpectModels():
            models = [_value(model) for model in expectation.models]
            return "chain ", _filled([*models, "..."] if expectation.is_open else models)
        case tree.ExpectRoute():
            return f"route {expectation.name.text}"
        case tree.ExpectRefused():
            return "refused"
        case _:
            assert_never(expectation)


# --- Expressions ------------------------------------------------------------------------------------


def _expression(expression: tree.Expression) -> Layout:
    """Recursive: the parser keeps nesting within 64."""
    match expression:
        case tree.Or():
            return _chain("or ", [_or_part(part) for part in expression.parts])
        case tree.And():
            return _chain("and ", [_and_part(part) for part in expression.parts])
        case tree.Not():
            return "not ", _and_part(expression.part)
        case tree.Group():
            return _in_brackets(expression.part)
        case tree.Name():
            return _value(expression.value, "not")
        case tree.Comparison():
            return _comparison(expression)
        case tree.Membership():
            negated = "not " if expression.negated else ""
            return f"{_value(expression.left, 'not')} {negated}in ", _operand(expression.right)
        case tree.HasSome():
            left = _value(expression.left, "not")
            return f"{left} has {expression.quantifier} ", _operand(expression.right)
        case tree.IsEmpty():
            return f"{_value(expression.left, 'not')} is {'not ' if expression.negated else ''}empty"
        case _:
            assert_never(expression)


def _chain(operator: str, parts: Sequence[Layout]) -> Layout:
    written = [parts[0]]
    for part in parts[1:]:
        written += [LINE, operator, part]
    return Group(tuple(written))


def _or_part(part: tree.Expression) -> Layout:
    if isinstance(part, tree.Or):
        return _in_brackets(part)
    # Further in, so that `and` is seen to bind closer.
    return Nest(INDENT, (_expression(part),)) if isinstance(part, tree.And) else _expression(part)


def _and_part(part: tree.Expression) -> Layout:
    needs_brackets = isinstance(part, tree.Or | tree.And)
    return _in_brackets(part) if needs_brackets else _expression(part)


def _in_brackets(part: tree.Expression) -> Layout:
    return Group(("(", Nest(INDENT, (Break(""), _expression(part))), Break(""), ")"))


def _comparison(comparison: tree.Comparison) -> str:
    # The words that would be read as something else at this place.
    reserved = {"is": ("not", "empty"), "is not": ("empty",), "has": ("any", "all")}.get(
        comparison.operator, ()
    )
    left, right = _value(comparison.left, "not"), _value(comparison.right, *reserved)
    return f"{left} {comparison.operator} {right}"


def _operand(operand: tree.List | tree.Range | tree.Word) -> Layout:
    match operand:
        case tree.List():
            return _list(operand)
        case tree.Range():
            return f"{operand.low.text}..{operand.high.text}"
        case tree.Word():
            return _value(operand)
        case _:
            assert_never(operand)


def _list(items: tree.List) -> Layout:
    if not items.items:
        return "[]"
    return Group(("[", Nest(INDENT, (Break(""), _filled(list(map(_value, items.items))))), Break(""), "]"))


# --- Values -----------------------------------------------------------------------------------------


def _value(value: tree.Value, *reserved: str) -> str:
    """A name bare where it can be; quoted where it is no bare name, or a word of the language at this
    place."""
    match value:
        case tree.Number():
            return value.text
        case tree.Text():
            return quoted(value.text)
        case tree.Word():
            return quoted(value.text) if value.text in reserved else written_name(value.text)
        case _:
            assert_never(value)
