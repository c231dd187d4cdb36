"""Every sentence said to a policy author: one function per diagnostic, so that tone and wording are reviewed
here.

Lower case, no full stop, no Python words. The message says what is wrong, with the author's own text; `help`
says what to write instead. Closed sets are listed; a similar name is offered as a statement, and only when it
is near.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches

from engine.language.diagnostics import Diagnostic, Level, Note, visible
from engine.language.source import Span
from engine.language.syntax_tree import Range
from engine.language.vocabulary import ATTRIBUTES, FACTS, LOCALITIES, Fact, Kind, ModeMeaning, Names, Term

# --- Wording shared by many ---------------------------------------------------------------------------


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one known name that is near enough to be what was meant, or None."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.75)
    return matches[0] if matches else None


def listed(names: Iterable[str], most: int = 12) -> str:
    """`a, b, c`, cut with a count when there are many."""
    names = list(names)
    shown = ", ".join(visible(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def shortened(text: str, most: int = 60) -> str:
    """The author's text on one line, cut when it is long, safe to show."""
    text = " ".join(text[: 4 * most].split())
    return visible(text if len(text) <= most else text[: most - 3] + "...")


# --- Writing: files, characters, grammar --------------------------------------------------------------


def control_character(span: Span) -> Diagnostic:
    return _error(
        "control-character",
        span,
        f"the control character `{visible(span.text)}` cannot stand in a policy",
        "leave it out; a line ends with LF or CRLF, and only spaces and tabs indent",
    )


def lone_carriage_return(span: Span) -> Diagnostic:
    return _error(
        "lone-carriage-return",
        span,
        "a carriage return without a line feed ends no line",
        "end lines with LF or CRLF",
    )


def bidirectional_character(span: Span) -> Diagnostic:
    return _error(
        "bidirectional-character",
        span,
        f"`{visible(span.text)}` makes text appear in another order than it is read",
        "leave it out",
    )


def tab_in_string(span: Span) -> Diagnostic:
    return _error("control-character", span, "a tab cannot stand in a text", "write spaces")


def too_many_errors(span: Span, limit: int) -> Diagnostic:
    return _error(
        "too-many-errors",
        span,
        f"{limit} statements with errors; from here on this file was not read",
        "mend the ones above first",
    )


def nesting_too_deep(span: Span, limit: int) -> Diagnostic:
    return _error(
        "nesting-too-deep",
        span,
        f"brackets and `not` stand more than {limit} deep",
        "give a part a name of its own: `let NAME = ...`",
    )


def unknown_language_version(span: Span, written: str) -> Diagnostic:
    return _error(
        "unknown-language-version",
        span,
        f"there is no version {shortened(written)} of the language; the known versions are: 1",
        "write `language 1`",
    )


def language_not_first(span: Span) -> Diagnostic:
    return _error(
        "language-not-first",
        span,
        "`language` can only be the first statement of a file",
        "move it to the top, or leave it out: version 1 is meant without it",
    )


def unexpected_operator(span: Span, written: str, suggestion: str) -> Diagnostic:
    return _error(
        "unexpected-operator",
        span,
        f"`{shortened(written)}` is no operator here",
        f"write `{shortened(suggestion)}`",
    )


def unexpected_if(span: Span, written: str, suggestion: str) -> Diagnostic:
    return _error(
        "unexpected-if",
        span,
        f"a condition does not begin with `{shortened(written)}`",
        f"write `{shortened(suggestion)}`",
    )


def condition_first(span: Span, written: str, example: str) -> Diagnostic:
    return _error(
        "unexpected-if",
        span,
        f"a statement does not begin with its condition, nor a condition with `{shortened(written)}`",
        f"write what is to happen first: `{shortened(example)}`",
    )


def unexpected_then(span: Span, keyword: str) -> Diagnostic:
    return _error(
        "unexpected-then",
        span,
        f"`then` divides the tiers of a `route` and means nothing in `{keyword}`",
        "leave it out; the condition stands last, after `when`",
    )


def unexpected_use(span: Span, keyword: str) -> Diagnostic:
    return _error(
        "unexpected-use",
        span,
        f"`use` begins the tiers of a `route` and means nothing in `{keyword}`",
        "leave it out",
    )


def missing_use(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "missing-use", span, "`use` is missing before the first tier", f"write `{shortened(suggestion)}`"
    )


def missing_then(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "missing-then", span, "`then` is missing before the next tier", f"write `{shortened(suggestion)}`"
    )


def missing_colon(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "missing-colon",
        span,
        f"a colon is missing after `{shortened(span.text)}`",
        f"write `{shortened(suggestion)}`",
    )


def unexpected_colon(span: Span, word: str, suggestion: str) -> Diagnostic:
    return _error(
        "unexpected-colon", span, f"no colon stands after `{word}`", f"write `{shortened(suggestion)}`"
    )


def missing_space(span: Span) -> Diagnostic:
    return _error(
        "missing-space",
        span,
        f"something is glued to `{shortened(span.text)}`",
        "put a space between the two",
    )


def missing_equals(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "missing-equals",
        span,
        f"`=` is missing after `{shortened(span.text)}`",
        f"write `{shortened(suggestion)}`",
    )


def missing_comma(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "missing-comma",
        span,
        f"a comma is missing before `{shortened(span.text)}`",
        f"write `{shortened(suggestion)}`",
    )


def trailing_comma(span: Span, following: str) -> Diagnostic:
    return _error(
        "trailing-comma",
        span,
        f"nothing follows this comma but {following}",
        "leave the comma out, or write what was to follow it",
    )


def missing_when(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "missing-when", span, "`when` is missing before the condition", f"write `{shortened(suggestion)}`"
    )


def missing_connective(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "missing-connective",
        span,
        f"nothing joins `{shortened(span.text)}` to the condition before it",
        f"write `{shortened(suggestion)}`, or `or` where one of them is enough",
    )


def missing_by(span: Span, suggestion: str) -> Diagnostic:
    return _error("missing-by", span, "`by` is missing before the points", f"write `{shortened(suggestion)}`")


def missing_points(span: Span, keyword: str, at_end: bool) -> Diagnostic:
    where = "after" if at_end else "before"
    return _error(
        "missing-points",
        span,
        f"`{keyword}` needs points {where} `{shortened(span.text)}`",
        "write `by 5`, or another number above 0, after the models",
    )


def points_after_condition(span: Span) -> Diagnostic:
    return _error(
        "clause-order",
        span,
        "`by` stands after the condition",
        "write the points first: `by POINTS when CONDITION`",
    )


def missing_because(span: Span) -> Diagnostic:
    return _error(
        "missing-because",
        span,
        "`because` is missing before the reason",
        f"write `because {shortened(span.text)}`",
    )


def missing_name(span: Span, keyword: str, suggestion: str) -> Diagnostic:
    return _error(
        "missing-name",
        span,
        f"this `{keyword}` has no name",
        f"give it one, as reports will call it: `{shortened(suggestion)}`",
    )


def bad_rule_name(span: Span, keyword: str, suggestion: str | None) -> Diagnostic:
    return _error(
        "bad-rule-name",
        span,
        f"`{shortened(span.text)}` cannot be the name of a `{keyword}`: lower-case letters, digits and "
        "single hyphens, "
        "a letter first",
        f"write `{shortened(suggestion)}`" if suggestion else None,
    )


def unknown_mark(span: Span) -> Diagnostic:
    return _error(
        "unknown-mark",
        span,
        f"a rule cannot be marked `{shortened(span.text)}`",
        "write `(watch)` to try it unarmed",
    )


