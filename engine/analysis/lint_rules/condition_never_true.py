"""A rule whose condition no task can meet."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import ERROR, Example, Finding, LintRule


def check(context: LintContext) -> Iterator[Finding]:
    for index, rule in context.rules:
        span = context.condition_span(rule)
        if span is not None and index in context.reachability.never:
            yield Finding(
                span,
                f"no task can meet this condition, so `{rule.name}` never applies",
                "change it, or take the rule away",
            )


RULE = LintRule(
    slug="condition-never-true",
    level=ERROR,
    summary="a condition that no task can meet",
    why="A guard that never applies protects nobody, and reads as if it did.",
    bad=Example(
        "forbid f: cloud when task.criticality >= high and task.criticality < medium\n",
        ("task.criticality >= high and task.criticality < medium",),
    ),
    good=Example("forbid f: cloud when task.criticality >= high or task.criticality < medium\n"),
    near_miss=Example("forbid f: cloud when task.context_size > 8000 and task.context_size <= 8001\n"),
    check=check,
)
