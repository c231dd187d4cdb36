"""A rule whose condition every task meets."""

import re
from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.analysis.questions import none_live
from engine.language.diagnostics import Diagnostic, Replacement


def check(context: LintContext) -> Iterator[Finding]:
    for index, rule in context.rules:
        span, masks = context.condition_span(rule), context.condition(index)
        if span is None or masks is None or index in context.reachability.never:
            continue
        if context.find("condition-always-true", [none_live(mask) for mask in set(masks)]) is None:
            yield Finding(
                span,
                f"every task meets this condition, so `{rule.name}` always applies",
                "leave the condition out",
            )


def fix(context: LintContext, diagnostic: Diagnostic) -> Iterator[Replacement]:
    """Takes the clause away, and the blanks before it where no comment stands there."""
    span = diagnostic.span
    clause = re.search(r"\b(?:when|unless)\s+\Z", span.source.text[: span.start])
    if clause is not None:
        before = span.source.text[: clause.start()]
        start = clause.start() if "#" in before.rstrip().rpartition("\n")[2] else len(before.rstrip())
        yield Replacement(span.source.span(start, span.end), "")


RULE = LintRule(
    slug="condition-always-true",
    level=WARNING,
    summary="a condition that every task meets",
    why="It reads as a restriction and is none. What always holds is better said without a condition.",
    bad=Example(
        "forbid f: cloud\n    when task.criticality >= high or task.criticality < high\n"
        '    because "x" # y\n',
        ("task.criticality >= high or task.criticality < high",),
    ),
    good=Example('forbid f: cloud\n    because "x"\n'),
    near_miss=Example("forbid f: cloud when task.context_size < 8k or task.context_size > 8k\n"),
    check=check,
    fix=fix,
)
