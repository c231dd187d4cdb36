"""Sentences about whole statements: selectors, weights, tests and proofs."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from engine.language.diagnostics import Diagnostic, Note
from engine.language.known_names import ModeMeaning
from engine.language.sentences import error, proposal
from engine.language.source import Span
from engine.language.vocabulary import Fact
from engine.language.wording import listed, similar_or_listed, tick


def duplicate_title(span: Span, first: Span) -> Diagnostic:
    return error(
        "duplicate-title",
        span,
        f"there is a test {tick(span.text)} already",
        "give it a title of its own, or add its cases to the other",
        (Note(first, "declared here"),),
    )


def unknown_rule(span: Span, text: str, known: Iterable[str], only_routes: bool, search: bool) -> Diagnostic:
    what = "route" if only_routes else "rule"
    help = similar_or_listed(text, known, what, f"{what}s", search)
    return error("unknown-rule", span, f"there is no {what} {tick(text)}", help)


def not_such_a_rule(span: Span, text: str, declared: Span, noun: str, only_routes: bool) -> Diagnostic:
    help = (
        "after `expect route` stands the name of a route; another rule is named by `because`"
        if only_routes
        else "after `because` stands the name of a rule that decided"
    )
    return error(
        "not-a-route" if only_routes else "not-a-rule",
        span,
        f"{tick(text)} is a {noun}",
        help,
        (Note(declared, "declared here"),),
    )


def fact_in_selector(span: Span, inside: Span | None, is_all: bool, in_test: bool) -> Diagnostic:
    """`is_all` when the selector is nothing but this; `in_test` when it stands behind `expect`."""
    if in_test:
        help = "facts are given before `expect`"
    elif is_all:
        help = f"say which models, and move it behind `when`: {tick(f'any when {span.text}')}"
    else:
        help = f"move it behind `when`: {tick(f'when {span.text}')}"
    return error(
        "fact-in-selector",
        span,
        f"{tick(span.text)} asks for a fact, and a selector speaks only of models",
        help,
        _asked_inside(inside),
    )


def _asked_inside(inside: Span | None) -> tuple[Note, ...]:
    return () if inside is None else (Note(inside, f"{tick(inside.text)} is asked here"),)


def model_in_condition(span: Span, inside: Span | None, statement: str) -> Diagnostic:
    help = {
        "route": "say it in a tier, behind `use`, or in a `forbid`",
        "weigh": "weights hold for all models; to favour some, write a `prefer`",
        "prove": "say it in the selector, before `when`",
    }[statement]
    return error(
        "model-in-condition",
        span,
        f"{tick(span.text)} asks about a model, and what a `{statement}` asks is asked once for all of them",
        help,
        _asked_inside(inside),
    )


def too_many_rules(span: Span, most: int) -> Diagnostic:
    return error(
        "too-many-rules",
        span,
        f"a policy has at most {most} rules, and this is one more",
        "write rules that differ in one name as one rule with a list",
    )


def no_points(span: Span, kind: str) -> Diagnostic:
    other = "avoid" if kind == "prefer" else "prefer"
    return error("no-points", span, "points are above 0", f"to say the opposite of `{kind}`, write `{other}`")


def unknown_weight(span: Span, text: str, weights: Iterable[str]) -> Diagnostic:
    return error(
        "unknown-weight",
        span,
        f"there is no weight {tick(text)}",
        similar_or_listed(text, weights, "weight", "weights"),
    )


def weight_twice(span: Span, text: str, first: Span) -> Diagnostic:
    return error(
        "weight-twice",
        span,
        f"the weight {tick(text)} stands here twice",
        "take one away",
        (Note(first, "first here"),),
    )


def weights_missing(span: Span, missing: Sequence[str], written: str) -> Diagnostic:
    return error(
        "weights-missing",
        span,
        f"{' and '.join(missing)} {'has' if len(missing) == 1 else 'have'} no weight here",
        "name all three, in any order: `cost 0.4, quality 0.4, latency 0.2`; a weight may be 0",
    )


def weights_of_a_hundred(span: Span, right: str) -> Diagnostic:
    return proposal("weights-sum", span, "weights are shares of 1, not of 100", right)


def weights_do_not_sum(span: Span, total: Decimal) -> Diagnostic:
    return error(
        "weights-sum", span, f"the weights sum to {total:f}, not to 1", "change them so that they sum to 1"
    )


def task_type_not_given(span: Span, known: Iterable[str] | None) -> Diagnostic:
    types = f"; the task types are {listed(known)}" if known else ""
    return error(
        "task-type-not-given",
        span,
        "`task.type` has no default, so it must be given",
        f"add `task.type is NAME`{types}",
    )


def given_twice(span: Span, fact: str, first: Span) -> Diagnostic:
    return error(
        "given-twice", span, f"{tick(fact)} is given twice", "give it once", (Note(first, "given here"),)
    )


def attribute_given(span: Span, text: str) -> Diagnostic:
    return error(
        "attribute-given",
        span,
        f"{tick(text)} belongs to a model, and only facts are given",
        "what a model is like stands in models.yaml",
    )


def derived_given(span: Span, fact: Fact, modes: Mapping[str, ModeMeaning]) -> Diagnostic:
    instead = (
        "`budget.daily.used is 100%`"
        if fact.name == "budget.exhausted"
        else f"`mode is NAME`, with one of {listed(modes)}"
    )
    return error("derived-given", span, f"{tick(fact.name)} follows from other facts", f"give {instead}")


def newer_language(span: Span, what: str, version: str, said: str | None) -> Diagnostic:
    change = "as the first line of this file" if said is None else f"instead of `language {said}`"
    return error(
        "newer-language",
        span,
        f"{what} is of language {version}, and this file is of language {said or '1'}",
        f"write `language {version}` {change}",
    )


def history_of_what(span: Span) -> Diagnostic:
    return error(
        "history-of-what",
        span,
        f"only a session has had calls, and {tick(span.text)} is none",
        "write `session had [FACT, ...]`",
    )
