"""A let that nothing uses (reported when the policy is read)."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, LintRule
from engine.language.diagnostics import Diagnostic, Replacement
from engine.language.syntax_tree import Let


def fix(context: LintContext, diagnostic: Diagnostic) -> Iterator[Replacement]:
    """Takes the statement away; its whole lines where nothing else stands on them."""
    span = diagnostic.span
    for let in context.statements:
        if (
            isinstance(let, Let)
            and let.span.source.name == span.source.name
            and let.name.span.start == span.start
        ):
            text = let.span.source.text
            start = text.rfind("\n", 0, let.span.start) + 1
            end = text.find("\n", let.span.end) + 1 or len(text)
            alone = not text[start : let.span.start].strip() and not text[let.span.end : end].strip()
            yield Replacement(let.span.source.span(start, end) if alone else let.span, "")


RULE = LintRule(
    slug="unused-let",
    level=WARNING,
    summary="a let that nothing uses",
    why="A name that stands for nothing in force misleads whoever reads it as part of the policy.",
    bad=Example(
        "let private = task.labels has pii\nforbid f: cloud when task.labels has pii\n", ("private",)
    ),
    good=Example("let private = task.labels has pii\nforbid f: cloud when private\n"),
    near_miss=Example(
        "let private = task.labels has pii\nlet secret-work = private and task.type is code\n"
        "forbid f: cloud when secret-work\n"
    ),
    fix=fix,
)
