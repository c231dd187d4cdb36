"""Every form of statement, one row each: its keyword, its node, what follows the keyword and what the
statement does.

Whatever knows statements as text reads these rows: recovery, hints, completion, hovers and highlighting. What
cannot read them (the grammar, the VS Code grammar, the pages) is held against them by
`tests/language/test_statement_forms.py`.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from engine.language.syntax_tree import Guard, Language, Let, Preference, Prove, Route, Statement, Test, Weigh

Following: TypeAlias = Literal["name and colon", "name and equals", "title", "number"]


@dataclass(frozen=True, slots=True)
class StatementForm:
    """A keyword that begins a statement. `example` is a whole statement in canonical layout."""

    keyword: str
    node: type[Statement]
    following: Following
    meaning: str
    example: str


STATEMENT_FORMS = (
    StatementForm(
        "forbid",
        Guard,
        "name and colon",
        "takes the selected models away; no other rule gives one back",
        "forbid a: cloud",
    ),
    StatementForm(
        "require",
        Guard,
        "name and colon",
        "takes all models away but the selected ones",
        "require a: local",
    ),
    StatementForm(
        "prefer",
        Preference,
        "name and colon",
        "adds points to the score of the selected models, within their tier",
        "prefer a: local by 5",
    ),
    StatementForm(
        "avoid",
        Preference,
        "name and colon",
        "takes points from the score of the selected models, within their tier",
        "avoid a: cloud by 5",
    ),
    StatementForm(
        "weigh",
        Weigh,
        "name and colon",
        "says how much cost, quality and latency count; the first whose condition holds",
        "weigh a: cost 0.2, quality 0.5, latency 0.3",
    ),
    StatementForm(
        "route",
        Route,
        "name and colon",
        "says which models come first, tier by tier; the first whose condition holds is taken",
        "route a: use local, then cloud",
    ),
    StatementForm(
        "let",
        Let,
        "name and equals",
        "gives a condition, a selection of models or a list a name",
        "let a = task.labels has pii",
    ),
    StatementForm(
        "test",
        Test,
        "title",
        "an example that must stay true; `engine test` runs it",
        'test "a":\n    given task.type is qa\n    expect refused',
    ),
    StatementForm(
        "prove",
        Prove,
        "name and colon",
        "what must hold for every task there can be; `engine prove` decides it",
        "prove a: never cloud",
    ),
    StatementForm(
        "language",
        Language,
        "number",
        "the version of the language a file is written in; first in the file",
        "language 1",
    ),
)

STATEMENTS = tuple(form.keyword for form in STATEMENT_FORMS)


def keywords(*following: Following) -> str:
    """The keywords that these follow, as alternatives of a regular expression."""
    return "|".join(form.keyword for form in STATEMENT_FORMS if form.following in following)
