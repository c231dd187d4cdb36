"""`engine doctor`: the validation checklist, run; what it says when something is wrong; its exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.bundled import bundled_path, bundled_text
from engine.cli import main
from engine.migration.doctor_checks import run_checks
from tests.providers.dialects import OLLAMA
from tests.providers.wire_server import wire_server

from .fixtures import MODELS, policy_folder


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(
            (
                "USE_",
                "ENGINE_",
                "MODEL_ROUTING",
                "DAILY_",
                "MONTHLY_",
                "DRY_RUN",
                "OLLAMA_BASE",
                "ANTHROPIC_",
                "OPENAI_",
            )
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return policy_folder(tmp_path / "config")


def doctor(folder: Path, *options: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["doctor", "--config", str(folder), "--format", "json", *options])
    answer = json.loads(capsys.readouterr().out)
    Draft202012Validator(json.loads(bundled_text("schemas", "doctor.schema.json"))).validate(answer)
    return code, answer


def found(answer: dict[str, Any], name: str) -> list[tuple[str, str]]:
    return [(check["verdict"], check["seen"]) for check in answer["checks"] if check["name"] == name]


def test_the_default_folder_is_healthy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With keys set nothing fails and nothing warns; every row of the checklist is there."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    code, answer = doctor(bundled_path("policies", "default"), capsys=capsys)
    bad = [check for check in answer["checks"] if check["verdict"] in ("warn", "fail")]
    assert (code, bad) == (0, [])
    assert {check["name"] for check in answer["checks"]} == {
        *(
            "environment",
            "configuration",
            "policy tests",
            "policy proofs",
            "selection",
            "selection now",
            "fallbacks",
        ),
        *("keys", "state folder", "budgets", "ledger", "decision log", "packages", "flags", "health"),
    }


def test_a_missing_key_is_a_warning_while_a_local_model_is_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the variable's name."""
    code, answer = doctor(folder, capsys=capsys)
    assert code == 0
    assert found(answer, "keys") == [
        ("warn", "anthropic: ANTHROPIC_API_KEY is not set, so it counts as down")
    ]
    assert doctor(folder, "--strict", capsys=capsys)[0] == 1


def test_a_missing_key_fails_when_nobody_else_is_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only cloud models, and no key."""
    (folder / "models.yaml").write_text("providers:\n  anthropic:" + MODELS.split("  anthropic:")[1])
    code, answer = doctor(folder, capsys=capsys)
    assert code == 1
    assert found(answer, "keys")[0][0] == "fail"
    assert found(answer, "selection now")[0][0] == "warn"


def test_a_key_is_never_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither in text nor in JSON."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-canary-000111222")
    main(["doctor", "--config", str(folder)])
    main(["doctor", "--config", str(folder), "--format", "json"])
    output = capsys.readouterr()
    assert "canary" not in output.out + output.err


def test_a_broken_folder_fails_with_its_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And what depends on it is skipped, what does not is still checked."""
    (folder / "main.route").write_text("forbid x: clod\n")
    code, answer = doctor(folder, capsys=capsys)
    assert code == 1
    ((verdict, seen),) = found(answer, "configuration")
    assert (verdict, seen.startswith("main.route:1: ")) == ("fail", True)
    assert found(answer, "selection") == [("skipped", "needs a sound policy")]
    assert found(answer, "state folder")[0][0] == "ok"


