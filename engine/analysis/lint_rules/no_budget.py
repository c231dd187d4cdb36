"""Cloud models that cost money, and no limit at all."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import INFO, POLICIES, WARNING, Example, Finding, LintRule
from engine.config.settings import Budgets


def check(context: LintContext) -> Iterator[Finding]:
    policy = context.policy
    source = policy.folder.policies
    paid = next((model for model in policy.catalogue.models if model.price), None)
    if source is None or paid is None or _limits_something(policy.settings.budgets):
        return
    start = source.text.find("budgets:")
    yield Finding(
        source.span(start, start + 8) if start >= 0 else source.span(0, len(source.text.partition("\n")[0])),
        f"nothing limits what is spent, and `{paid.key}` costs money",
        "write a limit: `budgets: {daily: {total_usd: 5}}`",
        level=WARNING if start >= 0 else INFO,
    )


def _limits_something(budgets: Budgets) -> bool:
    windows = (budgets.daily, budgets.monthly)
    return (
        any(window.total_usd is not None or window.per_provider for window in windows)
        or budgets.session is not None
        or budgets.agent is not None
        or bool(budgets.groups)
    )


RULE = LintRule(
    slug="no-budget",
    level=WARNING,
    summary="a section of budgets that limits nothing",
    why=(
        "A limit that is misspelt, indented elsewhere or commented out limits nothing any more, and nobody "
        "is told."
    ),
    bad=Example("", ("budgets:",), policies=POLICIES.replace("daily: {total_usd: 1000}, ", "")),
    good=Example(""),
    near_miss=Example("", policies=POLICIES.replace("total_usd: 1000", "per_provider: {openai: 5}")),
    check=check,
)
