"""Hints about the clauses that end a statement: `when`, `unless` and `because`."""

from engine.language.error_context import CLAUSES, VALUES, WORDS, Edit, Place
from engine.language.messages import syntax as messages
from engine.language.syntax_hints.foreign_forms import FOREIGN_WHEN
from engine.language.syntax_hints.hint import SyntaxHint

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
        return SyntaxHint(messages.because_before_when(place.span(because), here.text), edit, is_fix=False)
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
        return SyntaxHint(messages.missing_not_when(place.span(previous), right), edit)
    if "WHEN" in place.accepts:
        if here.text in FOREIGN_WHEN:
            rest = place.rest_of_clause().partition(" ")[2]
            right = f"when {rest}"
            return SyntaxHint(messages.unexpected_if(place.span(here), right), place.replace(here, "when"))
        if here.kind == "string" and "BECAUSE" in place.accepts:
            return SyntaxHint(messages.missing_because(place.span(here)), place.insert("because"))
        if (here.kind in VALUES and here.text not in WORDS) or here.text in ("(", "not"):
            return SyntaxHint(messages.missing_when(place.span(here)), place.insert("when"), is_fix=False)
        return None
    if here.kind == "string" and "BECAUSE" in place.accepts:
        return SyntaxHint(messages.missing_because(place.span(here)), place.insert("because"))
    if "AND" in place.accepts and (
        (here.kind == "word" and here.text not in WORDS) or here.text in ("(", "not")
    ):
        return SyntaxHint(messages.missing_connective(place.span(here)), place.insert("and"), is_fix=False)
    return None
