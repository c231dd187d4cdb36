"""Hints about numbers and ranges, with the number that was meant."""

import re

from engine.language.error_context import Place
from engine.language.messages import syntax as messages
from engine.language.syntax_hints.hint import SyntaxHint

_NUMBER_LIKE = re.compile(r"\$?[\d_]*\.?[\d_]+(?:e[+-]?\d+|[kKmMgG][bB]?|%|[tT]okens?|c|ct|cents?|usd|USD)*")
GOOD_NUMBER = re.compile(r"\$(?:0|[1-9]\d*)(?:\.\d+)?|(?:0|[1-9]\d*)(?:\.\d+)?[kM%]?", re.ASCII)


def bad_number(place: Place) -> SyntaxHint | None:
    here, previous, following = place.here, place.previous, place.at(1)
    if here.text == "-" and following.kind == "number" and following.start == here.end:
        return _below_zero(place)
    first = last = here
    if here.text == "+" and following.kind == "number" and following.start == here.end:
        last, text = following, following.text
    elif here.text in ("%", "k", "M", "K") and previous.kind == "number":
        first, text = previous, previous.text + here.text
    elif here.text in ("percent", "per") and previous.kind == "number":
        last = following if here.text == "per" else here
        first, text = previous, previous.text + "%"
    elif here.text == "," and previous.kind == following.kind == "number" and previous.end == here.start:
        first, last, text = previous, following, f"{previous.text},{following.text}"
    elif here.kind == "number" and _NUMBER_LIKE.fullmatch(here.text):
        text = here.text
    elif here.text in _CURRENCIES and following.kind == "number":
        return SyntaxHint(messages.other_currency(place.span(here, following)))
    else:
        return None
    is_good = GOOD_NUMBER.fullmatch(text)
    if is_good and first is last:
        return None
    right = text if is_good else _right_number(text)
    edit = place.replace(first, right, last) if right else None
    return SyntaxHint(messages.bad_number(place.span(first, last), right), edit)


_CURRENCIES = ("€", "£", "¥", "₹")


def _below_zero(place: Place) -> SyntaxHint:
    """`by -15`: points are taken away by `avoid`."""
    first, last = place.here, place.at(1)
    span = place.span(first, last)
    if place.previous.text != "by" or not GOOD_NUMBER.fullmatch(last.text):
        return SyntaxHint(messages.below_zero(span), place.replace(first, ""), is_fix=False)
    if place.keyword == "avoid":
        return SyntaxHint(messages.points_below_zero(span, last.text), place.replace(first, last.text, last))
    keyword = place.lexemes[0]
    right = f"avoid{place.draft.text[keyword.end : first.start]}{last.text}"
    return SyntaxHint(messages.points_below_zero(span, right), place.replace(keyword, right, last))


def _right_number(text: str) -> str | None:
    """The number meant by `32K`, `1_000`, `1e3`, `08`, `.5`, `32kb`, `32,000`, `50c`; None when not plain."""
    bare = re.sub(r"(?<=\d),(?=\d{3}(?:\D|$))", "", text) if re.match(r"\$?[1-9]", text) else text
    bare = re.sub(r"(?<=\d),(?=\d+$)", ".", bare).replace("_", "").lower()
    if cents := re.fullmatch(r"(\d{1,2})(?:c|ct|cents?)", bare):
        return f"$0.{int(cents[1]):02d}"
    match = re.fullmatch(r"(\$?)(\d*)(?:\.(\d+))?(?:e\+?(\d))?([km]?)b?(?:tokens?|usd)?(%?)", bare)
    if match is None or not (match[2] or match[3]):
        return None
    dollar, whole, fraction, exponent, thousands, percent = match.groups(default="")
    if dollar and thousands == "m":
        return None  # a thousandth or a million
    shift = int(exponent or 0) + (3 if dollar and thousands else 0)
    whole, fraction = whole + fraction[:shift].ljust(shift, "0"), fraction[shift:]
    whole = whole.lstrip("0") or "0"
    unit = {"k": "k", "m": "M"}.get(thousands, "") + percent
    if len(unit) > 1:
        return None
    return dollar + whole + (f".{fraction}" if fraction else "") + ("" if dollar else unit)
