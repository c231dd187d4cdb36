"""Every sentence said to a policy author: one function per diagnostic, so that tone and wording are reviewed here.

Lower case, no full stop, no Python words. The message says what is wrong, with the author's own text; `help` says
what to write instead. Closed sets are listed; a similar name is offered as a statement, and only when it is near.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches

from engine.language.diagnostics import Diagnostic, Level, Note, visible
from engine.language.source import Span
from engine.language.syntax_tree import Comparison, Range
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


# --- Writing: files, characters, grammar --------------------------------------------------------------


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
    """The author's own text between backticks, on one line and not too long."""
    text = " ".join(text.split())
    return f"`{visible(text if len(text) <= 60 else text[:57] + '...')}`"


def _written(name: str) -> str:
    """A name as it must be written: in quotes unless it is a bare one."""
    return name if _BARE_NAME.fullmatch(name) else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


_BARE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[-.:][A-Za-z0-9_]+)*")


def _similar_or_listed(text: str, known: Iterable[str], what: str, whats: str) -> str:
    known = [_written(name) for name in known]
    if not known:
        return f"there are no {whats}"
    similar = nearest(text, known)
    if similar is not None:
        return f"{_tick(similar)} is a similar {what}"
    return f"the {whats} are {listed(known)}"


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
    family = text.split(".")[0] + "."
    known = ATTRIBUTES if is_attribute else FACTS
    what, whats = ("attribute", "attributes of a model") if is_attribute else ("fact", "facts")
    similar = nearest(text, known) or next(
        (name for name in known if name.split(".")[-1] == text.split(".")[-1]), None
    )
    siblings = [name for name in known if name.startswith(family)] or list(known)
    help = (
        f"{_tick(similar)} is a similar {what}"
        if similar
        else f"the {whats} that begin so are {listed(siblings)}"
    )
    message = f"a model has no attribute {_tick(text)}" if is_attribute else f"there is no fact {_tick(text)}"
    return _error("unknown-attribute" if is_attribute else "unknown-fact", span, message, help)


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


def turned_round(span: Span, text: str, node: Comparison) -> Diagnostic:
    turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
    operator = turned.get(node.operator, node.operator)
    return _error(
        "turned-round",
        span,
        f"{_tick(text)} is a value, and a comparison begins with the fact or attribute",
        f"write {_tick(f'{node.right.span.text} {operator} {text}')}",
    )


def unknown_name(span: Span, text: str, *, lets: Iterable[str], names: Names, is_quoted: bool) -> Diagnostic:
    """A name standing alone is no let, provider or model."""
    what = "no provider or model" if is_quoted else "no let, provider or model"
    known = [*lets, *names.providers, *(model.key for model in names.models)]
    known += [] if is_quoted else [*LOCALITIES, "any"]
    similar = nearest(text, known)
    comparisons = _comparisons_with(text, names)
    if is_quoted and (text in LOCALITIES or text == "any" or text in (*FACTS, *ATTRIBUTES)):
        help = f"a name in quotes is only ever a provider or a model; write {_tick(text)} without them"
    elif similar is not None:
        help = f"{_tick(_written(similar))} is a similar name"
    elif comparisons:
        help = "a value does not stand alone; write " + " or ".join(_tick(one) for one in comparisons)
    else:
        help = f"the names that can stand alone are {listed(_written(name) for name in known)}"
    return _error("unknown-name", span, f"{_tick(span.text)} is {what}", help)


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
    span: Span, text: str, universe: str, known: Iterable[str], places: Mapping[tuple[str, str], Span]
) -> Diagnostic:
    """A name that must be one of a closed list, and is not."""
    what, whats = _UNIVERSES[universe]
    known = list(known)
    similar = nearest(text, known)
    notes = _declared(places.get((universe, similar)), "declared here") if similar is not None else ()
    return _error(
        f"unknown-{what.replace(' ', '-')}",
        span,
        f"there is no {what} {_tick(span.text)}",
        _similar_or_listed(text, known, what, whats),
        notes,
    )


def unknown_value(span: Span, text: str, term: str, scale: Iterable[str]) -> Diagnostic:
    scale = list(scale)
    similar = nearest(text, scale)
    values = f"it is one of {listed(scale)}"
    return _error(
        "unknown-value",
        span,
        f"{_tick(term)} is never {_tick(span.text)}",
        f"{_tick(similar)} is similar; {values}" if similar else values,
    )


