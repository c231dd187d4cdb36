"""The printer: the canonical layout, and that what is printed says what was meant."""

import random
from typing import Literal, TypeVar

import pytest

from engine.bundled import bundled_text
from engine.language import syntax_tree as tree
from engine.language.diagnostics import Problems
from engine.language.formatter import print_expression, print_file, print_statement
from engine.language.parser import parse
from engine.language.source import Source, Span

SEED = 77
NOWHERE = Span(Source("nowhere", ""), 0, 0)

# The example of the language page, layout and all.
EXAMPLE = """\
language 1

let private  = task.labels has any [pii, secret, customer-data]
let heavy    = task.type in [planning, multi_agent_orchestration] or task.context_size > 32k
let frontier = cloud and model.quality >= very_high

forbid private-stays-home: cloud
    when private
    because "customer data does not leave this machine"

require tools-for-agents: model.tools is not no
    when task.type is agent

prefer warm-local: local by 5
    when task.latency_sensitivity is high

weigh critical-quality: cost 0.1, quality 0.7, latency 0.2
    when task.criticality is critical

route critical-planning: use frontier, then local
    when heavy and task.criticality >= high

test "pii stays home even when it matters":
    given task.type is planning, task.criticality is critical, task.labels has pii, mode is performance
    expect local

prove local-only-is-local: never cloud when mode is local-only
prove broke-means-local:   only local when budget.exhausted
"""


def parsed(text: str) -> tree.File:
    problems = Problems()
    file = parse(Source("main.route", text), problems)
    assert list(problems) == [], text
    return file


def test_the_example_is_laid_out_canonically() -> None:
    """Printing the example gives the example."""
    assert print_file(parsed(EXAMPLE)) == EXAMPLE


def test_layout_is_free_and_printing_makes_it_canonical() -> None:
    """All on one line or spread out, it prints the same."""
    squeezed = " ".join(EXAMPLE.split())
    assert print_file(parsed(squeezed)) == EXAMPLE


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("forbid a(watch):b", "forbid a (watch): b"),
        (
            "forbid a: b when d unless c",
            "forbid a: b\n    when d\n    unless c",
        ),
        ('test "a \\"b\\"": given c expect d', 'test "a \\"b\\"":\n    given c\n    expect d'),
        ("let a = (b   and\nc)", "let a = (b and c)"),
        ("let a = [ b,c ]", "let a = [b, c]"),
        ("let a = x in 22 .. 6", "let a = x in 22..6"),
        ("let a = x not   in [b]", "let a = x not in [b]"),
    ],
)
def test_a_statement_is_printed_in_the_one_layout(written: str, printed: str) -> None:
    """One space, clauses on lines of their own."""
    (statement,) = parsed(written).statements
    assert print_statement(statement) == printed


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        (tree.Name(tree.Word("meta/llama-3", NOWHERE), NOWHERE), '"meta/llama-3"'),
        (tree.Name(tree.Word("not", NOWHERE), NOWHERE), '"not"'),
        (
            tree.Comparison(tree.Word("x", NOWHERE), "is", tree.Word("empty", NOWHERE), NOWHERE),
            'x is "empty"',
        ),
        (tree.Comparison(tree.Word("x", NOWHERE), "has", tree.Word("all", NOWHERE), NOWHERE), 'x has "all"'),
        (tree.Comparison(tree.Word("x", NOWHERE), "is", tree.Word("all", NOWHERE), NOWHERE), "x is all"),
        (
            tree.Not(
                tree.Or(
                    (
                        tree.Name(tree.Word("a", NOWHERE), NOWHERE),
                        tree.Name(tree.Word("b", NOWHERE), NOWHERE),
                    ),
                    NOWHERE,
                ),
                NOWHERE,
            ),
            "not (a or b)",
        ),
    ],
)
def test_a_made_tree_is_printed_so_that_it_reads_back(expression: tree.Expression, printed: str) -> None:
    """Names are quoted and brackets set where a lowered rule needs them."""
    assert print_expression(expression) == printed
    parsed(f"let x = {printed}")


