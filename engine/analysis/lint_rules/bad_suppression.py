"""A comment that is meant to allow a finding and does not."""

from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.analysis.suppressions import Misuse


def finding(misuse: Misuse) -> Finding:
    return Finding(misuse.span, misuse.message, misuse.help)


RULE = LintRule(
    slug="bad-suppression",
    level=WARNING,
    summary="an allowance without a reason, or for nothing known",
    why="Whoever allows a finding owes the next reader the reason. Without one, or misspelt, it allows "
    "nothing.",
    bad=Example(
        "# lint: allow no-effect\nforbid f: cloud when task.labels has pii\n", ("# lint: allow no-effect",)
    ),
    good=Example(
        "forbid f: cloud when task.labels has pii\n# lint: allow no-effect because it is on trial\n"
        "forbid g: gpt when task.labels has pii\n"
    ),
    near_miss=Example("# lint everything before a release\nforbid f: cloud when task.labels has pii\n"),
)