def nobody_has(span: Span, text: str, universe: str, known: Iterable[str]) -> Diagnostic:
    what, whats = _UNIVERSES[universe]
    known = list(known)
    return _warning(
        f"unknown-{what}",
        span,
        f"no model in models.yaml has the {what} {_tick(span.text)}",
        _similar_or_listed(text, known, what, whats) if known else f"no model has any {whats}",
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


def unknown_rule(span: Span, text: str, known: Iterable[str], only_routes: bool) -> Diagnostic:
    what = "route" if only_routes else "rule"
    return _error(
        "unknown-rule",
        span,
        f"there is no {what} {_tick(text)}",
        _similar_or_listed(text, known, what, f"{what}s"),
    )


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


def must_be_compared(span: Span, term: Term) -> Diagnostic:
    sample = _SAMPLES.get(term.kind)
    match term.kind:
        case Kind.SET:
            help = f"write `{term.name} has NAME` or `{term.name} is not empty`"
        case Kind.NAME | Kind.ORDERED:
            values = f", with one of {listed(term.scale)}" if term.scale else ""
            help = f"write `{term.name} is NAME`{values}"
        case _:
            help = f"write for example `{term.name} >= {sample}`"
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


def same_side(span: Span, left: str, right: str, are_facts: bool) -> Diagnostic:
    what = "facts" if are_facts else "attributes of a model"
    return _error(
        "compared-with-its-like",
        span,
        f"{_tick(left)} and {_tick(right)} are both {what}, and two of these are never compared",
        f'compare each with a constant; a value that is called so is written "{right}"',
    )


def cannot_be_compared(span: Span, left: Term, operator: str, right: Term) -> Diagnostic:
    return _error(
        "cannot-be-compared",
        span,
        f"{_tick(left.name)} is {left.kind.value}, {_tick(right.name)} is {right.kind.value}: `{operator}` does not compare them",
        "a fact and an attribute are compared when both count tokens, or with `is` and `has` when both are names of the same sort",
    )


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


def no_range(span: Span, term: Term, written: Range) -> Diagnostic:
    low, high = written.low.span.text, written.high.span.text
    if term.kind in (Kind.NAME, Kind.SET, Kind.FLAG):
        help = f"the values of {_tick(term.name)} have no order; write them out"
    else:
        help = f"write {_tick(f'{term.name} >= {low} and {term.name} <= {high}')}"
    return _error(
        "no-range", span, f"ranges are for hours and for names on a scale, not for {_tick(term.name)}", help
    )


def empty_range(span: Span, text: str) -> Diagnostic:
    return _error(
        "empty-range",
        span,
        f"{_tick(text)} holds no hour, because a range of hours ends before its last",
        "write the hour after the last one that is meant; for one hour alone, `clock.hour is 5`",
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


def number_for_name(span: Span, term: str, kind: str) -> Diagnostic:
    return _error(
        "type-mismatch",
        span,
        f"{_tick(term)} is compared with names, and {_tick(span.text)} is a number",
        f'a name that looks like a number is written "{span.text}"',
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
            share = Decimal(bare)
            if "." in bare and share <= 1 and text == bare:
                bare = f"{(share * 100).normalize():f}"
            help = f"write `{bare}%`"
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
    return _error(
        "wrong-unit",
        span,
        f"{what} are plain decimals, and {_tick(text)} is not",
        f"write `{text.strip('$%kM')}`",
    )


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


def fact_in_selector(span: Span, inside: Span | None) -> Diagnostic:
    text = (inside or span).text
    return _error(
        "fact-in-selector",
        span,
        f"{_tick(span.text)} asks nothing of a model, and a selector speaks of models",
        f"move it behind `when`: {_tick(f'when {span.text}')}",
        _declared(inside, f"{_tick(text)} is asked here"),
    )


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
        _declared(inside, f"{_tick(inside.text)} is asked here" if inside else ""),
    )


def nested_too_deep(span: Span, most: int, through_let: str | None) -> Diagnostic:
    return _error(
        "nested-too-deep",
        span,
        f"with the let {_tick(through_let)} in place, brackets and `not` stand more than {most} deep"
        if through_let
        else f"brackets and `not` stand more than {most} deep",
        "write it flatter" if through_let is None else "build the let from fewer lets",
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


def must_be_given(span: Span, fact: Fact) -> Diagnostic:
    form = (
        f"{fact.name} has NAME"
        if fact.kind is Kind.SET
        else f"{fact.name} is {_SAMPLES.get(fact.kind, 'NAME')}"
    )
    return _error(
        "must-be-compared",
        span,
        f"{_tick(fact.name)} is {fact.kind.value}, and not yes or no",
        f"write `{form}`",
    )


# --- Compiling: rules that grow too large -------------------------------------------------------------


def rule_too_complex(span: Span, name: str) -> Diagnostic:
    return _error(
        "rule-too-complex",
        span,
        f"the condition of {_tick(name)} comes to more than 4096 alternatives",
        help="split this rule: every `or` inside an `and` multiplies, and several rules of one kind act together",
    )


# --- Configuration: the two YAML files ----------------------------------------------------------------
