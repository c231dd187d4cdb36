"""What a program holds in its hands: profiles, plans, refusals, the environment, the names that `engine`
offers."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

import engine
from engine import (
    ConfigurationError,
    EngineError,
    InvalidFact,
    InvalidTask,
    ModelRouter,
    NoEligibleModel,
    TaskProfile,
)
from engine.bundled import bundled_path
from engine.environment import Environment, InvalidEnvironment, default_state_dir

DEFAULT = bundled_path("policies", "default")
GUIDE = Path(__file__).parent / "conformance" / "guide"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        *("MODEL_ROUTING_MODE", "DAILY_BUDGET_LIMIT", "MONTHLY_BUDGET_LIMIT", "DRY_RUN_MODE", "LOG_LEVEL"),
        *("ENGINE_CONFIG_DIR", "ENGINE_LEDGER_URL", "OLLAMA_BASE_URL", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))


def router(**options: Any) -> ModelRouter:
    return ModelRouter(DEFAULT, **{"dry_run": True, "clock": lambda: NOON, **options})


# --- TaskProfile ----------------------------------------------------------------------------------------


def test_a_profile_needs_no_more_than_its_type() -> None:
    """Everything else is medium, small and plain."""
    assert TaskProfile("planning") == TaskProfile(
        "planning",
        criticality="medium",
        latency_sensitivity="medium",
        context_size=0,
        tool_use_required=False,
        budget_sensitivity="medium",
        labels=frozenset(),
        key=None,
    )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"task_type": ""}, "task_type is the name of a task type, not ''"),
        ({"task_type": None}, "task_type is the name of a task type, not None"),
        ({"criticality": "urgent"}, "criticality is one of low, medium, high, critical, not 'urgent'"),
        ({"criticality": "High"}, "criticality is one of low, medium, high, critical, not 'High'"),
        ({"criticality": None}, "criticality is one of low, medium, high, critical, not None"),
        (
            {"latency_sensitivity": "critical"},
            "latency_sensitivity is one of low, medium, high, not 'critical'",
        ),
        ({"budget_sensitivity": 1}, "budget_sensitivity is one of low, medium, high, not 1"),
        (
            {"context_size": -1},
            "context_size is a whole number of tokens from 0 to 1,000,000,000,000, not -1",
        ),
        (
            {"context_size": 8.0},
            "context_size is a whole number of tokens from 0 to 1,000,000,000,000, not 8.0",
        ),
        (
            {"context_size": True},
            "context_size is a whole number of tokens from 0 to 1,000,000,000,000, not True",
        ),
        ({"context_size": 10**5000}, "not a number beyond that"),
        ({"tool_use_required": "no"}, "tool_use_required is True or False, not 'no'"),
        ({"labels": "pii"}, "labels is a list of names, not 'pii'"),
        ({"labels": b"pii"}, "labels is a list of names, not b'pii'"),
        ({"labels": None}, "labels is a list of names, not None"),
        ({"labels": ["pii", ""]}, "labels is a list of names, and '' is none"),
        ({"labels": frozenset({1})}, "labels is a list of names, and 1 is none"),
        ({"labels": [["pii"]]}, "labels is a list of names, and ['pii'] is none"),
        ({"key": 7}, "key is text, such as a tenant or a session, not 7"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "-".join(value),
)
def test_a_bad_value_is_refused_with_the_values_there_are(fields: dict[str, Any], told: str) -> None:
    """When the profile is built, before anything is routed."""
    with pytest.raises(InvalidTask) as refusal:
        TaskProfile(**{"task_type": "qa", **fields})
    assert told in str(refusal.value)
    assert isinstance(refusal.value, ValueError)


def test_a_profile_does_not_change() -> None:
    """It can be shared, hashed and compared."""
    task = TaskProfile("qa", labels=["pii", "secret"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.criticality = "low"  # type: ignore[misc]
    assert task == TaskProfile("qa", labels={"secret", "pii"})
    assert hash(task) == hash(TaskProfile("qa", labels=("secret", "pii", "pii")))


@pytest.mark.parametrize(
    "labels", [["a", "b"], ("b", "a"), {"a", "b"}, frozenset("ab"), (name for name in "ab"), {"a": 1, "b": 2}]
)
def test_labels_may_be_any_iterable(labels: Any) -> None:
    """And are a frozenset afterwards."""
    assert TaskProfile("qa", labels=labels).labels == frozenset({"a", "b"})


def test_words_of_an_enumeration_are_words() -> None:
    """Programs often keep such values in a str enumeration."""

    class Criticality(StrEnum):
        HIGH = "high"

    assert (
        router().plan(TaskProfile("qa", criticality=Criticality.HIGH)).explanation.to_json()["outcome"]
        == "chosen"
    )


def test_a_key_always_falls_into_the_same_bucket() -> None:
    """On every machine and in every version; spread over all hundred; without a key there is none."""
    assert [TaskProfile("qa", key=key).bucket for key in ("tenant-1", "tenant-2", "")] == [30, 76, 52]
    assert {TaskProfile("qa", key=str(number)).bucket for number in range(2_000)} == set(range(100))
    assert TaskProfile("qa").bucket is None
    assert TaskProfile("qa", key="\ud800").bucket is not None


# --- plan -----------------------------------------------------------------------------------------------


def test_a_plan_holds_the_whole_chain_and_why() -> None:
    """Model, fallbacks in order, the exact score, an explanation that prints and serialises."""
    choice = router().plan(TaskProfile("planning", criticality="high"))
    assert (choice.model.model_id, choice.model.provider_name, choice.model.locality) == (
        "qwen3:32b",
        "ollama",
        "local",
    )
    assert [model.model_id for model in choice.fallbacks] == [
        model.key for model in choice.explanation.chain[1:]
    ]
    assert choice.score == Decimal("87.286")
    assert str(choice.explanation).startswith("qwen3:32b (ollama, local)")
    answer = json.loads(json.dumps(choice.explanation.to_json()))
    assert answer["facts"]["task.type"] == {"value": "planning", "source": "task"}
    assert answer["facts"]["clock.hour"] == {"value": 12, "source": "clock"}


def test_a_refusal_carries_the_same_explanation() -> None:
    """No model is never None."""
    with pytest.raises(NoEligibleModel) as refusal:
        router().plan(TaskProfile("summarization", context_size=50_000, labels=["secret"]))
    explanation = refusal.value.explanation
    assert explanation.outcome == "refused"
    assert str(refusal.value) == str(explanation)
    blocked = {one.model.key: [rule.name for rule in one.blockers] for one in explanation.candidates}
    assert blocked["qwen3:32b"] == ["context-window"]
    assert "private-stays-home" in blocked["claude-sonnet-5-5"]


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (TaskProfile("plannign"), "there is no task type 'plannign'; did you mean planning"),
        (TaskProfile("qa", labels=["pi"]), "there is no label 'pi'"),
        (TaskProfile("qa", labels=["PII"]), "there is no label 'PII'; there are pii"),
    ],
    ids=["type", "label", "label in capitals"],
)
def test_a_name_the_policy_does_not_know_is_refused(task: TaskProfile, told: str) -> None:
    """A misspelt label would be a leak."""
    with pytest.raises(InvalidTask) as refusal:
        router().plan(task)
    assert told in str(refusal.value)


def test_a_cloud_provider_without_its_key_is_down_with_that_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a dry run, which calls nobody and needs no key."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-2")
    explanation = router(dry_run=False).plan(TaskProfile("qa", criticality="critical")).explanation
    assert "openai" not in explanation.facts.provider_down
    assert "anthropic" in explanation.facts.provider_down
    assert "ANTHROPIC_API_KEY" in explanation.to_json()["facts"]["provider.down"]["source"]
    assert "sk-canary-2" not in json.dumps(explanation.to_json()) + str(explanation)
    assert router().plan(TaskProfile("qa")).explanation.facts.provider_down == frozenset()


def test_models_are_listed_with_what_they_cost_and_can() -> None:
    """Prices in US dollars per million tokens; plain values only."""
    models = {model["model"]: model for model in router().get_available_models()}
    assert len(models) >= 8
    sonnet = models["claude-sonnet-5-5"]
    assert (sonnet["provider"], sonnet["locality"], sonnet["input_per_1m"], sonnet["output_per_1m"]) == (
        *("anthropic", "cloud", 2.0, 10.0),
    )
    assert models["gemma3:12b"]["tools"] == "no"
    json.dumps(list(models.values()))


# --- the environment ------------------------------------------------------------------------------------


def test_the_call_wins_over_the_environment_and_that_over_the_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its source."""

    def mode(**options: Any) -> dict[str, str]:
        fact: dict[str, str] = (
            router(**options).plan(TaskProfile("qa")).explanation.to_json()["facts"]["mode"]
        )
        return fact

    assert mode() == {"value": "local-preferred", "source": "policies.yaml:6"}
    monkeypatch.setenv("MODEL_ROUTING_MODE", "performance")
    assert mode() == {"value": "performance", "source": "MODEL_ROUTING_MODE"}
    assert mode(mode="local-only") == {"value": "local-only", "source": "call"}