def unquoted_title(span: Span) -> Diagnostic:
    return _error(
        "unquoted-title", span, "the title of a test stands in quotes", f'write `"{shortened(span.text)}"`'
    )


def unquoted_name(span: Span) -> Diagnostic:
    return _error(
        "unquoted-name",
        span,
        f"`{shortened(span.text)}` is no bare name: those have letters, digits, `_` and single `-`, `.`, `:` "
        "inside, "
        "a letter first",
        f'write `"{shortened(span.text)}"`',
    )


def bad_number(span: Span, suggestion: str | None) -> Diagnostic:
    return _error(
        "bad-number",
        span,
        f"`{shortened(span.text)}` is no number: those are written `8192`, `32k`, `1.5M`, `80%`, `$0.05` or "
        "`0.25`",
        f"write `{shortened(suggestion)}`" if suggestion else None,
    )


def bad_range(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "bad-range", span, "a range has two dots between its ends", f"write `{shortened(suggestion)}`"
    )


def unexpected_comma(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "unexpected-comma",
        span,
        "a comma joins nothing here",
        f"write `{shortened(suggestion)}` where either is enough",
    )


def missing_given(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "missing-given",
        span,
        "a test states its facts before what it expects",
        f"write `{shortened(suggestion)}`",
    )


def unclosed_string(span: Span) -> Diagnostic:
    return _error("unclosed-string", span, "this text is not closed on its line", 'close it with `"`')


def wrong_quotes(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "wrong-quotes",
        span,
        'only straight double quotes `"` enclose a text',
        f"write `{shortened(suggestion)}`",
    )


def bad_escape(span: Span) -> Diagnostic:
    return _error(
        "bad-escape",
        span,
        f"`{shortened(span.text)}` means nothing in a text",
        'a backslash is written `\\\\` and a quote `\\"`; a text has no others and stands on one line',
    )


def unclosed_bracket(span: Span, closing: str, before: str | None) -> Diagnostic:
    where = f" before `{shortened(before)}`" if before else ""
    return _error(
        "unclosed-bracket", span, f"this `{shortened(span.text)}` is not closed", f"write `{closing}`{where}"
    )


def unopened_bracket(span: Span) -> Diagnostic:
    return _error(
        "unopened-bracket",
        span,
        f"this `{shortened(span.text)}` closes nothing",
        "leave it out, or open it before",
    )


def is_in(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "is-in",
        span,
        f"`{shortened(span.text)}` is not written here",
        f"write `{shortened(suggestion)}`",
    )


def is_list(span: Span, suggestion: str) -> Diagnostic:
    return _error("is-list", span, "`is` compares with one value", f"write `{shortened(suggestion)}`")


def has_list(span: Span, written: str) -> Diagnostic:
    return _error(
        "has-list",
        span,
        "`has` asks for one value",
        f"write `has any {shortened(written)}` for one of them or `has all {shortened(written)}` for every "
        "one",
    )


def list_without_brackets(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "list-without-brackets", span, "several values stand in brackets", f"write `{shortened(suggestion)}`"
    )


def misplaced_not(span: Span, suggestion: str) -> Diagnostic:
    return _error(
        "misplaced-not", span, "`not` stands before the whole comparison", f"write `{shortened(suggestion)}`"
    )


def unexpected_word(span: Span, instead: str) -> Diagnostic:
    return _error(
        "unexpected-word",
        span,
        f"`{shortened(span.text)}` is no word of the language here",
        f"write `{shortened(instead)}`",
    )


def upper_case_keyword(span: Span) -> Diagnostic:
    return _error(
        "upper-case-keyword",
        span,
        f"`{shortened(span.text)}` is written in small letters",
        f"write `{shortened(span.text.lower())}`",
    )


def unknown_statement(span: Span, known: Iterable[str], near: str | None) -> Diagnostic:
    return _error(
        "unknown-statement",
        span,
        f"no statement begins with `{shortened(span.text)}`; they begin with: {listed(known)}",
        f"write `{near}`" if near else None,
    )


def missing_value(span: Span, what: str, example: str) -> Diagnostic:
    return _error(
        "missing-value",
        span,
        f"{what} is missing after `{shortened(span.text)}`",
        f"for example `{shortened(example)}`",
    )


def missing_quantifier(span: Span, suggestions: Iterable[str]) -> Diagnostic:
    return _error(
        "missing-quantifier",
        span,
        "a proof says `never`, `only` or `some` before its models",
        "write " + " or ".join(f"`{shortened(suggestion)}`" for suggestion in suggestions),
    )


def because_before_when(span: Span, word: str) -> Diagnostic:
    return _error(
        "because-before-when",
        span,
        f"`because` stands before `{word}`",
        f'write the condition first: `{word} CONDITION because "..."`',
    )


def clause_order(span: Span) -> Diagnostic:
    return _error(
        "clause-order", span, "`when` stands after `unless`", "write `when CONDITION unless CONDITION`"
    )


def duplicate_clause(span: Span, first: Span) -> Diagnostic:
    word = shortened(span.text)
    return _error(
        "duplicate-clause",
        span,
        f"a second `{word}` in one statement",
        "one text is enough" if word == "because" else "join the two conditions with `and` or `or`",
        [Note(first, "the first one is here")],
    )


def misplaced_clause(span: Span, keyword: str, taken: str) -> Diagnostic:
    return _error(
        "misplaced-clause", span, f"`{keyword}` takes {taken}", f"leave `{shortened(span.text)}` out"
    )


def given_not(span: Span, written: str) -> Diagnostic:
    return _error(
        "given-comparison",
        span,
        f"`{shortened(written)}` does not say which value it has: `given` states facts",
        "write `FACT is VALUE`, `SET has NAME`, `SET is empty`, or a yes/no fact with or without `not`",
    )


def given_list(span: Span) -> Diagnostic:
    return _error(
        "given-list",
        span,
        "`given` states one value at a time",
        "repeat the fact: `given task.labels has pii, task.labels has secret`",
    )


def unexpected_semicolon(span: Span) -> Diagnostic:
    return _error("unexpected-semicolon", span, "nothing separates statements", "leave `;` out")


def odd_space(span: Span) -> Diagnostic:
    return _error(
        "odd-space",
        span,
        f"this space is the character U+{ord(span.text[0]):04X}, not an ordinary one",
        "write a plain space",
    )


def foreign_comment(span: Span) -> Diagnostic:
    return _error(
        "foreign-comment",
        span,
        f"`{shortened(span.text)}` begins no comment",
        "write `#`: it comments to the line's end",
    )


def unexpected_token(span: Span, expected: Iterable[str]) -> Diagnostic:
    text = shortened(span.text)
    return _error("unexpected-token", span, f"`{text}` cannot stand here; possible is: {listed(expected)}")


def unexpected_end(span: Span, expected: Iterable[str]) -> Diagnostic:
    return _error(
        "unexpected-end",
        span,
        f"the statement ends too early, after `{shortened(span.text)}`; possible is: {listed(expected)}",
    )


# --- Meaning: names, types, values --------------------------------------------------------------------


def _error(
    slug: str, span: Span, message: str, help: str | None = None, notes: Iterable[Note] = ()
) -> Diagnostic:
    return Diagnostic(slug, Level.ERROR, message, span, help, tuple(notes))


def _warning(
    slug: str, span: Span, message: str, help: str | None = None, notes: Iterable[Note] = ()
) -> Diagnostic:
    return Diagnostic(slug, Level.WARNING, message, span, help, tuple(notes))


def _tick(text: str) -> str:
    """The author's own text between backticks."""
    return f"`{shortened(text)}`"


