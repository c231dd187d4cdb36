"""A provider that answers from a script: for policy authors, examples and tests. It opens no socket.

    from engine.providers.scripted import Answer, Break, Fault, ScriptedProvider
    from engine.providers.errors import Overloaded

    provider = ScriptedProvider(target, script=[Fault(Overloaded()), Answer("Hello")])
    await provider.complete(request)      # raises Overloaded
    await provider.complete(request)      # Reply with content "Hello"
    provider.calls                        # both requests, in order

A script is a list of acts, one per attempt, or a mapping from model id to such a list, or a function from the
request to an act. When a list has run out, `otherwise` is played (an `Answer` unless told). The permit is
checked as the real transport checks it: the double refuses what the real one refuses.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from engine.providers.base import DiscoveredModel, Health, Permit, Request, Target, text_bytes
from engine.providers.errors import (
    Cancelled,
    OutcomeUnknown,
    ProviderError,
    StreamInterrupted,
    Truncated,
)
from engine.providers.reply import Chunk, FinishReason, Reply, ToolCall, Usage


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer well. `pieces` is how the text is cut when streamed (default: one piece per word).

    Without `usage`, the counts are made up from the text: a token for every four bytes, at least one.
    """

    text: str = "This is a scripted answer."
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    pieces: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Fail with this error, before any content. Its provider and model are filled in."""

    error: ProviderError


@dataclass(frozen=True, slots=True)
class Break:
    """Stream `pieces`, then break off with `error`. Answered whole, it is the error alone."""

    pieces: tuple[str, ...]
    error: ProviderError | None = None


@dataclass(frozen=True, slots=True)
class Hang:
    """Accept the request and say nothing, until a time limit of the request or the caller ends it."""


Act = Answer | Fault | Break | Hang
Script = Iterable[Act] | Mapping[str, Iterable[Act]] | Callable[[Request], Act]


class ScriptedProvider:
    """A `Provider` that plays a script. `calls` are the requests it was asked, `closed` whether it was
    closed."""

    def __init__(
        self,
        target: Target,
        script: Script = (),
        *,
        otherwise: Act | None = None,
        models: Iterable[DiscoveredModel] = (),
        health: Health | None = None,
    ) -> None:
        self.target = target
        self.calls: list[Request] = []
        self.probes: list[Permit] = []
        self.closed = False
        self._otherwise = Answer() if otherwise is None else otherwise
        self._models = tuple(sorted(models, key=lambda model: model.id))
        self._health = Health("up", latency_s=0.0, version="scripted") if health is None else health
        self._next_act = _player(script, self._otherwise)

    def __repr__(self) -> str:
        return f"ScriptedProvider({self.target.name!r}, {len(self.calls)} calls)"

    async def complete(self, request: Request) -> Reply:
        """The next act, taken whole."""
        act = self._begin(request)
        match act:
            case Answer():
                return _reply(act, request)
            case Fault(error):
                raise self._placed(error, request)
            case Break():
                raise self._placed(act.error or Truncated(), request)
            case Hang():
                raise await self._hang(request, request.timeouts.answer_s)
        assert_never(act)

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """The next act, piece by piece."""
        act = self._begin(request)
        match act:
            case Answer():
                for piece in _pieces(act):
                    yield Chunk(text=piece)
                for call in act.tool_calls:
                    yield Chunk(tool_call=call)
                yield Chunk(reply=_reply(act, request))
            case Fault(error):
                raise self._placed(error, request)
            case Break(pieces, error):
                for piece in pieces:
                    yield Chunk(text=piece)
                raise self._broken("".join(pieces), self._placed(error or Truncated(), request))
            case Hang():
                raise await self._hang(request, request.timeouts.first_token_s)
            case _:
                assert_never(act)

    async def probe(self, permit: Permit, *, timeout_s: float = 5.0) -> Health:
        """The scripted health; a permit for another target is `misconfigured`."""
        self.probes.append(permit)
        try:
            self.target.check(permit)
        except ProviderError as refused:
            return Health("misconfigured", error=refused)
        return self._health

    async def discover(self, permit: Permit, *, timeout_s: float = 5.0) -> tuple[DiscoveredModel, ...]:
        """The scripted models."""
        self.probes.append(permit)
        self.target.check(permit)
        return self._models

    async def aclose(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def _begin(self, request: Request) -> Act:
        self.target.check(request.permit)
        self.calls.append(request)
        if request.on_dispatch is not None:
            request.on_dispatch()
        return self._next_act(request)

    def _placed(self, error: ProviderError, request: Request) -> ProviderError:
        """A fresh copy of a scripted error that names this target: one act may be played many times."""
        return error.at(self.target.name, request.model, dispatched=error.dispatched)

    @staticmethod
    def _broken(partial: str, cause: ProviderError) -> ProviderError:
        if not partial:
            return cause
        estimate = cause.usage or Usage(output_tokens=_tokens(partial))
        return StreamInterrupted(cause=cause, partial=partial, usage_estimate=estimate)

    async def _hang(self, request: Request, limit_s: float) -> ProviderError:
        limit = min(limit_s, request.deadline_s)
        try:
            async with asyncio.timeout(limit):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            pass
        out_of_time = request.deadline_s <= limit_s
        return self._placed(Cancelled() if out_of_time else OutcomeUnknown(), request)


def tool_call(name: str, arguments: str = "{}", id: str = "call_1") -> ToolCall:
    """A tool call in the one shape, for scripts."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _player(script: Script, otherwise: Act) -> Callable[[Request], Act]:
    if callable(script):
        return script
    if isinstance(script, Mapping):
        queues = {model: deque(acts) for model, acts in script.items()}
        return lambda request: _pop(queues.get(request.model), otherwise)
    queue = deque(script)
    return lambda request: _pop(queue, otherwise)


def _pop(queue: deque[Act] | None, otherwise: Act) -> Act:
    return queue.popleft() if queue else otherwise


def _pieces(act: Answer) -> tuple[str, ...]:
    if act.pieces is not None:
        return act.pieces
    words = act.text.split(" ")
    return tuple(word if last else f"{word} " for word, last in _with_last(words) if word or not last)


def _with_last(words: list[str]) -> Iterable[tuple[str, bool]]:
    return ((word, place == len(words) - 1) for place, word in enumerate(words))


def _reply(act: Answer, request: Request) -> Reply:
    text = act.text if act.pieces is None else "".join(act.pieces)
    usage = act.usage or Usage(
        input_tokens=max(1, text_bytes(request.messages) // 4), output_tokens=_tokens(text)
    )
    reply = Reply(
        model=request.model,
        content=text,
        tool_calls=act.tool_calls,
        finish_reason="tool_calls" if act.tool_calls else "stop",
        usage=usage,
        request_id="scripted",
        cold=False,
        notes=act.notes,
    )
    return reply if act.finish_reason is None else replace(reply, finish_reason=act.finish_reason)


def _tokens(text: str) -> int:
    return max(1, len(text.encode("utf-8", "replace")) // 4)
