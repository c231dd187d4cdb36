"""Hints about what stands in one kind of statement only: tiers, points, weights, given facts, quantifiers."""

import re

from engine.language.error_context import CLAUSES, ENDINGS, Edit, Place
from engine.language.messages import syntax as messages
from engine.language.syntax_hints.foreign_forms import FOREIGN_QUANTIFIERS, FOREIGN_WHEN
from engine.language.syntax_hints.hint import SyntaxHint


def weights(place: Place) -> SyntaxHint | None:
    """`cost = 0.1`, `quality: 0.7`, `latency`."""
    if place.keyword != "weigh" or "NUMBER" not in place.accepts:
        return None
    here, part = place.here, place.previous
    if here.text in ("=", ":", "=="):
        right = f"{part.text} {place.value_after(1)}"
        return SyntaxHint(messages.unexpected_operator(place.span(here), right), place.replace(here, " "))
    if here.kind == "end" or here.text in ENDINGS:
        return SyntaxHint(
            messages.missing_value(place.span(part), "a weight", f"{part.text} 0.3"),
            place.insert("0.1"),
            is_fix=False,
        )
    return None


def missing_given(place: Place) -> SyntaxHint | None:
    if place.keyword != "test" or place.accepts != {"GIVEN"} or place.here.kind == "end":
        return None
    right = f"given task.type is planning {place.rest_of_clause()}"
    return SyntaxHint(
        messages.missing_given(place.span(place.here), right), place.insert("given x"), is_fix=False
    )


def given(place: Place) -> SyntaxHint | None:
    """`given` states facts: no comparison but `is` and `has`, and no list."""
    if place.keyword != "test":
        return None
    section = place.last_of("given", "expect")
    if section is None or section.text != "given":
        return None
    here, previous = place.here, place.previous
    if here.text in ("<", "<=", ">", ">=", "in") or (here.text == "not" and "IS" in place.accepts):
        return SyntaxHint(messages.given_not(place.span(here), here.text))
    if previous.text == "not" and place.at(-2).text == "is":
        return SyntaxHint(messages.given_not(place.span(place.at(-2), previous), "is not"))
    if here.text == "[" or (previous.text in ("any", "all") and place.at(-2).text == "has"):
        first = previous if previous.text in ("any", "all") else here
        return SyntaxHint(messages.given_list(place.span(first)))
    return None


def missing_quantifier(place: Place) -> SyntaxHint | None:
    if {"NEVER", "ONLY", "SOME"} <= place.accepts and place.keyword == "prove" and place.here.kind != "end":
        always = place.here.text in FOREIGN_QUANTIFIERS
        models = place.at(1).text if always else place.here.text
        suggestions = [f"{word} {models}" for word in ("never", "only", "some")]
        return SyntaxHint(messages.missing_quantifier(place.span(place.here), suggestions))
    return None


def route_words(place: Place) -> SyntaxHint | None:
    here, previous = place.here, place.previous
    right = f"{previous.text}, then {place.at(1).text}".rstrip()
    if "USE" in place.accepts and here.text in ("when", "unless", *FOREIGN_WHEN):
        return SyntaxHint(messages.condition_first(place.span(here), here.text, "use cloud when ..."))
    if "USE" in place.accepts and here.kind != "end":
        first = place.at(1) if here.text == "then" else here
        edit = place.replace(here, "use") if here.text == "then" else place.insert("use")
        return SyntaxHint(messages.missing_use(place.span(here), f"use {first.text}"), edit)
    if here.text == "then":
        if "COMMA" in place.accepts and place.keyword == "route":
            edit = Edit(previous.end, previous.end, ",")
            return SyntaxHint(messages.missing_comma(place.span(here), right), edit)
        if place.keyword != "route":
            return SyntaxHint(messages.unexpected_then(place.span(here), place.keyword))
    if "THEN" in place.accepts and here.kind != "end":
        instead = here.text in ("use", "else", "or")
        tier = place.at(1) if instead else here
        edit = place.replace(here, "then") if instead else place.insert("then")
        return SyntaxHint(messages.missing_then(place.span(here), f", then {tier.text}"), edit)
    if "COMMA" in place.accepts and place.keyword == "route" and here.text in ("else", "otherwise"):
        return SyntaxHint(messages.missing_then(place.span(here), right), place.replace(here, ", then"))
    if previous.text == "use" and place.at(-2).text == ":" and place.keyword != "route":
        return SyntaxHint(
            messages.unexpected_use(place.span(previous), place.keyword), place.replace(previous, " ")
        )
    return None


def points(place: Place) -> SyntaxHint | None:
    here = place.here
    if place.keyword not in ("prefer", "avoid"):
        return None
    if here.text == "by" and place.last_of(*CLAUSES) is not None:
        return SyntaxHint(messages.points_after_condition(place.span(here)))
    if "BY" not in place.accepts:
        return None
    if match := re.fullmatch(r"by([0-9].*)", here.text):
        right = f"by {match[1]}"
        return SyntaxHint(messages.missing_by(place.span(here), right), place.replace(here, right))
    if here.kind == "number":
        return SyntaxHint(messages.missing_by(place.span(here), f"by {here.text}"), place.insert("by"))
    if place.ends_here() and here.text not in (")", "]"):
        late = next((lexeme for lexeme in place.lexemes[place.index :] if lexeme.text == "by"), None)
        if late is not None and here.text in CLAUSES:
            return SyntaxHint(messages.points_after_condition(place.span(late)))
        at_end = here.kind == "end"
        span = place.span(place.previous if at_end else here)
        return SyntaxHint(
            messages.missing_points(span, place.keyword, at_end), place.insert("by 1"), is_fix=False
        )
    return None