def _written(name: str) -> str:
    """A name as it must be written: in quotes unless it is a bare one."""
    return name if _BARE_NAME.fullmatch(name) else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


_BARE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[-.:][A-Za-z0-9_]+)*")


def _meant(text: str, known: Iterable[str]) -> str | None:
    """The known name that was meant: the same in another case, else the nearest."""
    known = list(known)
    folded = text.casefold()
    return next((name for name in known if name.casefold() == folded), None) or nearest(text, known)


def _similar_or_listed(text: str, known: Iterable[str], what: str, whats: str, search: bool = True) -> str:
    """`search` is false once a run has looked for so many similar names that looking on would be work without
    end."""
    known = list(known)
    if not known:
        return f"there are no {whats}"
    similar = _meant(text, known) if search else None
    if similar is not None:
        return f"{_tick(_written(similar))} is a similar {what}"
    return f"the {whats} are {_names(known)}"


def _names(known: Sequence[str]) -> str:
    return listed([*map(_written, known[:12]), *known[12:]])


def _declared(place: Span | None, label: str) -> tuple[Note, ...]:
    return () if place is None else (Note(place, label),)


# What each list of names is called: one of them, several of them.
_UNIVERSES = {
    "task_types": ("task type", "task types"),
    "labels": ("label", "labels"),
    "modes": ("mode", "modes"),
    "providers": ("provider", "providers"),
    "models": ("model", "models"),
    "capabilities": ("capability", "capabilities"),
    "zones": ("zone", "zones"),
    "tags": ("tag", "tags"),
}

# A value of each kind, to be shown where the author wrote none.
_SAMPLES = {
    Kind.PERCENT: "80%",
    Kind.TOKENS: "32k",
    Kind.HOUR: "18",
    Kind.BUCKET: "10",
    Kind.PRICE: "$5",
    Kind.DOLLARS: "$0.05",
}

# Names: unknown, ambiguous, twice.


def looks_like_a_term(word: str) -> bool:
    """Whether a word is meant as a fact or an attribute: it has the beginning of one."""
    return "." in word and word.split(".")[0] in {name.split(".")[0] for name in (*FACTS, *ATTRIBUTES)}


def unknown_term(span: Span, text: str) -> Diagnostic:
    is_attribute = text.startswith("model.")
    known = list(ATTRIBUTES if is_attribute else FACTS)
    what = "attribute" if is_attribute else "fact"
    last = text.split(".")[-1]
    similar = _meant(text, known) or next((name for name in known if name.split(".")[-1] == last), None)
    siblings = [name for name in known if name.startswith(text.split(".")[0] + ".")]
    if similar is not None:
        help = f"{_tick(similar)} is a similar {what}"
    elif siblings and not is_attribute:
        help = f"the facts that begin so are {listed(siblings)}"
    else:
        help = f"the {what}s are {listed(known, most=24)}"
    message = f"a model has no attribute {_tick(text)}" if is_attribute else f"there is no fact {_tick(text)}"
    return _error(f"unknown-{what}", span, message, help)


def unknown_subject(span: Span, text: str, is_word: bool) -> Diagnostic:
    """What stands to the left of an operator is neither fact nor attribute."""
    if not is_word:
        return _error(
            "unknown-fact",
            span,
            f"{_tick(span.text)} is a value, and a comparison begins with a fact or an attribute of a model",
            "write the fact first: `task.context_size > 32k`",
        )
    same_end = [name for name in (*FACTS, *ATTRIBUTES) if name.split(".", 1)[-1] == text]
    if same_end:
        help = "write " + " or ".join(_tick(name) for name in same_end)
    else:
        similar = nearest(text, (*FACTS, *ATTRIBUTES))
        help = f"{_tick(similar)} is a similar name" if similar else f"the facts are {listed(FACTS, most=24)}"
    return _error("unknown-fact", span, f"there is no fact or attribute {_tick(text)}", help)


def turned_round(span: Span, left: str, term: Term, operator: str) -> Diagnostic:
    """A value to the left of a fact or attribute: `32k < task.context_size`, `pii in task.labels`."""
    turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "in": "is", "not in": "is not"}.get(
        operator, operator
    )
    if term.kind is Kind.SET:
        turned = "has"
    says = f"{term.name} {turned} {left}"
    return _error(
        "turned-round",
        span,
        f"{_tick(left)} is a value, and a comparison begins with the fact or attribute",
        f"write {_tick(f'not {says}' if turned == 'has' and operator == 'not in' else says)}",
    )


def unknown_name(
    span: Span, text: str, *, lets: Sequence[str], names: Names, is_quoted: bool, search: bool
) -> Diagnostic:
    """A name standing alone is no let, provider or model."""
    what = "no provider or model" if is_quoted else "no let, provider or model"
    known = [*names.providers, *(model.key for model in names.models)]
    known += [] if is_quoted else [*lets, *LOCALITIES, "any"]
    similar = _meant(text, known) if search else None
    comparisons = _comparisons_with(text, names)
    if is_quoted and text in (*lets, *LOCALITIES, "any", *FACTS, *ATTRIBUTES):
        help = f"a name in quotes is only ever a provider or a model; write {_tick(text)} without them"
    elif similar is not None:
        help = f"{_tick(_written(similar))} is a similar name"
    elif comparisons:
        help = "a value does not stand alone; write " + " or ".join(_tick(one) for one in comparisons)
    else:
        help = f"the names that can stand alone are {_names(known)}"
    return _error("unknown-name", span, f"{_tick(span.text)} is {what}", help)


def rule_alone(span: Span, text: str, noun: str, declared: Span) -> Diagnostic:
    return _error(
        "rule-alone",
        span,
        f"{_tick(text)} is a {noun}, and only a let can be spoken of in an expression",
        "write its condition as a `let`, and use that in both places",
        (Note(declared, "declared here"),),
    )


def _comparisons_with(value: str, names: Names) -> list[str]:
    """Comparisons in which a name would be a good value."""
    found = []
    for term in (*FACTS.values(), *ATTRIBUTES.values()):
        values: Iterable[str] = term.scale
        match term.universe:
            case "task_types":
                values = names.task_types or ()
            case "labels":
                values = names.labels or ()
            case "modes":
                values = names.modes
            case "capabilities":
                values = names.capabilities
            case "zones":
                values = names.zones
            case "tags":
                values = names.tags
            case _:
                pass
        if value in values and value != "unknown":
            found.append(f"{term.name} {'has' if term.kind is Kind.SET else 'is'} {_written(value)}")
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
    similar = _meant(text, known) if search else None
    notes = () if similar is None else _declared(places.get((universe, similar)), "declared here")
    return _error(
        f"unknown-{what.replace(' ', '-')}",
        span,
        f"there is no {what} {_tick(span.text)}",
        _similar_or_listed(text, known, what, whats, search),
        notes,
    )


def unknown_value(span: Span, text: str, term: str, scale: Iterable[str]) -> Diagnostic:
    scale = list(scale)
    similar = _meant(text, scale) or next((name for name in scale if text.lower().startswith(name)), None)
    values = f"it is one of {listed(scale)}"
    return _error(
        "unknown-value",
        span,
        f"{_tick(term)} is never {_tick(span.text)}",
        f"{_tick(similar)} is similar; {values}" if similar is not None else values,
    )


def nobody_has(span: Span, text: str, universe: str, known: Sequence[str], search: bool) -> Diagnostic:
    what, whats = _UNIVERSES[universe]
    return _warning(
        f"unknown-{what}",
        span,
        f"no model in models.yaml has the {what} {_tick(span.text)}",
        _similar_or_listed(text, known, what, whats, search) if known else f"no model has any {whats}",
    )


