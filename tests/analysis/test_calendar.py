"""The date, the weekday and the day of the month follow from one clock, and so does what is proved."""

from __future__ import annotations

import pytest

from engine.analysis.proofs import prove
from engine.config.folder import folder_in_memory
from engine.language.diagnostics import Problems
from engine.policy import build

MODELS = """
providers:
  ollama:
    type: local
    models: [{id: small, max_context: 8192, quality_tier: low, latency_tier: low}]
  vendor:
    type: cloud
    api: openai
    base_url: https://vendor.example/v1
    models:
      - id: big
        max_context: 8192
        quality_tier: high
        latency_tier: low
        cost_profile: {type: paid, currency: USD, input_per_1m: 1, output_per_1m: 1}
"""


@pytest.mark.parametrize(
    ("rule", "condition", "verdict", "witness"),
    [
        ("clock.weekday in thu..fri", "clock.date in 2026-12-24..2026-12-25", "proved", {}),
        (
            "clock.weekday in thu..fri",
            "clock.date in 2026-12-24..2026-12-26",
            "refuted",
            {"clock.date": "2026-12-26", "clock.weekday": "sat"},
        ),
        ("clock.day <= 29", "clock.date in 2027-02-01..2027-02-28", "proved", {}),
        ("clock.day is 29", "clock.date in 2028-02-29..2028-02-29 and clock.weekday is tue", "proved", {}),
    ],
)
def test_only_days_that_a_calendar_has_are_witnesses(
    rule: str, condition: str, verdict: str, witness: dict[str, str]
) -> None:
    """Christmas of 2026 is a Thursday and a Friday, and February of 2027 has no 30th."""
    text = f"language 1.1\nforbid home: cloud when {rule}\nprove stays: never cloud when {condition}\n"
    problems = Problems()
    folder = folder_in_memory(
        MODELS,
        "routing: {modes: {open: {allow_cloud: true}}, default_mode: open}",
        {"a.route": text},
        problems=problems,
    )
    policy = folder and build(folder, problems)
    assert policy, [problem.message for problem in problems]

    (proved,) = prove(policy)

    assert proved.verdict == verdict
    if proved.counterexample is not None:
        found = {name: str(value) for name, value in proved.counterexample.given.items()}
        assert witness.items() <= found.items()
