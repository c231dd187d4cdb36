"""The forms of other languages, held against the language itself."""

import pytest

from engine.language.diagnostics import Problems
from engine.language.parser import parse
from engine.language.source import Source
from engine.language.statement_forms import STATEMENTS
from engine.language.syntax_hints.foreign_forms import (
    FOREIGN_COMPARISONS,
    FOREIGN_CONNECTIVES,
    FOREIGN_OPERATORS,
    FOREIGN_STATEMENTS,
)


def slugs(text: str) -> list[str]:
    problems = Problems()
    parse(Source("p.route", text), problems)
    return [problem.slug for problem in problems]


def test_a_foreign_statement_is_answered_with_one_of_the_language() -> None:
    """What is offered begins a statement, and what it replaces does not."""
    assert set(FOREIGN_STATEMENTS.values()) <= set(STATEMENTS)
    assert not set(FOREIGN_STATEMENTS) & set(STATEMENTS)


@pytest.mark.parametrize("foreign", [*FOREIGN_OPERATORS, *FOREIGN_COMPARISONS])
def test_a_foreign_comparison_is_one_mistake_and_its_replacement_none(foreign: str) -> None:
    """The foreign form is reported once; the form offered for it parses."""
    right = {**FOREIGN_OPERATORS, **FOREIGN_COMPARISONS}[foreign]

    assert slugs(f"forbid x: any when task.type {right} planning") == []
    assert len(slugs(f"forbid x: any when task.type {foreign} planning")) == 1


@pytest.mark.parametrize("foreign", FOREIGN_CONNECTIVES)
def test_a_foreign_connective_is_one_mistake_and_its_replacement_none(foreign: str) -> None:
    """The foreign form is reported once; the form offered for it parses."""
    condition = "task.type is planning {} task.type is qa"

    assert slugs("forbid x: any when " + condition.format(FOREIGN_CONNECTIVES[foreign])) == []
    assert slugs("forbid x: any when " + condition.format(foreign)) == ["unexpected-operator"]