def ambiguous_model(span: Span, text: str, keys: Iterable[str]) -> Diagnostic:
    return _error(
        "ambiguous-model",
        span,
        f"more than one provider has a model {_tick(text)}",
        "write " + " or ".join(_tick(_written(key)) for key in keys),
    )


def provider_or_model(span: Span, text: str) -> Diagnostic:
    return _error(
        "ambiguous-name",
        span,
        f"{_tick(text)} is both a provider and a model",
        f"write {_tick(f'model.provider is {text}')} or {_tick(f'model.id is {text}')}",
    )


def label_case(span: Span, text: str, other: str, place: Span) -> Diagnostic:
    return _warning(
        "label-case",
        span,
        f"the label {_tick(text)} differs from {_tick(other)} only in case, and names are compared exactly",
        f"write {_tick(_written(other))} if the same label is meant",
        (Note(place, "written so here"),),
    )


def duplicate_name(span: Span, first: Span, label: str) -> Diagnostic:
    return _error(
        "duplicate-name",
        span,
        f"the name {_tick(span.text)} is taken",
        "rules, lets and proofs share one set of names; choose another",
        (Note(first, label),),
    )


def duplicate_title(span: Span, first: Span) -> Diagnostic:
    return _error(
        "duplicate-title",
        span,
        f"there is a test {_tick(span.text)} already",
        "give it a title of its own, or add its cases to the other",
        (Note(first, "declared here"),),
    )


def let_name_taken(span: Span, what: str, place: Span | None) -> Diagnostic:
    return _error(
        "let-name-taken",
        span,
        f"a let cannot be called {_tick(span.text)}, which is a {what}",
        "choose another name",
        _declared(place, "declared here"),
    )


def let_cycle(span: Span, names: Sequence[str], uses: Sequence[Span]) -> Diagnostic:
    way = " -> ".join([*names[:8], *(["..."] if len(names) > 8 else []), names[0]])
    notes = [
        Note(use, f"{_tick(name)} is made of {_tick(use.text)} here")
        for name, use in zip(names[:8], uses, strict=False)
    ]
    return _error(
        "let-cycle",
        span,
        f"the let {_tick(names[0])} is made of itself",
        f"the way round is {way}; write one of them without the next",
        notes,
    )


def unused_let(span: Span, name: str) -> Diagnostic:
    return _warning("unused-let", span, f"nothing uses the let {_tick(name)}", "use it, or take it away")


def unknown_rule(span: Span, text: str, known: Iterable[str], only_routes: bool, search: bool) -> Diagnostic:
    what = "route" if only_routes else "rule"
    help = _similar_or_listed(text, known, what, f"{what}s", search)
    return _error("unknown-rule", span, f"there is no {what} {_tick(text)}", help)


def not_such_a_rule(span: Span, text: str, declared: Span, noun: str, only_routes: bool) -> Diagnostic:
    help = (
        "after `expect route` stands the name of a route; another rule is named by `because`"
        if only_routes
        else "after `because` stands the name of a rule that decided"
    )
    return _error(
        "not-a-route" if only_routes else "not-a-rule",
        span,
        f"{_tick(text)} is a {noun}",
        help,
        (Note(declared, "declared here"),),
    )


# Form: what stands alone, what is compared, with what.


def must_be_compared(span: Span, term: Term, values: Sequence[str]) -> Diagnostic:
    among = f", with one of {_names(values)}" if values else ""
    match term.kind:
        case Kind.SET:
            help = f"write `{term.name} has NAME` or `{term.name} is not empty`{among}"
        case Kind.NAME | Kind.ORDERED:
            help = f"write `{term.name} is NAME`{among}"
        case _:
            help = f"write for example `{term.name} >= {_SAMPLES[term.kind]}`"
    return _error(
        "must-be-compared", span, f"{_tick(term.name)} is {term.kind.value}, and not yes or no", help
    )


def stands_alone(span: Span, text: str) -> Diagnostic:
    return _error(
        "stands-alone",
        span,
        f"{_tick(text)} stands alone and is not compared",
        f"write {_tick(text)} or {_tick(f'not {text}')}",
    )


def list_alone(span: Span, name: str, declared: Span) -> Diagnostic:
    return _error(
        "list-alone",
        span,
        f"{_tick(name)} is a list, and a list is no condition",
        f"write `task.labels has any {name}` or `task.type in {name}`",
        (Note(declared, "declared here"),),
    )


def set_is_single(span: Span, term: str, operator: str, right: str) -> Diagnostic:
    says = f"{term} has {right}"
    return _error(
        "set-compared",
        span,
        f"{_tick(term)} is a set, and `{operator}` is for single values",
        f"write {_tick(f'not {says}' if operator == 'is not' else says)}",
    )


def in_on_set(span: Span, term: str, right: str) -> Diagnostic:
    return _error(
        "set-compared",
        span,
        f"{_tick(term)} is a set, and `in` is for single values",
        f"write {_tick(f'{term} has any {right}')} or {_tick(f'{term} has all {right}')}",
    )


def has_on_single(span: Span, term: str, right: str) -> Diagnostic:
    return _error(
        "has-without-set",
        span,
        f"{_tick(term)} is a single value, and `has` is for sets",
        f"write {_tick(f'{term} is {right}')}",
    )


def has_some_on_single(span: Span, term: str, right: str) -> Diagnostic:
    return _error(
        "has-without-set",
        span,
        f"{_tick(term)} is a single value, and `has` is for sets",
        f"write {_tick(f'{term} in {right}')}",
    )


def no_order(span: Span, term: str, operator: str) -> Diagnostic:
    return _error(
        "no-order",
        span,
        f"the values of {_tick(term)} have no order, so `{operator}` says nothing",
        f"write `{term} is NAME` or `{term} in [NAME, NAME]`",
    )


def yes_or_no(span: Span, term: str, right: str) -> Diagnostic:
    negative = right.lower() in ("no", "false", "0", "off")
    says = f"not {term}" if negative else term
    return _error(
        "yes-or-no",
        span,
        f"{_tick(term)} is yes or no, and nothing else",
        f"write {_tick(says)} or {_tick(f'{term} is ' + ('no' if negative else 'yes'))}",
    )


def unknown_has_no_order(span: Span, term: str) -> Diagnostic:
    return _error(
        "no-order",
        span,
        "an unknown price is neither more nor less than another",
        f"write `{term} is unknown`",
    )


def same_side(span: Span, left: Term, right: Term, are_facts: bool) -> Diagnostic:
    what = "facts" if are_facts else "attributes of a model"
    help = "compare each with a constant"
    if left.kind in (Kind.NAME, Kind.SET):
        help += f'; a name that is spelt like the other is written "{right.name}"'
    return _error(
        "compared-with-its-like",
        span,
        f"{_tick(left.name)} and {_tick(right.name)} are both {what}, and two of these are never compared",
        help,
    )


def cannot_be_compared(span: Span, left: Term, operator: str, right: Term) -> Diagnostic:
    """A fact against an attribute of a model, in a way that has no meaning."""
    kinds = {left.kind, right.kind}
    if kinds == {Kind.TOKENS}:
        help = f"write {_tick(f'{left.name} <= {right.name}')}, with any of `<`, `<=`, `>`, `>=`, `is`"
    elif kinds == {Kind.NAME} and "scale" not in (left.universe, right.universe):
        help = f"write {_tick(f'{left.name} is {right.name}')}"
    elif kinds == {Kind.SET, Kind.NAME} and left.universe != right.universe:
        holder = left if left.kind is Kind.SET else right
        help = (
            f"{_tick(holder.name)} holds {holder.universe}; ask it for "
            f"{_tick(_ATTRIBUTE_OF.get(str(holder.universe), 'a name'))}"
        )
    elif kinds == {Kind.ORDERED}:
        help = (
            "each has a scale of its own, and words that are alike mean different things on them; compare "
            "each with a constant"
        )
    else:
        help = (
            "a fact and an attribute are compared when both count tokens, or when both are names that the "
            "author chose"
        )
    return _error(
        "cannot-be-compared",
        span,
        f"`{operator}` does not compare {_tick(left.name)} ({left.kind.value}) with {_tick(right.name)} "
        f"({right.kind.value})",
        help,
    )


