"""Sentences about comparisons: which operator and which value a fact or an attribute takes."""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from engine.language.diagnostics import Diagnostic, Note
from engine.language.sentences import Sentence, SentenceWith, error, proposal, warning
from engine.language.source import Span
from engine.language.syntax_tree import Range
from engine.language.vocabulary import WEEKDAYS, Fact, Kind, Term
from engine.language.wording import listed, listed_names, nearest, tick

# A value of each kind, to be shown where the author wrote none.
SAMPLES = {
    Kind.PERCENT: "80%",
    Kind.TOKENS: "32k",
    Kind.COUNT: "3",
    Kind.HOUR: "18",
    Kind.MINUTE: "30",
    Kind.TIME: "22:30",
    Kind.DAY: "15",
    Kind.DATE: "2027-03-01",
    Kind.BUCKET: "10",
    Kind.PRICE: "$5",
    Kind.DOLLARS: "$0.05",
}


def must_be_compared(span: Span, term: Term, values: Sequence[str]) -> Diagnostic:
    among = f", with one of {listed_names(values)}" if values else ""
    match term.kind:
        case Kind.SET:
            help = f"write `{term.name} has NAME` or `{term.name} is not empty`{among}"
        case Kind.NAME | Kind.ORDERED:
            help = f"write `{term.name} is NAME`{among}"
        case _:
            help = f"write for example `{term.name} >= {SAMPLES[term.kind]}`"
    return error("must-be-compared", span, f"{tick(term.name)} is {term.kind.value}, and not yes or no", help)


def stands_alone(span: Span, text: str) -> Diagnostic:
    return error(
        "stands-alone",
        span,
        f"{tick(text)} stands alone and is not compared",
        f"write {tick(text)} or {tick(f'not {text}')}",
    )


def list_alone(span: Span, name: str, declared: Span) -> Diagnostic:
    return error(
        "list-alone",
        span,
        f"{tick(name)} is a list, and a list is no condition",
        f"write `task.labels has any {name}` or `task.type in {name}`",
        (Note(declared, "declared here"),),
    )


def set_is_single(span: Span, term: str, operator: str, right: str) -> Diagnostic:
    message = f"{tick(term)} is a set, and `{operator}` is for single values"
    says = f"{term} has {right}"
    if operator not in ("is", "is not"):
        return error("set-compared", span, message, f"ask it for a name: {tick(says)}")
    return proposal("set-compared", span, message, f"not {says}" if operator == "is not" else says)


def in_on_set(span: Span, term: str, right: str) -> Diagnostic:
    return error(
        "set-compared",
        span,
        f"{tick(term)} is a set, and `in` is for single values",
        f"write {tick(f'{term} has any {right}')} or {tick(f'{term} has all {right}')}",
    )


def has_on_single(span: Span, term: str, right: str) -> Diagnostic:
    message = f"{tick(term)} is a single value, and `has` is for sets"
    return proposal("has-without-set", span, message, f"{term} is {right}")


def has_some_on_single(span: Span, term: str, quantifier: str, right: str) -> Diagnostic:
    message = f"{tick(term)} is a single value, and `has` is for sets"
    if quantifier == "all":
        return error(
            "has-without-set", span, message, f"it has one value, which may be {tick(f'in {right}')}"
        )
    return proposal("has-without-set", span, message, f"{term} in {right}")


def no_order(span: Span, term: str, operator: str) -> Diagnostic:
    return error(
        "no-order",
        span,
        f"the values of {tick(term)} have no order, so `{operator}` says nothing",
        f"write `{term} is NAME` or `{term} in [NAME, NAME]`",
    )


def yes_or_no(span: Span, term: str, operator: str, right: str) -> Diagnostic:
    message = f"{tick(term)} is yes or no, and nothing else"
    meant = {**dict.fromkeys(_YES, True), **dict.fromkeys(_NO, False)}.get(right.lower())
    if meant is None or operator not in ("is", "is not"):
        return error(
            "yes-or-no", span, message, f"write {tick(term)} where it holds, else {tick(f'not {term}')}"
        )
    return proposal("yes-or-no", span, message, term if meant == (operator == "is") else f"not {term}")


_YES, _NO = ("yes", "true", "1", "on"), ("no", "false", "0", "off")


unknown_has_no_order = SentenceWith(
    "no-order", "an unknown price is neither more nor less than another", "ask whether `{text} is unknown`"
)


def same_side(span: Span, left: Term, right: Term, are_facts: bool) -> Diagnostic:
    what = "facts" if are_facts else "attributes of a model"
    help = "compare each with a constant"
    if left.kind in (Kind.NAME, Kind.SET):
        help += f'; a name that is spelt like the other is written "{right.name}"'
    return error(
        "compared-with-its-like",
        span,
        f"{tick(left.name)} and {tick(right.name)} are both {what}, and two of these are never compared",
        help,
    )


