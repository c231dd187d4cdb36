"""Sentences about names: unknown, ambiguous, declared twice or never used."""

from collections.abc import Iterable, Mapping, Sequence

from engine.language.diagnostics import Diagnostic, Note
from engine.language.known_names import Names
from engine.language.sentences import error, offering, proposal, warning
from engine.language.source import Span
from engine.language.vocabulary import ATTRIBUTES, FACTS, LOCALITIES, TERMS, Kind, Term
from engine.language.wording import (
    listed,
    listed_names,
    meant,
    nearest,
    similar_or_listed,
    tick,
    written_name,
)


def _declared(place: Span | None, label: str) -> tuple[Note, ...]:
    return () if place is None else (Note(place, label),)


# What each list of names is called: one of them, several of them.
_UNIVERSES = {
    "task_types": ("task type", "task types"),
    "labels": ("label", "labels"),
    "needs": ("need", "needs"),
    "groups": ("group", "groups"),
    "modes": ("mode", "modes"),
    "providers": ("provider", "providers"),
    "models": ("model", "models"),
    "capabilities": ("capability", "capabilities"),
    "zones": ("zone", "zones"),
    "tags": ("tag", "tags"),
}


def looks_like_a_term(word: str) -> bool:
    """Whether a word is meant as a fact or an attribute: it has the beginning of one."""
    return "." in word and word.split(".")[0] in {name.split(".")[0] for name in TERMS}


def unknown_term(span: Span, text: str) -> Diagnostic:
    is_attribute = text.startswith("model.")
    known = list(ATTRIBUTES if is_attribute else FACTS)
    what = "attribute" if is_attribute else "fact"
    last = text.split(".")[-1]
    similar = meant(text, known) or next((name for name in known if name.split(".")[-1] == last), None)
    siblings = [name for name in known if name.startswith(text.split(".")[0] + ".")]
    if similar is not None:
        help = f"{tick(similar)} is a similar {what}"
    elif siblings and not is_attribute:
        help = f"the facts that begin so are {listed(siblings)}"
    else:
        help = f"the {what}s are {listed(known, most=24)}"
    message = f"a model has no attribute {tick(text)}" if is_attribute else f"there is no fact {tick(text)}"
    found = error(f"unknown-{what}", span, message, help)
    return found if similar is None else offering(found, text, similar, similar)


def unknown_subject(span: Span, text: str, is_word: bool) -> Diagnostic:
    """What stands to the left of an operator is neither fact nor attribute."""
    if not is_word:
        return error(
            "unknown-fact",
            span,
            f"{tick(span.text)} is a value, and a comparison begins with a fact or an attribute of a model",
            "write the fact first: `task.context_size > 32k`",
        )
    same_end = [name for name in TERMS if name.split(".", 1)[-1] == text]
    if len(same_end) == 1:
        message = f"there is no fact or attribute {tick(text)}"
        return proposal("unknown-fact", span, message, same_end[0])
    if same_end:
        help = "write " + " or ".join(tick(name) for name in same_end)
    else:
        similar = nearest(text, TERMS)
        help = f"{tick(similar)} is a similar name" if similar else f"the facts are {listed(FACTS, most=24)}"
    return error("unknown-fact", span, f"there is no fact or attribute {tick(text)}", help)


def turned_round(span: Span, left: str, term: Term, operator: str) -> Diagnostic:
    """A value to the left of a fact or attribute: `32k < task.context_size`, `pii in task.labels`."""
    turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "in": "is", "not in": "is not"}.get(
        operator, operator
    )
    if term.kind is Kind.SET:
        turned = "has"
    is_negated = turned == "has" and operator in ("not in", "is not")
    says = f"{'not ' if is_negated else ''}{term.name} {turned} {left}"
    message = f"{tick(left)} is a value, and a comparison begins with the fact or attribute"
    return proposal("turned-round", span, message, says)


def unknown_name(
    span: Span, text: str, *, lets: Sequence[str], names: Names, is_quoted: bool, search: bool
) -> Diagnostic:
    """A name standing alone is no let, provider or model."""
    what = "no provider or model" if is_quoted else "no let, provider or model"
    known = [*names.providers, *(model.key for model in names.models)]
    known += [] if is_quoted else [*lets, *LOCALITIES, "any"]
    similar = meant(text, known) if search else None
    comparisons = _comparisons_with(text, names)
    if is_quoted and text in (*lets, *LOCALITIES, "any", *TERMS):
        help = f"a name in quotes is only ever a provider or a model; write {tick(text)} without them"
    elif similar is not None:
        help = f"{tick(written_name(similar))} is a similar name"
    elif comparisons:
        help = "a value does not stand alone; write " + " or ".join(tick(one) for one in comparisons)
    else:
        help = f"the names that can stand alone are {listed_names(known)}"
    return error("unknown-name", span, f"{tick(span.text)} is {what}", help)


