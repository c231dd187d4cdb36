"""A rule that matters in no test."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import INFO, Example, Finding, LintRule


def check(context: LintContext) -> Iterator[Finding]:
    tests = context.policy.checked.tests
    if not tests:
        return
    untested = {
        rule.name: rule
        for index, rule in context.rules
        if not rule.watch and index not in context.reachability.never
    }
    for test in tests:
        for case in test.cases:
            if untested:
                explanation = context.policy.explain(case.given, {})
                mattering = context.mattering(explanation)
                for name in untested.keys() & mattering:
                    del untested[name]
    for rule in untested.values():
        yield Finding(
            rule.name_span, f"`{rule.name}` matters in no test", "add a test with a task it decides"
        )


RULE = LintRule(
    slug="untested-rule",
    level=INFO,
    summary="a rule that matters in no test",
    why="Proofs say what always holds; a test shows what a rule was meant for, and fails when that is lost.",
    bad=Example(
        'forbid f: cloud when task.labels has pii\ntest "t":\n    given task.type is qa\n    expect any\n',
        ("f",),
    ),
    good=Example(
        'forbid f: cloud when task.labels has pii\ntest "t":\n'
        "    given task.type is qa, task.labels has pii\n    expect local\n"
    ),
    near_miss=Example("forbid f: cloud when task.labels has pii\n"),
    check=check,
)
