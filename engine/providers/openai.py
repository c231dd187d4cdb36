"""OpenAI, and every server that speaks its chat completions, local or cloud, through the OpenAI SDK.

The SDK is handed a client over the guarded transport, a key that is not the key (the transport writes the
real one), and an explicit base URL; what it would read from OPENAI_* variables reaches no wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.provider_apis import APIS
from engine.providers.attempt import Attempt
from engine.providers.base import DiscoveredModel, Egress
from engine.providers.error_mapping import request_id
from engine.providers.errors import BrokenAnswer, Refused, Truncated
from engine.providers.field_table import USAGE_WANTED
from engine.providers.http_exchange import Call
from engine.providers.importing import imported
from engine.providers.messages import finish_with
from engine.providers.openai_answer import (
    ToolCallPieces,
    citations_of,
    content_of,
    hand_back,
    reasoning_text,
    whole_tool_call,
)
from engine.providers.openai_request import chat_request
from engine.providers.reply import Chunk, FinishReason, Reply
from engine.providers.sdk_objects import fields_of
from engine.providers.usage_reading import count_of, usage_records
from engine.providers.wire_provider import (
    DRAIN_S,
    Connection,
    WireProvider,
    next_event,
    text_of,
)

if TYPE_CHECKING:
    import openai

READ_ON_S = 5.0
"""How long a stream is read on after its finish reason for a usage that has not come, in seconds."""

_ENDS = b"[DONE]"

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
# The marks of an answer that is none: a failure behind, a tool call that cannot be read (Gemini), an answer
# that was given up for lack of resources (DeepSeek).
_NO_ANSWER = ("error", "malformed_function_call", "insufficient_system_resource")


class OpenAIProvider(WireProvider):
    """Chat completions at `target.base_url`, for instance https://api.openai.com/v1 or
    http://127.0.0.1:8080/v1.

    OpenAI itself needs an `api_key`. It is sent `max_completion_tokens`, every other server `max_tokens`,
    which is the one they all know.
    """

    vendor_host = APIS["openai"].vendor_host

    async def _open(self) -> Connection:
        # With what the SDK would import itself at the first use, in the middle of the event loop.
        sdk = await imported("openai", "openai.resources.chat", "openai.resources.models")
        made = await self._client()
        client: openai.AsyncOpenAI = sdk.AsyncOpenAI(
            api_key="unused",
            base_url=made.address.url,
            http_client=made.http,
            max_retries=0,
            timeout=None,
        )
        return replace(made, sdk=client)

    @property
    def _sdk(self) -> openai.AsyncOpenAI:
        sdk: openai.AsyncOpenAI = self._connection.sdk
        return sdk

    async def _complete(self, attempt: Attempt) -> Reply:
        asked = self._asked(attempt)
        call = attempt.call(carries_prompt=True)
        with call.in_force():
            answer = await self._sdk.chat.completions.create(**asked)
        _read_usage(attempt, answer)
        self._raise_reported(attempt, call, answer)
        choice = answer.choices[0]
        message = choice.message
        text, thought = content_of(message)
        attempt.text.append(text)
        attempt.reasoning.append(reasoning_text(message) or thought)
        hand_back(attempt.hand_back, message)
        attempt.citations += citations_of(answer, message)
        for place, made in enumerate(message.tool_calls or ()):
            attempt.tool_calls.append(whole_tool_call(made, place))
        return _reply(attempt, call, choice.finish_reason, getattr(message, "refusal", None), answer.model)

    async def _stream(self, attempt: Attempt) -> AsyncGenerator[Chunk, None]:
        asked = self._asked(attempt) | {"stream": True} | _usage_wanted(attempt)
        call = attempt.call(carries_prompt=True)
        with call.in_force():
            events = await self._sdk.chat.completions.create(**asked)
        reading = _Reading(attempt.request.model)
        try:
            while (event := await self._next(attempt, call, events, reading)) is not None:
                self._raise_reported(attempt, call, event)
                was_alive = attempt.alive
                for choice in event.choices or ():
                    reading.take(choice)
                    hand_back(attempt.hand_back, choice.delta)
                    attempt.citations += citations_of(event, choice.delta)
                    text, thought = content_of(choice.delta)
                    thought = reasoning_text(choice.delta) or thought
                    if text or thought:
                        yield Chunk(text=text, reasoning=thought)
                    was_alive = was_alive or bool(choice.delta.tool_calls)
                _read_usage(attempt, event, final=reading.finish is not None)
                reading.model = event.model or reading.model
                if was_alive:
                    yield Chunk(unseen_bytes=_unseen_bytes(event))
        finally:
            await events.close()
        is_at_end = reading.is_over and (_ENDS in call.tail or call.ended)
        # A finish reason can be cut off from what follows it: whole is what also brought its usage or its end
        # mark.
        is_whole = attempt.usage_reader.is_told or _ENDS in call.tail or not reading.is_over
        if reading.finish is None or not is_whole:
            raise Truncated(status=200, request_id=request_id(call), usage=attempt.usage_estimate())
        for made in reading.tool_calls.whole():
            yield Chunk(tool_call=made)
        is_final = is_at_end and attempt.usage_reader.is_final(attempt.shown_bytes)
        refusal = "".join(reading.refusal)
        yield Chunk(reply=_reply(attempt, call, reading.finish, refusal, reading.model, is_final=is_final))

    async def _next(self, attempt: Attempt, call: Call, events: AsyncIterator[Any], reading: _Reading) -> Any:
        """The next event; None at the end, and when an answer that has finished is read on for too long.

        After the finish reason comes the usage, and often more of it than once. What goes wrong there is no
        failure of the answer, which is whole.
        """
        if reading.finish is None:
            return await next_event(call, events)
        has_usage = attempt.usage_reader.is_final(attempt.shown_bytes)
        now = asyncio.get_running_loop().time()
        reading.finished_at = now if reading.finished_at is None else reading.finished_at
        try:
            until = reading.finished_at + (DRAIN_S if has_usage else READ_ON_S)
            return await next_event(call, events, until)
        except TimeoutError:
            reading.is_over = False
        except Exception:
            if not attempt.usage_reader.is_told:
                raise
            reading.is_over = False
        return None

    async def _ping(self, attempt: Attempt) -> str | None:
        await self._list_models(attempt)
        return None

    async def _list_models(self, attempt: Attempt) -> Iterable[DiscoveredModel]:
        self._demand_key()
        call = attempt.call(carries_prompt=False)
        with call.in_force():
            page = await self._sdk.models.list()
        return [
            DiscoveredModel(id=name, context_tokens=_window(model))
            for model in page.data
            if (name := text_of(model.id)) is not None
        ]

    def _asked(self, attempt: Attempt) -> dict[str, Any]:
        self._demand_key()
        fetches = self.target.egress is Egress.CLOUD
        is_vendor = self._host == self.vendor_host
        asked, attempt.notes = chat_request(
            attempt.request, is_vendor=is_vendor, host=self._host, fetches=fetches
        )
        return asked

    def _raise_reported(self, attempt: Attempt, call: Call, answer: object) -> None:
        """Some servers report an error as a body under status 200, or as the end of one choice."""
        fields = fields_of(answer)
        error = fields.get("error")
        for choice in fields.get("choices") or ():
            is_bad = any(mark in (choice.finish_reason or "").lower() for mark in _NO_ANSWER)
            own = fields_of(choice).get("error")
            if is_bad or own:
                error = error or own
                if not error:
                    raise BrokenAnswer(
                        status=200,
                        request_id=request_id(call),
                        usage=attempt.usage_estimate(),
                        detail=f"it ended with finish_reason {text_of(choice.finish_reason) or 'error'}",
                    )
        if error:
            raise self._reported(call, {"error": error}, attempt)


def _usage_wanted(attempt: Attempt) -> dict[str, Any]:
    if USAGE_WANTED not in attempt.request.refused:
        return {USAGE_WANTED: {"include_usage": True}}
    attempt.notes.append(f"{USAGE_WANTED} was not sent, and so no usage is told: the target refused it")
    return {}


def _unseen_bytes(event: Any) -> int:
    """The size of what an event adds to tool calls."""
    pieces = [piece for choice in event.choices or () for piece in choice.delta.tool_calls or ()]
    called = [piece.function for piece in pieces if piece.function is not None]
    texts = (str(part or "") for one in called for part in (one.name, one.arguments))
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


@dataclass(slots=True, repr=False)
class _Reading:
    """Where the reading of a stream stands. `finished_at` is the event loop's time of the finish reason;
    `is_over` is False once reading on was given up."""

    model: str
    finish: str | None = None
    finished_at: float | None = None
    is_over: bool = True
    refusal: list[str] = field(default_factory=list)
    tool_calls: ToolCallPieces = field(default_factory=ToolCallPieces)

    def take(self, choice: Any) -> None:
        """Take in a piece, but for its text."""
        self.finish = choice.finish_reason or self.finish
        self.refusal.append(getattr(choice.delta, "refusal", None) or "")
        self.tool_calls.take(getattr(choice.delta, "tool_calls", None) or ())


def _reply(
    attempt: Attempt,
    call: Call,
    finish: str | None,
    refusal: str | None,
    model: str | None,
    *,
    is_final: bool = True,
) -> Reply:
    identity = request_id(call)
    if finish == "content_filter" or refusal:
        raise Refused(status=200, request_id=identity, usage=attempt.usage if is_final else None)
    if finish is None:
        raise Truncated(status=200, request_id=identity, usage=attempt.usage_estimate())
    return Reply(
        model=model or attempt.request.model,
        content="".join(attempt.text),
        tool_calls=tuple(attempt.tool_calls),
        finish_reason=finish_with(attempt.tool_calls, _FINISH.get(finish, "other")),
        usage=attempt.usage,
        request_id=identity,
        reasoning="".join(attempt.reasoning),
        cold=attempt.cold,
        usage_is_final=is_final,
        notes=tuple(attempt.notes),
        hand_back=attempt.hand_back,
        citations=_each_once(attempt.citations),
    )


def _each_once(citations: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Some servers repeat the whole list in every piece."""
    once: list[Mapping[str, Any]] = []
    for one in citations:
        if one not in once:
            once.append(one)
    return tuple(once)


def _read_usage(attempt: Attempt, event: object, *, final: bool = True) -> None:
    for record in usage_records(event):
        if record is not None:
            attempt.usage_reader.read(record, final=final)


def _window(model: Any) -> int | None:
    """The window where a compatible server tells it: vLLM at the top, llama.cpp under `meta`."""
    meta = getattr(model, "meta", None)
    told = [getattr(model, name, None) for name in ("max_model_len", "context_length", "context_window")]
    told += [meta.get("n_ctx")] if isinstance(meta, Mapping) else []
    return next((count for value in told if (count := count_of(value)) is not None), None)
