"""Anthropic's messages, and every server that speaks them, through the Anthropic SDK.

As with OpenAI the SDK gets a client over the guarded transport, a key that is not the key and an explicit
base URL; its headers from the environment, its profiles on disk, its spans and its retries are all out of the
way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.provider_apis import APIS
from engine.providers.base import DiscoveredModel, Egress, Request
from engine.providers.error_mapping import request_id
from engine.providers.errors import Refused, Truncated
from engine.providers.http_exchange import Call
from engine.providers.messages import (
    Image,
    Text,
    Turn,
    arguments_of,
    read_messages,
    read_tools,
    tool_call_of,
)
from engine.providers.reply import Chunk, FinishReason, Reply
from engine.providers.usage_reading import UsageReader, count_of
from engine.providers.wire_provider import (
    SIGN_OF_LIFE,
    Attempt,
    WireProvider,
    drain,
    imported,
    next_event,
    text_of,
)

if TYPE_CHECKING:
    import anthropic

API_VERSION = "2026-10-21"
"""The version that the SDK's 2.x releases speak; sent by the transport, whatever the environment wants."""

DEFAULT_MAX_TOKENS = 4096
"""Sent when a request says none: the API demands a bound."""

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}


class AnthropicProvider(WireProvider):
    """Messages at `target.base_url`, for instance https://api.anthropic.com, which needs an `api_key`.

    The API takes no temperature any more: one that is asked for is not sent, and the reply's notes say so.
    """

    vendor_host = APIS["anthropic"].vendor_host
    anthropic_habits = True

    def _begin(self, request: Request) -> Attempt:
        attempt = super()._begin(request)
        attempt.usage_reader = UsageReader(cache_beside=True)
        return attempt

    async def _open(self) -> None:
        sdk = await imported("anthropic")
        http, address = await self._client({"anthropic-version": API_VERSION})
        self._sdk: anthropic.AsyncAnthropic = sdk.AsyncAnthropic(
            api_key="unused",
            base_url=address.url,
            http_client=http,
            max_retries=0,
            timeout=None,
            open_telemetry=False,
        )

    async def _complete(self, attempt: Attempt) -> Reply:
        asked = self._asked(attempt)
        call = attempt.call(carries_prompt=True)
        with call.in_force():
            answer = await self._sdk.messages.create(**asked)
        attempt.usage_reader.read(answer.usage)
        for block in answer.content:
            _read_block(attempt, block)
        return _reply(attempt, call, answer.stop_reason, answer.model)

    async def _stream(self, attempt: Attempt) -> AsyncGenerator[Chunk, None]:
        asked = self._asked(attempt) | {"stream": True}
        call = attempt.call(carries_prompt=True)
        with call.in_force():
            events = await self._sdk.messages.create(**asked)
        reading = _Reading(attempt.request.model)
        try:
            while not reading.ended and (event := await next_event(call, events)) is not None:
                piece = _read_event(attempt, reading, event)
                if piece is not None:
                    yield piece
                elif event.type != "message_start":
                    yield SIGN_OF_LIFE
            await drain(events)
        finally:
            await events.close()
        if not reading.ended:
            raise Truncated(status=200, request_id=request_id(call), usage=attempt.usage_estimate())
        yield Chunk(reply=_reply(attempt, call, reading.stop_reason, reading.model))

    async def _ping(self, attempt: Attempt) -> str | None:
        await self._list_models(attempt)
        return None

    async def _list_models(self, attempt: Attempt) -> Iterable[DiscoveredModel]:
        self._demand_key()
        call = attempt.call(carries_prompt=False)
        with call.in_force():
            page = await self._sdk.models.list(limit=1000)
        return [
            DiscoveredModel(id=name, context_tokens=count_of(getattr(model, "max_input_tokens", None)))
            for model in page.data
            if (name := text_of(model.id)) is not None
        ]

    def _asked(self, attempt: Attempt) -> dict[str, Any]:
        self._demand_key()
        request = attempt.request
        turns = read_messages(request.messages, image_urls=self.target.egress is Egress.CLOUD)
        tools = read_tools(request.tools)
        asked: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_tokens if request.max_tokens is not None else DEFAULT_MAX_TOKENS,
            "messages": _written(turns),
        }
        system = "\n\n".join(turn.text for turn in turns if turn.role == "system")
        if system:
            asked["system"] = system
        if tools:
            asked["tools"] = [
                {"name": tool.name, "input_schema": {"type": "object"} | dict(tool.parameters)}
                | ({"description": tool.description} if tool.description is not None else {})
                for tool in tools
            ]
        return asked