_ATTRIBUTE_OF = {"providers": "model.provider", "models": "model.id"}


def set_on_the_right(span: Span, left: str, right: str) -> Diagnostic:
    return _error(
        "not-a-list",
        span,
        f"{_tick(right)} is a set, and a set is asked what it has",
        f"write {_tick(f'{right} has {left}')}",
    )


def term_as_value(span: Span, term: str) -> Diagnostic:
    return _error(
        "not-a-constant",
        span,
        f"{_tick(span.text)} is not a constant, and a list or range is made of these",
        f'compare the two on their own; a value of {_tick(term)} that is called so is written "{span.text}"',
    )


# Lists and ranges.


def term_for_list(span: Span, left: Term, right: Term) -> Diagnostic:
    help = (
        f"write {_tick(f'{right.name} has {left.name}')}"
        if right.kind is Kind.SET and left.kind is not Kind.SET
        else "write the names in brackets: `[a, b]`"
    )
    return _error("not-a-list", span, f"{_tick(right.name)} is no list", help)


def not_a_list(span: Span, name: str, lists: Iterable[str], declared: Span | None) -> Diagnostic:
    similar = nearest(name, lists)
    if declared is not None:
        return _error(
            "not-a-list",
            span,
            f"{_tick(name)} is a condition, and no list",
            f"write its names in brackets, or let it stand alone: {_tick(name)}",
            (Note(declared, "declared here"),),
        )
    return _error(
        "not-a-list",
        span,
        f"{_tick(name)} is no list",
        f"{_tick(similar)} is a similar list" if similar else f"write {_tick(f'[{span.text}]')}",
    )


def empty_list(span: Span) -> Diagnostic:
    return _error("empty-list", span, "a list has at least one member", "name the members: `[a, b]`")


def member_twice(span: Span, text: str, first: Span) -> Diagnostic:
    return _error(
        "member-twice",
        span,
        f"{_tick(text)} stands here twice",
        "take one away",
        (Note(first, "first here"),),
    )


def no_range(span: Span, term: Term, written: Range, negated: bool) -> Diagnostic:
    low, high = written.low.span.text, written.high.span.text
    name = term.name
    if term.kind in (Kind.NAME, Kind.SET, Kind.FLAG):
        help = f"the values of {_tick(name)} have no order; write them out"
    elif negated:
        help = f"write {_tick(f'({name} < {low} or {name} > {high})')}"
    else:
        help = f"write {_tick(f'{name} >= {low} and {name} <= {high}')}"
    return _error(
        "no-range", span, f"ranges are for hours and for names on a scale, not for {_tick(name)}", help
    )


def empty_range(span: Span, term: str, hour: int | Decimal) -> Diagnostic:
    return _error(
        "empty-range",
        span,
        f"{_tick(span.text)} holds no hour, because a range of hours ends before its last",
        f"for this one hour write {_tick(f'{term} is {hour}')}",
    )


def midnight_is_zero(span: Span, low: str) -> Diagnostic:
    return _error("out-of-range", span, "the hours are 0 to 23", f"until midnight is written `{low}..0`")


def backward_range(span: Span, term: str, low: str, high: str) -> Diagnostic:
    return _error(
        "backward-range",
        span,
        f"{_tick(low)} is above {_tick(high)}, and only hours and weekdays come round again",
        f"write {_tick(f'{term} in {high}..{low}')}",
    )


# Numbers.


def number_for_name(span: Span, term: Term) -> Diagnostic:
    help = (
        f"it is one of {listed(term.scale)}"
        if term.scale
        else f'a name that looks like a number is written "{span.text}"'
    )
    return _error(
        "type-mismatch",
        span,
        f"{_tick(term.name)} is compared with names, and {_tick(span.text)} is a number",
        help,
    )


def name_for_number(span: Span, term: str, kind: Kind) -> Diagnostic:
    return _error(
        "type-mismatch",
        span,
        f"{_tick(term)} is {kind.value}, and {_tick(span.text)} is a name",
        f"write a number, for example `{_SAMPLES[kind]}`",
    )


def wrong_unit(span: Span, text: str, term: str, kind: Kind) -> Diagnostic:
    bare = text.strip("$%kM")
    match kind:
        case Kind.PERCENT:
            help = f"write `{_as_percent(bare) if '.' in bare and text == bare else bare}%`"
        case Kind.PRICE | Kind.DOLLARS:
            help = f"write `${bare}`; `k` and `M` are for tokens"
        case Kind.TOKENS:
            help = f"write `{bare}`, `{bare}k` or `{bare}M`"
        case _:
            help = f"write `{bare}`"
    return _error("wrong-unit", span, f"{_tick(term)} is {kind.value}, and {_tick(text)} is not", help)


def not_whole(span: Span, text: str, term: str, kind: Kind) -> Diagnostic:
    return _error(
        "not-whole",
        span,
        f"{_tick(term)} is a whole number, and {_tick(text)} is not",
        "write it without the fraction",
    )


def out_of_range(span: Span, text: str, term: str, kind: Kind) -> Diagnostic:
    return _error("out-of-range", span, f"{_tick(term)} is never {_tick(text)}", f"it is {kind.value}")


def number_too_long(span: Span, most: int) -> Diagnostic:
    return _error("number-too-long", span, f"a number has at most {most} digits", "write fewer digits")


def unit_on_plain_number(span: Span, text: str, what: str) -> Diagnostic:
    bare = text.strip("$%kM")
    share = f"{Decimal(bare).scaleb(-2):f}" if text.endswith("%") and what == "a weight" else bare
    return _error("wrong-unit", span, f"{what} has no unit, and {_tick(text)} has one", f"write `{share}`")


def _as_percent(share: str) -> str:
    """`0.8` as 80, when it was meant as a share of one; 1.5 as it is."""
    amount = Decimal(share)
    return f"{(amount * 100).normalize():f}" if amount <= 1 else share


def same_for_all(span: Span, always: bool) -> Diagnostic:
    return _warning(
        "always-holds" if always else "never-holds",
        span,
        f"{_tick(span.text)} {'always' if always else 'never'} holds",
        "take it away, or change the constant",
    )


def never_exhausted(span: Span, provider: str) -> Diagnostic:
    return _warning(
        "never-holds",
        span,
        f"{_tick(provider)} has no limit of its own, so it is never among the exhausted providers",
        f"set `budgets.daily.per_provider.{provider}` in policies.yaml",
    )


# Statements.


def fact_in_selector(span: Span, inside: Span | None, is_all: bool, in_test: bool) -> Diagnostic:
    """`is_all` when the selector is nothing but this; `in_test` when it stands behind `expect`."""
    if in_test:
        help = "facts are given before `expect`"
    elif is_all:
        help = f"say which models, and move it behind `when`: {_tick(f'any when {span.text}')}"
    else:
        help = f"move it behind `when`: {_tick(f'when {span.text}')}"
    return _error(
        "fact-in-selector",
        span,
        f"{_tick(span.text)} asks for a fact, and a selector speaks only of models",
        help,
        _asked_inside(inside),
    )


