"""Labels that decide, from a list that anyone can misspell."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import POLICIES, WARNING, Example, Finding, LintRule
from engine.language.checked_policy import Has


def check(context: LintContext) -> Iterator[Finding]:
    if context.policy.names.labels is not None:
        return
    tests = list(context.tests(Has, "task.labels"))
    if tests:
        labels = sorted({test.element for test in tests})
        yield Finding(
            tests[0].span,
            "rules depend on labels, and any label is accepted: a misspelt one is let through",
            f"write `labels: [{', '.join(labels[:8])}]` in policies.yaml",
        )


RULE = LintRule(
    slug="open-labels",
    level=WARNING,
    summary="rules about labels, and no closed list of them",
    why="A typo in a label is a leak: the guard does not see it. A closed list refuses it, in rules and in "
    "tasks.",
    bad=Example(
        "forbid f: cloud when task.labels has pii\n",
        ("task.labels has pii",),
        policies=POLICIES.replace("labels: [pii, secret]\n", ""),
    ),
    good=Example("forbid f: cloud when task.labels has pii\n"),
    near_miss=Example(
        "forbid f: cloud when task.labels is not empty\n",
        policies=POLICIES.replace("labels: [pii, secret]\n", ""),
    ),
    check=check,
)