def rule_alone(span: Span, text: str, noun: str, declared: Span) -> Diagnostic:
    return error(
        "rule-alone",
        span,
        f"{tick(text)} is a {noun}, and only a let can be spoken of in an expression",
        "write its condition as a `let`, and use that in both places",
        (Note(declared, "declared here"),),
    )


def _comparisons_with(value: str, names: Names) -> list[str]:
    """Comparisons in which a name would be a good value."""
    found = []
    for term in TERMS.values():
        stands_alone = term.universe in ("models", "providers")
        values = () if stands_alone else names.known_values(term) or ()
        if value in values and value != "unknown":
            found.append(f"{term.name} {'has' if term.kind is Kind.SET else 'is'} {written_name(value)}")
    return found[:3]


def unknown_member(
    span: Span,
    text: str,
    universe: str,
    known: Sequence[str],
    places: Mapping[tuple[str, str], Span],
    search: bool,
) -> Diagnostic:
    """A name that must be one of a closed list, and is not."""
    what, whats = _UNIVERSES[universe]
    similar = meant(text, known) if search else None
    notes = () if similar is None else _declared(places.get((universe, similar)), "declared here")
    return error(
        f"unknown-{what.replace(' ', '-')}",
        span,
        f"there is no {what} {tick(span.text)}",
        similar_or_listed(text, known, what, whats, search),
        notes,
    )


def unknown_value(span: Span, text: str, term: str, scale: Iterable[str]) -> Diagnostic:
    scale = list(scale)
    similar = meant(text, scale) or next((name for name in scale if text.lower().startswith(name)), None)
    values = f"it is one of {listed(scale)}"
    found = error(
        "unknown-value",
        span,
        f"{tick(term)} is never {tick(span.text)}",
        f"{tick(similar)} is similar; {values}" if similar is not None else values,
    )
    return found if similar is None else offering(found, text, similar, similar)


def nobody_has(span: Span, text: str, universe: str, known: Sequence[str], search: bool) -> Diagnostic:
    what, whats = _UNIVERSES[universe]
    return warning(
        f"unknown-{what}",
        span,
        f"no model in models.yaml has the {what} {tick(span.text)}",
        similar_or_listed(text, known, what, whats, search) if known else f"no model has any {whats}",
    )


def ambiguous_model(span: Span, text: str, keys: Iterable[str]) -> Diagnostic:
    return error(
        "ambiguous-model",
        span,
        f"more than one provider has a model {tick(text)}",
        "write " + " or ".join(tick(written_name(key)) for key in keys),
    )


def provider_or_model(span: Span, text: str) -> Diagnostic:
    return error(
        "ambiguous-name",
        span,
        f"{tick(text)} is both a provider and a model",
        f"write {tick(f'model.provider is {text}')} or {tick(f'model.id is {text}')}",
    )


def label_case(span: Span, text: str, other: str, place: Span) -> Diagnostic:
    return warning(
        "label-case",
        span,
        f"the label {tick(text)} differs from {tick(other)} only in case, and names are compared exactly",
        f"write {tick(written_name(other))} if the same label is meant",
        (Note(place, "written so here"),),
    )


def duplicate_name(span: Span, first: Span, label: str) -> Diagnostic:
    return error(
        "duplicate-name",
        span,
        f"the name {tick(span.text)} is taken",
        "rules, lets and proofs share one set of names; choose another",
        (Note(first, label),),
    )


def let_name_taken(span: Span, what: str, place: Span | None) -> Diagnostic:
    return error(
        "let-name-taken",
        span,
        f"a let cannot be called {tick(span.text)}, which is a {what}",
        "choose another name",
        _declared(place, "declared here"),
    )


def let_cycle(span: Span, names: Sequence[str], uses: Sequence[Span]) -> Diagnostic:
    way = " -> ".join([*names[:8], *(["..."] if len(names) > 8 else []), names[0]])
    notes = [
        Note(use, f"{tick(name)} is made of {tick(use.text)} here")
        for name, use in zip(names[:8], uses, strict=False)
    ]
    return error(
        "let-cycle",
        span,
        f"the let {tick(names[0])} is made of itself",
        f"the way round is {way}; write one of them without the next",
        notes,
    )


def unused_let(span: Span, name: str) -> Diagnostic:
    return warning("unused-let", span, f"nothing uses the let {tick(name)}", "use it, or take it away")
