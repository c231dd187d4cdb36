"""A route or weigh that earlier ones leave nothing to."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import ERROR, WARNING, Example, Finding, LintRule
from engine.analysis.questions import every, none_live, some_live
from engine.language.checked_policy import Origin, Rule, Use, Weigh
from engine.language.diagnostics import Note

MOST_BLAMED = 40
"""Earlier rules among which the ones responsible are looked for; of more, all are named that meet the
condition."""


def check(context: LintContext) -> Iterator[Finding]:
    for index in sorted(context.reachability.unreachable):
        rule = context.compiled.rules[index]
        blamed = _blamed(context, index)
        kind = "route" if isinstance(rule.effect, Use) else "weigh"
        if rule.origin is Origin.USER:
            named = f"`{blamed[0].name}` leaves" if len(blamed) == 1 else f"{_listed(blamed)} together leave"
            notes = tuple(Note(other.name_span, "takes some of its tasks") for other in blamed[:8])
            yield Finding(
                rule.name_span,
                f"the {kind} `{rule.name}` is never reached: {named} it no task",
                "put it first, or take it away",
                notes,
            )
        elif rule.origin is Origin.YAML and isinstance(rule.effect, Use):
            # Reported where the author can do something about it: at the route that has no condition.
            # Lowered routes come after the author's.
            over = blamed[-1]
            message = (
                f"`{over.name}` leaves no task to `{rule.name}`, the route that policies.yaml stands for"
            )
            yield Finding(
                over.name_span,
                message,
                "give it a condition, or say what the mode should do there",
                (Note(rule.span, "stands for it"),),
                WARNING,
            )


def _blamed(context: LintContext, index: int) -> list[Rule]:
    """Earlier rules that together leave nothing: none of them can be spared."""
    policy, bits = context.compiled, context.bits(index)
    kind = Use if isinstance(policy.rules[index].effect, Use) else Weigh
    among = policy.routes if kind is Use else policy.weighs
    earlier = context.earlier(index, among)
    candidates = [
        other
        for other in range(index)
        if isinstance(policy.rules[other].effect, kind) and context.bits(other) & earlier
    ]
    needed = set(candidates)
    for other in candidates if len(candidates) <= MOST_BLAMED else ():
        rest = [context.bits(each) for each in needed if each != other]
        mask = 0
        for each in rest:
            mask |= each
        if context.find("unreachable-route", [every(some_live(bits), none_live(mask))]) is None:
            needed.discard(other)
    return [policy.rules[each] for each in sorted(needed)]


def _listed(rules: list[Rule]) -> str:
    names = [f"`{rule.name}`" for rule in rules]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


RULE = LintRule(
    slug="unreachable-route",
    level=ERROR,
    summary="a route or weigh that earlier ones together leave no task",
    why="The first route whose condition holds is taken. One behind those that take every task is dead "
    "text, and its author believes otherwise.",
    bad=Example(
        "route a: use local when task.criticality >= high\nroute b: use any when task.criticality < high\n"
        "route c: use cloud, then local when task.type is code\n",
        ("c",),
    ),
    good=Example(
        "route c: use cloud, then local when task.type is code\n"
        "route a: use local when task.criticality >= high\nroute b: use any when task.criticality < high\n"
    ),
    near_miss=Example(
        "route a: use local when task.criticality >= high\n"
        "route b: use any when task.criticality < medium\n"
        "route c: use cloud, then local when task.type is code\n"
    ),
    check=check,
)
