"""Anthropic's messages, and every server that speaks them, through the Anthropic SDK.

As with OpenAI the SDK gets a client over the guarded transport, a key that is not the key and an explicit
base URL; its headers from the environment, its profiles on disk, its spans and its retries are all out of the
way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.provider_apis import APIS
from engine.providers.anthropic_request import messages_request
from engine.providers.attempt import Attempt
from engine.providers.base import DiscoveredModel, Egress, Request
from engine.providers.error_mapping import request_id
from engine.providers.errors import Refused, Truncated
from engine.providers.http_exchange import Call
from engine.providers.importing import imported
from engine.providers.messages import tool_call_of
from engine.providers.reply import Chunk, FinishReason, Reply
from engine.providers.usage_reading import UsageReader, count_of
from engine.providers.wire_provider import (
    Connection,
    WireProvider,
    drain,
    next_event,
    text_of,
)

if TYPE_CHECKING:
    import anthropic

API_VERSION = "2026-10-21"
"""The version that the SDK's 2.x releases speak; sent by the transport, whatever the environment wants."""

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

    def _begin(self, request: Request) -> Attempt:
        attempt = super()._begin(request)
        attempt.usage_reader = UsageReader(cache_beside=True)
        return attempt

    async def _open(self) -> Connection:
        sdk = await imported("anthropic", "anthropic.resources.messages", "anthropic.resources.models")
        made = await self._client({"anthropic-version": API_VERSION})
        client: anthropic.AsyncAnthropic = sdk.AsyncAnthropic(
            api_key="unused",
            base_url=made.address.url,
            http_client=made.http,
            max_retries=0,
            timeout=None,
            open_telemetry=False,
        )
        return replace(made, sdk=client)

    @property
    def _sdk(self) -> anthropic.AsyncAnthropic:
        sdk: anthropic.AsyncAnthropic = self._connection.sdk
        return sdk

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
                    yield Chunk(unseen_bytes=_unseen_bytes(event))
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
        asked, attempt.notes = messages_request(attempt.request, fetches=self.target.egress is Egress.CLOUD)
        return asked


def _unseen_bytes(event: Any) -> int:
    """The size of what an event adds to a tool call."""
    added = getattr(getattr(event, "delta", None), "partial_json", None) or ""
    return len(added.encode("utf-8", "replace"))


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
    thinking: dict[str, Any] | None = None


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
        case "content_block_start" if event.content_block.type in ("thinking", "redacted_thinking"):
            reading.thinking = _plain(event.content_block)
            _thinking_blocks(attempt).append(reading.thinking)
        case "content_block_delta" if event.delta.type == "thinking_delta":
            _extend(reading.thinking, "thinking", event.delta.thinking)
            return Chunk(reasoning=event.delta.thinking)
        case "content_block_delta" if event.delta.type == "signature_delta":
            _extend(reading.thinking, "signature", event.delta.signature)
        case "content_block_delta" if event.delta.type == "citations_delta":
            attempt.citations.append(_plain(event.delta.citation))
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
            attempt.citations += [_plain(cited) for cited in getattr(block, "citations", None) or ()]
        case "thinking":
            attempt.reasoning.append(block.thinking)
            _thinking_blocks(attempt).append(_plain(block))
        case "redacted_thinking":
            _thinking_blocks(attempt).append(_plain(block))
        case "tool_use":
            attempt.tool_calls.append(
                tool_call_of(block.id, block.name, block.input or {}, len(attempt.tool_calls))
            )
        case _:
            pass


def _thinking_blocks(attempt: Attempt) -> list[dict[str, Any]]:
    """The blocks that must go back unchanged with the next request."""
    blocks: list[dict[str, Any]] = attempt.hand_back.setdefault("thinking_blocks", [])
    return blocks


def _plain(block: Any) -> dict[str, Any]:
    """A block of the SDK's as plain values, as it came."""
    plain: dict[str, Any] = block.model_dump(mode="json", exclude_unset=True)
    return plain


def _extend(block: dict[str, Any] | None, name: str, more: str) -> None:
    if block is not None:
        block[name] = f"{block.get(name) or ''}{more}"


def _reply(attempt: Attempt, call: Call, stop_reason: str | None, model: str | None) -> Reply:
    identity = request_id(call)
    if stop_reason == "refusal":
        raise Refused(status=200, code="refusal", request_id=identity, usage=attempt.usage)
    if stop_reason is None:
        raise Truncated(status=200, request_id=identity, usage=attempt.usage_estimate())
    return Reply(
        model=model or attempt.request.model,
        content="".join(attempt.text),
        tool_calls=tuple(attempt.tool_calls),
        finish_reason=_FINISH.get(stop_reason, "other"),
        usage=attempt.usage,
        request_id=identity,
        cold=attempt.cold,
        reasoning="".join(attempt.reasoning),
        notes=tuple(attempt.notes),
        hand_back=attempt.hand_back,
        citations=tuple(attempt.citations),
    )
