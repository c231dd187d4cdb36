"""Hints about commas and brackets."""

from engine.language.error_context import CLAUSES, ENDINGS, VALUES, Edit, Place
from engine.language.messages import syntax as messages
from engine.language.syntax_hints.hint import SyntaxHint


def trailing_comma(place: Place) -> SyntaxHint | None:
    here, previous, following = place.here, place.previous, place.at(1)
    if previous.text == ",":
        if not place.ends_here() or here.text == "then":
            return None
        comma, after = previous, here
    elif here.text == "," and "COMMA" not in place.accepts and following.text in (*CLAUSES, ""):
        comma, after = here, following
    elif place.at(-2).text == "," and previous.text in (*CLAUSES, "expect") and here.text not in (",", "]"):
        # `given a, expect local`: there `expect` was read as the name of a fact.
        comma, after = place.at(-2), previous
    else:
        return None
    what = f"`{after.text}`" if after.text else "the end"
    # A member may have stood behind it: which of the two is meant is not certain.
    return SyntaxHint(
        messages.trailing_comma(place.span(comma), what), place.replace(comma, " "), is_fix=False
    )


def brackets(place: Place) -> SyntaxHint | None:
    here = place.here
    in_list = here.kind == "word" and place.at(1).text in (",", "]")
    stops = here.kind == "end" or (here.text in ENDINGS and not in_list)
    for bracket, closing, terminal in (("[", "]", "RSQB"), ("(", ")", "RPAR")):
        opening = place.opening(bracket, closing)
        if opening is not None and terminal in place.accepts and stops:
            is_list = bracket == "["
            message = messages.unclosed_bracket(place.span(opening), closing, here.text if is_list else None)
            return SyntaxHint(message, Edit(place.previous.end, place.previous.end, closing), is_fix=is_list)
    opener = {"]": "[", ")": "("}.get(here.text)
    if opener is not None and place.opening(opener, here.text) is None:
        return SyntaxHint(messages.unopened_bracket(place.span(here)), place.replace(here, " "), is_fix=False)
    return None


def missing_comma(place: Place) -> SyntaxHint | None:
    here = place.here
    if "COMMA" not in place.accepts or here.kind == "end":
        return None
    in_list = "RSQB" in place.accepts and here.kind in VALUES
    in_weigh = place.keyword == "weigh" and here.kind == "word" and place.at(1).kind == "number"
    in_given = "EXPECT" in place.accepts and here.kind == "word"
    in_chain = (
        place.last_of("chain", "given") is not None and "BECAUSE" in place.accepts and here.kind in VALUES
    )
    if in_given and here.text == "and":
        right = f"{place.previous.text}, {place.at(1).text}"
        return SyntaxHint(messages.missing_comma(place.span(here), right), place.replace(here, ","))
    if in_list or in_weigh or in_given or (in_chain and place.keyword == "test"):
        right = f"{place.previous.text}, {place.words(here, place.at(1) if in_weigh else here)}"
        return SyntaxHint(
            messages.missing_comma(place.span(here), right), Edit(place.previous.end, place.previous.end, ",")
        )
    return None


def unexpected_comma(place: Place) -> SyntaxHint | None:
    """`forbid a: cloud, ollama`: more than one selector."""
    here, following = place.here, place.at(1)
    if here.text != "," or "OR" not in place.accepts or following.kind not in VALUES:
        return None
    if place.keyword in ("route", "weigh") or following.text in ENDINGS:
        return None
    if place.keyword == "let" and place.at(-2).text == "=":
        return _let_without_brackets(place)
    return SyntaxHint(messages.unexpected_comma(place.span(here)), place.replace(here, " or "), is_fix=False)


def _let_without_brackets(place: Place) -> SyntaxHint | None:
    """`let a = b, c`, perhaps with one of the brackets."""
    first, distance = place.previous, 0
    while place.at(distance).text == "," and place.at(distance + 1).kind in VALUES:
        distance += 2
    last = place.at(distance - 1)
    right = f"[{place.draft.text[first.start : last.end]}]"
    end = place.at(distance) if place.at(distance).text == "]" else last
    return SyntaxHint(
        messages.list_without_brackets(place.span(first, last), right), place.replace(first, right, end)
    )
