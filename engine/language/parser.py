"""The text of one file -> the syntax tree of what is well formed in it, and a diagnostic for each thing that
is not.

A file without errors costs one Lark parse, with the tree's nodes built on the way: no tree is ever walked
afterwards, so no input can exhaust the stack. `grammar/route.lark` alone says what parses.
"""

import re
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeAlias

from lark import Lark, Token, UnexpectedInput

from engine.language import syntax_tree as tree
from engine.language.diagnostics import Diagnostic, Problems
from engine.language.grammar import load_grammar
from engine.language.messages import syntax as messages
from engine.language.recovery import Recovery
from engine.language.source import Source, Span
from engine.language.vocabulary import VERSIONS

MOST_BYTES = 1024 * 1024
MOST_NESTING = 64


def parse(source: Source, problems: Problems) -> tree.File:
    """The well-formed statements of a file, in order; a statement with an error is left out and reported."""
    if len(source.text) > MOST_BYTES:
        problems.add(messages.file_too_big(source.span(0, 0), MOST_BYTES))
        return tree.File(source, (), broken=("",))
    unreadable = _unreadable_characters(source, problems)
    statements, broken = _statements(source, unreadable, problems)
    kept = []
    may_be_deep = _most_nesting(source.text, 0, len(source.text)) > MOST_NESTING
    for place, statement in enumerate(statements):
        if isinstance(statement, tree.Language):
            problem = _language_problem(statement, may_be_first=place == 0)
        else:
            problem = _nesting_problem(statement) if may_be_deep else None
        if problem is None:
            kept.append(statement)
        else:
            problems.add(problem)
            broken.append(_name(statement))
    return tree.File(source, tuple(kept), _comments(source), tuple(broken))


def _statements(
    source: Source, unreadable: Sequence[int], problems: Problems
) -> tuple[list[tree.Statement], list[str]]:
    """What Lark reads in one go; piece by piece when there is something wrong.

    And the names of what was left out.
    """
    _BUILDER.source = source
    if not unreadable:
        try:
            return _grammar().parse(source.text), []  # type: ignore[return-value]
        except UnexpectedInput:
            pass
    recovery = Recovery(source, _grammar(), problems, unreadable)
    recovery.run()
    return recovery.statements, recovery.broken


# --- Characters -------------------------------------------------------------------------------------

# Besides control characters: what turns or hides text, so that a policy reads otherwise than it is
# (CVE-2021-42574).
_UNREADABLE = re.compile(
    r"(?P<carriage_return>\r(?!\n))"
    r"|(?P<control>[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff])"
    r"|(?P<bidirectional>[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])"
)
_MOST_UNREADABLE = 200


def _unreadable_characters(source: Source, problems: Problems) -> tuple[int, ...]:
    """The offsets of characters no policy may have, each reported, up to a cap."""
    offsets: list[int] = []
    for match in _UNREADABLE.finditer(source.text):
        span = source.span(*match.span())
        if len(offsets) == _MOST_UNREADABLE:
            problems.add(messages.too_many_errors(span, _MOST_UNREADABLE))
        if len(offsets) < _MOST_UNREADABLE:
            match match.lastgroup:
                case "carriage_return":
                    problems.add(messages.lone_carriage_return(span))
                case "bidirectional":
                    problems.add(messages.bidirectional_character(span))
                case _:
                    problems.add(messages.control_character(span))
        offsets.append(match.start())
    return tuple(offsets)


# --- Limits -----------------------------------------------------------------------------------------


def _language_problem(statement: tree.Language, may_be_first: bool) -> Diagnostic | None:
    if statement.version.text not in VERSIONS:
        return messages.unknown_language_version(statement.version.span, statement.version.text)
    # A statement that was left out may have stood before it.
    if may_be_first and _BLANK.fullmatch(statement.span.source.text, 0, statement.span.start):
        return None
    return messages.language_not_first(statement.span)


_BLANK = re.compile(r"(?:\s|#[^\n]*|(?:<{7}|={7}|>{7}|```)[^\n]*)*+")


def _nesting_problem(statement: tree.Statement) -> Diagnostic | None:
    """Whether brackets and `not` stand too deep, as written; the resolver counts again with lets in place."""
    span = statement.span
    if _most_nesting(span.source.text, span.start, span.end) <= MOST_NESTING:
        return None
    waiting: list[tuple[tree.Node, int]] = [(statement, 0)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, tree.Group | tree.Not):
            if depth == MOST_NESTING:
                return messages.nesting_too_deep(_beginning(node), MOST_NESTING)
            depth += 1
        waiting.extend((inner, depth) for inner in tree.children(node))
    return None


def _most_nesting(text: str, start: int, end: int) -> int:
    """A bound on how deep a stretch of text can nest, at the price of two searches."""
    return text.count("(", start, end) + text.count("not", start, end)


