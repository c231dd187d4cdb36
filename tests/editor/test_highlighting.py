"""The TextMate grammar and the Pygments lexer, held against the tokens of the grammar that parses."""

from __future__ import annotations

import json
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from lark import Token, Tree
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, String, _TokenType

from engine.bundled import bundled_path
from engine.editor.highlighting import RouteLexer
from engine.editor.words import KEYWORDS
from engine.language.grammar import load_grammar
from engine.language.vocabulary import ATTRIBUTES, FACTS
from tests.editor.textmate import Grammar

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "editors" / "vscode"
POLICIES = sorted(bundled_path("policies").rglob("*.route"))
every_policy = pytest.mark.parametrize("path", POLICIES, ids=lambda path: f"{path.parent.name}/{path.name}")

CONTROL = (
    "FORBID",
    "REQUIRE",
    "PREFER",
    "AVOID",
    "WEIGH",
    "PROVE",
    "TEST",
    "GIVEN",
    "HAD",
    "AFTER",
    "EXPECT",
    "WHEN",
    "UNLESS",
    "BECAUSE",
    "USE",
    "THEN",
    "BY",
    "LANGUAGE",
)
SCOPES = {
    **dict.fromkeys(CONTROL, "keyword.control."),
    **dict.fromkeys(("AND", "OR", "NOT", "IS", "IN", "HAS", "EMPTY", "ALL"), "keyword.operator.word."),
    **dict.fromkeys(("NEVER", "ONLY", "SOME", "CHAIN", "REFUSED", "FIRST"), "keyword.other.quantifier."),
    **dict.fromkeys(("LESS", "AT_MOST", "MORE", "AT_LEAST"), "keyword.operator.comparison."),
    **dict.fromkeys(("DOTS", "ELLIPSIS"), "keyword.operator.range."),
    **dict.fromkeys(("LPAR", "RPAR", "LSQB", "RSQB", "COMMA", "COLON"), "punctuation."),
    "ROUTE": "keyword.",
    "LET": "storage.type.let.",
    "WATCH": "storage.modifier.watch.",
    "EQUALS": "keyword.operator.assignment.",
    **dict.fromkeys(("NUMBER", "DATE", "TIME"), "constant.numeric."),
    "RULE_NAME": "entity.name.",
    "STRING": "string.quoted.double.",
    "ANY": "keyword.operator.word.",
}  # fmt: skip
NAMES = {
    **dict.fromkeys(FACTS, "variable.language.fact."),
    **dict.fromkeys(ATTRIBUTES, "variable.language.attribute."),
    **dict.fromkeys(("local", "cloud", "any"), "support.constant.locality."),
    **dict.fromkeys(("cost", "quality", "latency"), "support.type.property-name."),
    **dict.fromkeys(("low", "medium", "high", "critical", "very_high"), "constant.language."),
    **dict.fromkeys(("yes", "no", "unknown"), "constant.language."),
    **dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), "constant.language."),
    **dict.fromkeys(("session", "had"), "keyword.control."),
}  # fmt: skip


def tokens_of(text: str) -> list[Token]:
    read = load_grammar(None).parse(text)
    assert isinstance(read, Tree)
    return [
        value
        for value in read.scan_values(lambda value: isinstance(value, Token))
        if isinstance(value, Token)
    ]


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return Grammar(json.loads((EXTENSION / "syntaxes" / "route.tmLanguage.json").read_text()))


@every_policy
def test_every_token_has_the_scope_of_what_it_is(path: Path, grammar: Grammar) -> None:
    """All shipped policies, token by token as the parser reads them."""
    text = path.read_text(encoding="utf-8")
    lines = [grammar.scopes(line) for line in text.split("\n")]
    for token in tokens_of(text):
        assert token.line is not None
        assert token.column is not None
        inside = token.column - (token.type != "STRING")  # behind the quote, which is punctuation
        scope = lines[token.line - 1][inside]
        expected = SCOPES.get(token.type) or NAMES.get(token.value, "variable.other.")
        assert scope.startswith(expected), f"{path.name}:{token.line}:{token.column} {token!r}: {scope}"


