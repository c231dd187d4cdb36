"""Hints about the head of a statement: its keyword, its mark and the sign before its body."""

from engine.language.error_context import WORDS, Edit, Place
from engine.language.messages import syntax as messages
from engine.language.statement_forms import STATEMENTS
from engine.language.syntax_hints.foreign_forms import FOREIGN_COLONS, FOREIGN_EQUALS, FOREIGN_STATEMENTS
from engine.language.syntax_hints.hint import SyntaxHint
from engine.language.syntax_hints.names import no_name
from engine.language.wording import nearest


def unknown_statement(place: Place) -> SyntaxHint | None:
    here = place.here
    looks_like_one = place.at(1).kind == "word" and place.at(2).text == ":" and here.text not in WORDS
    if place.index == 0 and here.text in STATEMENTS and place.at(1).text in (":", "="):
        after = place.at(1)
        return SyntaxHint(no_name(place, here), Edit(after.start, after.start, " some-name "))
    if place.index == 0 and here.kind != "word":
        return SyntaxHint(messages.unknown_statement(place.span(here), STATEMENTS, None))
    if here.kind != "word" or here.text in STATEMENTS or not (place.index == 0 or looks_like_one):
        return None
    if here.text.lower() in STATEMENTS:
        return SyntaxHint(
            messages.upper_case_keyword(place.span(here)), place.replace(here, here.text.lower())
        )
    near = FOREIGN_STATEMENTS.get(here.text.lower()) or nearest(here.text.lower(), STATEMENTS)
    return SyntaxHint(
        messages.unknown_statement(place.span(here), STATEMENTS, near),
        place.replace(here, near) if near else None,
    )


def upper_case_keyword(place: Place) -> SyntaxHint | None:
    for lexeme in (place.here, place.previous):
        small = lexeme.text.lower()
        # The one before may have been read as a name: `Not cloud`, `Never local`.
        if lexeme.kind == "word" and small in WORDS and small != lexeme.text:
            if lexeme is place.here and small.upper() not in place.accepts:
                continue
            return SyntaxHint(messages.upper_case_keyword(place.span(lexeme)), place.replace(lexeme, small))
    return None


def unknown_mark(place: Place) -> SyntaxHint | None:
    if place.accepts == {"WATCH"} and place.here.kind == "word":
        return SyntaxHint(messages.unknown_mark(place.span(place.here)), place.replace(place.here, "watch"))
    return None


def missing_colon(place: Place) -> SyntaxHint | None:
    here, previous = place.here, place.previous
    if "COLON" in place.accepts and here.text != ":":
        right = f"{place.words(place.lexemes[0], previous)}: {place.value_after(0)}"
        is_sign = here.text in FOREIGN_COLONS
        edit = place.replace(here, ":") if is_sign else Edit(previous.end, previous.end, ":")
        return SyntaxHint(messages.missing_colon(place.span(previous), right), edit)
    if "EQUALS" in place.accepts:
        foreign = here.text in FOREIGN_EQUALS
        value = place.value_after(1 if foreign else 0)
        right = f"{place.words(place.lexemes[0], previous)} = {value}"
        edit = place.replace(here, "=") if foreign else place.insert("=")
        return SyntaxHint(messages.missing_equals(place.span(previous), right), edit)
    return None


def colon_after_keyword(place: Place) -> SyntaxHint | None:
    """`when: private`, `use: cloud`; also `when..`, where something else is glued to the word."""
    here, previous = place.here, place.previous
    glued = here.text in WORDS and here.text.upper() in place.accepts
    colon, word = (place.at(1), here) if glued else (here, previous)
    if colon.text == ":" and word.text in WORDS:
        right = f"{word.text} {place.value_after(2 if glued else 1)}"
        return SyntaxHint(
            messages.unexpected_colon(place.span(colon), word.text, right), place.replace(colon, " ")
        )
    if glued:
        return SyntaxHint(messages.missing_space(place.span(here)), Edit(here.end, here.end, " "))
    return None


def double_equals_in_let(place: Place) -> SyntaxHint | None:
    here = place.here
    if place.keyword == "let" and place.index == 2 and here.text in ("==", "==="):
        right = f"{place.words(place.lexemes[0], place.previous)} = {place.value_after(1)}"
        return SyntaxHint(
            messages.unexpected_operator(place.span(here), here.text, right), place.replace(here, "=")
        )
    return None
