"""A guard, route or weigh without which every decision would be the same."""

from collections.abc import Iterator

from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.analysis.study import Study


def check(study: Study) -> Iterator[Finding]:
    for index in study.without_effect:
        rule = study.compiled.rules[index]
        yield Finding(
            rule.name_span,
            f"no decision would change without `{rule.name}`",
            "take it away, or make it say what it was meant to",
        )


RULE = LintRule(
    slug="no-effect",
    level=WARNING,
    summary="a guard, route or weigh that changes no decision",
    why="Other rules already do all it does. Whoever changes those will not know that this one was leaned on, or that it never was.",
    bad=Example(
        "forbid a: cloud when task.labels has pii\nforbid b: gpt when task.labels has all [pii, secret]\n",
        ("b",),
    ),
    good=Example("forbid a: cloud when task.labels has pii\n"),
    near_miss=Example(
        "forbid a: cloud when task.labels has pii\nforbid b: gpt when task.labels has secret\n"
    ),
    check=check,
)