@pytest.mark.parametrize(
    ("line", "text", "scope"),
    [
        ("forbid when: llama3.1:8b when not-urgent", "when:", "entity.name.function."),
        ("forbid when: llama3.1:8b when not-urgent", "llama3.1:8b", "variable.other."),
        ("forbid when: llama3.1:8b when not-urgent", "not-urgent", "variable.other."),
        ("forbid a: b because \"when # not\" # and so", '# and so', "punctuation.definition.comment."),
        ("forbid a: b because \"when # not\" # and so", 'when', "string.quoted.double."),
        ("# lint: allow no-effect because it is new", "lint", "keyword.other.suppression."),
        ("    when a == b", "==", "invalid.illegal.operator."),
        ("    when clock.hour in 22..6", "6", "constant.numeric."),
        ("    when clock.time in 22:30..06:00", "06:00", "constant.numeric."),
        ("    when clock.date < 2027-03-01", "2027-03-01", "constant.numeric."),
        ('test "open', "open", "string.quoted.double."),
        ("    expect route code", "code", "entity.name.function."),
        ("forbid a (watch): b", "watch", "storage.modifier.watch."),
    ],
)  # fmt: skip
def test_odd_places(line: str, text: str, scope: str, grammar: Grammar) -> None:
    """Words in names, comments, strings; slips; what is not finished."""
    assert grammar.scopes(line)[line.index(text)].startswith(scope)


def test_the_grammar_knows_every_fact_and_attribute(grammar: Grammar) -> None:
    """The lists in it are those of the language."""
    for name in (*FACTS, *ATTRIBUTES):
        scopes = set(grammar.scopes(name))
        assert scopes == {NAMES[name] + "route"}, name


def test_the_extension_names_files_that_are_there() -> None:
    """And starts the server with a command of the machine's own, not the workspace's."""
    manifest: dict[str, Any] = json.loads((EXTENSION / "package.json").read_text())
    named = [manifest["main"], *(each["configuration"] for each in manifest["contributes"]["languages"])]
    named += [each["path"] for each in manifest["contributes"]["grammars"]]
    assert all((EXTENSION / name).is_file() for name in named)
    json.loads((EXTENSION / "language-configuration.json").read_text())
    setting = manifest["contributes"]["configuration"]["properties"]["route.server"]
    assert (setting["default"], setting["scope"]) == (["engine", "lsp"], "machine")
    assert 'get("server")' in (EXTENSION / "extension.js").read_text()


# --- Pygments -------------------------------------------------------------------------------------------

KINDS: dict[str, _TokenType] = {
    "keyword.": Keyword,
    "storage.": Keyword,
    "string.": String,
    "constant.numeric.": Number,
    "keyword.operator.": Operator,
    "entity.name.": Name,
    "variable.": Name,
    "support.": Name,
    "constant.language.": Name,
}


@every_policy
def test_pygments_reads_every_policy(path: Path) -> None:
    """No character is lost, none is an error, and tokens are of the right kind."""
    text = path.read_text(encoding="utf-8")
    lexed = list(RouteLexer(stripnl=False, ensurenl=False).get_tokens_unprocessed(text))
    assert "".join(value for _, _, value in lexed) == text
    assert not [value for _, kind, value in lexed if kind in Error]
    kinds = {start: kind for start, kind, _ in lexed}
    for token in tokens_of(text):
        scope = SCOPES.get(token.type) or NAMES.get(token.value, "variable.other.")
        wanted = [kind for prefix, kind in KINDS.items() if scope.startswith(prefix)]
        if wanted:
            assert token.start_pos is not None
            assert any(
                kinds[token.start_pos] in kind or kinds[token.start_pos] in Operator for kind in wanted
            ), token
    comments = [value for _, kind, value in lexed if kind in Comment]
    assert all(value.startswith("#") for value in comments)


def test_pygments_finds_the_lexer_by_its_entry_point() -> None:
    """The name in pyproject.toml is that of the class, which claims `*.route`."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
        "pygments.lexers"
    ]
    module, _, name = points["route"].partition(":")
    assert getattr(import_module(module), name) is RouteLexer
    assert RouteLexer.filenames == ["*.route"]


def test_every_keyword_is_explained() -> None:
    """Hovers and completions have a line for each word of the grammar."""
    reserved = {terminal.name.lower() for terminal in load_grammar(None).terminals if terminal.priority == 2}
    assert reserved <= KEYWORDS.keys()
