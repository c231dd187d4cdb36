"""A comparison that holds for no value (reported when rules are read)."""

from engine.analysis.lint_rule import WARNING, Example, LintRule

RULE = LintRule(
    slug="never-holds",
    level=WARNING,
    summary="a comparison that holds for no value",
    why="What it was meant to say is not what it says.",
    bad=Example(
        "forbid f: cloud when task.criticality > critical or task.labels has pii\n",
        ("task.criticality > critical",),
    ),
    good=Example("forbid f: cloud when task.criticality is critical or task.labels has pii\n"),
    near_miss=Example("forbid f: cloud when task.criticality >= critical or task.labels has pii\n"),
)
