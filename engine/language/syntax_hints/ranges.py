"""Hints about ranges: two dots stand between the ends, and an hour is a whole number."""

import re

from engine.language.error_context import VALUES, Place
from engine.language.messages import syntax as messages
from engine.language.syntax_hints.hint import SyntaxHint

_BETWEEN = ("to", "until", "till", "through", "thru", "bis", "-", "–", "—", "..", "..=", ":")


def malformed_range(place: Place) -> SyntaxHint | None:
    """`in 22-6`, `in 22...6`, `in 22:00..06:00`, `in mon to fri`."""
    here, previous = place.here, place.previous
    if previous.text == "in" and (match := re.fullmatch(r"([0-9]+)-([0-9]+)", here.text)):
        right = f"{int(match[1])}..{int(match[2])}"
        return SyntaxHint(messages.bad_range(place.span(here), right), place.replace(here, right))
    if here.text == "..." and "DOTS" in place.accepts:
        right = f"{previous.text}..{place.value_after(1)}"
        return SyntaxHint(messages.bad_range(place.span(here), right), place.replace(here, ".."))
    for distance in (0, -1, -2):
        low, between, high = (place.at(distance + step) for step in range(3))
        is_range = place.at(distance - 1).text == "in" and between.text in _BETWEEN
        if is_range and low.kind in VALUES and high.kind in VALUES:
            ends = _end(low.text), _end(high.text)
            if None in ends or (between.text == ".." and (low.text + high.text).isdigit()):
                return None
            right = f"{ends[0]}..{ends[1]}"
            return SyntaxHint(
                messages.bad_range(place.span(low, high), right), place.replace(low, right, high)
            )
    return None


def _end(text: str) -> str | None:
    """A whole hour or a day, as the language writes it."""
    if hour := re.fullmatch(r"([01]?[0-9]|2[0-3])(?::00|h|:00h)?", text):
        return str(int(hour[1]))
    return weekday(text)


def weekday(text: str) -> str | None:
    """`Mon`, `Monday` as the language writes it."""
    return text[:3].lower() if re.fullmatch(_WEEKDAY, text.lower()) else None


_WEEKDAY = "(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:days?)?"


def between(place: Place) -> SyntaxHint | None:
    """`X between A and B`."""
    for distance in (0, -1, -2):
        subject, word, low, joint, high = (place.at(distance + step) for step in range(-1, 4))
        if word.text.lower() != "between" or joint.text not in ("and", ",", "..") or high.kind not in VALUES:
            continue
        right = f"({subject.text} >= {low.text} and {subject.text} <= {high.text})"
        edit = place.replace(subject, right, high)
        return SyntaxHint(messages.unexpected_word(place.span(subject, high), right), edit)
    return None


_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def two_comparisons(place: Place) -> SyntaxHint | None:
    """`8k < task.context_size < 32k`."""
    here = place.here
    low, first, term, high = (place.at(distance) for distance in (-3, -2, -1, 1))
    if here.text not in _TURNED or first.text not in _TURNED or high.kind not in VALUES:
        return None
    right = f"({term.text} {_TURNED[first.text]} {low.text} and {term.text} {here.text} {high.text})"
    return SyntaxHint(messages.two_comparisons(place.span(low, high), right), place.replace(low, right, high))


def other_brackets(place: Place) -> SyntaxHint | None:
    """`in (a, b)`, `any {a, b}`, `let x = (a, b)`."""
    is_let = place.here.text == "," and place.keyword == "let" and len(place.lexemes) > 3
    index = 3 if is_let else place.index
    first = place.lexemes[index] if index < len(place.lexemes) else place.here
    closing = {"(": ")", "{": "}"}.get(first.text)
    if closing is None or not (is_let or "LSQB" in place.accepts):
        return None
    last = next((each for each in place.lexemes[index + 1 :] if each.text in (closing, "(", "{")), None)
    if last is None or last.text != closing:
        return None
    right = f"[{place.draft.text[first.end : last.start]}]"
    return SyntaxHint(
        messages.other_brackets(place.span(first, last), right), place.replace(first, right, last)
    )
