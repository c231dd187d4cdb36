"""A router over scripted providers, an Anthropic server on loopback, and the SDK that speaks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine import ModelRouter
from engine.providers.base import Target
from engine.providers.scripted import Answer, ScriptedProvider
from tests.providers.wire_server import Received, WireServer, in_json, wire_server

MODELS = """\
providers:
  ollama:
    type: local
    models:
      - {id: "llama3.1:8b", max_context: 8192, quality_tier: medium, latency_tier: medium, tools: yes,
         cost_profile: {type: local_gpu}}
  anthropic:
    type: cloud
    api_key_env: ANTHROPIC_API_KEY
    models:
      - {id: claude-3-sonnet-20240229, max_context: 200000, quality_tier: very_high, latency_tier: medium,
         tools: yes, cost_profile: {type: paid, currency: USD, input_per_1m: 3.00, output_per_1m: 15.00}}
"""
POLICIES = "task_types: [qa, planning, routing]\nbudgets: {daily: {total_usd: 10.0}}\n"
SECRET = "the patient's name is Jane"


def policy_folder(folder: Path) -> Path:
    """Two models, one local, one cloud."""
    folder.mkdir(exist_ok=True)
    (folder / "models.yaml").write_text(MODELS)
    (folder / "policies.yaml").write_text(POLICIES)
    return folder


def scripted(target: Target) -> ScriptedProvider:
    """Answers everything with one sentence."""
    return ScriptedProvider(target, otherwise=Answer("from the router"))


def router(folder: Path, **more: Any) -> ModelRouter:
    """A router of that folder over scripted providers."""
    return ModelRouter(policy_folder(folder), providers=scripted, **more)


def message(received: Received) -> Any:
    """What the messages API answers to everything."""
    if received.path != "/v1/messages":
        return in_json({"error": "no such path"}, 404)
    return in_json(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": received.json["model"],
            "content": [{"type": "text", "text": "from the vendor"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1000, "output_tokens": 200},
        }
    )


@asynccontextmanager
async def vendor() -> AsyncIterator[WireServer]:
    """An Anthropic server on loopback."""
    async with wire_server(message) as served:
        yield served
