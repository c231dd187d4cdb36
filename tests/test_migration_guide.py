"""The migration guide's two YAML files, without any `.route` file, do what its reader is promised.

Scores of the two models by mode, and what a price 1000 times too high does.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from engine import ModelRouter, NoEligibleModel, TaskProfile
from engine.config.folder import folder_in_memory
from engine.decision.explanation import Explanation
from engine.language.diagnostics import Problems
from engine.policy import Policy, build

GUIDE = Path(__file__).parent / "conformance" / "guide"
LOCAL, CLOUD = "llama3-8b-instruct", "claude-3-5-sonnet"
MODES = ("local-only", "local-preferred", "balanced", "performance")
TYPES = ("planning", "qa", "routing", "summarization")
CRITICALITIES = ("low", "medium", "high", "critical")


@cache
def guide(*, true_price: bool = False) -> Policy:
    models = (GUIDE / "models.yaml").read_text()
    if true_price:
        models = models.replace("input_per_1k", "input_per_1m").replace("output_per_1k", "output_per_1m")
    problems = Problems()
    files = folder_in_memory(models, (GUIDE / "policies.yaml").read_text(), problems=problems)
    policy = files and build(files, problems)
    assert policy, [problem.message for problem in problems]
    return policy


def explain(*, true_price: bool = False, **facts: Any) -> Explanation:
    """`explain(type="qa", mode="balanced")`; two underscores stand for a dot."""
    named = {name.replace("__", "."): value for name, value in facts.items()}
    given = {
        name if "." in name or name == "mode" else f"task.{name}": value for name, value in named.items()
    }
    return guide(true_price=true_price).explain(given, {})


def chain(explanation: Explanation) -> list[str]:
    return [model.key for model in explanation.chain]


def scores(explanation: Explanation) -> dict[str, Decimal]:
    return {one.model.key: one.score.total for one in explanation.candidates if one.score}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("local-only", [LOCAL]),
        ("local-preferred", [LOCAL, CLOUD]),
        ("balanced", [LOCAL, CLOUD]),
        ("performance", [CLOUD, LOCAL]),
    ],
)
def test_planning_of_high_criticality_is_chosen_by_mode(mode: str, expected: list[str]) -> None:
    """As the formula of docs/language.md has it with the prices as they are written."""
    assert chain(explain(type="planning", criticality="high", mode=mode)) == expected


def test_the_scores_are_those_of_the_formula() -> None:
    """Cost 99.01 and 0.17, quality 50 and 100, latency 50 each; 10 points a capability of the override."""
    balanced = scores(explain(type="planning", criticality="high", mode="balanced"))
    assert balanced == {
        LOCAL: Decimal("0.4") * Decimal("99.01") + 20 + 10 + 10,
        CLOUD: Decimal("0.4") * Decimal("0.17") + 40 + 10 + 10 + 10,
    }
    performance = scores(explain(type="planning", criticality="high", mode="performance"))
    assert performance == {
        LOCAL: Decimal("0.2") * Decimal("99.01") + 30 + 10 + 10,
        CLOUD: Decimal("0.2") * Decimal("0.17") + 60 + 10 + 10 + 10 + 20,
    }


def test_questions_stay_here_in_the_default_mode() -> None:
    """`qa` goes to the local model in local-preferred, and to it alone below high criticality."""
    explanation = explain(type="qa")
    assert explanation.facts.mode == "local-preferred"
    assert chain(explanation) == [LOCAL]
    assert chain(explain(type="qa", criticality="critical"))[0] == LOCAL


def test_tools_that_nobody_knows_of_are_allowed_and_said() -> None:
    """`routing` with tools required still finds a model: neither model's tools are known, which is not
    `no`."""
    explanation = explain(type="routing", tool_use_required=True)
    assert chain(explanation) == [LOCAL]
    assert {model.tools for model in guide().catalogue.models} == {"unknown"}


def test_local_only_never_holds_a_cloud_model() -> None:
    """Whatever the task."""
    for task_type, criticality, sensitivity, size in product(
        TYPES, CRITICALITIES, ("low", "high"), (0, 8192, 8193)
    ):
        facts = {
            "type": task_type,
            "criticality": criticality,
            "budget_sensitivity": sensitivity,
            "context_size": size,
        }
        assert CLOUD not in chain(explain(**facts, mode="local-only"))


@pytest.mark.parametrize("spent", ["budget__daily__used", "budget__monthly__used"])
def test_a_spent_budget_never_holds_a_cloud_model(spent: str) -> None:
    """Whatever the task and the mode; at 100 percent, not before."""
    for task_type, criticality, mode in product(TYPES, CRITICALITIES, MODES):
        facts = {"type": task_type, "criticality": criticality, "mode": mode}
        assert chain(explain(**facts, **{spent: Decimal(100)})) == [LOCAL]
        assert chain(explain(**facts, **{spent: Decimal("99.99")})) == chain(explain(**facts))


def test_pattern_three_goes_local_as_written_and_to_the_cloud_at_the_true_price() -> None:
    """89.41 to 52.60 with 3.0 per thousand tokens, 90.00 to 89.41 with 3.00 per million."""
    facts = {"type": "planning", "criticality": "critical", "budget_sensitivity": "low"}
    written, true = explain(**facts), explain(**facts, true_price=True)
    assert (chain(written), rounded(written)) == ([LOCAL, CLOUD], {LOCAL: "89.41", CLOUD: "52.60"})
    assert (chain(true), rounded(true)) == ([CLOUD, LOCAL], {CLOUD: "90.00", LOCAL: "89.41"})


def rounded(explanation: Explanation) -> dict[str, str]:
    return {key: f"{total:.2f}" for key, total in scores(explanation).items()}


# --- the guide's own snippets ---------------------------------------------------------------------------


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelRouter:
    for name in (
        "MODEL_ROUTING_MODE",
        "DAILY_BUDGET_LIMIT",
        "MONTHLY_BUDGET_LIMIT",
        "ENGINE_CONFIG_DIR",
        "ENGINE_LEDGER_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "config").mkdir()
    for name in ("models.yaml", "policies.yaml"):
        (tmp_path / "config" / name).write_text((GUIDE / name).read_text())
    monkeypatch.chdir(tmp_path)
    return ModelRouter(dry_run=True)


def test_the_guides_planning_snippet_runs(router: ModelRouter) -> None:
    """`Would use: MODEL (PROVIDER)`, found in ./config as the guide lays it out."""
    task = TaskProfile(task_type="planning", criticality="high")
    choice = router.plan(task)
    told = f"Would use: {choice.model.model_id} ({choice.model.provider_name})"
    assert told == "Would use: llama3-8b-instruct (ollama)"
    assert [model.model_id for model in choice.fallbacks] == [CLOUD]


def test_the_guides_models_snippet_runs(router: ModelRouter) -> None:
    """Both models, with their prices as the catalogue means them."""
    assert {CLOUD, LOCAL} <= {model["id"] for model in router.get_available_models()}


def test_a_task_too_large_is_refused_with_the_reason(router: ModelRouter) -> None:
    """No model is never None: it is an exception that says why."""
    with pytest.raises(NoEligibleModel) as refusal:
        router.plan(TaskProfile(task_type="qa", context_size=300_000))
    assert {rule.name for one in refusal.value.explanation.candidates for rule in one.blockers} >= {
        "context-window"
    }
