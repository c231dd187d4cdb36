"""A provider called local whose address is public (reported when models.yaml is read)."""

from engine.analysis.lint_rule import MODELS, WARNING, Example, LintRule

RULE = LintRule(
    slug="local-is-elsewhere",
    level=WARNING,
    summary="a provider called local with a public address",
    why="`local` means declared local. Every guard about privacy believes it.",
    bad=Example(
        "",
        ("https://llm.example.com",),
        models=MODELS.replace("http://localhost:11434", "https://llm.example.com"),
    ),
    good=Example(""),
    near_miss=Example("", models=MODELS.replace("http://localhost:11434", "http://127.0.0.1:11434")),
)
