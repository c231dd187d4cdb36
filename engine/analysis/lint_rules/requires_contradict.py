"""Requires that together leave no model, whatever the task."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import ERROR, Example, Finding, LintRule
from engine.analysis.questions import every, none_live, some_live
from engine.language.checked_policy import Require
from engine.language.diagnostics import Note

MOST_REQUIRES = 500
"""Requires that are held against each other; every two of them are looked at."""


def check(study: LintContext) -> Iterator[Finding]:
    requires = [
        (index, rule)
        for index, rule in study.of_effect(Require)
        if not rule.watch and index not in study.never
    ]
    if len(requires) > MOST_REQUIRES:
        study.open_questions.add("requires-contradict")
        del requires[MOST_REQUIRES:]
    guards = study.compiled.guards
    for place, (index, rule) in enumerate(requires):
        if all(guard & study.bits(index) for guard in guards) and not _leaves_a_model(study, index, [index]):
            message = f"no model meets `{rule.name}`, so every task it applies to is refused"
            yield Finding(rule.name_span, message, "write what some model of models.yaml has")
            continue
        for other, before in requires[:place]:
            both = [index, other]
            met = study.bits(index) | study.bits(other)
            # Most pairs leave some model alone altogether; the others are asked about.
            if not all(guard & met for guard in guards) or not _leaves_a_model(study, other, [other]):
                continue
            if not _leaves_a_model(study, index, both) or not _leaves_a_model(study, other, both):
                message = f"no model meets both `{before.name}` and `{rule.name}`: every task of one of them is refused"
                yield Finding(
                    rule.name_span,
                    message,
                    "let one of the two give way",
                    (Note(before.name_span, "contradicts this"),),
                )
                break


def _leaves_a_model(study: LintContext, index: int, requires: list[int]) -> bool:
    """Whether some task of one require has a model that all of these let through."""
    masks = study.condition(index)
    if masks is not None and len(set(masks)) > 1:
        return True  # asked of each model: those it does not apply to are let through
    blocking = 0
    for each in requires:
        blocking |= study.bits(each)
    goals = []
    for model in study.models:
        passes = none_live(study.compiled.guards[model] & blocking)
        goals.append(passes if masks is None else every(some_live(masks[model]), passes))
    return study.find("requires-contradict", goals) is not None


RULE = LintRule(
    slug="requires-contradict",
    level=ERROR,
    summary="requires that no model can meet together",
    why="A require takes every other model away. Two that agree on no model refuse every task they apply to.",
    bad=Example("require a: local\nrequire b: model.quality is very_high when task.type is code\n", ("b",)),
    good=Example(
        "require a: local when task.type is qa\nrequire b: model.quality is very_high when task.type is code\n"
    ),
    near_miss=Example("require a: local\nrequire b: model.quality >= high when task.type is code\n"),
    check=check,
)
