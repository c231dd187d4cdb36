"""A route all of whose models are in the cloud."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.language.checked_policy import Use


def is_all_cloud(context: LintContext, index: int) -> bool:
    tiers = context.compiled.tiers[index]
    members = {model for tier in tiers for model in (*tier.always, *(model for model, _ in tier.depending))}
    return bool(members) and all(context.compiled.models[model].locality == "cloud" for model in members)


def check(context: LintContext) -> Iterator[Finding]:
    has_local = any(model.locality == "local" for model in context.compiled.models)
    for index, rule in context.of_effect(Use):
        if has_local and is_all_cloud(context, index) and index not in context.reachability.unreachable:
            yield Finding(
                rule.name_span,
                f"every model of `{rule.name}` is cloud: without network or money its tasks are refused",
                "add `then local`",
            )


RULE = LintRule(
    slug="route-all-cloud",
    level=WARNING,
    summary="a route without a local model",
    why="A spent budget, a mode that forbids cloud or a lost network then refuses every task of the route.",
    bad=Example("route r: use cloud and model.quality is very_high when task.type is code\n", ("r",)),
    good=Example("route r: use cloud and model.quality is very_high, then local when task.type is code\n"),
    near_miss=Example("route r: use model.tools is yes when task.type is code\n"),
    check=check,
)
