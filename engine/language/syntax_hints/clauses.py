"""Hints about the body of a statement: tiers, points, weights, facts given and clauses."""

import re

from engine.language.error_context import CLAUSES, ENDINGS, VALUES, WORDS, Edit, Place
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
        return SyntaxHint(
            messages.unexpected_operator(place.span(here), here.text, right), place.replace(here, " ")
        )
    if here.kind == "end" or here.text in ENDINGS:
        return SyntaxHint(
            messages.missing_value(place.span(part), "a weight", f"{part.text} 0.3"), place.insert("0.1")
        )
    return None


def missing_given(place: Place) -> SyntaxHint | None:
    if place.keyword != "test" or place.accepts != {"GIVEN"} or place.here.kind == "end":
        return None
    right = f"given task.type is planning {place.rest_of_clause()}"
    return SyntaxHint(messages.missing_given(place.span(place.here), right), place.insert("given x"))


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
        return SyntaxHint(
            messages.missing_by(place.span(here), f"by {match[1]}"), place.replace(here, f"by {match[1]}")
        )
    if here.kind == "number":
        return SyntaxHint(messages.missing_by(place.span(here), f"by {here.text}"), place.insert("by"))
    if place.ends_here() and here.text not in (")", "]"):
        late = any(lexeme.text == "by" for lexeme in place.lexemes[place.index :])
        if late and here.text in CLAUSES:
            by = next(lexeme for lexeme in place.lexemes[place.index :] if lexeme.text == "by")
            return SyntaxHint(messages.points_after_condition(place.span(by)))
        shown = here if here.kind != "end" else place.previous
        span = place.span(shown)
        return SyntaxHint(
            messages.missing_points(span, place.keyword, here.kind == "end"), place.insert("by 1")
        )
    return None


_MISPLACED_IN = {
    "let": "no clause",
    "test": "no condition: `given` states the facts",
    "language": "a number only",
}


def misplaced_clause(place: Place) -> SyntaxHint | None:
    here, keyword = place.here, place.keyword
    if here.text not in CLAUSES or here.text.upper() in place.accepts or "NAME" in place.accepts:
        return None
    span = place.span(here)
    if keyword in _MISPLACED_IN:
        return SyntaxHint(messages.misplaced_clause(span, keyword, _MISPLACED_IN[keyword]))
    if keyword == "prove" and here.text == "because":
        return SyntaxHint(messages.misplaced_clause(span, "prove", "`when` and `unless` only"))
    if first := place.last_of(here.text):
        return SyntaxHint(messages.duplicate_clause(span, place.span(first)))
    because = place.last_of("because")
    if because is not None and here.text != "because":
        edit = Edit(because.start, here.start, "")
        return SyntaxHint(messages.because_before_when(place.span(because), here.text), edit)
    if here.text == "when" and place.last_of("unless"):
        return SyntaxHint(messages.clause_order(span))
    return None


def missing_when(place: Place) -> SyntaxHint | None:
    here, previous = place.here, place.previous
    if previous.text in ("if", "where") and place.at(-2).text == ":":
        example = {"route": "use cloud when ...", "weigh": "cost 0.1, quality 0.7, latency 0.2 when ..."}
        return SyntaxHint(
            messages.condition_first(
                place.span(previous), previous.text, example.get(place.keyword, "cloud when ...")
            )
        )
    if previous.text == "not" and place.accepts == {"IN"} and place.at(-2).kind in VALUES:
        # `cloud not private`: read as the beginning of `not in`.
        right = f"when not {place.rest_of_clause()}"
        edit = Edit(previous.start, previous.start, "when ")
        return SyntaxHint(messages.missing_when(place.span(previous), right), edit)
    if "WHEN" in place.accepts:
        if here.text in FOREIGN_WHEN:
            rest = place.rest_of_clause().partition(" ")[2]
            right = f"when {rest}"
            return SyntaxHint(
                messages.unexpected_if(place.span(here), here.text, right), place.replace(here, "when")
            )
        if here.kind == "string" and "BECAUSE" in place.accepts:
            return SyntaxHint(messages.missing_because(place.span(here)), place.insert("because"))
        if (here.kind in VALUES and here.text not in WORDS) or here.text in ("(", "not"):
            right = f"when {place.rest_of_clause()}"
            return SyntaxHint(messages.missing_when(place.span(here), right), place.insert("when"))
        return None
    if here.kind == "string" and "BECAUSE" in place.accepts:
        return SyntaxHint(messages.missing_because(place.span(here)), place.insert("because"))
    if "AND" in place.accepts and (
        (here.kind == "word" and here.text not in WORDS) or here.text in ("(", "not")
    ):
        right = f"and {place.rest_of_clause()}"
        return SyntaxHint(messages.missing_connective(place.span(here), right), place.insert("and"))
    return None
