"""Two task types that differ by a slip of the finger."""

from collections.abc import Iterator
from difflib import SequenceMatcher

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import POLICIES, WARNING, Example, Finding, LintRule
from engine.language.checked_policy import In
from engine.language.diagnostics import Note, visible
from engine.language.source import Span

MOST_COMPARED = 150


def check(context: LintContext) -> Iterator[Finding]:
    if context.policy.names.task_types is not None:
        return  # the list is closed: a name outside it is an error already
    mentioned: dict[str, list[Span]] = {}
    for override in context.policy.settings.overrides:
        mentioned.setdefault(override.task_type, []).append(override.span)
    for test in context.tests(In, "task.type"):
        for name in sorted(test.names):
            mentioned.setdefault(name, []).append(test.span)
    names = sorted(mentioned, key=lambda name: -len(mentioned[name]))[:MOST_COMPARED]
    for place, name in enumerate(names):
        near = next((other for other in names[:place] if _are_near(name, other)), None)
        if near is not None:
            yield Finding(
                mentioned[name][0],
                f"the task type `{visible(name)}` looks like `{visible(near)}`",
                "if one is meant, spell it alike; `task_types: [...]` in policies.yaml makes a slip an error",
                (Note(mentioned[near][0], "spoken of here"),),
            )


def _are_near(one: str, other: str) -> bool:
    if one.casefold() == other.casefold():
        return True
    if abs(len(one) - len(other)) > 1 or min(len(one), len(other)) < 4:
        return False
    return SequenceMatcher(None, one, other).ratio() >= 0.85 and not (
        one[-1].isdigit() or other[-1].isdigit()
    )


_OPEN = POLICIES.replace("task_types: [qa, code, chat]\n", "")

RULE = LintRule(
    slug="near-task-type",
    level=WARNING,
    summary="two task types that differ by one letter",
    why="Where the list of types is open, a misspelt one is a type of its own, and its rules never apply.",
    bad=Example(
        "forbid a: cloud when task.type is planning\nforbid b: small when task.type is planing\n"
        "prefer c: big by 9 when task.type is planning\n",
        ("task.type is planing",),
        policies=_OPEN,
    ),
    good=Example(
        "forbid a: cloud when task.type is planning\nforbid b: small when task.type is planning\n",
        policies=_OPEN,
    ),
    near_miss=Example(
        "forbid a: cloud when task.type is planning\nforbid b: small when task.type is planning-2\n",
        policies=_OPEN,
    ),
    check=check,
)