def _asked_inside(inside: Span | None) -> tuple[Note, ...]:
    return () if inside is None else (Note(inside, f"{_tick(inside.text)} is asked here"),)


def model_in_condition(span: Span, inside: Span | None, statement: str) -> Diagnostic:
    help = {
        "route": "say it in a tier, behind `use`, or in a `forbid`",
        "weigh": "weights hold for all models; to favour some, write a `prefer`",
        "prove": "say it in the selector, before `when`",
    }[statement]
    return _error(
        "model-in-condition",
        span,
        f"{_tick(span.text)} asks about a model, and what a `{statement}` asks is asked once for all of them",
        help,
        _asked_inside(inside),
    )


def nesting_through_let(span: Span, name: str, most: int) -> Diagnostic:
    return _error(
        "nesting-too-deep",
        span,
        f"with the let {_tick(name)} in place, brackets and `not` stand more than {most} deep",
        "build the let from fewer lets, or take brackets away",
    )


def too_many_rules(span: Span, most: int) -> Diagnostic:
    return _error(
        "too-many-rules",
        span,
        f"a policy has at most {most} rules, and this is one more",
        "write rules that differ in one name as one rule with a list",
    )


def no_points(span: Span, kind: str) -> Diagnostic:
    other = "avoid" if kind == "prefer" else "prefer"
    return _error(
        "no-points", span, "points are above 0", f"to say the opposite of `{kind}`, write `{other}`"
    )


def unknown_weight(span: Span, text: str, weights: Iterable[str]) -> Diagnostic:
    return _error(
        "unknown-weight",
        span,
        f"there is no weight {_tick(text)}",
        _similar_or_listed(text, weights, "weight", "weights"),
    )


def weight_twice(span: Span, text: str, first: Span) -> Diagnostic:
    return _error(
        "weight-twice",
        span,
        f"the weight {_tick(text)} stands here twice",
        "take one away",
        (Note(first, "first here"),),
    )


def weights_missing(span: Span, missing: Sequence[str], written: str) -> Diagnostic:
    return _error(
        "weights-missing",
        span,
        f"{' and '.join(missing)} {'has' if len(missing) == 1 else 'have'} no weight here",
        "name all three, in any order: `cost 0.4, quality 0.4, latency 0.2`; a weight may be 0",
    )


def weights_do_not_sum(span: Span, total: Decimal) -> Diagnostic:
    return _error(
        "weights-sum", span, f"the weights sum to {total:f}, not to 1", "change them so that they sum to 1"
    )


# Tests.


def task_type_not_given(span: Span, known: Iterable[str] | None) -> Diagnostic:
    types = f"; the task types are {listed(known)}" if known else ""
    return _error(
        "task-type-not-given",
        span,
        "`task.type` has no default, so it must be given",
        f"add `task.type is NAME`{types}",
    )


def given_twice(span: Span, fact: str, first: Span) -> Diagnostic:
    return _error(
        "given-twice", span, f"{_tick(fact)} is given twice", "give it once", (Note(first, "given here"),)
    )


def attribute_given(span: Span, text: str) -> Diagnostic:
    return _error(
        "attribute-given",
        span,
        f"{_tick(text)} belongs to a model, and only facts are given",
        "what a model is like stands in models.yaml",
    )


def derived_given(span: Span, fact: Fact, modes: Mapping[str, ModeMeaning]) -> Diagnostic:
    instead = (
        "`budget.daily.used is 100%`"
        if fact.name == "budget.exhausted"
        else f"`mode is NAME`, with one of {listed(modes)}"
    )
    return _error("derived-given", span, f"{_tick(fact.name)} follows from other facts", f"give {instead}")


def must_be_given(span: Span, fact: Fact, values: Sequence[str]) -> Diagnostic:
    among = f", with one of {_names(values)}" if values else ""
    form = f"{fact.name} {'has' if fact.kind is Kind.SET else 'is'} {_SAMPLES.get(fact.kind, 'NAME')}"
    return _error(
        "must-be-compared",
        span,
        f"{_tick(fact.name)} is {fact.kind.value}, and not yes or no",
        f"write `{form}`{among}",
    )


# --- Compiling: rules that grow too large -------------------------------------------------------------


def rule_too_complex(span: Span, name: str) -> Diagnostic:
    return _error(
        "rule-too-complex",
        span,
        f"the condition of {_tick(name)} comes to more than 4096 alternatives",
        help=(
            "split this rule: every `or` inside an `and` multiplies, and several rules of one kind act "
            "together"
        ),
    )


# --- Configuration: the two YAML files ----------------------------------------------------------------


def file_too_big(span: Span, most_bytes: int) -> Diagnostic:
    return Diagnostic(
        "file-too-big",
        Level.ERROR,
        f"this file is larger than {most_bytes // 1024} KiB",
        span,
        help="split it, or leave out what is generated",
    )


def no_utf8_file(span: Span, is_utf16: bool) -> Diagnostic:
    what = "this file is UTF-16" if is_utf16 else "this character is not UTF-8"
    return Diagnostic("not-utf8", Level.ERROR, what, span, help="save the file as UTF-8")


def yaml_forbidden_character(span: Span, character: str) -> Diagnostic:
    return Diagnostic(
        "hidden-character",
        Level.ERROR,
        f"a control character or one that hides or turns text stands here: {visible(character)}",
        span,
        help="delete it; lines end with LF or CRLF, and text needs no other control characters",
    )


def yaml_syntax(message: str, span: Span, began: Span | None = None, help: str | None = None) -> Diagnostic:
    notes = (Note(began, "begun here"),) if began and began.line != span.line else ()
    return Diagnostic("yaml-syntax", Level.ERROR, message, span, help=help, notes=notes)


def yaml_cannot_begin(span: Span) -> Diagnostic:
    if span.text == "\t":
        return yaml_syntax("a tab cannot indent a line of YAML", span, help="indent with spaces")
    return yaml_syntax(
        f"a value cannot begin with `{visible(span.text)}`", span, help="put the value in quotes"
    )


def yaml_value_over_lines(span: Span) -> Diagnostic:
    return Diagnostic(
        "hidden-character",
        Level.ERROR,
        "this value holds a line break, a tab or another control character",
        span,
        help="write it on one line, without such escapes",
    )


def yaml_alias(span: Span) -> Diagnostic:
    return Diagnostic(
        "yaml-alias",
        Level.ERROR,
        "anchors (&) and aliases (*) are not read here",
        span,
        help="write the value out; a text that begins with & or * goes in quotes",
    )


def yaml_tag(span: Span) -> Diagnostic:
    return Diagnostic(
        "yaml-tag",
        Level.ERROR,
        "tags (!) are not read here",
        span,
        help="leave the tag out; a text that begins with ! goes in quotes",
    )


def yaml_second_document(span: Span) -> Diagnostic:
    return Diagnostic(
        "yaml-second-document",
        Level.ERROR,
        "a second document begins here",
        span,
        help="keep one document a file",
    )


def yaml_too_deep(span: Span, most: int) -> Diagnostic:
    return Diagnostic(
        "yaml-too-deep",
        Level.ERROR,
        f"this is nested more than {most} deep",
        span,
        help="nothing in these files is nested deeper than eight",
    )


def yaml_key_is_no_word(span: Span) -> Diagnostic:
    return Diagnostic(
        "yaml-key",
        Level.ERROR,
        "a list or a mapping cannot be a key",
        span,
        help="write a word before the colon",
    )


