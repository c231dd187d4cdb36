"""Every Python snippet of the migration guide runs, with `core.` replaced by `engine.` and nothing else
changed.

The guide's own files are the policy, its own variables the environment; what it leaves to its reader (a Redis
URL, the legacy key, an orchestrator's agent) is given here. Answers come from a server on loopback in
Ollama's dialect.
"""

from __future__ import annotations

import ast
import asyncio
import os
import re
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.model_router import ModelRouter

from .providers.dialects import TEXT, errand
from .providers.wire_server import Answer, Received, WireServer, in_json, wire_server

GUIDE = Path(__file__).parent / "data" / "migration-guide.md"
LOCAL = "llama3-8b-instruct"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def snippets(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(GUIDE.read_text(encoding="utf-8")) if found == language]


def snippet(*marks: str) -> str:
    """The one Python snippet that contains all marks, with the guide's import paths replaced."""
    (found,) = [text for text in snippets("python") if all(mark in text for mark in marks)]
    return found.replace("core.", "engine.")


def _ollama(received: Received) -> Answer:
    match received.path:
        case "/api/tags":
            return in_json({"models": [{"name": LOCAL, "model": LOCAL, "digest": "d"}]})
        case "/api/ps":
            return in_json(
                {"models": [{"name": LOCAL, "model": LOCAL, "digest": "d", "context_length": 8192}]}
            )
        case "/api/chat":
            return in_json(
                {
                    "model": LOCAL,
                    "message": {"role": "assistant", "content": TEXT},
                    "done": True,
                    "done_reason": "stop",
                    "prompt_eval_count": 10,
                    "eval_count": 5,
                }
            )
        case _:
            return errand(received)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as the guide leaves it: config/ with its two files, and its variables but for the keys."""
    (tmp_path / "config").mkdir()
    models, policies = (text for text in snippets("yaml") if text.startswith(("providers:", "routing:")))
    (tmp_path / "config" / "models.yaml").write_text(models)
    (tmp_path / "config" / "policies.yaml").write_text(policies)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))
    for name in ("ENGINE_CONFIG_DIR", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "USE_MODEL_ROUTER", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    (env_file,) = (text for text in snippets("bash") if "MODEL_ROUTING_MODE=local-preferred\nDAILY" in text)
    for name, value in re.findall(r"^([A-Z_]+)=(.*)$", env_file, re.MULTILINE):
        if not name.endswith("_KEY"):
            monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
async def ollama(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WireServer]:
    """Ollama on loopback, where the guide's models.yaml is told to look.

    What the guide leaves open is closed after.
    """
    routers: list[ModelRouter] = []
    begin = ModelRouter._begin
    monkeypatch.setattr(
        ModelRouter, "_begin", lambda router, *rest: routers.append(router) or begin(router, *rest)
    )
    async with wire_server(_ollama) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
        models = folder / "config" / "models.yaml"
        models.write_text(models.read_text().replace("http://localhost:11434", server.url))
        yield server
        for router in routers:
            await router.aclose()


def _run(code: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(code, "guide", "exec"), names)
    return names


async def _run_async(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """A snippet that awaits at its top."""
    compiled = compile(code, "guide", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waiting = eval(compiled, names)
    if waiting is not None:
        await waiting
    return names


def _names() -> dict[str, Any]:
    return _run(
        "from engine.model_router import ModelRouter\nfrom engine.task_profiles import TaskProfile\n",
        {"os": os},
    )


async def test_the_agent_after(ollama: WireServer) -> None:
    """Step 4, "After": an agent that asks the router."""
    names = _run(snippet("core.model_router", "class MyAgent"), {})
    assert await names["MyAgent"]().process("what is a fox?") == TEXT
    (prompt,) = ollama.prompts()
    assert prompt.json["options"]["num_predict"] == 1000


def test_the_application_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps 5 and 6: DRY_RUN_MODE by hand, and an orchestrator that takes the router."""
    names = _names() | {"redis_url": "redis://localhost", "MyAgent": lambda router: router}
    _run(snippet("class OrchestraOrchestrator"), names)
    _run(snippet("model_router = ModelRouter(dry_run="), names)
    assert names["model_router"].dry_run is False
    assert names["orchestrator"].agent is names["model_router"]
    monkeypatch.setenv("DRY_RUN_MODE", "true")
    _run(snippet("model_router = ModelRouter(dry_run="), names)
    assert names["model_router"].dry_run is True
    assert names["ModelRouter"]().dry_run is True


def test_model_selection_planning(capsys: pytest.CaptureFixture[str]) -> None:
    """Testing, 2: what would be used."""
    names = _names()
    names["model_router"] = names["ModelRouter"]()
    _run(snippet("choice = model_router.plan(task)"), names)
    assert capsys.readouterr().out == f"Would use: {LOCAL} (ollama)\n"


