"""A label that stays with a session, and that no rule asks for."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import POLICIES, WARNING, Example, Finding, LintRule
from engine.language.checked_policy import Has

_STAYS = POLICIES + "sessions: {labels_stay: [pii]}\n"


def check(context: LintContext) -> Iterator[Finding]:
    read = {test.element for fact in ("task.labels", "session.labels") for test in context.tests(Has, fact)}
    for placed in context.policy.settings.sessions.labels_stay or ():
        if placed.name not in read:
            yield Finding(
                placed.span,
                f"`{placed.name}` stays with a session, and no rule asks for it",
                f"write a guard such as `forbid NAME: cloud when task.labels has {placed.name}`",
            )


RULE = LintRule(
    slug="unread-staying-label",
    level=WARNING,
    summary="a label that stays with a session, and that no rule asks for",
    why="It is kept for every session and changes nothing: the guard that it was meant for is missing.",
    bad=Example("forbid f: cloud when task.labels has secret\n", ("pii",), policies=_STAYS),
    good=Example("forbid f: cloud when task.labels has pii\n", policies=_STAYS),
    near_miss=Example("forbid f: cloud when task.labels is not empty\n", policies=_STAYS),
    check=check,
)