@pytest.mark.parametrize("where", ["call", "environment"])
def test_an_unknown_mode_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """At construction, with the near one and where it was said."""
    if where == "environment":
        monkeypatch.setenv("MODEL_ROUTING_MODE", "balnced")
    with pytest.raises(InvalidFact, match="did you mean balanced"):
        router(mode="balnced" if where == "call" else None)


def test_the_environment_is_read_as_it_is_documented() -> None:
    """Typed values; what is empty is not set; a ledger's address is not shown."""
    environment = Environment.read(
        {
            "MODEL_ROUTING_MODE": "",
            "DAILY_BUDGET_LIMIT": "10.0",
            "MONTHLY_BUDGET_LIMIT": "$0",
            "DRY_RUN_MODE": "True",
            "ENGINE_LEDGER_URL": "postgresql://user:canary@host/db",
            "HOME": "/home/somebody",
            "SOME_API_KEY": "canary",
        }
    )
    assert (environment.mode, environment.daily_limit_usd, environment.monthly_limit_usd) == (
        None,
        Decimal(10),
        Decimal(0),
    )
    assert environment.dry_run
    assert environment.value("SOME_API_KEY") == "canary"
    assert "canary" not in repr(environment)
    assert environment.state_dir == Path("/home/somebody/.local/state/engine")
    assert default_state_dir({"XDG_STATE_HOME": "/state"}) == Path("/state/engine")
    assert default_state_dir({}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("DAILY_BUDGET_LIMIT", text)
            for text in ("ten", "-1", "NaN", "1e3", "1_0", "1,5", "١٠", "9" * 400)
        ),
        ("MONTHLY_BUDGET_LIMIT", "Infinity"),
        ("DRY_RUN_MODE", "perhaps"),
    ],
)
def test_a_bad_value_of_a_variable_names_the_variable(name: str, value: str) -> None:
    """And is short."""
    with pytest.raises(InvalidEnvironment) as refusal:
        Environment.read({name: value})
    assert str(refusal.value).startswith(f"{name} is ")
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("YES", True), ("1", True), ("false", False), ("no", False), ("0", False), ("", False)],
)
def test_a_dry_run_is_asked_for_in_the_usual_words(text: str, expected: bool) -> None:
    """The guide writes `false`."""
    assert Environment.read({"DRY_RUN_MODE": text}).dry_run is expected


