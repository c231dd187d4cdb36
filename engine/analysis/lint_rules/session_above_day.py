"""A budget of one session that a day has not got."""

import re
from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import POLICIES, WARNING, Example, Finding, LintRule


def _budgets(session: int) -> str:
    written = f"budgets: {{daily: {{total_usd: 5}}, session: {{total_usd: {session}}}}}\n"
    return re.sub(r"(?m)^budgets: .*\n", "", POLICIES) + written


def check(context: LintContext) -> Iterator[Finding]:
    budgets = context.policy.settings.budgets
    day = budgets.daily.total_usd
    for what, limit in (("session", budgets.session), ("agent", budgets.agent)):
        if day is not None and limit is not None and limit.total_usd > day:
            yield Finding(
                limit.span,
                f"one {what} may spend more than a whole day may, so the limit of the day ends it first",
                f"write at most {day:f}, or raise `budgets.daily.total_usd`",
            )


RULE = LintRule(
    slug="session-above-day",
    level=WARNING,
    summary="a limit of a session or an agent above that of the day",
    why="It is never reached within a day, so it does not bound what one session takes from all others.",
    bad=Example("route r: use any\n", ("8",), policies=_budgets(8)),
    good=Example("route r: use any\n", policies=_budgets(1)),
    near_miss=Example("route r: use any\n", policies=_budgets(5)),
    check=check,
)