def _beginning(part: tree.Group | tree.Not) -> Span:
    """The bracket or `not` itself, not all that it governs."""
    length = 1 if isinstance(part, tree.Group) else 3
    return part.span.source.span(part.span.start, part.span.start + length)


def _name(statement: tree.Statement) -> str:
    return '"' if isinstance(statement, tree.Language | tree.Test) else statement.name.text


# --- Comments ---------------------------------------------------------------------------------------

_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"?|(?P<comment>#[^\r\n]*)')


def _comments(source: Source) -> tuple[tree.Comment, ...]:
    if "#" not in source.text:
        return ()
    return tuple(
        tree.Comment(match.group(), source.span(*match.span()))
        for match in _STRING_OR_COMMENT.finditer(source.text)
        if match.lastgroup
    )


# --- The tree ---------------------------------------------------------------------------------------


@cache
def _grammar() -> Lark:
    return load_grammar(_BUILDER)


# Tokens and finished nodes, in the order of the rule; Lark has no types for them.
Children: TypeAlias = list[Any]


class _TreeBuilder(threading.local):
    """What each rule of the grammar becomes: one method a rule, called by Lark as soon as the rule is
    complete.

    Thread-local, because all threads share one Lark and each parses a source of its own.
    """

    source: Source

    def _span(self, first: Any, last: Any) -> Span:
        return Span(self.source, first.start_pos, last.end_pos)

    def file(self, children: Children) -> list[tree.Statement]:
        return children

    # Words and values

    def word(self, children: Children) -> tree.Word:
        token = children[0]
        return tree.Word(token.value, Span(self.source, token.start_pos, token.end_pos))

    def text(self, children: Children) -> tree.Text:
        token = children[0]
        return tree.Text(_unquoted(token.value), Span(self.source, token.start_pos, token.end_pos))

    def number(self, children: Children) -> tree.Number:
        token = children[0]
        return tree.Number(token.value, Span(self.source, token.start_pos, token.end_pos))

    def identifier(self, token: Any) -> tree.Identifier:
        return tree.Identifier(token.value, Span(self.source, token.start_pos, token.end_pos))

    def list(self, children: Children) -> tree.List:
        return tree.List(tuple(children[1:-1:2]), self._span(children[0], children[-1]))

    def range(self, children: Children) -> tree.Range:
        low, _, high = children
        build = self.word if low.type == "NAME" else self.number
        return tree.Range(build([low]), build([high]), self._span(low, high))

    # Expressions

    def expression(self, children: Children) -> tree.Or:
        return tree.Or(tuple(children[::2]), children[0].span.until(children[-1].span))

    def conjunction(self, children: Children) -> tree.And:
        return tree.And(tuple(children[::2]), children[0].span.until(children[-1].span))

    def negation(self, children: Children) -> tree.Not:
        word, part = children
        return tree.Not(part, Span(self.source, word.start_pos, part.span.end))

    def group(self, children: Children) -> tree.Group:
        return tree.Group(children[1], self._span(children[0], children[2]))

    def name(self, children: Children) -> tree.Name:
        value = self.word(children) if children[0].type == "NAME" else self.text(children)
        return tree.Name(value, value.span)

    def comparison(self, children: Children) -> tree.Comparison:
        left, operator, right = children
        return tree.Comparison(
            left, operator.value, right, Span(self.source, left.span.start, right.span.end)
        )

    def is_not(self, children: Children) -> tree.Comparison:
        left, _, _, right = children
        return tree.Comparison(left, "is not", right, left.span.until(right.span))

    def is_empty(self, children: Children) -> tree.IsEmpty:
        left, word = children[0], self.word(children[-1:])
        return tree.IsEmpty(left, len(children) == 4, word, left.span.until(word.span))

    def membership(self, children: Children) -> tree.Membership:
        left, right = children[0], children[-1]
        return tree.Membership(left, len(children) == 4, right, left.span.until(right.span))

    def has_some(self, children: Children) -> tree.HasSome:
        left, _, quantifier, right = children
        return tree.HasSome(left, quantifier.value, right, left.span.until(right.span))

    # Statements

    def language(self, children: Children) -> tree.Language:
        return tree.Language(self.number(children[1:]), self._span(*children))

    def let(self, children: Children) -> tree.Let:
        word, name, _, value = children
        return tree.Let(self.identifier(name), value, Span(self.source, word.start_pos, value.span.end))

    def clauses(self, children: Children) -> tuple[tree.Clauses, int]:
        """The clauses and where they end: 0 when there are none."""
        if not children:
            return _NO_CLAUSES, 0
        when = unless = because = None
        for word, part in zip(children[::2], children[1::2], strict=True):
            match word.type:
                case "WHEN":
                    when = part
                case "UNLESS":
                    unless = part
                case _:
                    because = part = self.text([part])
        return tree.Clauses(when, unless, because), part.span.end

    def guard(self, children: Children) -> tree.Guard:
        word, name, selector = children[0], children[1], children[-2]
        clauses, end = children[-1]
        return tree.Guard(
            word.value,
            self.identifier(name),
            len(children) > 5,
            selector,
            clauses,
            Span(self.source, word.start_pos, end or selector.span.end),
        )

    def preference(self, children: Children) -> tree.Preference:
        word, name, _, selector, _, points, (clauses, end) = children
        return tree.Preference(
            word.value,
            self.identifier(name),
            selector,
            self.number([points]),
            clauses,
            Span(self.source, word.start_pos, end or points.end_pos),
        )

    def weigh(self, children: Children) -> tree.Weigh:
        word, name = children[:2]
        shares = tuple(children[3:-1:2])
        clauses, end = children[-1]
        return tree.Weigh(
            self.identifier(name),
            shares,
            clauses,
            Span(self.source, word.start_pos, end or shares[-1].span.end),
        )

    def share(self, children: Children) -> tree.Share:
        part, weight = children
        return tree.Share(self.word([part]), self.number([weight]), self._span(part, weight))

    def route(self, children: Children) -> tree.Route:
        word, name = children[:2]
        tiers = tuple(children[4:-1:3])
        clauses, end = children[-1]
        return tree.Route(
            self.identifier(name),
            tiers,
            clauses,
            Span(self.source, word.start_pos, end or tiers[-1].span.end),
        )

    # Tests and proofs

    def prove(self, children: Children) -> tree.Prove:
        word, name, _, claim, *after, (clauses, end) = children
        last = after[0] if after else claim
        return tree.Prove(
            self.identifier(name),
            claim,
            after[0] if after else None,
            clauses,
            Span(self.source, word.start_pos, end or last.span.end),
        )

    def claim_first(self, children: Children) -> tree.ExpectFirst:
        word, selector = children
        return tree.ExpectFirst(selector, Span(self.source, word.start_pos, selector.span.end))

    def after(self, children: Children) -> tree.Expression:
        condition: tree.Expression = children[1]
        return condition

    def test(self, children: Children) -> tree.Test:
        word, title = children[:2]
        cases = tuple(children[3:])
        return tree.Test(self.text([title]), cases, Span(self.source, word.start_pos, cases[-1].span.end))

    def case(self, children: Children) -> tree.Case:
        expect = next(
            i for i, child in enumerate(children) if isinstance(child, Token) and child.type == "EXPECT"
        )
        outcome = children[expect + 1]
        because = self.identifier(children[-1]) if len(children) > expect + 2 else None
        end = because.span.end if because else outcome.span.end
        return tree.Case(
            tuple(children[1:expect:2]), outcome, because, Span(self.source, children[0].start_pos, end)
        )

    def given_flag(self, children: Children) -> tree.GivenFlag:
        fact = self.word(children)
        return tree.GivenFlag(fact, True, fact.span)

    def given_not(self, children: Children) -> tree.GivenFlag:
        return tree.GivenFlag(self.word(children[1:]), False, self._span(*children))

    def given_is(self, children: Children) -> tree.GivenIs:
        fact, value = self.word(children), children[2]
        return tree.GivenIs(fact, value, fact.span.until(value.span))

    def given_has(self, children: Children) -> tree.GivenHas:
        fact, value = self.word(children), children[2]
        return tree.GivenHas(fact, value, fact.span.until(value.span))

    def given_empty(self, children: Children) -> tree.GivenEmpty:
        return tree.GivenEmpty(self.word(children), self._span(children[0], children[2]))

    def given_history(self, children: Children) -> tree.GivenHistory:
        return tree.GivenHistory(
            self.word(children), tuple(children[3:-1:2]), self._span(children[0], children[-1])
        )

    def expect_first(self, children: Children) -> tree.ExpectFirst:
        return tree.ExpectFirst(children[0], children[0].span)

    def expect_chain(self, children: Children) -> tree.ExpectChain:
        quantifier, selector = children
        return tree.ExpectChain(
            quantifier.value, selector, Span(self.source, quantifier.start_pos, selector.span.end)
        )

    def expect_models(self, children: Children) -> tree.ExpectModels:
        last = children[-1]
        is_open = isinstance(last, Token)
        models = tuple(children[1:-1:2] if is_open else children[1::2])
        end = last.end_pos if is_open else last.span.end
        return tree.ExpectModels(models, is_open, Span(self.source, children[0].start_pos, end))

    def expect_route(self, children: Children) -> tree.ExpectRoute:
        return tree.ExpectRoute(self.identifier(children[1]), self._span(*children))

    def expect_refused(self, children: Children) -> tree.ExpectRefused:
        return tree.ExpectRefused(self._span(children[0], children[0]))


_BUILDER = _TreeBuilder()
_NO_CLAUSES = tree.Clauses()
_ESCAPE = re.compile(r'\\(["\\])')


def _unquoted(string: str) -> str:
    return _ESCAPE.sub(r"\1", string[1:-1]) if "\\" in string else string[1:-1]
