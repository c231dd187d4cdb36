"""Small policies, routers over scripted providers in virtual time, and what a test asks of them."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from engine.budget import Clock, Ledger, Limits, open_ledger
from engine.budget.usage import ExportRow, export_rows
from engine.config.folder import folder_in_memory
from engine.execution.runtime import Runtime
from engine.language.diagnostics import Problems
from engine.model_router import ModelRouter
from engine.policy import Policy, build
from engine.providers.base import Target
from engine.providers.scripted import Act, ScriptedProvider
from engine.task_profiles import TaskProfile

from .virtual_time import Inline

HELLO = [{"role": "user", "content": "hello"}]
TASK = TaskProfile("qa")
NOON = datetime(2030, 1, 15, 12, tzinfo=UTC)


def model(
    id: str, *, context: int = 100_000, price: float | None = None, tools: str = "yes"
) -> dict[str, Any]:
    """A model for `catalogue`; `price` is dollars per million tokens, both ways."""
    cost: dict[str, Any] = (
        {"type": "local_cpu"}
        if price is None
        else {"type": "paid", "input_per_1m": price, "output_per_1m": price}
    )
    return {
        "id": id,
        "max_context": context,
        "quality_tier": "medium",
        "latency_tier": "medium",
        "tools": tools,
        "cost_profile": cost,
    }


def catalogue(**providers: dict[str, Any]) -> str:
    """models.yaml of these providers; JSON is YAML."""
    import json

    return json.dumps(
        {"providers": {name.replace("_", "-"): provider for name, provider in providers.items()}}
    )


def local(*models: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A local provider."""
    return {"type": "local", "api": "ollama", "models": list(models), **more}


def cloud(*models: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A cloud provider."""
    return {
        "type": "cloud",
        "api": "openai",
        "base_url": "https://cloud.invalid/v1",
        "models": list(models),
        **more,
    }


HOUSE = catalogue(
    ollama=local(model("small", context=8_000), model("large", context=32_000)),
    east=cloud(model("east-1", price=1)),
    west=cloud(model("west-1", price=2, context=200_000)),
)
IN_ORDER = 'route in-order: use "east-1", then "west-1", then small, then large\n'
LOCAL_FIRST = 'route local-first: use small, then large, then "east-1", then "west-1"\n'
BALANCED = "routing: {default_mode: balanced}\n"


@cache
def policy_of(models: str = HOUSE, routes: str = IN_ORDER, policies: str = BALANCED) -> Policy:
    """A policy held in memory."""
    problems = Problems()
    files = folder_in_memory(models, policies, {"main.route": routes} if routes else None, problems=problems)
    policy = None if files is None else build(files, problems)
    assert policy is not None, [problem.message for problem in problems]
    return policy


@dataclass
class World:
    """A router over scripted providers. `scripts` are by provider, `calls` every request in order of its
    coming."""

    router: ModelRouter
    providers: dict[str, ScriptedProvider]
    ledger: Ledger
    slept: list[float] = field(default_factory=list)
    began_at: float = 0.0

    def calls(self, provider: str) -> int:
        """How many requests came to a provider."""
        return len(self.providers[provider].calls) if provider in self.providers else 0

    @property
    def rows(self) -> list[ExportRow]:
        """The ledger's rows."""
        return [row for row in export_rows(self.router.ledger) if row.kind == "attempt"]

    @property
    def passed_s(self) -> float:
        """Virtual seconds since the world began."""
        return asyncio.get_running_loop().time() - self.began_at


Scripts = Mapping[str, Sequence[Act] | Callable[[Any], Act]]


def world(
    folder: Path,
    scripts: Scripts | None = None,
    *,
    policy: Policy | None = None,
    limits: Limits | None = None,
    otherwise: Act | None = None,
    mode: str | None = None,
    chance: Callable[[], float] | None = None,
) -> World:
    """A router in the running (virtual) loop's time; the ledger lives in `folder`."""
    loop = asyncio.get_running_loop()
    policy = policy or policy_of()

    def now() -> datetime:
        return NOON + timedelta(seconds=loop.time())

    def wall_ns() -> int:
        return int(now().timestamp() * 1e9)

    ledger = open_ledger(
        state_dir=folder, url=None, limits=limits or Limits(), clock=Clock(wall_ns, wall_ns, "")
    )
    providers: dict[str, ScriptedProvider] = {}
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(seconds)

    def make(target: Target) -> ScriptedProvider:
        script = (scripts or {}).get(target.name, ())
        made = ScriptedProvider(target, script, otherwise=otherwise)
        providers[target.name] = made
        return made

    numbers = itertools.count(1)
    runtime = Runtime(
        now, loop.time, sleep, chance or random.Random(7).random, lambda: f"decision-{next(numbers)}"
    )
    router = ModelRouter.of(policy, ledger=ledger, providers=make, mode=mode, dry_run=False, runtime=runtime)
    router._shared.async_ledger._worker = Inline()  # type: ignore[assignment]
    return World(router, providers, ledger, slept, loop.time())


async def asked(place: World, *, streamed: bool, task: TaskProfile = TASK, **more: Any) -> dict[str, Any]:
    """The result, whole or streamed; both ways must end alike."""
    messages = more.pop("messages", HELLO)
    if not streamed:
        return await place.router.select_and_invoke(task, messages, **more)
    result: dict[str, Any] | None = None
    shown: list[str] = []
    async for piece in place.router.stream(task, messages, **more):
        shown.append(piece["content"])
        result = piece["result"] or result
    assert result is not None
    assert "".join(shown) == result["content"]
    return result
