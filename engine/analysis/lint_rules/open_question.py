"""Questions that were left open because their work reached its cap."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import INFO, Example, Finding, LintRule


def findings(context: LintContext) -> Iterator[Finding]:
    if context.open_questions:
        first = context.sources[0]
        left = (
            f"{slug} ({count} question{'s' * (count > 1)})"
            for slug, count in sorted(context.open_questions.items())
        )
        yield Finding(
            first.span(0, 0),
            f"not everything was decided within the work allowed: {', '.join(left)}",
            "there may be more findings of these kinds",
        )


RULE = LintRule(
    slug="open-question",
    level=INFO,
    summary="a kind of finding that was not looked for to the end",
    why="Caps on work are stated, never silent: what was not decided is not reported as clean.",
    bad=Example("forbid f: cloud when task.labels has pii\n"),
    good=Example("forbid f: cloud when task.labels has pii\n"),
    near_miss=Example("forbid f: cloud when task.labels has pii\n"),
)
