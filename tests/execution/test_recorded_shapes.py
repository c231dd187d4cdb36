"""What real servers have sent, and what comes of it: the class, who is asked next, health, the books, the
sentence that is read. The shapes are data: `tests/providers/wire/recorded`, one file a server."""

from __future__ import annotations

import json
import math
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.budget.usage import export_rows
from engine.execution.runtime import Runtime
from engine.model_router import ModelRouter
from engine.providers.errors import ProviderError, StreamInterrupted

from ..providers.dialects import DIALECTS, OPENAI, Dialect, errand
from ..providers.wire_server import Answer, Received, WireServer, in_json, wire_server
from .worlds import NOON, TASK, catalogue, cloud, local, policy_of
from .worlds import model as listed

RECORDED = Path(__file__).parent.parent / "providers" / "wire" / "recorded"
SERVERS = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(RECORDED.glob("*.yaml"))]
EXPECTED = {"class", "next", "health", "booked", "read"}
MEMBERS = {"p1": "same", "p2": "next member", "p3": "larger window", "f1": "next provider"}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}
# A cloud's prompt is long enough for every count of input that is recorded, a local one's is short.
WORDS = {True: "say it", False: "word " * 4000}
MOST_TOKENS = 20_000
TIMES_UNTIL_IT_RESTS = 5


def _shapes() -> list[Any]:
    shapes = []
    for server in SERVERS:
        for shape in server["fixtures"]:
            reason = shape.get("fails")
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            shapes.append(pytest.param(server, shape, id=f"{server['server']}: {shape['id']}", marks=marks))
    return shapes


def test_there_are_enough_shapes() -> None:
    """Two hundred at least, of fourteen servers and others; each says where and when, and all five things."""
    shapes = [shape for server in SERVERS for shape in server["fixtures"]]
    assert len(shapes) >= 200
    assert len(SERVERS) == 15, "fourteen, and others"
    assert {server["dialect"] for server in SERVERS} == set(DIALECTS)
    for shape in shapes:
        assert str(shape["source"]).startswith("https://"), shape["id"]
        assert shape["date"], shape["id"]
        assert set(shape["expect"]) >= EXPECTED, shape["id"]


@dataclass
class StillClock:
    """Time that goes on only where somebody sleeps."""

    seconds: float = 1000.0
    slept: list[float] = field(default_factory=list)
    names: int = 0

    def runtime(self) -> Runtime:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            self.seconds += seconds

        def new_id() -> str:
            self.names += 1
            return f"d{self.names}"

        return Runtime(
            lambda: NOON + timedelta(seconds=self.seconds), lambda: self.seconds, sleep, lambda: 0.5, new_id
        )


def _recorded(dialect: Dialect, shape: dict[str, Any]) -> Answer:
    kind = "application/json" if shape["call"] == "whole" or shape["status"] >= 400 else "text/event-stream"
    if dialect.name == "ollama" and kind == "text/event-stream":
        kind = "application/x-ndjson"
    headers = {"content-type": kind, **shape.get("headers", {})}
    return Answer(shape["status"], shape["body"].encode(), headers)


def _served(dialect: Dialect, recorded: Answer, refuses: str | None = None, times: float = math.inf) -> Any:
    """The member p1 answers what was recorded, so many times, the others well; p1 too, where it is not sent
    the field that it refuses."""
    left = times
    names = [{"name": name, "model": name, "digest": "d"} for name in MEMBERS]

    def answer(received: Received) -> Answer:
        if received.path == "/api/tags":
            return in_json({"models": names})
        if received.path == "/v1/models":
            data = [{"id": name, "object": "model", "type": "model"} for name in MEMBERS]
            return in_json({"object": "list", "data": data, "has_more": False})
        if received.path != dialect.prompt_path:
            return errand(received)
        nonlocal left
        if _asked_for(received) == "p1" and (refuses is None or f'"{refuses}"' in json.dumps(received.json)):
            left -= 1
            if left >= 0:
                return recorded
        return dialect.streamed() if received.json.get("stream") else dialect.whole()

    return answer


def _asked_for(received: Received) -> str:
    """The model; Ollama is asked with a tag."""
    return str(received.json["model"]).partition(":")[0]


@dataclass
class Seen:
    """One request's end: the result or the error, and who was asked in this order."""

    result: dict[str, Any] | None
    error: Exception | None
    asked: list[str]
    attempts: list[dict[str, Any]]