# --- What is printed parses to an equal tree ----------------------------------------------------------

T = TypeVar("T")
WORDS = [
    "a",
    "task.type",
    "llama3.1:8b",
    "cloud",
    "when",
    "route",
    "not-urgent",
    "x_y",
    "Empty",
    "chain-1",
    "by",
    "in",
]
TEXTS = ["a", "meta/llama-3", 'say "hi"', "back\\slash", "größe", "not", "", "# no comment", "日本"]
NUMBERS = ["0", "8192", "32k", "1.5M", "80%", "$0.05", "0.25"]
NAMES = ["a", "b-2", "when", "let", "keep-it-here"]


class Grower:
    """Random trees as the parser makes them: brackets only as `Group`, chains of two parts or more."""

    def __init__(self, generator: random.Random) -> None:
        self.random = generator

    def one(self, *makers: T) -> T:
        return self.random.choice(makers)

    def some(self, least: int, most: int) -> range:
        return range(self.random.randint(least, most))

    def word(self) -> tree.Word:
        return tree.Word(self.random.choice(WORDS), NOWHERE)

    def text(self) -> tree.Text:
        return tree.Text(self.random.choice(TEXTS), NOWHERE)

    def number(self) -> tree.Number:
        return tree.Number(self.random.choice(NUMBERS), NOWHERE)

    def value(self) -> tree.Value:
        return self.one(self.word, self.text, self.number)()

    def identifier(self) -> tree.Identifier:
        return tree.Identifier(self.random.choice(NAMES), NOWHERE)

    def list(self) -> tree.List:
        return tree.List(tuple(self.value() for _ in self.some(0, 3)), NOWHERE)

    def range(self) -> tree.Range:
        if self.random.random() < 0.5:
            return tree.Range(self.word(), self.word(), NOWHERE)
        return tree.Range(self.number(), self.number(), NOWHERE)

    def expression(self, depth: int = 3) -> tree.Expression:
        parts = tuple(self.conjunction(depth) for _ in self.some(1, 3))
        return parts[0] if len(parts) == 1 else tree.Or(parts, NOWHERE)

    def conjunction(self, depth: int) -> tree.Expression:
        parts = tuple(self.negation(depth) for _ in self.some(1, 3))
        return parts[0] if len(parts) == 1 else tree.And(parts, NOWHERE)

    def negation(self, depth: int) -> tree.Expression:
        return tree.Not(self.primary(depth), NOWHERE) if self.random.random() < 0.2 else self.primary(depth)

    def primary(self, depth: int) -> tree.Expression:
        operators: tuple[tree.Operator, ...] = ("is", "is not", "<", "<=", ">", ">=", "has")
        match self.random.randrange(6 if depth else 5):
            case 0:
                return tree.Name(self.one(self.word, self.text)(), NOWHERE)
            case 1:
                return tree.Comparison(self.value(), self.random.choice(operators), self.value(), NOWHERE)
            case 2:
                right = self.one(self.list, self.range, self.word)()
                return tree.Membership(self.value(), self.flag(), right, NOWHERE)
            case 3:
                quantifier: Literal["any", "all"] = self.one("any", "all")
                return tree.HasSome(self.value(), quantifier, self.one(self.list, self.word)(), NOWHERE)
            case 4:
                return tree.IsEmpty(self.value(), self.flag(), tree.Word("empty", NOWHERE), NOWHERE)
            case _:
                return tree.Group(self.expression(depth - 1), NOWHERE)

    def flag(self) -> bool:
        return self.random.random() < 0.5

    def clauses(self, because: bool = True) -> tree.Clauses:
        return tree.Clauses(
            self.expression() if self.flag() else None,
            self.expression() if self.random.random() < 0.3 else None,
            self.text() if because and self.flag() else None,
        )

    def given(self) -> tree.SingleGiven:
        match self.random.randrange(4):
            case 0:
                return tree.GivenIs(self.word(), self.value(), NOWHERE)
            case 1:
                return tree.GivenHas(self.word(), self.value(), NOWHERE)
            case 2:
                return tree.GivenEmpty(self.word(), NOWHERE)
            case _:
                return tree.GivenFlag(self.word(), self.flag(), NOWHERE)

    def expectation(self) -> tree.Expectation:
        quantifier: Literal["only", "never", "some"] = self.one("only", "never", "some")
        match self.random.randrange(5):
            case 0:
                return tree.ExpectChain(quantifier, self.expression(), NOWHERE)
            case 1:
                models = tuple(self.one(self.word, self.text)() for _ in self.some(1, 3))
                return tree.ExpectModels(models, self.flag(), NOWHERE)
            case 2:
                return tree.ExpectRoute(self.identifier(), NOWHERE)
            case 3:
                return tree.ExpectRefused(NOWHERE)
            case _:  # in brackets, since `expect route` is no name
                return tree.ExpectFirst(tree.Group(self.expression(), NOWHERE), NOWHERE)

    def case(self) -> tree.Case:
        given: tuple[tree.Given, ...] = tuple(self.given() for _ in self.some(1, 3))
        if self.flag():
            inner = tuple(self.given() for _ in self.some(1, 2))
            given = (*given, tree.GivenHistory(tree.Word("session", NOWHERE), inner, NOWHERE))
        return tree.Case(given, self.expectation(), self.identifier() if self.flag() else None, NOWHERE)

    def statement(self) -> tree.Statement:
        name, clauses = self.identifier(), self.clauses()
        match self.random.randrange(7):
            case 0:
                return tree.Let(name, self.one(self.expression, self.list)(), NOWHERE)
            case 1:
                return tree.Guard(
                    self.one("forbid", "require"), name, self.flag(), self.expression(), clauses, NOWHERE
                )
            case 2:
                kind: Literal["prefer", "avoid"] = self.one("prefer", "avoid")
                return tree.Preference(kind, name, self.expression(), self.number(), clauses, NOWHERE)
            case 3:
                shares = tuple(tree.Share(self.word(), self.number(), NOWHERE) for _ in self.some(1, 3))
                return tree.Weigh(name, shares, clauses, NOWHERE)
            case 4:
                return tree.Route(name, tuple(self.expression() for _ in self.some(1, 3)), clauses, NOWHERE)
            case 5:
                return tree.Test(self.text(), tuple(self.case() for _ in self.some(1, 3)), NOWHERE)
            case _:
                after = self.expression() if self.flag() else None
                return tree.Prove(name, self.claim(), after, self.clauses(because=False), NOWHERE)

    def claim(self) -> tree.Claim:
        quantifier: Literal["only", "never", "some"] = self.one("only", "never", "some")
        match self.random.randrange(4):
            case 0:
                return tree.ExpectFirst(self.expression(), NOWHERE)
            case 1:
                return tree.ExpectRoute(self.identifier(), NOWHERE)
            case 2:
                return tree.ExpectRefused(NOWHERE)
            case _:
                return tree.ExpectChain(quantifier, self.expression(), NOWHERE)


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_what_is_printed_parses_to_an_equal_tree(seed: int) -> None:
    """A thousand random policies, every form of the language."""
    grower = Grower(random.Random(seed))
    for _ in range(250):
        statements = tuple(grower.statement() for _ in range(4))
        printed = print_file(tree.File(Source("made", ""), statements))
        again = parsed(printed)
        assert statements == again.statements, printed
        assert print_file(again) == printed


def test_the_engines_own_guards_read_back() -> None:
    """Printed and parsed, they are the same statements."""
    file = parsed(bundled_text("policies", "base.route"))
    assert parsed(print_file(file)).statements == file.statements