_ATTRIBUTE_OF = {"providers": "model.provider", "models": "model.id"}


def cannot_be_compared(span: Span, left: Term, operator: str, right: Term) -> Diagnostic:
    """A fact against an attribute of a model, in a way that has no meaning."""
    kinds = {left.kind, right.kind}
    if kinds == {Kind.TOKENS}:
        help = f"write {tick(f'{left.name} <= {right.name}')}, with any of `<`, `<=`, `>`, `>=`, `is`"
    elif kinds == {Kind.NAME} and "scale" not in (left.universe, right.universe):
        help = f"write {tick(f'{left.name} is {right.name}')}"
    elif kinds == {Kind.SET, Kind.NAME} and left.universe != right.universe:
        holder = left if left.kind is Kind.SET else right
        help = (
            f"{tick(holder.name)} holds {holder.universe}; ask it for "
            f"{tick(_ATTRIBUTE_OF.get(str(holder.universe), 'a name'))}"
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
    return error(
        "cannot-be-compared",
        span,
        (
            f"`{operator}` does not compare {tick(left.name)} ({left.kind.value}) with {tick(right.name)} "
            f"({right.kind.value})"
        ),
        help,
    )


def set_on_the_right(span: Span, left: str, operator: str, right: str) -> Diagnostic:
    message = f"{tick(right)} is a set, and a set is asked what it has"
    says = f"{right} has {left}"
    return proposal("not-a-list", span, message, f"not {says}" if "not" in operator else says)


def term_as_value(span: Span, term: str) -> Diagnostic:
    return error(
        "not-a-constant",
        span,
        f"{tick(span.text)} is not a constant, and a list or range is made of these",
        f'compare the two on their own; a value of {tick(term)} that is called so is written "{span.text}"',
    )


def term_for_list(span: Span, left: Term, right: Term) -> Diagnostic:
    help = (
        f"write {tick(f'{right.name} has {left.name}')}"
        if right.kind is Kind.SET and left.kind is not Kind.SET
        else "write the names in brackets: `[a, b]`"
    )
    return error("not-a-list", span, f"{tick(right.name)} is no list", help)


def not_a_list(
    span: Span, name: str, lists: Iterable[str], declared: Span | None, scale: Sequence[str] = ()
) -> Diagnostic:
    similar = nearest(name, lists)
    days = weekday_range(name) if "mon" in scale else None
    if days is not None and declared is None:
        return proposal("not-a-list", span, f"{tick(name)} is no range", days)
    if declared is not None:
        return error(
            "not-a-list",
            span,
            f"{tick(name)} is a condition, and no list",
            f"write its names in brackets, or let it stand alone: {tick(name)}",
            (Note(declared, "declared here"),),
        )
    return error(
        "not-a-list",
        span,
        f"{tick(name)} is no list",
        f"{tick(similar)} is a similar list"
        if similar
        else f"a list stands in brackets: {tick(f'[{span.text}]')}",
    )


empty_list = Sentence("empty-list", "a list has at least one member", "name the members: `[a, b]`")


def member_twice(span: Span, text: str, first: Span) -> Diagnostic:
    return error(
        "member-twice", span, f"{tick(text)} stands here twice", "take one away", (Note(first, "first here"),)
    )


def no_range(span: Span, term: Term, written: Range, negated: bool) -> Diagnostic:
    low, high = written.low.span.text, written.high.span.text
    name = term.name
    message = f"ranges are for hours and for names on a scale, not for {tick(name)}"
    if term.kind in (Kind.NAME, Kind.SET, Kind.FLAG):
        return error("no-range", span, message, f"the values of {tick(name)} have no order; write them out")
    if negated:
        return proposal("no-range", span, message, f"({name} < {low} or {name} > {high})")
    return proposal("no-range", span, message, f"({name} >= {low} and {name} <= {high})")


def hours_are_whole(span: Span, right: str) -> Diagnostic:
    return proposal("bad-range", span, "the hours of a range are whole numbers", right)


def empty_range(span: Span, term: str, hour: int | Decimal) -> Diagnostic:
    return error(
        "empty-range",
        span,
        f"{tick(span.text)} holds no hour, because a range of hours ends before its last",
        f"for this one hour write {tick(f'{term} is {hour}')}",
    )


midnight_is_zero = SentenceWith(
    "out-of-range", "the hours are 0 to 23", "until midnight is written `{text}..0`"
)


def backward_range(span: Span, low: str, high: str) -> Diagnostic:
    message = f"{tick(low)} is above {tick(high)}, and only hours and weekdays come round again"
    return proposal("backward-range", span, message, f"{high}..{low}")


def number_for_name(span: Span, term: Term) -> Diagnostic:
    help = (
        f"it is one of {listed(term.scale)}"
        if term.scale
        else f'a name that looks like a number is written "{span.text}"'
    )
    return error(
        "type-mismatch",
        span,
        f"{tick(term.name)} is compared with names, and {tick(span.text)} is a number",
        help,
    )


def name_for_number(span: Span, term: str, kind: Kind) -> Diagnostic:
    return error(
        "type-mismatch",
        span,
        f"{tick(term)} is {kind.value}, and {tick(span.text)} is a name",
        f"write a number, for example `{SAMPLES[kind]}`",
    )


def wrong_unit(span: Span, text: str, term: str, kind: Kind) -> Diagnostic:
    message = f"{tick(term)} is {kind.value}, and {tick(text)} is not"
    bare = text.strip("$%kM")
    if text[-1] in "kM":
        return error("wrong-unit", span, message, "`k` and `M` are thousands and millions of tokens")
    match kind:
        case Kind.PERCENT if text == bare:
            return proposal("wrong-unit", span, message, f"{_as_percent(bare) if '.' in bare else bare}%")
        case Kind.BUCKET if text[-1] == "%":
            return proposal("wrong-unit", span, message, bare)
        case Kind.TOKENS:
            help = "write the number of tokens, such as `8192` or `32k`"
        case _:
            help = f"write it as {tick(SAMPLES[kind])}"
    return error("wrong-unit", span, message, help)


def not_whole(span: Span, text: str, term: str, kind: Kind) -> Diagnostic:
    return error(
        "not-whole",
        span,
        f"{tick(term)} is a whole number, and {tick(text)} is not",
        "write it without the fraction",
    )


def out_of_range(span: Span, text: str, term: str, kind: Kind) -> Diagnostic:
    return error("out-of-range", span, f"{tick(term)} is never {tick(text)}", f"it is {kind.value}")


def number_too_long(span: Span, most: int) -> Diagnostic:
    return error("number-too-long", span, f"a number has at most {most} digits", "write fewer digits")


def unit_on_plain_number(span: Span, text: str, what: str) -> Diagnostic:
    message = f"{what} has no unit, and {tick(text)} has one"
    bare = text.strip("$%kM")
    if text[-1] in "kM":
        return error("wrong-unit", span, message, "write a plain number")
    is_share = text.endswith("%") and what == "a weight"
    return proposal("wrong-unit", span, message, f"{Decimal(bare).scaleb(-2):f}" if is_share else bare)


def _as_percent(share: str) -> str:
    """`0.8` as 80, when it was meant as a share of one; 1.5 as it is."""
    amount = Decimal(share)
    return f"{(amount * 100).normalize():f}" if amount <= 1 else share


def same_for_all(span: Span, always: bool) -> Diagnostic:
    return warning(
        "always-holds" if always else "never-holds",
        span,
        f"{tick(span.text)} {'always' if always else 'never'} holds",
        "take it away, or change the constant",
    )


def never_exhausted(span: Span, provider: str) -> Diagnostic:
    return warning(
        "never-holds",
        span,
        f"{tick(provider)} has no limit of its own, so it is never among the exhausted providers",
        f"set `budgets.daily.per_provider.{provider}` in policies.yaml",
    )


def must_be_given(span: Span, fact: Fact, values: Sequence[str]) -> Diagnostic:
    among = f", with one of {listed_names(values)}" if values else ""
    form = f"{fact.name} {'has' if fact.kind is Kind.SET else 'is'} {SAMPLES.get(fact.kind, 'NAME')}"
    return error(
        "must-be-compared",
        span,
        f"{tick(fact.name)} is {fact.kind.value}, and not yes or no",
        f"write `{form}`{among}",
    )


def no_such_moment(span: Span, text: str, term: str, kind: Kind) -> Diagnostic:
    return error(
        "no-such-moment",
        span,
        f"{tick(term)} is {kind.value}, and {tick(text)} is none",
        f"write it as {tick(SAMPLES[kind])}",
    )


def moment_for_number(span: Span, text: str, term: str, kind: Kind) -> Diagnostic:
    other = "`clock.time`" if ":" in text else "`clock.date`"
    return error(
        "type-mismatch",
        span,
        f"{tick(term)} is {kind.value}, and {tick(text)} is not",
        f"{other} is compared so; write here for example {tick(SAMPLES[kind])}",
    )


def set_within_set(span: Span, left: Term, right: Term) -> Diagnostic:
    return error(
        "cannot-be-compared",
        span,
        f"{tick(left.name)} and {tick(right.name)} have no members in common",
        f"one holds {left.universe}, the other {right.universe}",
    )


def weekday_range(name: str) -> str | None:
    """`Mon-Fri`, `monday-friday` as a range of days."""
    days = [each for each in re.split("[-.:]", name.lower()) if each]
    shorts = [next((day for day in WEEKDAYS if each.startswith(day)), None) for each in days]
    if len(shorts) != 2 or not all(shorts) or not all(each.isalpha() for each in days):
        return None
    return f"{shorts[0]}..{shorts[1]}"