@dataclass(slots=True, repr=False)
class _Reading:
    """Where the reading of a stream stands."""

    model: str
    stop_reason: str | None = None
    ended: bool = False
    tool_id: str | None = None
    tool_name: str | None = None
    tool_input: list[str] = field(default_factory=list)
    tool_start: Any = None


def _read_event(attempt: Attempt, reading: _Reading, event: Any) -> Chunk | None:
    match event.type:
        case "message_start":
            # Its output count is a placeholder.
            attempt.usage_reader.read(event.message.usage, has_output=False)
            reading.model = event.message.model or reading.model
        case "content_block_start" if event.content_block.type == "tool_use":
            block = event.content_block
            reading.tool_id, reading.tool_name, reading.tool_start = block.id, block.name, block.input
            reading.tool_input.clear()
        case "content_block_start" if event.content_block.type == "text" and event.content_block.text:
            return Chunk(text=event.content_block.text)
        case "content_block_delta" if event.delta.type == "text_delta":
            return Chunk(text=event.delta.text)
        case "content_block_delta" if event.delta.type == "thinking_delta":
            return Chunk(reasoning=event.delta.thinking)
        case "content_block_delta" if event.delta.type == "input_json_delta":
            reading.tool_input.append(event.delta.partial_json)
        case "content_block_stop" if reading.tool_name is not None:
            arguments = "".join(reading.tool_input) or reading.tool_start or {}
            made = tool_call_of(reading.tool_id, reading.tool_name, arguments, len(attempt.tool_calls))
            reading.tool_name = None
            return Chunk(tool_call=made)
        case "message_delta":
            reading.stop_reason = event.delta.stop_reason or reading.stop_reason
            attempt.usage_reader.read(event.usage)
        case "message_stop":
            reading.ended = True
        case _:
            pass
    return None


def _read_block(attempt: Attempt, block: Any) -> None:
    match block.type:
        case "text":
            attempt.text.append(block.text)
        case "thinking":
            attempt.reasoning.append(block.thinking)
        case "tool_use":
            attempt.tool_calls.append(
                tool_call_of(block.id, block.name, block.input or {}, len(attempt.tool_calls))
            )
        case _:
            pass


def _reply(attempt: Attempt, call: Call, stop_reason: str | None, model: str | None) -> Reply:
    identity = request_id(call)
    if stop_reason == "refusal":
        raise Refused(status=200, code="refusal", request_id=identity, usage=attempt.usage)
    if stop_reason is None:
        raise Truncated(status=200, request_id=identity, usage=attempt.usage_estimate())
    unsent = attempt.request.temperature is not None
    return Reply(
        model=model or attempt.request.model,
        content="".join(attempt.text),
        tool_calls=tuple(attempt.tool_calls),
        finish_reason=_FINISH.get(stop_reason, "other"),
        usage=attempt.usage,
        request_id=identity,
        reasoning="".join(attempt.reasoning),
        notes=("temperature was not sent: the API does not take one",) if unsent else (),
    )


def _written(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    """The turns but the system's; answers to several tool calls of one turn go back in one message."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        match turn.role:
            case "system":
                continue
            case "tool":
                result = {"type": "tool_result", "tool_use_id": turn.tool_call_id, "content": turn.text}
                last = messages[-1]["content"] if messages else None
                if isinstance(last, list) and last and last[0]["type"] == "tool_result":
                    last.append(result)
                else:
                    messages.append({"role": "user", "content": [result]})
            case "user":
                plain = turn.text if not turn.images else [_part(part) for part in turn.parts]
                messages.append({"role": "user", "content": plain})
            case "assistant":
                messages.append({"role": "assistant", "content": _assistant(turn)})
    return messages


def _assistant(turn: Turn) -> str | list[dict[str, Any]]:
    if not turn.tool_calls:
        return turn.text
    said: list[dict[str, Any]] = [{"type": "text", "text": turn.text}] if turn.text else []
    return said + [
        {
            "type": "tool_use",
            "id": call["id"],
            "name": call["function"]["name"],
            "input": arguments_of(call),
        }
        for call in turn.tool_calls
    ]


def _part(part: Text | Image) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(media_type, data, None):
            return {
                "type": "image",
                "source": {"type": "base64", "media_type": media_type, "data": data},
            }
        case Image(url=url):
            return {"type": "image", "source": {"type": "url", "url": url}}