def test_failing_tests_and_proofs_of_the_policy_fail(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with the command that says more."""
    (folder / "main.route").write_text(
        'test "no": given task.type is qa expect cloud\nprove never-cloud: never cloud\n'
    )
    code, answer = doctor(folder, capsys=capsys)
    assert code == 1
    assert found(answer, "policy tests") == [("fail", "1 of 1 fail, first: no")]
    assert found(answer, "policy proofs") == [("fail", "never-cloud is refuted")]


def test_a_type_that_is_always_refused_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named with the command that explains it."""
    (folder / "main.route").write_text("forbid none-for-planning: any when task.type is planning\n")
    code, answer = doctor(folder, capsys=capsys)
    assert code == 1
    check = next(check for check in answer["checks"] if check["name"] == "selection")
    assert check["todo"] == "engine explain type=planning criticality=low"


def test_fallbacks_are_tried_with_each_provider_down(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A route to one provider only."""
    (folder / "main.route").write_text("route only-here: use local when task.type is qa\n")
    _, answer = doctor(folder, capsys=capsys)
    assert ("warn", "without ollama nobody takes an ordinary task of high criticality: qa") in found(
        answer, "fallbacks"
    )
    assert ("warn", "only one model for an ordinary task of high criticality: qa") in found(
        answer, "fallbacks"
    )


@pytest.mark.parametrize(("limit", "verdict"), [("10.0", "ok"), ("0", "warn"), (None, "warn")])
def test_budgets(folder: Path, capsys: pytest.CaptureFixture[str], limit: str | None, verdict: str) -> None:
    """No limit at all beside cloud models is a warning; so is zero."""
    text = "task_types: [qa]\n" + (f"budgets: {{daily: {{total_usd: {limit}}}}}\n" if limit else "")
    (folder / "policies.yaml").write_text(text)
    assert found(doctor(folder, capsys=capsys)[1], "budgets")[0][0] == verdict


def test_a_state_folder_that_cannot_be_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file in its place: the folder and the ledger fail, and what to do is said."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "file"))
    code, answer = doctor(folder, capsys=capsys)
    assert code == 1
    assert found(answer, "state folder")[0][0] == "fail"


def test_a_bad_variable_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Limits, modes and flags."""
    monkeypatch.setenv("USE_ROUTER_FOR_QA", "perhaps")
    _, answer = doctor(folder, capsys=capsys)
    assert found(answer, "flags")[0][0] == "fail"
    monkeypatch.setenv("DAILY_BUDGET_LIMIT", "ten")
    _, answer = doctor(folder, capsys=capsys)
    assert found(answer, "environment")[0][0] == "fail"


def test_flags_are_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What goes to the router, by task type."""
    monkeypatch.setenv("USE_ROUTER_FOR_QA", "25%")
    assert found(doctor(folder, capsys=capsys)[1], "flags") == [
        ("ok", "to the router: qa 25%, planning 0%, routing 0%")
    ]


async def test_health_is_asked_only_live(folder: Path, tmp_path: Path) -> None:
    """Without --live no connection is made; with it each provider is asked, and one that is down fails."""
    import asyncio

    async with wire_server(OLLAMA.handler()) as served:
        variables = {"ENGINE_STATE_DIR": str(tmp_path / "state"), "OLLAMA_BASE_URL": served.url}
        (folder / "models.yaml").write_text(MODELS.partition("  anthropic:")[0])
        quiet = await asyncio.to_thread(run_checks, str(folder), variables, live=False)
        assert ([check.verdict for check in quiet if check.name == "health"], served.connections) == (
            ["skipped"],
            0,
        )
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("OLLAMA_BASE_URL", served.url)
            up = await asyncio.to_thread(run_checks, str(folder), variables, live=True)
        assert [check.verdict for check in up if check.name == "health"] == ["ok"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OLLAMA_BASE_URL", served.url)
        down = await asyncio.to_thread(run_checks, str(folder), variables, live=True)
    assert [check.verdict for check in down if check.name == "health"] == ["fail"]


def test_the_text_says_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a check, the advice under it, and what no program can see at the end."""
    assert main(["doctor", "--config", str(folder)]) == 0
    output = capsys.readouterr().out
    assert (
        "warn    keys: anthropic: ANTHROPIC_API_KEY is not set, so it counts as down\n"
        "          set ANTHROPIC_API_KEY" in output
    )
    assert "to look at yourself: the project's own tests pass; " in output
