"""A migration, step by step: direct call, shadow, flag by task type, full, rollback.

The legacy side is the real Anthropic SDK against a server on loopback; the router uses scripted providers.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic

from engine.migration import Flags, Shadow
from engine.model_router import ModelRouter
from engine.task_profiles import TaskProfile
from tests.providers.wire_server import WireServer

from .fixtures import router, vendor

# Its vendor has retired this model.
pytestmark = pytest.mark.filterwarnings("ignore:The model 'claude-3-sonnet-20240229' is deprecated")


@pytest.fixture(autouse=True)
def _no_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("USE_")]:
        monkeypatch.delenv(name)
    for name in ("MODEL_ROUTING_MODE", "DAILY_BUDGET_LIMIT", "MONTHLY_BUDGET_LIMIT", "DRY_RUN_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
async def server() -> AsyncIterator[WireServer]:
    async with vendor() as served:
        yield served


class MyAgent:
    """Before the migration."""

    def __init__(self, base_url: str) -> None:
        self.anthropic = AsyncAnthropic(api_key="your_key", base_url=base_url)

    async def process(self, text: str) -> str:
        response = await self.anthropic.messages.create(
            model="claude-3-sonnet-20240229", max_tokens=1000, messages=[{"role": "user", "content": text}]
        )
        return response.content[0].text  # type: ignore[union-attr]


class ShadowedAgent(MyAgent):
    """The same, watched."""

    def __init__(self, base_url: str, shadow: Shadow) -> None:
        super().__init__(base_url)
        self.shadow = shadow

    async def process(self, text: str) -> str:
        messages: list[Any] = [{"role": "user", "content": text}]
        response = await self.shadow.run(
            TaskProfile(task_type="qa"),
            lambda: self.anthropic.messages.create(
                model="claude-3-sonnet-20240229", max_tokens=1000, messages=messages
            ),
        )
        return response.content[0].text  # type: ignore[union-attr]


class HybridAgent(MyAgent):
    """Both ways, and a flag that chooses."""

    def __init__(self, base_url: str, model_router: ModelRouter) -> None:
        super().__init__(base_url)
        self.model_router = model_router
        self.flags = Flags()

    async def process(self, text: str, task_type: str = "qa", tenant: str | None = None) -> str:
        if self.flags.use_router(task_type, tenant):
            return await self._process_with_router(text, task_type)
        return await super().process(text)

    async def _process_with_router(self, text: str, task_type: str) -> str:
        task_profile = TaskProfile(
            task_type=task_type,
            criticality="medium",
            latency_sensitivity="medium",
            context_size=len(text),
            tool_use_required=False,
            budget_sensitivity="medium",
        )
        messages = [{"role": "user", "content": text}]
        result = await self.model_router.select_and_invoke(task_profile, messages, max_tokens=1000)
        return str(result["content"])


class VariableAgent(HybridAgent):
    """A switch without `Flags`: it reads `USE_MODEL_ROUTER` once."""

    def __init__(self, base_url: str, model_router: ModelRouter) -> None:
        super().__init__(base_url, model_router)
        self.use_router = os.getenv("USE_MODEL_ROUTER", "false").lower() == "true"

    async def process(self, text: str, task_type: str = "qa", tenant: str | None = None) -> str:
        if self.use_router:
            return await self._process_with_router(text, task_type)
        return await MyAgent.process(self, text)


async def test_step_by_step(server: WireServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step answers, the vendor gets a prompt only where it should, and rollback restores the first
    step."""
    prompts = server.prompts

    # Direct.
    direct = MyAgent(server.url)
    assert await direct.process("hello") == "from the vendor"
    assert len(prompts()) == 1

    async with router(tmp_path / "config") as model_router:
        # Shadow: the vendor answers still, the record says what would have been.
        shadow = Shadow(model_router)
        shadowed = ShadowedAgent(server.url, shadow)
        assert await shadowed.process("hello") == "from the vendor"
        assert len(prompts()) == 2
        assert prompts()[0].json == prompts()[1].json
        summary = await asyncio.to_thread(shadow.summary)
        assert (summary.calls, summary.local, f"{summary.saved_usd:.4f}") == (1, 1, "0.0060")

        # A flag by task type: qa moves, planning does not.
        agent = HybridAgent(server.url, model_router)
        assert await agent.process("hello") == "from the vendor"
        monkeypatch.setenv("USE_ROUTER_FOR_QA", "true")
        monkeypatch.setenv("USE_ROUTER_FOR_PLANNING", "false")
        assert await agent.process("hello") == "from the router"
        assert await agent.process("hello", "planning") == "from the vendor"
        assert len(prompts()) == 4

        # A share of the tenants: always the same ones.
        monkeypatch.setenv("USE_ROUTER_FOR_QA", "50%")
        tenants = [f"tenant-{number}" for number in range(8)]
        first = [await agent.process("hello", tenant=tenant) for tenant in tenants]
        assert first == [await agent.process("hello", tenant=tenant) for tenant in tenants]
        assert set(first) == {"from the vendor", "from the router"}

        # Full.
        monkeypatch.setenv("USE_MODEL_ROUTER", "true")
        for name in ("USE_ROUTER_FOR_QA", "USE_ROUTER_FOR_PLANNING"):
            monkeypatch.delenv(name)
        before = len(prompts())
        assert await agent.process("hello") == "from the router"
        assert await agent.process("hello", "planning") == "from the router"
        assert len(prompts()) == before

        # Back, at once, in the same process.
        monkeypatch.setenv("USE_MODEL_ROUTER", "false")
        assert await agent.process("hello") == "from the vendor"
        assert await agent.process("hello", "planning") == "from the vendor"

    for one in (direct, shadowed, agent):
        await one.anthropic.close()


@pytest.mark.parametrize(("flag", "answerer"), [(None, "vendor"), ("false", "vendor"), ("true", "router")])
async def test_an_agent_that_reads_the_variable_itself(
    server: WireServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str | None, answerer: str
) -> None:
    """The vendor answers unless the variable is true."""
    if flag is not None:
        monkeypatch.setenv("USE_MODEL_ROUTER", flag)
    async with router(tmp_path / "config") as model_router:
        agent = VariableAgent(server.url, model_router)
        assert await agent.process("hello") == f"from the {answerer}"
        await agent.anthropic.close()


async def test_rollback_by_variables(
    server: WireServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """USE_MODEL_ROUTER=false and MODEL_ROUTING_MODE=local-only: legacy answers, and the router stays
    local."""
    monkeypatch.setenv("USE_MODEL_ROUTER", "false")
    monkeypatch.setenv("MODEL_ROUTING_MODE", "local-only")
    async with router(tmp_path / "config") as model_router:
        agent = HybridAgent(server.url, model_router)
        assert await agent.process("hello") == "from the vendor"
        choice = model_router.plan(TaskProfile("planning", criticality="critical", budget_sensitivity="low"))
        assert [choice.model.locality, *(model.locality for model in choice.fallbacks)] == ["local"]
        await agent.anthropic.close()
