"""Guards that leave no model to a task which no route speaks of."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.analysis.questions import every, none_live
from engine.analysis.search import Witness
from engine.decision.partitions import bits_of
from engine.language.checked_policy import Origin, Require


def check(context: LintContext) -> Iterator[Finding]:
    if context.reachability.contradictions:
        return
    policy = context.compiled
    goal = every(none_live(policy.routes), context.chains.nobody(context.consent))
    witness = context.find("refusal-without-route", [goal], [context.quiet])
    if isinstance(witness, Witness):
        blocking = {policy.owners[bit] for guard in policy.guards for bit in bits_of(guard & witness.live)}
        mine = [rule for index in sorted(blocking) if (rule := policy.rules[index]).origin is Origin.USER]
        if mine:
            kind = "require" if isinstance(mine[0].effect, Require) else "forbid"
            yield Finding(
                mine[0].name_span,
                f"this {kind} and the other guards refuse tasks though every provider is up and nothing is "
                f"spent, for example {context.witness(witness.facts)}",
                "loosen a guard, or write a test that expects `refused` and allow this finding",
            )


RULE = LintRule(
    slug="refusal-without-route",
    level=WARNING,
    summary="guards that refuse some task on a quiet day",
    why="A refusal may be what is wanted, and then a test should say so. More often two guards meet that "
    "were never thought of together.",
    bad=Example(
        "forbid a: local when task.criticality is critical\nforbid b: cloud when task.labels has secret\n",
        ("a",),
    ),
    good=Example("forbid b: cloud when task.labels has secret\n"),
    near_miss=Example(
        "forbid a: local when task.criticality is critical and mode is balanced\n"
        "forbid b: cloud when task.labels has secret and task.criticality < critical\n"
    ),
    check=check,
)
