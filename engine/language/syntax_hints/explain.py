"""Where Lark stopped in one statement -> which mistake it is, and what the author most likely meant.

Each function listed here knows one common mistake: it looks at the words around the place and answers with a
hint, or with None when it sees something else. Where the right form is plain, the hint has an edit, so that
the parser can go on behind it and find the next mistake of the statement. Nothing here parses;
`recovery` does.
"""

from collections.abc import Callable

from engine.language.error_context import Place
from engine.language.messages import syntax as messages
from engine.language.statement_forms import STATEMENTS
from engine.language.syntax_hints import (
    bodies,
    characters,
    clauses,
    comparisons,
    missing_values,
    names,
    numbers,
    punctuation,
    ranges,
    statements,
    stray_words,
)
from engine.language.syntax_hints.hint import SyntaxHint

# The order in which mistakes are looked for; the first that fits is reported.
_HINTS: tuple[Callable[[Place], SyntaxHint | None], ...] = (
    characters.foreign_signs,
    characters.unclosed_string,
    characters.wrong_quotes,
    characters.bad_string,
    statements.unknown_mark,
    statements.mark_before_name,
    ranges.malformed_range,
    ranges.between,
    ranges.two_comparisons,
    ranges.other_brackets,
    comparisons.patterns,
    comparisons.not_value,
    stray_words.stray_word,
    names.rule_name,
    names.unquoted_title,
    statements.unknown_statement,
    numbers.bad_number,
    names.unquoted_name,
    statements.colon_after_keyword,
    statements.double_equals_in_let,
    statements.missing_colon,
    comparisons.is_in,
    bodies.given,
    comparisons.list_after,
    comparisons.list_without_brackets,
    comparisons.misplaced_not,
    comparisons.unexpected_operator,
    comparisons.foreign_word,
    statements.upper_case_keyword,
    punctuation.trailing_comma,
    missing_values.missing_value,
    bodies.missing_quantifier,
    bodies.points,
    punctuation.brackets,
    punctuation.missing_comma,
    punctuation.unexpected_comma,
    bodies.weights,
    bodies.missing_given,
    bodies.route_words,
    clauses.misplaced_clause,
    stray_words.swapped_words,
    statements.line_like_none,
    clauses.missing_when,
)


def explain(place: Place) -> SyntaxHint:
    """The first hint that fits; where none does, what was found and what could stand there."""
    hints = (look(place) for look in _HINTS)
    return next((hint for hint in hints if hint is not None), None) or _unexpected(place)


# Terminals in an author's words; those that only begin the next statement are one thing to an author.
_IN_WORDS = {
    "NAME": "a name",
    "RULE_NAME": "a name in small letters and hyphens",
    "NUMBER": "a number",
    "STRING": "a text in double quotes",
    "COLON": "`:`",
    "COMMA": "`,`",
    "DOTS": "`..`",
    "ELLIPSIS": "`...`",
    "EQUALS": "`=`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "LESS": "a comparison",
    "AT_MOST": "a comparison",
    "MORE": "a comparison",
    "AT_LEAST": "a comparison",
    "IS": "a comparison",
    "HAS": "a comparison",
    "IN": "a comparison",
    "$END": "the next statement",
}


def _unexpected(place: Place) -> SyntaxHint:
    ends = "$END" in place.accepts
    expected = {
        _IN_WORDS.get(terminal, f"`{terminal.lower()}`")
        for terminal in place.accepts
        if not (ends and terminal.lower() in STATEMENTS)
        and not ("IS" in place.accepts and terminal in ("NOT", "DOTS"))
    }
    # What ends the statement comes last, the plain words before the signs.
    ordered = sorted(expected, key=lambda text: (text == "the next statement", text[0] == "`", text))
    if place.here.kind == "end":
        last = place.previous if place.index else place.here
        return SyntaxHint(messages.unexpected_end(place.span(last), ordered))
    return SyntaxHint(messages.unexpected_token(place.span(place.here), ordered))
