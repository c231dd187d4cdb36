"""Keys and prompts over every error and every sink: logs at DEBUG, explanations, reprs, exceptions,
tracebacks with locals, the decision log and every other file that is written. No fragment of eight characters
is found
anywhere."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EngineError
from engine.execution.decision_log import log_files
from engine.model_router import ModelRouter
from engine.providers.errors import ProviderError, StreamInterrupted
from engine.task_profiles import TaskProfile

from ..providers.dialects import ANTHROPIC, DIALECTS, MODEL, OPENAI, Dialect
from ..providers.wire_server import Answer, in_json, wire_server
from .worlds import catalogue, cloud, local, model, policy_of

KEY = "sk-K7Qv2mZx9Rt4Lp8Wn3Yb6Jc1"
PROMPT = "Zebra17Quagmire82Velvet53Oxbow96Thimble"
STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529, 307)
TASK = TaskProfile("qa")


def _fragments(secret: str) -> Iterator[str]:
    return (secret[start : start + 8] for start in range(len(secret) - 7))


def _hits(text: str) -> list[str]:
    return [part for secret in (KEY, PROMPT) for part in _fragments(secret) if part in text]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything any logger says, at DEBUG."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def _failing(dialect: Dialect, kind: str) -> Answer:
    """An answer that goes wrong in this way, and echoes key and prompt while it does."""
    echo = f"Incorrect API key {KEY} for the prompt {PROMPT}"
    if kind.isdigit():
        status = int(kind)
        headers = {"location": f"http://127.0.0.1/{PROMPT}"} if status == 307 else {}
        return in_json({"error": {"type": "odd", "message": echo}, "message": echo}, status, headers=headers)
    good = dialect.streamed()
    match kind:
        case "cut":
            return Answer(
                200, good.body, good.headers, framing="chunked", cut=len(good.body) // 2, after="close"
            )
        case "reset":
            return Answer(200, good.body, good.headers, framing="chunked", cut=3, after="reset")
        case "silent":
            return Answer(silent=True, after="reset")
        case _:
            return Answer(200, echo.encode(), {"content-type": "text/event-stream"})


def _engine_frames(error: BaseException) -> str:
    """The traceback with the locals of our frames. A caller's own frames hold what the caller put there."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = []
    for part in (told, told.__cause__, told.__context__):
        for frame in part.stack if part is not None else ():
            if "/engine/" in frame.filename:
                text.append(f"{frame} {frame.locals}")
    return "\n".join(text)


@pytest.mark.parametrize("kind", [*map(str, STATUSES), "cut", "reset", "silent", "garbage"])
@pytest.mark.parametrize("name", sorted(DIALECTS))
async def test_nothing_is_told_in_any_sink(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    """Whole and streamed, over the real adapters and SDKs."""
    dialect = DIALECTS[name]
    monkeypatch.setenv("CANARY_KEY", KEY)
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    failing = _failing(dialect, kind)
    async with wire_server(dialect.handler(failing, failing)) as server:
        place: dict[str, Any] = {
            "api": name,
            "base_url": server.url + dialect.base_path,
            "api_key_env": "CANARY_KEY",
        }
        there = local(model(MODEL), **place) if name == "ollama" else cloud(model(MODEL, price=1.0), **place)
        policy = policy_of(catalogue(there=there), "route r: use any\n")
        told: list[str] = []
        async with ModelRouter.of(policy, dry_run=False) as router:
            for streamed in (False, True):
                try:
                    await _complete(router, streamed)
                except EngineError as error:
                    told += [str(error), repr(error), _engine_frames(error)]
                    if isinstance(error, StreamInterrupted):
                        told.append(repr(error.cause))
                    if isinstance(error, ProviderError):
                        told += [error.detail, str(error.__dict__ | {"partial": ""})]
            explanation = (
                router.plan(TASK).explanation
                if not router._runtime_facts.known(router._reloader.planner.snapshot)
                else None
            )
            told += [
                str(explanation),
                repr(router.__dict__),
                repr(router._shared),
                repr(router._reloader.planner.snapshot.__dict__),
            ]
            told += [
                repr(vars(provider)) for provider in router._reloader.planner.snapshot._providers.values()
            ]
            told += [
                str(await router.health_check()),
                str(router.get_available_models()),
                str(router.get_usage_summary()),
            ]
        written = b"".join(path.read_bytes() for path in Path(tmp_path, "state").iterdir())
        told += [written.decode("latin-1"), logged.getvalue()]
        assert log_files(tmp_path / "state"), "the decision log was written"
        assert PROMPT in server.raw.decode("latin-1"), "the prompt was sent"
        assert _hits("\n".join(told)) == []


async def _complete(router: ModelRouter, streamed: bool) -> None:
    messages = [{"role": "user", "content": PROMPT}]
    tools = [{"type": "function", "function": {"name": "f", "description": PROMPT, "parameters": {}}}]
    if not streamed:
        await router.select_and_invoke(TASK, messages, tools=tools, deadline_s=60)
        return
    pieces = router.stream(TASK, messages, tools=tools, deadline_s=60)
    try:
        async for _ in pieces:
            pass
    finally:
        await pieces.aclose()


async def test_a_malformed_request_is_not_quoted() -> None:
    """What is no list of messages is refused by place."""
    async with ModelRouter.of(policy_of(), dry_run=False) as router:
        for wrong in (
            PROMPT,
            [PROMPT],
            {"role": PROMPT},
            [],
            [{"role": "user", "content": 3, PROMPT: PROMPT}],
        ):
            with pytest.raises(EngineError) as caught:
                await router.select_and_invoke(TASK, wrong)  # type: ignore[arg-type]
            assert _hits(str(caught.value) + repr(caught.value) + _engine_frames(caught.value)) == []


def test_both_dialects_with_keys_are_asked_with_one() -> None:
    """The table above covers every adapter that sends a key."""
    assert {ANTHROPIC.name, OPENAI.name} < set(DIALECTS)
