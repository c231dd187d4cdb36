"""Two labels that differ in case only (reported when rules are read)."""

from engine.analysis.lint_rule import POLICIES, WARNING, Example, LintRule

_OPEN = POLICIES.replace("labels: [pii, secret]\n", "")

RULE = LintRule(
    slug="label-case",
    level=WARNING,
    summary="a label that differs from another in case only",
    why="Names are compared exactly: a guard on `pii` does not see a task labelled `PII`.",
    bad=Example(
        "forbid f: cloud when task.labels has pii\nforbid g: small when task.labels has PII\n",
        ("PII",),
        policies=_OPEN,
    ),
    good=Example(
        "forbid f: cloud when task.labels has pii\nforbid g: small when task.labels has pii\n", policies=_OPEN
    ),
    near_miss=Example(
        "forbid f: cloud when task.labels has pii\nforbid g: small when task.type is PII\n",
        policies=_OPEN.replace("task_types: [qa, code, chat]\n", ""),
    ),
)
