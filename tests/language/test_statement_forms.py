"""Every form of statement is known wherever statements are known as text.

The examples of the table are the tests: a form that is added to it and forgotten somewhere fails here, by
name.
"""

import json
import re

import pytest
from pygments.token import Keyword

from engine.bundled import bundled_path
from engine.editor.highlighting import RouteLexer
from engine.language.diagnostics import Problems
from engine.language.formatter import print_statement
from engine.language.grammar import load_grammar
from engine.language.parser import parse
from engine.language.source import Source
from engine.language.statement_forms import STATEMENT_FORMS, STATEMENTS, StatementForm
from engine.language.syntax_tree import Language, Statement
from tests.language.known_names import file
from tests.language.test_traversal import flat

ROOT = bundled_path("grammar").parent
every_form = pytest.mark.parametrize("form", STATEMENT_FORMS, ids=STATEMENTS)


def test_every_statement_node_has_a_row() -> None:
    """The table and the union `Statement` name the same classes."""
    assert flat(Statement) == {form.node for form in STATEMENT_FORMS}


def test_every_keyword_that_begins_a_statement_has_a_row() -> None:
    """The table and the grammar begin statements with the same words."""
    begins = load_grammar(None).parse_interactive("").accepts() - {"$END"}
    assert {terminal.lower() for terminal in begins} == set(STATEMENTS)


@every_form
def test_an_example_is_read_as_its_node_and_printed_as_it_is(form: StatementForm) -> None:
    """The parser makes the node of the row; the formatter gives the text back."""
    (statement,) = file(form.example + "\n").statements
    assert (form.node, form.example) == (type(statement), print_statement(statement))


@pytest.mark.parametrize("form", [each for each in STATEMENT_FORMS if each.node is not Language])
def test_a_statement_is_read_though_the_one_before_it_is_broken(form: StatementForm) -> None:
    """Recovery knows where each form begins; `language` may only stand first, before anything that can be
    broken."""
    read = parse(Source("main.route", f"forbid broken: ))\n{form.example}\n"), Problems())
    assert [form.node] == [type(each) for each in read.statements]


@every_form
def test_a_keyword_is_highlighted(form: StatementForm) -> None:
    """Pygments takes it for a keyword at the beginning of its example."""
    token, text = next(iter(RouteLexer().get_tokens(form.example)))
    assert (token in Keyword, text) == (True, form.keyword)


@every_form
def test_a_keyword_is_known_to_the_extension(form: StatementForm) -> None:
    """The grammar that VS Code reads names it."""
    grammar = (ROOT / "editors" / "vscode" / "syntaxes" / "route.tmLanguage.json").read_text(encoding="utf-8")
    patterns = re.findall(r'"match": ("(?:[^"\\]|\\.)*")', grammar)
    assert any(re.search(rf"\b{form.keyword}\b", json.loads(pattern)) for pattern in patterns)


@every_form
def test_a_keyword_stands_in_the_language_reference(form: StatementForm) -> None:
    """`docs/language.md` shows a statement of each form."""
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    assert re.search(rf"(?m)^ *{form.keyword} |`{form.keyword}\b", page)