async def test_health_checks(ollama: WireServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Testing, 3: every provider, one of them without a key."""
    names = _names()
    names["model_router"] = names["ModelRouter"]()
    await _run_async(snippet("health_check()"), names)
    health = names["health"]
    assert (health["ollama"]["status"], health["ollama"]["version"]) == ("up", "0.32.9")
    assert health["ollama"]["models"] == [LOCAL]
    assert health["anthropic"]["status"] == "misconfigured"
    assert capsys.readouterr().out.startswith("Provider health: {'ollama'")


async def test_cost_estimates(ollama: WireServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Testing, 4: models and costs, also from inside a running loop."""
    names = _names()
    names["model_router"] = names["ModelRouter"]()
    await asyncio.to_thread(_run, snippet("get_available_models()"), names)
    rows = {row["model"]: row for row in names["models"]}
    assert rows[LOCAL]["eligible"]
    assert rows[LOCAL]["warm"]
    assert rows["claude-3-5-sonnet"]["why_not"] == "ANTHROPIC_API_KEY is not set"
    assert rows["claude-3-5-sonnet"]["output_per_1m"] == 15000.0
    assert "Available models: " in capsys.readouterr().out


async def test_the_gradual_strategy(ollama: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases 1 to 3: both worlds side by side, flags, and the switch."""
    names = _names()
    names |= {"AsyncAnthropic": lambda api_key: "legacy", "key": "none"}
    agent = _run(snippet("class HybridAgent"), names)["HybridAgent"]

    class Hybrid(agent):  # type: ignore[misc, valid-type]
        async def _process_with_router(self, text: str) -> str:
            task = names["TaskProfile"](task_type="qa")
            result = await self.model_router.select_and_invoke(task, [{"role": "user", "content": text}])
            return str(result["content"])

        async def _process_legacy(self, text: str) -> str:
            return "legacy"

    assert await Hybrid().process("x") == "legacy"
    monkeypatch.setenv("USE_MODEL_ROUTER", "true")
    assert await Hybrid().process("x") == TEXT
    flags = _run(snippet("USE_ROUTER_FOR_QA"), {"os": os})
    assert (flags["USE_ROUTER_FOR_QA"], flags["USE_ROUTER_FOR_PLANNING"]) == ("true", "false")
    full = _run(
        snippet("USE_MODEL_ROUTER=true")
        .replace("local-preferred", "'local-preferred'")
        .replace("=true", "=True"),
        {},
    )
    assert full["USE_MODEL_ROUTER"] is True


@pytest.mark.parametrize(
    ("marks", "more"),
    [
        (('task_type="qa", criticality="medium")', "select_and_invoke(task, messages)"), {}),
        (
            ('task_type="routing", tool_use_required=True', "tools=tools"),
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        ),
        (('task_type="planning"', "context_size=4000", "max_tokens=4000"), {}),
    ],
    ids=["simple text", "tools", "planning"],
)
async def test_the_common_patterns(marks: tuple[str, ...], more: dict[str, Any], ollama: WireServer) -> None:
    """The "After" half of each pattern; the "Before" half is what it replaces."""
    _, after = snippet(*marks).split("# After\n")
    names = _names() | {"messages": [{"role": "user", "content": "hello"}]} | more
    names["model_router"] = names["ModelRouter"]()
    result = (await _run_async(after, names))["result"]
    assert (result["content"], result["provider"]) == (TEXT, "ollama")
    sent = ollama.prompts()[-1].json
    assert [tool["function"]["name"] for tool in sent.get("tools", [])] == ["f"] * bool(more)


async def test_monitoring_usage(ollama: WireServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Post-migration, 1: formatted with `:.2f`."""
    names = _names()
    names["model_router"] = names["ModelRouter"]()
    await names["model_router"].select_and_invoke(
        names["TaskProfile"](task_type="qa"), [{"role": "user", "content": "x"}]
    )
    _run(snippet("get_usage_summary()"), names)
    assert capsys.readouterr().out == "Daily cost: $0.00\nCloud vs Local ratio: {'ollama': 0.0}\n"


def test_every_snippet_that_speaks_of_the_router_is_run() -> None:
    """Nothing of the guide is left out: each Python snippet is run above, or is code of before or a shell
    command."""
    before = ("from anthropic import AsyncAnthropic", "grep -r", "# Revert to direct client usage")
    run = (
        "class MyAgent",
        "class OrchestraOrchestrator",
        "ModelRouter(dry_run=",
        "model_router.plan(task)",
        "health_check()",
        "get_available_models()",
        "class HybridAgent",
        "USE_ROUTER_FOR_QA",
        "USE_MODEL_ROUTER=true",
        "# After",
        "get_usage_summary()",
    )
    for text in snippets("python"):
        is_before = text.startswith(before) or any(mark in text for mark in before)
        assert is_before or any(mark in text for mark in run), textwrap.shorten(text, 200)
