"""A route that can end in a refusal though every provider is up and nothing is spent."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.analysis.lint_rules.route_all_cloud import is_all_cloud
from engine.analysis.questions import every, none_live, some_live
from engine.analysis.search import Witness
from engine.language.checked_policy import Use
from engine.language.diagnostics import visible


def check(context: LintContext) -> Iterator[Finding]:
    refusing = context.chains.nobody(context.consent)
    for index, rule in context.of_effect(Use):
        if (
            index in context.reachability.never
            or index in context.reachability.unreachable
            or is_all_cloud(context, index)
        ):
            continue
        taken = [some_live(context.bits(index)), none_live(context.earlier(index, context.compiled.routes))]
        witness = context.find("route-can-refuse", [every(*taken, refusing)], [context.quiet])
        if isinstance(witness, Witness):
            yield Finding(
                rule.name_span,
                f"`{visible(rule.name)}` can end in a refusal though every provider is up and nothing is "
                f"spent, for example for {context.witness(witness.facts)}",
                "add a tier that always has a model, such as `then local`, or loosen the guard",
            )


RULE = LintRule(
    slug="route-can-refuse",
    level=WARNING,
    summary="a route that can end in a refusal on a quiet day",
    why="A route never falls through to the next one: when its tiers hold no eligible model the task is "
    "refused. "
    "Tasks that are too long for every window, or call tools that no model has, are left out of account.",
    bad=Example(
        "forbid f: big when task.labels has secret\n"
        "route r: use model.quality is high, then cloud when task.type is code\n",
        ("r",),
    ),
    good=Example(
        "forbid f: big when task.labels has secret\n"
        "route r: use model.quality is high, then cloud, then local when task.type is code and not "
        "task.tool_use_required\n"
    ),
    near_miss=Example(
        "forbid f: big when task.labels has secret\n"
        "route r: use model.quality is high, then cloud when task.type is code and mode is balanced\n"
    ),
    check=check,
)
