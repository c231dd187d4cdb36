"""A comparison that holds for every value (reported when rules are read)."""

from engine.analysis.lint_rule import WARNING, Example, LintRule

RULE = LintRule(
    slug="always-holds",
    level=WARNING,
    summary="a comparison that holds for every value",
    why="It restricts nothing, and reads as if it did.",
    bad=Example(
        "forbid f: cloud when task.criticality >= low and task.labels has pii\n", ("task.criticality >= low",)
    ),
    good=Example("forbid f: cloud when task.labels has pii\n"),
    near_miss=Example("forbid f: cloud when task.criticality >= medium and task.labels has pii\n"),
)