@dataclass
class Place:
    """A router whose chain is p1, p2, p3 (a larger window) at the server, then f1 elsewhere."""

    router: ModelRouter
    servers: tuple[WireServer, WireServer]
    shape: dict[str, Any]
    is_local: bool

    async def ask(self) -> Seen:
        """The recorded kind of call."""
        for server in self.servers:
            server.received.clear()
        more: dict[str, Any] = {"max_tokens": MOST_TOKENS} | self.shape.get("asked", {})
        if more.get("tools"):
            more["tools"] = [TOOL]
        messages = [*more.pop("messages", ()), {"role": "user", "content": WORDS[self.is_local]}]
        result, error = None, None
        try:
            if self.shape["call"] == "whole":
                result = await self.router.select_and_invoke(TASK, messages, **more)
            else:
                async for piece in self.router.stream(TASK, messages, **more):
                    result = piece["result"] or result
        except Exception as failed:  # whatever it is, it is compared with what is expected
            error = failed
        prompts = [_asked_for(got) for server in self.servers for got in server.prompts()]
        attempts = result["attempts"] if result else getattr(error, "attempts", None) or []
        return Seen(result, error, prompts, attempts)

    def health(self) -> str:
        """What is left alone now."""
        tracker = self.router._shared.tracker
        if tracker.down("primary"):
            return "provider"
        return "model" if tracker.resting(("primary", "p1")) else "untouched"

    def booked(self) -> str:
        """How the first attempt ended in the books."""
        row = next(row for row in export_rows(self.router.ledger) if row.model == "p1")
        match row.state:
            case "released":
                return "nothing"
            case "settled":
                return "measured" if row.basis == "measured" else "estimated"
            case _:
                return "reserved"


async def _place(stack: AsyncExitStack, server: dict[str, Any], shape: dict[str, Any]) -> Place:
    dialect, is_local = DIALECTS[server["dialect"]], bool(server["local"])
    recorded = _served(dialect, _recorded(dialect, shape), shape.get("refuses"), shape.get("times", math.inf))
    handlers = (recorded, _served(OPENAI, Answer(500)))
    served = [await stack.enter_async_context(wire_server(handler)) for handler in handlers]
    at = {"api": dialect.name, "base_url": served[0].url + dialect.base_path}
    price = None if is_local else 1.0
    models = [
        listed("p1", price=price),
        listed("p2", price=price),
        listed("p3", context=200_000, price=price),
    ]
    primary = local(*models, **at) if is_local else cloud(*models, **at, api_key_env="K")
    fallback = cloud(
        listed("f1", context=200_000, price=1.0), base_url=served[1].url + "/v1", api_key_env="K"
    )
    policy = policy_of(
        catalogue(primary=primary, fallback=fallback), "route r: use p1, then p2, then p3, then f1\n"
    )
    runtime = StillClock().runtime()
    router = await stack.enter_async_context(ModelRouter.of(policy, dry_run=False, runtime=runtime))
    router._shared.async_ledger.ledger()
    return Place(router, (served[0], served[1]), shape, is_local)


def _next(asked: list[str]) -> str:
    """Who was asked after p1."""
    after = [MEMBERS[name] for name in asked[1:]]
    if after and after[0] == "same":
        return "again, then " + (", ".join(after[1:]) or "nobody")
    return ", ".join(after) or "ends"


def _class(seen: Seen) -> str:
    failed = next((attempt["error_class"] for attempt in seen.attempts if attempt["error_class"]), None)
    if failed is None and isinstance(seen.error, ProviderError):
        failed = seen.error.kind.value
    return failed or ("answered" if seen.result else repr(seen.error))


def _read(seen: Seen) -> str:
    if seen.error is not None:
        return str(seen.error)
    failed = next((attempt["reason"] for attempt in seen.attempts if attempt["error"]), None)
    assert seen.result is not None
    return str(seen.result["content"]) if failed is None else str(failed)


def _reply(result: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Of the answer what the shape tells."""
    usage = result["usage"]
    all_of_it = {
        "finish": result["finish_reason"],
        "input": usage["input_tokens"],
        "output": usage["output_tokens"],
        "cached": usage["cached_read_tokens"],
        "reasoning": result.get("reasoning"),
        "cold": result["attempts"][-1]["cold_start"],
        "tool_calls": [
            [call["function"]["name"], call["function"]["arguments"]] for call in result["tool_calls"] or []
        ],
    }
    return {name: all_of_it[name] for name in told}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for the clouds on loopback; and the SDKs, which take seconds to load, are there."""
    import anthropic  # noqa: F401
    import openai  # noqa: F401

    monkeypatch.setenv("K", "sk-test")


@pytest.mark.parametrize(("server", "shape"), _shapes())
async def test_a_recorded_shape(server: dict[str, Any], shape: dict[str, Any]) -> None:
    """Class, next, health and books are as recorded, and the sentence is read; so is a good answer."""
    expect = shape["expect"]
    async with AsyncExitStack() as stack:
        place = await _place(stack, server, shape)
        seen = await place.ask()
        booked = place.booked()
        for _ in range(TIMES_UNTIL_IT_RESTS - 1):
            await place.ask()
        found = {
            "class": _class(seen),
            "next": _next(seen.asked),
            "health": place.health(),
            "booked": booked,
            "interrupted": isinstance(seen.error, StreamInterrupted),
        }
        wanted = {"interrupted": False} | {name: expect[name] for name in expect if name in found}
        assert wanted == found, _read(seen)
        assert str(expect["read"]).lower() in _read(seen).lower()
        if "reply" in expect:
            assert seen.result is not None
            assert expect["reply"] == _reply(seen.result, expect["reply"])