def yaml_number_too_long(span: Span, most_digits: int) -> Diagnostic:
    return Diagnostic(
        "number-too-long",
        Level.ERROR,
        f"this number has more than {most_digits} digits",
        span,
        help="put it in quotes when it is a name",
    )


def yaml_repeated_key(key: str, span: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        "repeated-key",
        Level.ERROR,
        f"`{visible(key)}` stands here twice",
        span,
        help="keep one of the two",
        notes=(Note(first, "first written here"),),
    )


def secret_in_file(key: str, span: Span) -> Diagnostic:
    """The value itself is blanked before anything can print it."""
    if key.endswith("_env"):
        message = (
            f"`{visible(key)}` takes the name of a variable, and this is none; it is not printed, in case it "
            "is a key"
        )
        help = f"write the variable's name, such as `{visible(key)}: PROVIDER_API_KEY`"
    else:
        message = f"`{visible(key)}` holds what looks like a secret, and secrets do not belong in this file"
        help = (
            "put it in an environment variable and write the variable's name: `api_key_env: PROVIDER_API_KEY`"
        )
    return Diagnostic(
        "secret-in-file",
        Level.ERROR,
        message,
        span,
        help=f"{help}; a key that others have seen must be replaced",
    )


def no_variable(key: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "no-variable",
        Level.ERROR,
        f"`{visible(span.text)}` is no name of a variable",
        span,
        help=f"write letters, digits and underscores: `{key}: PROVIDER_API_KEY`",
    )


def unknown_key(key: str, parent: str, known: Iterable[str], span: Span) -> Diagnostic:
    known = list(known)
    near = nearest(key, known)
    help = f"write `{near}`" if near else f"known here: {listed(known)}"
    return Diagnostic(
        "unknown-key", Level.ERROR, f"`{visible(key)}` is not known in {parent}", span, help=help
    )


def missing_key(key: str, parent: str, span: Span, example: str | None = None) -> Diagnostic:
    return Diagnostic(
        "missing-key",
        Level.ERROR,
        f"{parent} has no `{key}`",
        span,
        help=f"add `{key}: {example}`" if example else f"add `{key}:`",
    )


def no_value(key: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "no-value", Level.ERROR, f"`{visible(key)}` has no value", span, help="write one, or delete the line"
    )


def wrong_type(key: str, wanted: str, shown: str, span: Span, instead: str | None = None) -> Diagnostic:
    help = f"write `{visible(instead)}`" if instead else None
    return Diagnostic("wrong-type", Level.ERROR, f"{key} must be {wanted}, not {shown}", span, help=help)


def not_one_of(key: str, value: str, allowed: Iterable[str], span: Span) -> Diagnostic:
    allowed = list(allowed)
    near = nearest(value.lower(), allowed)
    choices = f"one of: {listed(allowed)}" if len(allowed) > 1 else f"it can only be `{allowed[0]}`"
    help = f"write `{near}`; {choices}" if near else choices
    return Diagnostic("not-one-of", Level.ERROR, f"`{key}` cannot be `{visible(value)}`", span, help=help)


def out_of_bounds(key: str, value: str, bound: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "out-of-bounds", Level.ERROR, f"{key} is {visible(value)}", span, help=f"it must be {bound}"
    )


def too_many_members(key: str, most: int, span: Span) -> Diagnostic:
    return Diagnostic("too-many", Level.ERROR, f"{key} has more than {most} members", span)


def empty_section(key: str, span: Span, help: str) -> Diagnostic:
    return Diagnostic("empty-section", Level.ERROR, f"{key} is empty", span, help=help)


def bad_name(key: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "bad-name",
        Level.ERROR,
        f"{key} must have from 1 to 200 characters",
        span,
        help="write a shorter name, or any",
    )


def bad_address(key: str, value: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "bad-address",
        Level.ERROR,
        f"`{key}` is no address: `{visible(value)}`",
        span,
        help=f"write it with its scheme, such as `{key}: http://localhost:11434`",
    )


def too_many_findings(span: Span, most: int) -> Diagnostic:
    return Diagnostic(
        "too-many-findings",
        Level.ERROR,
        f"more than {most} findings in this file; the rest are left out",
        span,
    )


def other_currency(value: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "other-currency",
        Level.ERROR,
        f"prices are in US dollars, not in {visible(value)}",
        span,
        help="write the prices in USD; budgets and scores have no exchange rates",
    )


def both_price_units(span: Span, other: Span) -> Diagnostic:
    return Diagnostic(
        "both-price-units",
        Level.ERROR,
        "prices stand here per 1k and per 1m tokens",
        span,
        help="keep one pair: `input_per_1m` and `output_per_1m`, or `input_per_1k` and `output_per_1k`",
        notes=(Note(other, "the other unit"),),
    )


def half_a_price(model: str, missing: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "half-a-price",
        Level.WARNING,
        f"`{visible(model)}` has no `{missing}`, so its price is unknown and it is never chosen",
        span,
        help=f"add `{missing}:`; write 0 if it costs nothing",
    )


def no_price(model: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "no-price",
        Level.WARNING,
        f"cloud model `{visible(model)}` has no price, so it is never chosen",
        span,
        help="add `cost_profile:` with `input_per_1m` and `output_per_1m`; write 0 if it costs nothing",
    )


def cost_type_contradicts(model: str, cost_type: str, locality: str, span: Span) -> Diagnostic:
    counts = (
        "counts as local: its price in money is not used"
        if locality == "local"
        else "counts as cloud: it needs a price in money"
    )
    return Diagnostic(
        "cost-type",
        Level.WARNING,
        f"`{cost_type}` contradicts its provider's `type: {locality}`; `{visible(model)}` {counts}",
        span,
        help="write `paid` for cloud, `local_cpu` or `local_gpu` for local, or correct the provider's type",
    )


def reserved_name(what: str, name: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "reserved-name",
        Level.ERROR,
        f"a {what} cannot be called `{visible(name)}`: rules use that word for a whole class of models",
        span,
        help=f"call it something else, such as `{visible(name)}-1`",
    )


def repeated_model(model: str, provider: str, span: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        "repeated-model",
        Level.ERROR,
        f"`{visible(provider)}` lists the model `{visible(model)}` twice",
        span,
        help="keep one of the two",
        notes=(Note(first, "first listed here"),),
    )


def same_model_key(key: str, span: Span, other: Span) -> Diagnostic:
    return Diagnostic(
        "ambiguous-model",
        Level.ERROR,
        f"two models are both written `{visible(key)}`",
        span,
        help="rename a provider: an id that two providers have is written PROVIDER/ID",
        notes=(Note(other, "the other one"),),
    )


def no_models(span: Span) -> Diagnostic:
    return Diagnostic(
        "no-models",
        Level.ERROR,
        "no provider lists a model, so every task would be refused",
        span,
        help="list at least one below `models:`; models that are only discovered are not eligible",
    )


def api_needed(provider: str, apis: tuple[str, ...], span: Span) -> Diagnostic:
    others = ", ".join(f"`api: {api}`" for api in apis if api != "openai")
    return Diagnostic(
        "missing-key",
        Level.ERROR,
        f"the name `{visible(provider)}` does not say how this server is spoken to",
        span,
        help=f"add `api: openai` for a server that speaks like OpenAI's; or {others}",
    )


def address_needed(provider: str, api: str, span: Span, *, is_vendors: bool) -> Diagnostic:
    why = f"so its requests would go to {api}'s own" if is_vendors else f"and `api: {api}` has none by itself"
    return Diagnostic(
        "missing-key",
        Level.ERROR,
        f"`{visible(provider)}` has no address, {why}",
        span,
        help="add `base_url: http://HOST:PORT/v1`, or `base_url_env:` with the name of a variable",
    )


