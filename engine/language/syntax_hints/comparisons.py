"""Hints about comparisons: their operators, lists and negation."""

from engine.language.error_context import VALUES, WORDS, Lexeme, Place
from engine.language.messages import syntax as messages
from engine.language.syntax_hints.foreign_forms import (
    FOREIGN_COMPARISONS,
    FOREIGN_CONNECTIVES,
    FOREIGN_OPERATORS,
)
from engine.language.syntax_hints.hint import SyntaxHint


def unexpected_operator(place: Place) -> SyntaxHint | None:
    here = place.here
    span = place.span(here)
    if here.text in FOREIGN_OPERATORS and "IS" in place.accepts:
        right = FOREIGN_OPERATORS[here.text]
        if here.text == "=" and place.at(1).kind == "number":
            # One half of `>=` or `<=` may be missing.
            message = messages.half_an_operator(span)
            return SyntaxHint(message, place.replace(here, " is "), is_fix=False)
        if place.at(1).text == "[" and right.startswith("is"):
            right = right.replace("is not", "not in").replace("is", "in")
        left, value = place.value_around()
        message = messages.unexpected_operator(span, f"{left} {right} {value}")
        return SyntaxHint(message, place.replace(here, f" {right} "))
    if here.text in FOREIGN_CONNECTIVES:
        is_given = "EXPECT" in place.accepts and "COMMA" in place.accepts
        right = "," if is_given else FOREIGN_CONNECTIVES[here.text]
        message = messages.unexpected_operator(span, right)
        return SyntaxHint(message, place.replace(here, f" {right} "))
    if here.text == "!" and "NOT" in place.accepts:
        following = place.at(1)
        right = f"not {place.words(following) if following.kind == 'word' else '(...)'}"
        return SyntaxHint(messages.unexpected_operator(span, right), place.replace(here, " not "))
    return None


def is_in(place: Place) -> SyntaxHint | None:
    """`is in [..]`, `is not in ..`: there `in` was read as the value."""
    is_negated = place.at(-2).text == "not"
    first, subject = (place.at(-3), place.at(-4)) if is_negated else (place.at(-2), place.at(-3))
    if place.previous.text != "in" or first.text != "is":
        return None
    right = "not in" if is_negated else "in"
    says = f"{subject.text} {right} {place.value_after(0)}"
    span = place.span(first, place.previous)
    return SyntaxHint(messages.is_in(span, says), place.replace(first, right, place.previous))


def list_after(place: Place) -> SyntaxHint | None:
    """`is [..]`, `is not [..]`, `has [..]`."""
    if place.here.text != "[":
        return None
    previous = place.previous
    items = place.value_after(0)
    if previous.text == "has":
        return SyntaxHint(
            messages.has_list(place.span(place.here, place.closing_bracket(0)), items), place.insert("any")
        )
    if previous.text == "is":
        right = f"{place.at(-2).text} in {items}"
        return SyntaxHint(messages.is_list(place.span(previous), right), place.replace(previous, "in"))
    if previous.text == "not" and place.at(-2).text == "is":
        right = f"{place.at(-3).text} not in {items}"
        edit = place.replace(place.at(-2), "not in", previous)
        return SyntaxHint(messages.is_list(place.span(place.at(-2), previous), right), edit)
    return None


def list_without_brackets(place: Place) -> SyntaxHint | None:
    """`has any a, b`, `in a, b`, `is a, b`."""
    if place.here.text != "," or place.previous.kind not in VALUES:
        return None
    if (
        place.at(-2).text not in ("any", "all", "in")
        or place.at(1).kind not in VALUES
        or place.at(1).text == "then"
    ):
        return None
    distance = 1
    while place.at(distance + 1).text == "," and place.at(distance + 2).kind in VALUES:
        distance += 2
    last = place.at(distance)
    right = f"[{place.words(place.previous, last)}]"
    edit = place.replace(place.previous, f"[{place.draft.text[place.previous.start : last.end]}]", last)
    return SyntaxHint(
        messages.list_without_brackets(place.span(place.previous, last), f"{place.at(-2).text} {right}"), edit
    )


def misplaced_not(place: Place) -> SyntaxHint | None:
    """`labels not has x`, `has not x`, `has no x`."""
    here, previous = place.here, place.previous
    if here.text == "has" and previous.text == "not" and place.at(-2).kind in VALUES:
        subject, first, last, value = place.at(-2), previous, here, place.value_after(1)
    elif previous.text in ("not", "no") and place.at(-2).text == "has" and here.kind in VALUES:
        subject, first, last, value = place.at(-3), place.at(-2), previous, here.text
    else:
        return None
    right = f"not {subject.text} has"
    span = place.span(first, last)
    return SyntaxHint(messages.misplaced_not(span, f"{right} {value}"), place.replace(subject, right, last))


def foreign_word(place: Place) -> SyntaxHint | None:
    here = place.here
    right = FOREIGN_COMPARISONS.get(here.text)
    if right is None or right.upper() not in place.accepts:
        return None
    left, value = place.value_around()
    return SyntaxHint(
        messages.unexpected_word(place.span(here), f"{left} {right} {value}"), place.replace(here, right)
    )


_PATTERNS = (
    "matches",
    "match",
    "like",
    "=~",
    "~",
    "startswith",
    "endswith",
    "starts",
    "ends",
    "regex",
    "glob",
)


def patterns(place: Place) -> SyntaxHint | None:
    """`matches "gpt-.*"`, `gpt-*`."""
    if place.here.text.lower() in _PATTERNS and "IS" in place.accepts:
        return SyntaxHint(messages.no_patterns(place.span(place.here, place.at(1))))
    text, glued = place.draft.text, [place.here]
    if place.here.text not in ("*", "?", "-", ".", "/"):
        return None
    while (more := place.at(len(glued))).start == glued[-1].end and more.text not in ("", ",", ")", "]"):
        glued.append(more)
    before = place.previous if place.previous.end == place.here.start else place.here
    if "*" in text[before.start : glued[-1].end]:
        return SyntaxHint(messages.no_patterns(place.span(before, glued[-1])))
    return None


def not_value(place: Place) -> SyntaxHint | None:
    """`task.type not triage`."""
    here, word, subject = place.here, place.previous, place.at(-2)
    if word.text == "not" and place.accepts == {"IN"} and "." in subject.text and _is_value(here):
        right = f"{subject.text} is not {here.text}"
        return SyntaxHint(messages.unexpected_word(place.span(word), right), place.replace(word, "is not"))
    return None


def _is_value(lexeme: Lexeme) -> bool:
    return lexeme.kind in VALUES and lexeme.text not in WORDS
