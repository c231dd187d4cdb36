"""What is said about policies that were written badly: the files of `syntax/` carry their own
expectations."""

from pathlib import Path

import pytest

from engine.language.diagnostics import Problems
from engine.language.parser import parse
from engine.language.source import Source
from tests.diagnostics.expectations import expected, found

SYNTAX = sorted((Path(__file__).parent / "syntax").glob("*.route"))


@pytest.mark.parametrize("path", SYNTAX, ids=lambda path: path.stem)
def test_every_slip_is_reported_once_where_it_stands(path: Path) -> None:
    """Each `#!` comment is one diagnostic with that slug under that text, and there are no others."""
    source = Source(path.name, path.read_text(encoding="utf-8"))
    problems = Problems()
    parse(source, problems)
    assert expected(source.text) == found(problems)


@pytest.mark.parametrize("path", SYNTAX, ids=lambda path: path.stem)
def test_statements_without_a_slip_survive(path: Path) -> None:
    """A statement is left out exactly when its line carries an expectation."""
    source = Source(path.name, path.read_text(encoding="utf-8"))
    file = parse(source, Problems())
    struck = {expectation.line for expectation in expected(source.text)}
    kept = {statement.span.line for statement in file.statements}
    written = {number for number, line in enumerate(source.text.split("\n"), 1) if line and line[0] != "#"}
    assert (written - struck) <= kept


@pytest.mark.parametrize("path", SYNTAX, ids=lambda path: path.stem)
def test_every_sentence_keeps_the_house_style(path: Path) -> None:
    """Lower case, no full stop, no words of the machine; help gives the author something to write or do."""
    problems = Problems()
    parse(Source(path.name, path.read_text(encoding="utf-8")), problems)
    for problem in problems:
        sentence = problem.message
        assert sentence[0] == sentence[0].lower(), sentence
        assert not sentence.endswith("."), sentence
        assert not any(word in sentence for word in ("Token", "None", "RULE_NAME", "$END", "syntax")), (
            sentence
        )