def address_is_not_local(provider: str, host: str, is_public: bool, span: Span) -> Diagnostic:
    if is_public:
        message = (
            f"`{visible(provider)}` is `type: local`, and {visible(host)} is neither this machine nor a "
            "private network"
        )
        help = (
            "write `type: cloud`, or use an address of your own network and list the network below "
            "`networks:`"
        )
    else:
        message = (
            f"{visible(host)} is another machine, so requests to `{visible(provider)}` are refused until its "
            "network is listed"
        )
        help = "add its network, such as `networks: [192.168.1.0/24]`"
    return Diagnostic("local-is-elsewhere", Level.WARNING, message, span, help=help)


def no_network(text: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "no-network",
        Level.ERROR,
        f"`{visible(text)}` is no network",
        span,
        help="write it as address and prefix, such as `192.168.1.0/24` or `fd00::/8`",
    )


def network_too_wide(text: str, widest: int, span: Span) -> Diagnostic:
    return Diagnostic(
        "no-network",
        Level.ERROR,
        f"`{visible(text)}` is too wide to be called local",
        span,
        help=f"list the networks of the house, of /{widest} or narrower",
    )


def cloud_model_called_local(model: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "local-is-elsewhere",
        Level.ERROR,
        f"`{visible(model)}` runs in the vendor's cloud, though a local server hands it on",
        span,
        help="list it below a provider with `type: cloud`",
    )


def unknown_default_mode(mode: str, modes: Iterable[str], span: Span) -> Diagnostic:
    modes = list(modes)
    near = nearest(mode, modes)
    help = f"write `{visible(near)}`" if near else f"the modes are: {listed(modes)}"
    return Diagnostic(
        "unknown-mode",
        Level.ERROR,
        f"`default_mode` is `{visible(mode)}`, and there is no such mode",
        span,
        help=help,
    )


def no_default_mode(built_in: str, modes: Iterable[str], span: Span) -> Diagnostic:
    return Diagnostic(
        "missing-key",
        Level.ERROR,
        f"`routing` has no `default_mode`, and `{built_in}`, which would be it, is not among the modes",
        span,
        help=f"add `default_mode:` with one of: {listed(modes)}",
    )


def weights_of_unknown_mode(mode: str, modes: Iterable[str], span: Span) -> Diagnostic:
    modes = list(modes)
    near = nearest(mode, modes)
    help = f"write `{visible(near)}`" if near else f"the modes are: {listed(modes)}"
    return Diagnostic(
        "unknown-mode", Level.ERROR, f"there is no mode `{visible(mode)}` to weigh", span, help=help
    )


def mode_weights_sum(mode: str, total: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "weights-sum",
        Level.ERROR,
        f"the weights of `{visible(mode)}` sum to {total}, not to 1",
        span,
        help="change one of cost, quality and latency so that the three make 1",
    )


def strategy_without_cloud(mode: str, strategy: str, span: Span, forbidden: Span) -> Diagnostic:
    return Diagnostic(
        "strategy-without-cloud",
        Level.ERROR,
        f"`{visible(mode)}` does not allow cloud, so the strategy `{strategy}` says nothing",
        span,
        help="delete this line, or write `allow_cloud: true`",
        notes=(Note(forbidden, "cloud is forbidden here"),),
    )


def cloud_without_strategy(mode: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "strategy-without-cloud",
        Level.ERROR,
        f"`{visible(mode)}` allows cloud, and its strategy says none",
        span,
        help="write `allow_cloud: false`, or one of: fallback_critical_only, balanced, aggressive",
    )


def override_of_unknown_type(task_type: str, known: Iterable[str], span: Span) -> Diagnostic:
    known = list(known)
    near = nearest(task_type, known)
    help = f"write `{visible(near)}`" if near else "add it to `task_types`"
    return Diagnostic(
        "unknown-task-type", Level.ERROR, f"`{visible(task_type)}` is not among `task_types`", span, help=help
    )


def unknown_provider_here(provider: str, where: str, known: Iterable[str], span: Span) -> Diagnostic:
    near = nearest(provider, known)
    return Diagnostic(
        "unknown-provider",
        Level.WARNING,
        f"models.yaml has no provider `{visible(provider)}`; this {where} has no effect",
        span,
        help=f"write `{visible(near)}`" if near else "add the provider to models.yaml, or delete the name",
    )


def capability_no_model_has(capability: str, known: Iterable[str], span: Span) -> Diagnostic:
    near = nearest(capability, known)
    return Diagnostic(
        "unknown-capability",
        Level.WARNING,
        f"no model has the capability `{visible(capability)}`, so its points go to none",
        span,
        help=f"write `{visible(near)}`" if near else "add it to a model in models.yaml, or delete the name",
    )


def listed_twice(name: str, span: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        "listed-twice",
        Level.WARNING,
        f"`{visible(name)}` is listed twice",
        span,
        help="delete one of the two",
        notes=(Note(first, "first listed here"),),
    )


def differs_in_case_only(name: str, other: str, span: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        "case-only",
        Level.WARNING,
        f"`{visible(name)}` and `{visible(other)}` differ in case only, and are two names",
        span,
        help=f"keep one spelling, such as `{visible(other)}`",
        notes=(Note(first, "the other one"),),
    )


def no_limit(window: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "no-limit",
        Level.ERROR,
        f"`{window}` names no maximum, so nothing would be limited",
        span,
        help="add `total_usd:` or `per_provider:`, or delete the section",
    )


def unknown_time_zone(name: str, known: Iterable[str], span: Span) -> Diagnostic:
    near = nearest(name, known)
    return Diagnostic(
        "unknown-time-zone",
        Level.ERROR,
        f"there is no time zone `{visible(name)}`",
        span,
        help=f"write `{near}`" if near else "write an IANA name, such as `Europe/Berlin` or `UTC`",
    )


def no_folder(span: Span) -> Diagnostic:
    return Diagnostic(
        "no-folder",
        Level.ERROR,
        "this is no folder that can be read",
        span,
        help="name a folder that holds models.yaml; `engine init` writes one",
    )


def no_catalogue(span: Span, misspelt: str | None) -> Diagnostic:
    help = f"rename `{visible(misspelt)}`" if misspelt else "write one, or let `engine init` write it"
    return Diagnostic("no-catalogue", Level.ERROR, "this folder has no models.yaml", span, help=help)


def file_overlooked(name: str, wanted: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "file-overlooked",
        Level.WARNING,
        f"`{visible(name)}` is not read",
        span,
        help=f"call it `{visible(wanted)}` if it belongs to the policy",
    )


def no_regular_file(kind: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "no-regular-file",
        Level.ERROR,
        f"this is {kind}, and only plain files are read",
        span,
        help="copy the file itself into the folder",
    )


def unreadable_file(reason: str, span: Span) -> Diagnostic:
    return Diagnostic("unreadable-file", Level.ERROR, f"this file cannot be read: {reason}", span)


def folder_too_big(span: Span, most_bytes: int) -> Diagnostic:
    return Diagnostic(
        "folder-too-big",
        Level.ERROR,
        f"the files of this folder are larger than {most_bytes // (1024 * 1024)} MiB together",
        span,
        help="keep generated files elsewhere",
    )


def base_route_in_folder(span: Span) -> Diagnostic:
    return Diagnostic(
        "base-route",
        Level.ERROR,
        "base.route is the name of the engine's own guards",
        span,
        help="call this file something else; it cannot replace them",
    )


def ordinal(number: int) -> str:
    """`the 3rd`, for the members of a list."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"the {number}{ending}"
