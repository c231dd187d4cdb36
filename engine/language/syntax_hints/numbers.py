"""Hints about numbers and ranges, with the number that was meant."""

import re

from engine.language.error_context import Place
from engine.language.messages import syntax as messages
from engine.language.syntax_hints.hint import SyntaxHint

_NUMBER_LIKE = re.compile(r"\$?[\d_]*\.?[\d_]+(?:e[+-]?\d+|[kKmMgG][bB]?|%|[tT]okens?)*")
GOOD_NUMBER = re.compile(r"\$(?:0|[1-9]\d*)(?:\.\d+)?|(?:0|[1-9]\d*)(?:\.\d+)?[kM%]?", re.ASCII)


def bad_number(place: Place) -> SyntaxHint | None:
    here, previous, following = place.here, place.previous, place.at(1)
    first = last = here
    if here.text in ("-", "+") and following.kind == "number" and following.start == here.end:
        last, text = following, following.text
    elif here.text in ("%", "k", "M", "K") and previous.kind == "number":
        first, text = previous, previous.text + here.text
    elif here.kind == "number" and _NUMBER_LIKE.fullmatch(here.text):
        text = here.text
    else:
        return None
    is_good = GOOD_NUMBER.fullmatch(text)
    if is_good and first is last:
        return None
    right = text if is_good else _right_number(text)
    edit = place.replace(first, right, last) if right else None
    return SyntaxHint(messages.bad_number(place.span(first, last), right), edit)


def _right_number(text: str) -> str | None:
    """The number an author meant by `32K`, `1_000`, `1e3`, `08`, `.5`, `32kb`; None when that is not
    plain."""
    match = re.fullmatch(
        r"(\$?)(\d*)(?:\.(\d+))?(?:e\+?(\d))?([km]?)b?(?:tokens?)?(%?)", text.replace("_", "").lower()
    )
    if match is None or not (match[2] or match[3]):
        return None
    dollar, whole, fraction, exponent, thousands, percent = match.groups(default="")
    if exponent:
        shift = int(exponent)
        whole, fraction = whole + fraction[:shift].ljust(shift, "0"), fraction[shift:]
    whole = whole.lstrip("0") or "0"
    unit = {"k": "k", "m": "M"}.get(thousands, "") + percent
    return dollar + whole + (f".{fraction}" if fraction else "") + ("" if dollar or len(unit) > 1 else unit)


def malformed_range(place: Place) -> SyntaxHint | None:
    """`in 22-6`, `in 22...6`."""
    here = place.here
    if place.previous.text == "in" and (match := re.fullmatch(r"([0-9]+)-([0-9]+)", here.text)):
        right = f"{int(match[1])}..{int(match[2])}"
        return SyntaxHint(messages.bad_range(place.span(here), right), place.replace(here, right))
    if here.text == "..." and "DOTS" in place.accepts:
        right = f"{place.previous.text}..{place.value_after(1)}"
        return SyntaxHint(messages.bad_range(place.span(here), right), place.replace(here, ".."))
    return None
