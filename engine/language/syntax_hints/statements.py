"""Hints about the head of a statement: its keyword, its mark and the sign before its body."""

from engine.language.error_context import WORDS, Edit, Place
from engine.language.messages import syntax as messages
from engine.language.spelling import misspelt
from engine.language.statement_forms import STATEMENTS
from engine.language.syntax_hints.foreign_forms import (
    FOREIGN_COLONS,
    FOREIGN_EQUALS,
    FOREIGN_STATEMENTS,
    INSTEAD_OF_STATEMENTS,
)
from engine.language.syntax_hints.hint import SyntaxHint
from engine.language.syntax_hints.names import no_name


def unknown_statement(place: Place) -> SyntaxHint | None:
    here = place.here
    looks_like_one = place.at(1).kind == "word" and place.at(2).text == ":" and here.text not in WORDS
    if place.index == 0 and here.text in STATEMENTS and place.at(1).text in (":", "="):
        after = place.at(1)
        return SyntaxHint(no_name(place, here), Edit(after.start, after.start, " some-name "), is_fix=False)
    if place.index == 0 and here.kind != "word":
        return SyntaxHint(messages.unknown_statement(place.span(here), STATEMENTS, None))
    if here.kind != "word" or here.text in STATEMENTS or not (place.index == 0 or looks_like_one):
        return None
    if here.text.lower() in STATEMENTS:
        return SyntaxHint(
            messages.upper_case_keyword(place.span(here)), place.replace(here, here.text.lower())
        )
    if (instead := INSTEAD_OF_STATEMENTS.get(here.text.lower())) is not None:
        return SyntaxHint(messages.no_such_statement(place.span(here), instead))
    known = misspelt(here.text.lower(), STATEMENTS)
    near = FOREIGN_STATEMENTS.get(here.text.lower()) or (known[0] if len(known) == 1 else None)
    return SyntaxHint(
        messages.unknown_statement(place.span(here), STATEMENTS, near),
        place.replace(here, near) if near else None,
    )


def line_like_none(place: Place) -> SyntaxHint | None:
    """A line of its own, behind a whole statement, that begins like no other."""
    here = place.here
    if here.kind != "word" or place.index == 0 or "$END" not in place.accepts:
        return None
    line = place.draft.text.rfind("\n", 0, here.start)
    if line < 0 or line + 1 != here.start:
        return None
    instead = INSTEAD_OF_STATEMENTS.get(here.text.lower())
    return SyntaxHint(messages.no_such_statement(place.span(here), instead), is_next=True)


def upper_case_keyword(place: Place) -> SyntaxHint | None:
    for lexeme in (place.here, place.previous):
        small = lexeme.text.lower()
        # The one before may have been read as a name: `Not cloud`, `Never local`.
        if lexeme.kind == "word" and small in WORDS and small != lexeme.text:
            if lexeme is place.here and small.upper() not in place.accepts:
                continue
            return SyntaxHint(messages.upper_case_keyword(place.span(lexeme)), place.replace(lexeme, small))
    return None


def mark_before_name(place: Place) -> SyntaxHint | None:
    """`forbid (watch) a: cloud`."""
    words = [place.at(distance) for distance in range(4)]
    if (
        [each.text for each in words[:3]] != ["(", "watch", ")"]
        or place.previous.text not in ("forbid", "require")
        or words[3].kind != "word"
    ):
        return None
    name = words[3].text.partition(":")[0]
    right = f"{name} (watch)"
    edit = Edit(words[0].start, words[3].start + len(name), right)
    return SyntaxHint(messages.mark_before_name(place.span(words[0], words[2]), right), edit)


def unknown_mark(place: Place) -> SyntaxHint | None:
    if place.accepts == {"WATCH"} and place.here.kind == "word":
        here = place.here
        is_near = bool(misspelt(here.text.lower(), ["watch"]))
        message = messages.misspelt_mark if is_near else messages.unknown_mark
        return SyntaxHint(message(place.span(here)), place.replace(here, "watch"), is_fix=is_near)
    return None


def missing_colon(place: Place) -> SyntaxHint | None:
    here, previous = place.here, place.previous
    if "COLON" in place.accepts and here.text != ":":
        value = place.value_after(0)
        right = f"{place.words(place.lexemes[0], previous)}:" + ("" if value == "VALUE" else f" {value}")
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
        return SyntaxHint(messages.unexpected_operator(place.span(here), right), place.replace(here, "="))
    return None
