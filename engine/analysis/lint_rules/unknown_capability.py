"""A capability that no model has (reported when policies.yaml is read)."""

from engine.analysis.lint_rule import POLICIES, WARNING, Example, LintRule

RULE = LintRule(
    slug="unknown-capability",
    level=WARNING,
    summary="a preferred capability that no model has",
    why="The preference favours nobody; usually it is a slip, or the catalogue is behind.",
    bad=Example(
        "", ("coding",), policies=POLICIES + "task_overrides:\n  code: {preferred_capabilities: [coding]}\n"
    ),
    good=Example("", policies=POLICIES + "task_overrides:\n  code: {preferred_capabilities: [code]}\n"),
    near_miss=Example("", policies=POLICIES + "task_overrides:\n  chat: {preferred_capabilities: [qa]}\n"),
)
