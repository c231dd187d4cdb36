"""An allowance for a finding that is not there."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.analysis.suppressions import Suppression
from engine.language.diagnostics import Diagnostic, Replacement


def finding(suppression: Suppression) -> Finding:
    return Finding(
        suppression.span, f"there is no `{suppression.slug}` here to allow", "take the comment away"
    )


def fix(context: LintContext, diagnostic: Diagnostic) -> Iterator[Replacement]:
    """Takes the whole line away."""
    source, span = diagnostic.span.source, diagnostic.span
    line = span.line
    end = source.line_starts[line] if line < len(source.line_starts) else len(source.text)
    yield Replacement(source.span(source.line_starts[line - 1], end), "")


RULE = LintRule(
    slug="unused-suppression",
    level=WARNING,
    summary="an allowance for a finding that is not there",
    why="It would hide the finding the day it comes back, for a reason nobody remembers.",
    bad=Example(
        "# lint: allow no-effect because it is on trial\nforbid f: cloud when task.labels has pii\n",
        ("# lint: allow no-effect because it is on trial",),
    ),
    good=Example("# it is on trial\nforbid f: cloud when task.labels has pii\n"),
    near_miss=Example(
        "forbid f: cloud when task.labels has pii\n# lint: allow no-effect because it is on trial\n"
        "forbid g: gpt when task.labels has pii\n"
    ),
    fix=fix,
)