def test_the_folder_is_looked_for_in_the_order_documented(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The argument, ENGINE_CONFIG_DIR, ./config, ./policies, the default set."""
    monkeypatch.chdir(tmp_path)

    def first() -> str:
        first_model: str = ModelRouter(dry_run=True).policy.catalogue.models[0].key
        return first_model

    assert first() == "qwen3:4b"
    for folder in ("policies", "config", "named"):
        (tmp_path / folder).mkdir()
        text = (GUIDE / "models.yaml").read_text().replace("llama3-8b-instruct", f"in-{folder}")
        (tmp_path / folder / "models.yaml").write_text(text)
    assert first() == "in-config"
    (tmp_path / "config" / "models.yaml").unlink()
    assert first() == "in-policies"
    monkeypatch.setenv("ENGINE_CONFIG_DIR", str(tmp_path / "named"))
    assert first() == "in-named"
    assert ModelRouter(tmp_path / "policies", dry_run=True).policy.catalogue.models[0].key == "in-policies"
    with pytest.raises(ConfigurationError):
        ModelRouter(tmp_path / "nowhere")


def test_a_folder_with_errors_decides_nothing(tmp_path: Path) -> None:
    """All of them are in the exception, rendered and as values."""
    (tmp_path / "models.yaml").write_text((GUIDE / "models.yaml").read_text())
    (tmp_path / "a.route").write_text("forbid x: clowd\nforbid y cloud\n")
    with pytest.raises(ConfigurationError) as refusal:
        ModelRouter(tmp_path)
    assert {problem.span.line for problem in refusal.value.problems if problem.level.word == "error"} == {
        1,
        2,
    }
    assert "a.route:1" in str(refusal.value)
    assert "a.route:2" in str(refusal.value)


# --- the package ----------------------------------------------------------------------------------------


def test_every_public_name_is_there() -> None:
    """`__all__` and `dir` agree, each name loads, another is an AttributeError."""
    for name in engine.__all__:
        assert getattr(engine, name).__name__ == name
        assert name in dir(engine)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = engine.nothing
    assert (bundled_path("policies").parent / "engine" / "py.typed").exists() or (
        Path(engine.__file__).parent / "py.typed"
    ).exists()


def test_the_guides_import_paths_hold() -> None:
    """`core.` becomes `engine.`, nothing else."""
    from engine.model_router import ModelRouter as Router
    from engine.task_profiles import TaskProfile as Profile

    assert (Router, Profile) == (ModelRouter, TaskProfile)


def test_every_exception_is_an_engine_error() -> None:
    """One `except EngineError` catches all that the engine says no with."""
    from engine.budget.errors import BudgetError
    from engine.providers.errors import ProviderError

    for kind in (
        ConfigurationError,
        InvalidFact,
        InvalidTask,
        InvalidEnvironment,
        NoEligibleModel,
        BudgetError,
        ProviderError,
    ):
        assert issubclass(kind, EngineError)


def test_planning_loads_no_provider_sdk(tmp_path: Path) -> None:
    """Neither importing nor deciding loads an SDK; importing not even the parser."""
    script = (
        "import sys, json, engine; light = sorted(sys.modules);"
        f"from engine import ModelRouter, TaskProfile; ModelRouter({str(DEFAULT)!r}, "
        "dry_run=True).plan(TaskProfile('qa'));"
        "print(json.dumps([light, sorted(sys.modules)]))"
    )
    variables = {"PATH": os.environ["PATH"], "ENGINE_STATE_DIR": str(tmp_path)}
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, cwd=root, env=variables
    )
    imported, planned = map(set, json.loads(done.stdout))
    assert not imported & {
        "anthropic",
        "openai",
        "httpx",
        "httpx2",
        "jsonschema",
        "lark",
        "yaml",
        "engine.model_router",
    }
    assert not planned & {"anthropic", "openai", "httpx"}
