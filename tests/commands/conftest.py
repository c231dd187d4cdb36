"""Every command runs without the developer's own environment."""

from __future__ import annotations

import os

import pytest

from tests.commands.running import Shell


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    for name in (
        *("MODEL_ROUTING_MODE", "DAILY_BUDGET_LIMIT", "MONTHLY_BUDGET_LIMIT", "DRY_RUN_MODE", "LOG_LEVEL"),
        *("ENGINE_CONFIG_DIR", "ENGINE_STATE_DIR", "ENGINE_LEDGER_URL", "OLLAMA_BASE_URL", "NO_COLOR"),
        *("ANTHROPIC_API_KEY", "OPENAI_API_KEY"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path))


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)
