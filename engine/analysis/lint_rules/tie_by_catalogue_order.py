"""A first place that only the order of models.yaml decides."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, combinations, islice

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import INFO, MODELS, Example, Finding, LintRule
from engine.analysis.questions import every
from engine.analysis.search import Goal, Obstacle, Witness
from engine.config.catalogue import Model
from engine.decision.evaluator import decide_live
from engine.language.diagnostics import Note, visible

MOST_PAIRS = 50


def check(context: LintContext) -> Iterator[Finding]:
    models = context.compiled.models
    ranked: dict[object, list[int]] = {}
    for place in context.models:
        ranked.setdefault(_rank(models[place]), []).append(place)
    together = chain.from_iterable(combinations(group, 2) for group in ranked.values())
    ordinary = {**context.quiet, **context.box(mode=lambda mode: mode == context.policy.names.default_mode)}
    for one, other in islice(together, MOST_PAIRS):
        goal = every(context.chains.in_chain(one), context.chains.in_chain(other), _tie(context, one, other))
        witness = context.find("tie-by-catalogue-order", [goal], [ordinary], most_work=context.part(0, 1))
        if isinstance(witness, Witness):
            first, second = models[one], models[other]
            yield Finding(
                second.span,
                f"`{visible(first.key)}` comes before `{visible(second.key)}` only because models.yaml "
                f"lists it first, for example for {context.witness(witness.facts)}",
                "a preference or a price that differs says which one is meant",
                (Note(first.span, "listed first"),),
            )


def _rank(model: Model) -> tuple[str, Fraction | None]:
    return model.locality, Fraction(model.relative_cost) if model.locality == "local" else model.price


def _tie(context: LintContext, one: int, other: int) -> Goal:
    policy = context.compiled
    pair = {policy.models[one].key, policy.models[other].key}
    decides = context.chains.between(one, other)
    for guard in policy.guards:
        decides |= guard

    def goal(live: int) -> Obstacle | None:
        decision = decide_live(policy, live)
        first = next((count for count in decision.tiers if count), 0)
        is_tie = first >= 2 and decision.totals[0] == decision.totals[1]
        if is_tie and {model.key for model in decision.chain[:2]} == pair:
            return None
        return Obstacle(splits=decides)

    return goal


RULE = LintRule(
    slug="tie-by-catalogue-order",
    level=INFO,
    summary="a first place that only the order of models.yaml decides",
    why="The decision is the same every time, but nobody made it: moving a line in models.yaml would "
    "change it.",
    bad=Example(
        "forbid f: cloud\n",
        ("twin",),
        models=MODELS.replace(
            "      - {id: big,",
            "      - {id: twin, capabilities: [qa], max_context: 8000, quality_tier: low, latency_tier: "
            "low, tools: no}\n      - {id: big,",
        ),
    ),
    good=Example("forbid f: cloud\n"),
    near_miss=Example(
        "forbid f: cloud\nprefer p: twin by 1\n",
        models=MODELS.replace(
            "      - {id: big,",
            "      - {id: twin, capabilities: [qa], max_context: 8000, quality_tier: low, latency_tier: "
            "low, tools: no}\n      - {id: big,",
        ),
    ),
    check=check,
)
